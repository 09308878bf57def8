//! The methods that ask for state, blocks and transactions, and the one that sends.

use std::sync::Arc;

use alloy_eips::{BlockId, BlockNumberOrTag, eip2718::Encodable2718};
use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256};
use alloy_rpc_types_eth::{AccessListResult, TransactionRequest};
use jsonrpsee::{Extensions, types::params::ParamsSequence};
use serde_json::{Value, json};

use super::{Answer, Methods, Node, faulty::OtherChain, format};
use crate::chain::{At, Block, Chain, Overrides};

const CLIENT_VERSION: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

pub(super) fn register(methods: &mut Methods) {
    methods.add("web3_clientVersion", |_, _| Ok(CLIENT_VERSION));
    methods.add("web3_sha3", |_, params| {
        let data: Bytes = params.next()?;
        Ok(keccak256(data))
    });
    methods.add_faulty("net_version", |node, extensions| {
        Ok(chain_id(node, extensions).to_string())
    });
    methods.add("net_listening", |_, _| Ok(true));
    methods.add("net_peerCount", |_, _| Ok(U64::ZERO));
    methods.add_faulty("eth_chainId", |node, extensions| {
        Ok(U64::from(chain_id(node, extensions)))
    });
    methods.add("eth_syncing", |_, _| Ok(false));
    methods.add("eth_coinbase", |node, _| Ok(node.chain().coinbase()));
    methods.add("eth_blockNumber", |node, _| Ok(U64::from(node.chain().number())));
    register_state(methods);
    register_blocks(methods);
    register_transactions(methods);
}

/// The chain id, unless a fault gives another.
fn chain_id(node: &Node, extensions: &Extensions) -> u64 {
    match extensions.get() {
        Some(OtherChain(chain_id)) => *chain_id,
        None => node.chain().chain_id(),
    }
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
    methods.add("eth_getAccountInfo", |node, params| {
        let (address, chain): (Address, _) = (params.next()?, node.chain());
        let at = at(&chain, params, At::latest)?;
        Ok(json!({
            "balance": chain.balance(address, at),
            "nonce": U64::from(chain.nonce(address, at)),
            "code": chain.code(address, at),
        }))
    });
    register_questions(methods);
}

fn register_questions(methods: &mut Methods) {
    methods.add("eth_call", |node, params| {
        let (request, chain): (TransactionRequest, _) = (params.next()?, node.chain());
        let at = at(&chain, params, At::latest)?;
        let overrides = Overrides {
            state: params.optional_next()?,
            block: params.optional_next()?,
        };
        Ok(chain.call(&request, at, &overrides)?)
    });
    methods.add("eth_estimateGas", |node, params| {
        let (request, chain): (TransactionRequest, _) = (params.next()?, node.chain());
        let at = at(&chain, params, |_| At::Pending)?;
        let overrides = Overrides {
            state: params.optional_next()?,
            block: params.optional_next()?,
        };
        Ok(U64::from(chain.estimate_gas(&request, at, &overrides)?))
    });
    methods.add("eth_createAccessList", |node, params| {
        let (request, chain): (TransactionRequest, _) = (params.next()?, node.chain());
        let answer = chain.access_list(&request, at(&chain, params, At::latest)?)?;
        Ok(AccessListResult {
            access_list: answer.list,
            gas_used: U256::from(answer.gas_used),
            error: answer.error.map(|error| error.to_string()),
        })
    });
}

fn register_blocks(methods: &mut Methods) {
    methods.add("eth_getBlockByNumber", |node, params| {
        let (number, full): (BlockNumberOrTag, Option<bool>) = (params.next()?, params.optional_next()?);
        let block = block_at(&node.chain(), BlockId::Number(number));
        Ok(block.map(|block| format::block(&block, full.unwrap_or(false))))
    });
    methods.add("eth_getBlockByHash", |node, params| {
        let (hash, full): (B256, Option<bool>) = (params.next()?, params.optional_next()?);
        let chain = node.chain();
        let block = chain.block_by_hash(&hash);
        Ok(block.map(|block| format::block(block, full.unwrap_or(false))))
    });
    methods.add("eth_getHeaderByNumber", |node, params| {
        let number: BlockNumberOrTag = params.next()?;
        let block = block_at(&node.chain(), BlockId::Number(number));
        Ok(block.map(|block| format::block(&block, false).header))
    });
    methods.add("eth_getHeaderByHash", |node, params| {
        let (hash, chain): (B256, _) = (params.next()?, node.chain());
        let block = chain.block_by_hash(&hash);
        Ok(block.map(|block| format::block(block, false).header))
    });
    methods.add("eth_getBlockReceipts", |node, params| {
        let id: BlockId = params.next()?;
        let receipts = |block: Arc<Block>| -> Vec<_> {
            (0..block.transactions.len())
                .map(|index| format::receipt(&block, index))
                .collect()
        };
        Ok(block_at(&node.chain(), id).map(receipts))
    });
    for name in [
        "eth_getBlockTransactionCountByNumber",
        "eth_getBlockTransactionCountByHash",
    ] {
        methods.add(name, |node, params| {
            let block = named_block(&node.chain(), params)?;
            Ok(block.map(|block| U64::from(block.transactions.len())))
        });
    }
    // There have been no uncles since the merge.
    for name in ["eth_getUncleCountByBlockNumber", "eth_getUncleCountByBlockHash"] {
        methods.add(name, |node, params| {
            Ok(named_block(&node.chain(), params)?.map(|_| U64::ZERO))
        });
    }
    for name in [
        "eth_getUncleByBlockNumberAndIndex",
        "eth_getUncleByBlockHashAndIndex",
    ] {
        methods.add(name, |_, _| Ok(Value::Null));
    }
}

fn register_transactions(methods: &mut Methods) {
    methods.add("eth_sendRawTransaction", |node, params| {
        let encoded: Bytes = params.next()?;
        Ok(node.chain().submit(&encoded)?)
    });
    methods.add("eth_getTransactionByHash", |node, params| {
        let hash: B256 = params.next()?;
        Ok(format::found(&node.chain(), &hash))
    });
    methods.add("eth_getTransactionBySenderAndNonce", |node, params| {
        let (sender, nonce): (Address, U64) = (params.next()?, params.next()?);
        let chain = node.chain();
        let hash = chain.sent(sender, nonce.to());
        Ok(hash.and_then(|hash| format::found(&chain, &hash)))
    });
    methods.add("eth_getRawTransactionByHash", |node, params| {
        let (hash, chain): (B256, _) = (params.next()?, node.chain());
        let mined = chain
            .mined(&hash)
            .map(|(block, index)| &block.transactions[index].transaction);
        let transaction = mined.or_else(|| chain.waiting(&hash));
        Ok(transaction.map(|transaction| Bytes::from(transaction.encoded_2718())))
    });
    for name in [
        "eth_getTransactionByBlockNumberAndIndex",
        "eth_getTransactionByBlockHashAndIndex",
    ] {
        methods.add(name, |node, params| {
            let block = named_block(&node.chain(), params)?;
            let index = usize::try_from(params.next::<U64>()?).unwrap_or(usize::MAX);
            let block = block.filter(|block| index < block.transactions.len());
            Ok(block.map(|block| format::transaction(&block, index)))
        });
    }
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

/// The block that the next parameter names, if there is one.
fn named_block(chain: &Chain, params: &mut ParamsSequence<'_>) -> Answer<Option<Arc<Block>>> {
    Ok(block_at(chain, params.next()?))
}

/// A block of the chain, or the next one as it would be now.
fn block_at(chain: &Chain, id: BlockId) -> Option<Arc<Block>> {
    match chain.resolve(id).ok()? {
        At::Block(number) => chain.block(number).cloned(),
        At::Pending => Some(Arc::new(chain.pending().0)),
    }
}

impl At {
    fn latest(chain: &Chain) -> Self {
        Self::Block(chain.number())
    }
}
