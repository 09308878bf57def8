//! The methods that only development nodes have: mining, time, accounts, snapshots, reorganisations, faults.
//!
//! Most have the names of anvil, and those of Hardhat and Ganache that tools still use.

use std::{collections::HashMap, time::Duration};

use alloy_consensus::{Transaction, TxEnvelope, transaction::Recovered};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_rpc_types_eth::TransactionRequest;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, Methods,
    error::{invalid, refused},
};
use crate::{
    chain::{At, Chain, HARDFORK},
    faults::Fault,
};

/// How many blocks one request may mine.
const MINE_LIMIT_BLOCKS: u64 = 1_000_000;

pub(super) fn register(methods: &mut Methods) {
    register_mining(methods);
    register_time(methods);
    register_accounts(methods);
    register_blocks(methods);
    register_ways_back(methods);
    register_state(methods);
    methods.add("devchain_setFaults", |node, params| {
        let faults: Vec<Fault> = params.next()?;
        node.faults.set(faults);
        Ok(Value::Null)
    });
}

/// What `evm_mine` can be given.
#[derive(Deserialize)]
#[serde(untagged)]
enum MineOptions {
    Timestamp(U64),
    Detailed {
        timestamp: Option<U64>,
        blocks: Option<U64>,
    },
}

fn register_mining(methods: &mut Methods) {
    methods.add("evm_mine", |node, params| {
        let (timestamp, blocks) = match params.optional_next()? {
            None => (None, None),
            Some(MineOptions::Timestamp(timestamp)) => (Some(timestamp), None),
            Some(MineOptions::Detailed { timestamp, blocks }) => (timestamp, blocks),
        };
        let blocks = block_count(blocks)?;
        let mut chain = node.chain();
        if let Some(timestamp) = timestamp {
            set_next_timestamp(&mut chain, timestamp)?;
        }
        mine(&mut chain, blocks, None);
        Ok("0x0")
    });
    methods.add("anvil_mine", |node, params| {
        let (blocks, interval_s) = (params.optional_next()?, params.optional_next()?);
        mine(&mut node.chain(), block_count(blocks)?, interval_s);
        Ok(Value::Null)
    });
    methods.alias("anvil_mine", &["hardhat_mine"]);
    methods.add("evm_setAutomine", |node, params| {
        let instant: bool = params.next()?;
        let mut chain = node.chain();
        chain.set_instant(instant);
        chain.mine_instantly();
        Ok(Value::Null)
    });
    methods.alias("evm_setAutomine", &["anvil_setAutomine"]);
    methods.add("anvil_getAutomine", |node, _| Ok(node.chain().instant()));
    methods.alias("anvil_getAutomine", &["hardhat_getAutomine"]);
    methods.add("evm_setIntervalMining", |node, params| {
        let seconds: U64 = params.next()?;
        let interval = (!seconds.is_zero()).then(|| Duration::from_secs(seconds.to()));
        let mut chain = node.chain();
        chain.set_instant(false);
        chain.interval().send_replace(interval);
        Ok(Value::Null)
    });
    methods.alias("evm_setIntervalMining", &["anvil_setIntervalMining"]);
    methods.add("anvil_getIntervalMining", |node, _| {
        let interval = *node.chain().interval().borrow();
        Ok(interval.map(|interval| interval.as_secs()))
    });
}

/// How many blocks to mine, by default one.
fn block_count(blocks: Option<U64>) -> Answer<u64> {
    match blocks.map_or(1, |blocks| blocks.to()) {
        blocks @ 0..=MINE_LIMIT_BLOCKS => Ok(blocks),
        _ => Err(invalid(format!(
            "cannot mine more than {MINE_LIMIT_BLOCKS} blocks at once"
        ))),
    }
}

/// Mines a number of blocks; `interval_s` is the distance of their timestamps.
fn mine(chain: &mut Chain, blocks: u64, interval_s: Option<U64>) {
    for number in 0..blocks {
        if let Some(interval_s) = interval_s.filter(|_| number > 0) {
            let timestamp = chain.head().header.timestamp.saturating_add(interval_s.to());
            chain.clock().set_next(timestamp);
        }
        chain.mine();
    }
}

/// Sets the timestamp of the next block, which must be later than that of the newest.
fn set_next_timestamp(chain: &mut Chain, timestamp: U64) -> Answer<()> {
    let newest = chain.head().header.timestamp;
    if timestamp.to::<u64>() <= newest {
        return Err(refused(format!(
            "timestamp {timestamp} is not after that of the newest block, {newest}"
        )));
    }
    chain.clock().set_next(timestamp.to());
    Ok(())
}

fn register_time(methods: &mut Methods) {
    methods.add("evm_increaseTime", |node, params| -> Answer<i64> {
        let seconds: U64 = params.next()?;
        Ok(node.chain().clock().increase(seconds.to()))
    });
    methods.alias("evm_increaseTime", &["anvil_increaseTime"]);
    methods.add("evm_setTime", |node, params| -> Answer<i64> {
        let timestamp: U64 = params.next()?;
        Ok(node.chain().clock().set_now(timestamp.to()))
    });
    methods.alias("evm_setTime", &["anvil_setTime"]);
    methods.add("evm_setNextBlockTimestamp", |node, params| {
        let timestamp: U64 = params.next()?;
        set_next_timestamp(&mut node.chain(), timestamp)?;
        Ok(Value::Null)
    });
    methods.alias("evm_setNextBlockTimestamp", &["anvil_setNextBlockTimestamp"]);
    methods.add("anvil_setBlockTimestampInterval", |node, params| {
        let seconds: U64 = params.next()?;
        node.chain().clock().set_step(Some(seconds.to()));
        Ok(Value::Null)
    });
    methods.add("anvil_removeBlockTimestampInterval", |node, _| {
        node.chain().clock().set_step(None);
        Ok(true)
    });
}

fn register_accounts(methods: &mut Methods) {
    methods.add("anvil_setBalance", |node, params| {
        let (address, balance): (Address, U256) = (params.next()?, params.next()?);
        node.chain().set_balance(address, balance);
        Ok(Value::Null)
    });
    methods.alias(
        "anvil_setBalance",
        &["hardhat_setBalance", "evm_setAccountBalance"],
    );
    methods.add("anvil_setNonce", |node, params| {
        let (address, nonce): (Address, U64) = (params.next()?, params.next()?);
        node.chain().set_nonce(address, nonce.to());
        Ok(Value::Null)
    });
    methods.alias("anvil_setNonce", &["hardhat_setNonce", "evm_setAccountNonce"]);
    methods.add("anvil_setCode", |node, params| {
        let (address, code): (Address, Bytes) = (params.next()?, params.next()?);
        node.chain().set_code(address, code)?;
        Ok(Value::Null)
    });
    methods.alias("anvil_setCode", &["hardhat_setCode"]);
    methods.add("anvil_setStorageAt", |node, params| {
        let (address, slot, value): (Address, U256, B256) = (params.next()?, params.next()?, params.next()?);
        node.chain().set_storage(address, slot, value.into());
        Ok(true)
    });
    methods.alias("anvil_setStorageAt", &["hardhat_setStorageAt"]);
    methods.add("anvil_impersonateAccount", |node, params| {
        let address: Address = params.next()?;
        node.chain().signers().impersonate(address);
        Ok(Value::Null)
    });
    methods.alias("anvil_impersonateAccount", &["hardhat_impersonateAccount"]);
    methods.add("anvil_stopImpersonatingAccount", |node, params| {
        let address: Address = params.next()?;
        node.chain().signers().stop_impersonating(&address);
        Ok(Value::Null)
    });
    methods.alias(
        "anvil_stopImpersonatingAccount",
        &["hardhat_stopImpersonatingAccount"],
    );
    methods.add("anvil_autoImpersonateAccount", |node, params| {
        let everyone: bool = params.next()?;
        node.chain().signers().impersonate_everyone(everyone);
        Ok(Value::Null)
    });
    methods.alias(
        "anvil_autoImpersonateAccount",
        &["hardhat_autoImpersonateAccount"],
    );
}

fn register_blocks(methods: &mut Methods) {
    methods.add("anvil_setCoinbase", |node, params| {
        let coinbase: Address = params.next()?;
        node.chain().set_coinbase(coinbase);
        Ok(Value::Null)
    });
    methods.alias("anvil_setCoinbase", &["hardhat_setCoinbase"]);
    methods.add("anvil_setNextBlockBaseFeePerGas", |node, params| {
        let base_fee: U64 = params.next()?;
        node.chain().set_next_base_fee(base_fee.to());
        Ok(Value::Null)
    });
    methods.alias(
        "anvil_setNextBlockBaseFeePerGas",
        &["hardhat_setNextBlockBaseFeePerGas"],
    );
    methods.add("evm_setBlockGasLimit", |node, params| {
        let gas_limit: U64 = params.next()?;
        node.chain().set_block_gas_limit(gas_limit.to());
        Ok(true)
    });
    methods.alias("evm_setBlockGasLimit", &["anvil_setBlockGasLimit"]);
    methods.add("anvil_setChainId", |node, params| {
        let chain_id: U64 = params.next()?;
        node.chain().set_chain_id(chain_id.to());
        Ok(Value::Null)
    });
    methods.add("anvil_nodeInfo", |node, _| {
        let chain = node.chain();
        let head = chain.head();
        Ok(json!({
            "currentBlockNumber": U64::from(head.header.number),
            "currentBlockTimestamp": head.header.timestamp,
            "currentBlockHash": head.hash(),
            "hardFork": HARDFORK.to_string(),
            "transactionOrder": "fifo",
            "environment": {
                "baseFee": U64::from(chain.next_base_fee_wei()),
                "chainId": chain.chain_id(),
                "gasLimit": U64::from(chain.block_gas_limit()),
                "gasPrice": U64::from(chain.gas_price_wei()),
            },
            "forkConfig": { "forkUrl": null, "forkBlockNumber": null, "forkRetryBackoff": null },
        }))
    });
}

/// What `anvil_reorg` is given: an array from most, an object from alloy.
#[derive(Deserialize)]
struct Reorganisation {
    depth: U64,
    #[serde(default)]
    tx_block_pairs: Vec<(Replacement, U64)>,
}

/// A transaction for a block that takes a dropped one's place.
#[derive(Deserialize)]
#[serde(untagged)]
enum Replacement {
    Signed(Bytes),
    Unsigned(Box<TransactionRequest>),
}

fn register_ways_back(methods: &mut Methods) {
    methods.add("evm_snapshot", |node, _| Ok(U64::from(node.chain().snapshot())));
    methods.alias("evm_snapshot", &["anvil_snapshot"]);
    methods.add("evm_revert", |node, params| {
        let id: U64 = params.next()?;
        Ok(node.chain().revert(id.to()))
    });
    methods.alias("evm_revert", &["anvil_revert"]);
    methods.add("anvil_rollback", |node, params| {
        let depth: Option<U64> = params.optional_next()?;
        node.chain().rollback(depth.map_or(1, |depth| depth.to()))?;
        Ok(Value::Null)
    });
    methods.add_whole("anvil_reorg", |node, params: Reorganisation| {
        let Reorganisation {
            depth,
            tx_block_pairs: mut transactions,
        } = params;
        let mut chain = node.chain();
        let ancestor = chain.check_depth(depth.to())?;
        transactions.sort_by_key(|(_, block)| *block);
        let mut branch = vec![Vec::new(); depth.to()];
        let mut nonces = HashMap::new();
        for (transaction, block) in transactions {
            let block = branch
                .get_mut(usize::try_from(block).unwrap_or(usize::MAX))
                .ok_or_else(|| invalid(format!("block {block} is not one of the {depth} new ones")))?;
            let transaction = replacement(&chain, transaction, At::Block(ancestor), &nonces)?;
            nonces.insert(transaction.signer(), transaction.nonce().saturating_add(1));
            block.push(transaction);
        }
        chain.replace(branch)?;
        Ok(Value::Null)
    });
    methods.add("devchain_reorganise", |node, params| {
        let (depth, keep_transactions): (U64, bool) = (params.next()?, params.next()?);
        node.chain().reorganise(depth.to(), keep_transactions)?;
        Ok(Value::Null)
    });
}

/// Signs a transaction if it is not, for a state and with the nonces after others of the branch.
fn replacement(
    chain: &Chain,
    transaction: Replacement,
    ancestor: At,
    nonces: &HashMap<Address, u64>,
) -> Answer<Recovered<TxEnvelope>> {
    match transaction {
        Replacement::Signed(encoded) => Ok(Chain::decode(&encoded)?),
        Replacement::Unsigned(mut request) => {
            let next = nonces.get(&chain.sender(&request)?).copied();
            request.nonce = request.nonce.or(next);
            Ok(chain.sign(*request, ancestor)?)
        }
    }
}

fn register_state(methods: &mut Methods) {
    methods.add("anvil_dumpState", |node, _| {
        Ok(Bytes::from(node.chain().dump().into_bytes()))
    });
    methods.alias("anvil_dumpState", &["hardhat_dumpState"]);
    methods.add("anvil_loadState", |node, params| {
        let dump: Bytes = params.next()?;
        let dump = str::from_utf8(&dump).map_err(invalid)?;
        node.chain().load(dump)?;
        Ok(true)
    });
    methods.alias("anvil_loadState", &["hardhat_loadState"]);
}
