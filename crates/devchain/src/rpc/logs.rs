//! Logs, and filters that are polled for what is new.

use std::collections::HashMap;

use alloy_primitives::{B256, U64};
use alloy_rpc_types_eth::{Filter, FilterBlockOption, FilterChanges, Log};

use super::{Answer, Methods, error::refused, format};
use crate::chain::{At, Block, Chain};

/// The filters that clients have opened.
#[derive(Default)]
pub(crate) struct Filters {
    opened: u64,
    open: HashMap<u64, Poll>,
}

/// A filter and how far it has been read.
///
/// It knows block numbers only: after a reorganisation it does not take back what it reported, nor report the blocks that
/// took the place of reported ones.
struct Poll {
    kind: Kind,
    /// The first block that was not reported.
    next: u64,
}

#[derive(Clone)]
enum Kind {
    Blocks,
    Logs(Box<Filter>),
}

pub(super) fn register(methods: &mut Methods) {
    methods.add("eth_getLogs", |node, params| {
        let filter: Filter = params.next()?;
        logs(&node.chain(), &filter)
    });
    methods.add("eth_newBlockFilter", |node, _| {
        let next = node.chain().number() + 1;
        Ok(U64::from(node.filters().open(Kind::Blocks, next)))
    });
    methods.add("eth_newFilter", |node, params| {
        let filter: Filter = params.next()?;
        let next = node.chain().number() + 1;
        Ok(U64::from(node.filters().open(Kind::Logs(Box::new(filter)), next)))
    });
    methods.add("eth_getFilterChanges", |node, params| {
        let id: U64 = params.next()?;
        let chain = node.chain();
        let mut filters = node.filters();
        let poll = filters
            .open
            .get_mut(&id.to())
            .ok_or_else(|| refused("filter not found"))?;
        Ok(poll.changes(&chain))
    });
    methods.add("eth_uninstallFilter", |node, params| {
        let id: U64 = params.next()?;
        Ok(node.filters().open.remove(&id.to()).is_some())
    });
}

impl Filters {
    fn open(&mut self, kind: Kind, next: u64) -> u64 {
        self.opened += 1;
        self.open.insert(self.opened, Poll { kind, next });
        self.opened
    }
}

impl Poll {
    /// What happened since the last time.
    fn changes(&mut self, chain: &Chain) -> FilterChanges {
        let range = self.next..=chain.number();
        self.next = chain.number() + 1;
        let blocks = range.filter_map(|number| chain.block(number));
        match &self.kind {
            Kind::Blocks => FilterChanges::Hashes(blocks.map(Block::hash).collect::<Vec<B256>>()),
            Kind::Logs(filter) => {
                FilterChanges::Logs(blocks.flat_map(|block| matching(block, filter)).collect())
            }
        }
    }
}

/// The logs that a filter asks for, in the order of the chain.
fn logs(chain: &Chain, filter: &Filter) -> Answer<Vec<Log>> {
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
    Ok((from..=to)
        .filter_map(|number| chain.block(number))
        .flat_map(|block| matching(block, filter))
        .collect())
}

/// The logs of one block that match; the bloom rules most blocks out.
fn matching(block: &Block, filter: &Filter) -> Vec<Log> {
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
