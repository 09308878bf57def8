//! Mined blocks.

use alloy_consensus::{
    Block as ConsensusBlock, BlockBody, EMPTY_OMMER_ROOT_HASH, Header, Receipt, ReceiptEnvelope, Sealed,
    TxEnvelope,
    constants::EMPTY_WITHDRAWALS,
    proofs::{calculate_receipt_root, calculate_transaction_root},
    transaction::Recovered,
};
use alloy_eips::{eip4895::Withdrawals, eip7685::EMPTY_REQUESTS_HASH};
use alloy_primitives::{B256, Bloom, Log};

use super::execute::BlockContext;

/// A block of the chain with what its transactions did.
pub(crate) struct Block {
    pub(crate) header: Sealed<Header>,
    pub(crate) transactions: Vec<Executed>,
    /// The length of its RLP encoding in bytes.
    pub(crate) size: usize,
}

/// A transaction in a block.
pub(crate) struct Executed {
    pub(crate) transaction: Recovered<TxEnvelope>,
    pub(crate) receipt: Receipt<Log>,
    pub(crate) gas_used: u64,
}

impl Block {
    /// Makes the block of these transactions on top of `parent`.
    pub(crate) fn seal(
        parent: B256,
        context: &BlockContext,
        transactions: Vec<Executed>,
        state_root: B256,
    ) -> Self {
        let header = Header {
            parent_hash: parent,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: context.coinbase,
            state_root,
            number: context.number,
            gas_limit: context.gas_limit,
            gas_used: transactions.iter().map(|one| one.gas_used).sum(),
            timestamp: context.timestamp,
            mix_hash: context.prevrandao,
            base_fee_per_gas: Some(context.base_fee_wei),
            withdrawals_root: Some(EMPTY_WITHDRAWALS),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        };
        Self::assemble(header, transactions)
    }

    /// The block of a header that was sealed before; `None` if it is not that of these transactions.
    pub(crate) fn restore(header: Header, transactions: Vec<Executed>) -> Option<Self> {
        let block = Self::assemble(header.clone(), transactions);
        (*block.header.inner() == header).then_some(block)
    }

    /// A block whose header commits to its transactions and receipts.
    fn assemble(header: Header, transactions: Vec<Executed>) -> Self {
        let envelopes: Vec<TxEnvelope> = transactions
            .iter()
            .map(|one| one.transaction.inner().clone())
            .collect();
        let receipts: Vec<ReceiptEnvelope> = transactions.iter().map(Executed::receipt_envelope).collect();
        let header = Header {
            transactions_root: calculate_transaction_root(&envelopes),
            receipts_root: calculate_receipt_root(&receipts),
            logs_bloom: receipts
                .iter()
                .fold(Bloom::ZERO, |bloom, receipt| bloom | *receipt.logs_bloom()),
            ..header
        };
        let body = BlockBody {
            transactions: envelopes,
            ommers: Vec::new(),
            withdrawals: Some(Withdrawals::default()),
        };
        let size = ConsensusBlock::rlp_length_for(&header, &body);
        Self {
            header: Sealed::new(header),
            transactions,
            size,
        }
    }

    /// The block's hash.
    pub(crate) fn hash(&self) -> B256 {
        self.header.hash()
    }

    /// The block's base fee.
    pub(crate) fn base_fee_wei(&self) -> u64 {
        self.header.base_fee_per_gas.unwrap_or_default()
    }

    /// How many logs the transactions before the one at `index` emitted: the index of its first log in the block.
    pub(crate) fn logs_before(&self, index: usize) -> usize {
        self.transactions
            .iter()
            .take(index)
            .map(|one| one.receipt.logs.len())
            .sum()
    }
}

impl Executed {
    /// The receipt as it enters the receipts root.
    pub(crate) fn receipt_envelope(&self) -> ReceiptEnvelope {
        ReceiptEnvelope::from_typed(self.transaction.tx_type(), self.receipt.clone().with_bloom())
    }
}
