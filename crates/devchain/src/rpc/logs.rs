//! Logs, and filters that are polled for what is new.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use alloy_primitives::U64;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use jsonrpsee::types::ErrorObjectOwned;
use serde_json::Value;

use super::{
    Answer, Methods, Node,
    error::refused,
    format,
    reader::{Reader, Subject},
};
use crate::chain::{At, Block, Chain};

/// How long a filter that nobody polls is kept.
const FILTER_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// The code for a request that asks for too much.
const LIMIT_EXCEEDED: i32 = -32005;

/// The filters that clients have opened.
#[derive(Default)]
pub(crate) struct Filters {
    opened: u64,
    open: HashMap<u64, Polled>,
}

struct Polled {
    reader: Reader,
    at: Instant,
}

pub(super) fn register(methods: &mut Methods) {
    methods.add("eth_getLogs", |node, params| {
        let filter: Filter = params.next()?;
        logs(&node.chain(), &filter, node.max_log_range())
    });
    methods.add("eth_newBlockFilter", |node, _| Ok(open(node, Subject::Blocks)));
    methods.add("eth_newPendingTransactionFilter", |node, _| {
        Ok(open(node, Subject::Transactions { full: false }))
    });
    methods.add("eth_newFilter", |node, params| {
        let filter: Filter = params.next()?;
        Ok(open(node, Subject::Logs(Box::new(filter))))
    });
    methods.add("eth_getFilterChanges", |node, params| {
        let id: U64 = params.next()?;
        let chain = node.chain();
        Ok(node.filters().poll(id)?.changes(&chain))
    });
    methods.add("eth_getFilterLogs", |node, params| {
        let id: U64 = params.next()?;
        let chain = node.chain();
        match &node.filters().poll(id)?.subject {
            Subject::Logs(filter) => logs(&chain, filter, node.max_log_range()),
            _ => Err(refused("filter is not one of logs")),
        }
    });
    methods.add("eth_uninstallFilter", |node, params| {
        let id: U64 = params.next()?;
        Ok(node.filters().open.remove(&id.to()).is_some())
    });
    methods.add("devchain_setMaxLogRange", |node, params| {
        let blocks: Option<U64> = params.optional_next()?;
        node.set_max_log_range(blocks.map(|blocks| blocks.to()));
        Ok(Value::Null)
    });
}

/// Opens a filter; its number.
fn open(node: &Node, subject: Subject) -> U64 {
    let reader = Reader::new(subject, &node.chain());
    let mut filters = node.filters();
    filters
        .open
        .retain(|_, polled| polled.at.elapsed() < FILTER_LIFETIME);
    filters.opened += 1;
    let id = filters.opened;
    filters.open.insert(
        id,
        Polled {
            reader,
            at: Instant::now(),
        },
    );
    U64::from(id)
}

impl Filters {
    /// The reader of an open filter, which lives on since somebody asks.
    fn poll(&mut self, id: U64) -> Answer<&mut Reader> {
        let polled = self
            .open
            .get_mut(&id.to())
            .ok_or_else(|| refused("filter not found"))?;
        polled.at = Instant::now();
        Ok(&mut polled.reader)
    }
}

/// The logs that a filter asks for, in the order of the chain.
fn logs(chain: &Chain, filter: &Filter, max_range: Option<u64>) -> Answer<Vec<Log>> {
    let (from, to) = match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let block = chain
                .block_by_hash(&hash)
                .ok_or_else(|| refused("unknown block"))?;
            return Ok(matching(block, filter));
        }
        FilterBlockOption::Range { from_block, to_block } => (from_block, to_block),
    };
    let head = chain.number();
    // A range may begin or end in the future: there is nothing there yet.
    let number =
        |tag: Option<alloy_eips::BlockNumberOrTag>, unknown| match tag.map(|tag| chain.resolve_number(tag)) {
            None => head,
            Some(Ok(At::Block(number))) => number,
            Some(Ok(At::Pending)) => head + 1,
            Some(Err(_)) => unknown,
        };
    let (from, to) = (number(from, head + 1), number(to, head));
    if from > to && from <= head {
        return Err(refused("invalid block range params"));
    }
    if let Some(max) = max_range
        && to.saturating_sub(from) >= max
    {
        let message = format!("block range is too large: at most {max} blocks in one request");
        return Err(ErrorObjectOwned::owned(LIMIT_EXCEEDED, message, None::<()>));
    }
    Ok((from..=to)
        .filter_map(|number| chain.block(number))
        .flat_map(|block| matching(block, filter))
        .collect())
}

/// The logs of one block that match; the bloom rules most blocks out.
pub(super) fn matching(block: &Block, filter: &Filter) -> Vec<Log> {
    let mut matching = Vec::new();
    if !filter.matches_bloom(block.header.logs_bloom) {
        return matching;
    }
    let mut log_index = 0;
    for (index, executed) in block.transactions.iter().enumerate() {
        for log in &executed.receipt.logs {
            if filter.matches(log) {
                matching.push(format::log(block, index, log_index, log.clone()));
            }
            log_index += 1;
        }
    }
    matching
}
