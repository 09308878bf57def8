//! The methods that only development nodes have: mining, time, balances, snapshots, reorganisations.

use alloy_primitives::{Address, U64, U256};
use serde_json::Value;

use super::{
    Answer, Methods,
    error::{invalid, refused},
};

/// How many blocks one request may mine.
const MINE_LIMIT_BLOCKS: u64 = 1_000_000;

pub(super) fn register(methods: &mut Methods) {
    register_mining(methods);
    register_time(methods);
    methods.add("anvil_setBalance", |node, params| {
        let (address, balance): (Address, U256) = (params.next()?, params.next()?);
        node.chain().set_balance(address, balance);
        Ok(Value::Null)
    });
    methods.add("evm_snapshot", |node, _| Ok(U64::from(node.chain().snapshot())));
    methods.add("evm_revert", |node, params| {
        let id: U64 = params.next()?;
        Ok(node.chain().revert(id.to()))
    });
    methods.add("anvil_reorg", |node, params| {
        let depth: U64 = params.next()?;
        let transactions: Option<Vec<Value>> = params.optional_next()?;
        if transactions.is_some_and(|transactions| !transactions.is_empty()) {
            return Err(invalid(
                "transactions of one's own are not supported in a reorganisation",
            ));
        }
        node.chain().reorganise(depth.to(), false)?;
        Ok(Value::Null)
    });
}

fn register_mining(methods: &mut Methods) {
    methods.add("evm_mine", |node, params| {
        let timestamp: Option<U64> = params.optional_next()?;
        let mut chain = node.chain();
        if let Some(timestamp) = timestamp {
            chain.clock().set_next(timestamp.to());
        }
        chain.mine();
        Ok("0x0")
    });
    methods.add("anvil_mine", |node, params| {
        let (blocks, interval_s): (Option<U64>, Option<U64>) =
            (params.optional_next()?, params.optional_next()?);
        let blocks: u64 = blocks.map_or(1, |blocks| blocks.to());
        if blocks > MINE_LIMIT_BLOCKS {
            return Err(invalid(format!(
                "cannot mine more than {MINE_LIMIT_BLOCKS} blocks at once"
            )));
        }
        let mut chain = node.chain();
        for number in 0..blocks {
            if let Some(interval_s) = interval_s.filter(|_| number > 0) {
                let timestamp = chain.head().header.timestamp.saturating_add(interval_s.to());
                chain.clock().set_next(timestamp);
            }
            chain.mine();
        }
        Ok(Value::Null)
    });
    methods.add("evm_setAutomine", |node, params| {
        let instant: bool = params.next()?;
        let mut chain = node.chain();
        chain.set_instant(instant);
        chain.mine_instantly();
        Ok(Value::Null)
    });
}

fn register_time(methods: &mut Methods) {
    methods.add("evm_increaseTime", |node, params| -> Answer<i64> {
        let seconds: U64 = params.next()?;
        Ok(node.chain().clock().increase(seconds.to()))
    });
    methods.add("evm_setNextBlockTimestamp", |node, params| {
        let timestamp: U64 = params.next()?;
        let mut chain = node.chain();
        let newest = chain.head().header.timestamp;
        if timestamp.to::<u64>() <= newest {
            return Err(refused(format!(
                "timestamp {timestamp} is not after that of the newest block, {newest}"
            )));
        }
        chain.clock().set_next(timestamp.to());
        Ok(Value::Null)
    });
}
