//! The methods that ask for state, blocks and transactions, and the one that sends.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::types::params::ParamsSequence;

use super::{Answer, Methods, format};
use crate::{
    accounts::ACCOUNTS,
    chain::{At, Block, Chain},
};

const CLIENT_VERSION: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

pub(super) fn register(methods: &mut Methods) {
    methods.add("web3_clientVersion", |_, _| Ok(CLIENT_VERSION));
    methods.add("net_version", |node, _| Ok(node.chain().chain_id().to_string()));
    methods.add("eth_chainId", |node, _| Ok(U64::from(node.chain().chain_id())));
    methods.add("eth_syncing", |_, _| Ok(false));
    methods.add("eth_accounts", |_, _| Ok(ACCOUNTS.map(|account| account.address)));
    methods.add("eth_blockNumber", |node, _| Ok(U64::from(node.chain().number())));
    register_state(methods);
    register_blocks(methods);
    register_transactions(methods);
}

fn register_state(methods: &mut Methods) {
    methods.add("eth_getBalance", |node, params| {
        let (address, chain): (Address, _) = (params.next()?, node.chain());
        Ok(chain.balance(address, at(&chain, params, At::latest)?))
    });
    methods.add("eth_getCode", |node, params| {
        let (address, chain): (Address, _) = (params.next()?, node.chain());
        Ok(chain.code(address, at(&chain, params, At::latest)?))
    });
    methods.add("eth_getTransactionCount", |node, params| {
        let (address, chain): (Address, _) = (params.next()?, node.chain());
        Ok(U64::from(chain.nonce(address, at(&chain, params, At::latest)?)))
    });
    methods.add("eth_getStorageAt", |node, params| {
        let (address, slot): (Address, U256) = (params.next()?, params.next()?);
        let chain = node.chain();
        Ok(B256::from(chain.storage(
            address,
            slot,
            at(&chain, params, At::latest)?,
        )))
    });
    methods.add("eth_call", |node, params| {
        let (request, chain): (TransactionRequest, _) = (params.next()?, node.chain());
        Ok(chain.call(&request, at(&chain, params, At::latest)?)?)
    });
    methods.add("eth_estimateGas", |node, params| {
        let (request, chain): (TransactionRequest, _) = (params.next()?, node.chain());
        Ok(U64::from(
            chain.estimate_gas(&request, at(&chain, params, |_| At::Pending)?)?,
        ))
    });
}

fn register_blocks(methods: &mut Methods) {
    methods.add("eth_getBlockByNumber", |node, params| {
        let (number, full): (BlockNumberOrTag, Option<bool>) = (params.next()?, params.optional_next()?);
        let chain = node.chain();
        Ok(
            block_at(&chain, BlockId::Number(number))
                .map(|block| format::block(block, full.unwrap_or(false))),
        )
    });
    methods.add("eth_getBlockByHash", |node, params| {
        let (hash, full): (B256, Option<bool>) = (params.next()?, params.optional_next()?);
        Ok(node
            .chain()
            .block_by_hash(&hash)
            .map(|block| format::block(block, full.unwrap_or(false))))
    });
    methods.add("eth_getBlockReceipts", |node, params| {
        let (id, chain): (BlockId, _) = (params.next()?, node.chain());
        let receipts = |block: &Block| -> Vec<_> {
            (0..block.transactions.len())
                .map(|index| format::receipt(block, index))
                .collect()
        };
        Ok(block_at(&chain, id).map(receipts))
    });
}

fn register_transactions(methods: &mut Methods) {
    methods.add("eth_sendRawTransaction", |node, params| {
        let encoded: Bytes = params.next()?;
        Ok(node.chain().submit(&encoded)?)
    });
    methods.add("eth_getTransactionByHash", |node, params| {
        let (hash, chain): (B256, _) = (params.next()?, node.chain());
        let mined = chain
            .mined(&hash)
            .map(|(block, index)| format::transaction(block, index));
        Ok(mined.or_else(|| chain.waiting(&hash).map(format::waiting)))
    });
    methods.add("eth_getTransactionReceipt", |node, params| {
        let hash: B256 = params.next()?;
        Ok(node
            .chain()
            .mined(&hash)
            .map(|(block, index)| format::receipt(block, index)))
    });
}

/// The block that the next parameter names.
fn at(chain: &Chain, params: &mut ParamsSequence<'_>, default: fn(&Chain) -> At) -> Answer<At> {
    match params.optional_next::<BlockId>()? {
        Some(id) => Ok(chain.resolve(id)?),
        None => Ok(default(chain)),
    }
}

/// A mined block; there is none that is pending.
fn block_at(chain: &Chain, id: BlockId) -> Option<&Block> {
    match chain.resolve(id).ok()? {
        At::Block(number) => chain.block(number),
        At::Pending => None,
    }
}

impl At {
    fn latest(chain: &Chain) -> Self {
        Self::Block(chain.number())
    }
}
