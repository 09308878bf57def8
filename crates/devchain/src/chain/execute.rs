//! Transactions and calls on the EVM.

use std::convert::Infallible;

use alloy_consensus::{Transaction, TxEnvelope, Typed2718, transaction::Recovered};
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::{AccessList, TransactionRequest};
use revm::{
    Context, Database, ExecuteEvm, MainBuilder,
    context::{BlockEnv, CfgEnv, Journal, TxEnv},
    context_interface::{
        block::BlobExcessGasAndPrice,
        result::{EVMError, InvalidTransaction, ResultAndState},
    },
    primitives::{TxKind, hardfork::SpecId},
};

use super::{block::Block, signers::is_impersonated};

/// The rules of execution.
pub(crate) const HARDFORK: SpecId = SpecId::PRAGUE;

/// What a transaction can learn of the block that it is in.
#[derive(Clone, Debug)]
pub(crate) struct BlockContext {
    pub(crate) number: u64,
    pub(crate) timestamp: u64,
    pub(crate) gas_limit: u64,
    pub(crate) base_fee_wei: u64,
    pub(crate) prevrandao: B256,
    /// Who gets the priority fees.
    pub(crate) coinbase: Address,
}

impl From<&Block> for BlockContext {
    fn from(block: &Block) -> Self {
        Self {
            number: block.header.number,
            timestamp: block.header.timestamp,
            gas_limit: block.header.gas_limit,
            base_fee_wei: block.base_fee_wei(),
            prevrandao: block.header.mix_hash,
            coinbase: block.header.beneficiary,
        }
    }
}

impl From<&BlockContext> for BlockEnv {
    fn from(context: &BlockContext) -> Self {
        Self {
            number: U256::from(context.number),
            timestamp: U256::from(context.timestamp),
            gas_limit: context.gas_limit,
            basefee: context.base_fee_wei,
            beneficiary: context.coinbase,
            prevrandao: Some(context.prevrandao),
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new_with_spec(0, HARDFORK)),
            ..Self::default()
        }
    }
}

/// Whether a transaction is one of a block or only asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It enters a block: its sender must be an account without code, as EIP-3607 says.
    Include,
    /// It enters a block, but its sender is impersonated: contracts can be its sender, too.
    Impersonate,
    /// It is only asked about: contracts can be its sender, and it is free whatever the base fee is.
    Ask,
}

impl Purpose {
    /// That of a transaction on its way into a block.
    pub(crate) fn of(transaction: &Recovered<TxEnvelope>) -> Self {
        if is_impersonated(transaction) {
            Self::Impersonate
        } else {
            Self::Include
        }
    }
}

/// Executes one transaction; the changes are returned, not written.
pub(crate) fn transact<DB: Database<Error = Infallible>>(
    database: DB,
    chain_id: u64,
    context: &BlockContext,
    transaction: TxEnv,
    purpose: Purpose,
) -> Result<ResultAndState, InvalidTransaction> {
    let mut cfg = CfgEnv::new_with_spec(HARDFORK).with_chain_id(chain_id);
    cfg.disable_eip3607 = purpose != Purpose::Include;
    cfg.disable_base_fee = purpose == Purpose::Ask;
    let evm_context: Context<BlockEnv, TxEnv, CfgEnv, DB, Journal<DB>, ()> = Context::new(database, HARDFORK);
    let mut evm = evm_context
        .with_block(BlockEnv::from(context))
        .with_cfg(cfg)
        .build_mainnet();
    evm.transact(transaction).map_err(|error| match error {
        EVMError::Transaction(error) => error,
        // None of these can come from a well-formed block and a database in memory.
        other => InvalidTransaction::Str(other.to_string().into()),
    })
}

/// A signed transaction as the EVM takes it.
pub(crate) fn signed(transaction: &Recovered<TxEnvelope>) -> TxEnv {
    TxEnv {
        tx_type: transaction.ty(),
        caller: transaction.signer(),
        gas_limit: transaction.gas_limit(),
        gas_price: transaction.max_fee_per_gas(),
        kind: transaction.kind(),
        value: transaction.value(),
        data: transaction.input().clone(),
        nonce: transaction.nonce(),
        chain_id: transaction.chain_id(),
        access_list: transaction.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: transaction.max_priority_fee_per_gas(),
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: Vec::new(),
    }
}

/// A call as the EVM takes it: free of charge, with the nonce that its sender has.
pub(crate) fn call(request: &TransactionRequest, chain_id: u64, nonce: u64, gas_limit: u64) -> TxEnv {
    let access_list: Option<AccessList> = request.access_list.clone();
    TxEnv {
        tx_type: u8::from(access_list.is_some()),
        caller: request.from.unwrap_or_default(),
        gas_limit,
        gas_price: 0,
        kind: request.to.unwrap_or(TxKind::Create),
        value: request.value.unwrap_or_default(),
        data: request.input.input().cloned().unwrap_or_default(),
        nonce,
        chain_id: Some(chain_id),
        access_list: access_list.unwrap_or_default(),
        gas_priority_fee: None,
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: Vec::new(),
    }
}
