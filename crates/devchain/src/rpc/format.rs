//! Blocks, transactions and receipts as JSON-RPC shows them.

use alloy_consensus::{BlockHeader, ReceiptEnvelope, Transaction as _, TxEnvelope, transaction::Recovered};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::{
    Block as RpcBlock, BlockTransactions, Header, Log, Transaction, TransactionInfo, TransactionReceipt,
};

use crate::chain::{Block, Chain};

/// A block with its transactions in full or only their hashes.
pub(super) fn block(block: &Block, full: bool) -> RpcBlock {
    let transactions = if full {
        BlockTransactions::Full(
            (0..block.transactions.len())
                .map(|index| transaction(block, index))
                .collect(),
        )
    } else {
        BlockTransactions::Hashes(
            block
                .transactions
                .iter()
                .map(|one| *one.transaction.hash())
                .collect(),
        )
    };
    let header = Header::from_consensus(
        block.header.clone(),
        Some(U256::ZERO),
        Some(U256::from(block.size)),
    );
    RpcBlock::new(header, transactions).with_withdrawals(Some(Withdrawals::default()))
}

/// The mined transaction at `index`, which must be one of the block's.
pub(super) fn transaction(block: &Block, index: usize) -> Transaction {
    let transaction = &block.transactions[index].transaction;
    let info = TransactionInfo {
        hash: Some(*transaction.hash()),
        index: Some(index as u64),
        block_hash: Some(block.hash()),
        block_number: Some(block.header.number()),
        base_fee: Some(block.base_fee_wei()),
        block_timestamp: Some(block.header.timestamp()),
    };
    Transaction::from_transaction(transaction.clone(), info)
}

/// A transaction that waits for a block.
pub(super) fn waiting(transaction: &Recovered<TxEnvelope>) -> Transaction {
    Transaction::from_transaction(transaction.clone(), TransactionInfo::default())
}

/// A transaction by its hash, mined or waiting.
pub(super) fn found(chain: &Chain, hash: &B256) -> Option<Transaction> {
    let mined = chain.mined(hash).map(|(block, index)| transaction(block, index));
    mined.or_else(|| chain.waiting(hash).map(waiting))
}

/// The receipt of the transaction at `index`, which must be one of the block's.
pub(super) fn receipt(block: &Block, index: usize) -> TransactionReceipt {
    let executed = &block.transactions[index];
    let transaction = &executed.transaction;
    let first_log = block.logs_before(index);
    let envelope: ReceiptEnvelope<Log> = {
        let mut log_index = first_log;
        executed.receipt_envelope().map_logs(|inner| {
            let log = log(block, index, log_index, inner);
            log_index += 1;
            log
        })
    };
    TransactionReceipt {
        inner: envelope,
        transaction_hash: *transaction.hash(),
        transaction_index: Some(index as u64),
        block_hash: Some(block.hash()),
        block_number: Some(block.header.number()),
        gas_used: executed.gas_used,
        effective_gas_price: transaction.effective_gas_price(Some(block.base_fee_wei())),
        blob_gas_used: None,
        blob_gas_price: None,
        from: transaction.signer(),
        to: transaction.to(),
        contract_address: transaction
            .is_create()
            .then(|| transaction.signer().create(transaction.nonce())),
    }
}

/// A log with its place in the chain.
pub(super) fn log(block: &Block, transaction: usize, log_index: usize, inner: alloy_primitives::Log) -> Log {
    Log {
        inner,
        block_hash: Some(block.hash()),
        block_number: Some(block.header.number()),
        block_timestamp: Some(block.header.timestamp()),
        transaction_hash: Some(*block.transactions[transaction].transaction.hash()),
        transaction_index: Some(transaction as u64),
        log_index: Some(log_index as u64),
        removed: false,
    }
}
