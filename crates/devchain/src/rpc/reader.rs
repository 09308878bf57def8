//! What is new for a filter or a subscription.

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::B256;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, FilterChanges, Log};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{format, logs::matching};
use crate::chain::{Block, Chain, Cursor};

/// Somebody who is told what is new, and how far they have read.
pub(super) struct Reader {
    pub(super) subject: Subject,
    cursor: Cursor,
}

/// What somebody wants to be told of.
#[derive(Clone)]
pub(super) enum Subject {
    Blocks,
    /// Logs that match, also those that a reorganisation took back.
    Logs(Box<Filter>),
    /// Transactions that arrived.
    Transactions {
        /// Whether they are given whole to subscribers, and not only their hashes.
        full: bool,
    },
}

impl Reader {
    /// A reader of what happens from now on.
    pub(super) fn new(subject: Subject, chain: &Chain) -> Self {
        Self {
            subject,
            cursor: chain.cursor(),
        }
    }

    /// What is new, as `eth_getFilterChanges` answers.
    pub(super) fn changes(&mut self, chain: &Chain) -> FilterChanges {
        match &self.subject {
            Subject::Blocks => {
                let added = chain.new_blocks(&mut self.cursor).added;
                FilterChanges::Hashes(added.iter().map(|block| block.hash()).collect())
            }
            Subject::Logs(filter) => FilterChanges::Logs(new_logs(chain, &mut self.cursor, filter)),
            Subject::Transactions { .. } => FilterChanges::Hashes(chain.new_transactions(&mut self.cursor)),
        }
    }

    /// What is new, as messages of `eth_subscription`.
    pub(super) fn messages(&mut self, chain: &Chain) -> Vec<Box<RawValue>> {
        match &self.subject {
            Subject::Blocks => {
                let added = chain.new_blocks(&mut self.cursor).added;
                added
                    .iter()
                    .map(|block| message(&format::block(block, false).header))
                    .collect()
            }
            Subject::Logs(filter) => new_logs(chain, &mut self.cursor, filter)
                .iter()
                .map(message)
                .collect(),
            Subject::Transactions { full } => {
                let hashes = chain.new_transactions(&mut self.cursor);
                let whole = |hash: &B256| -> Option<Box<RawValue>> {
                    format::found(chain, hash).map(|transaction| message(&transaction))
                };
                match full {
                    true => hashes.iter().filter_map(whole).collect(),
                    false => hashes.iter().map(message).collect(),
                }
            }
        }
    }
}

fn message(content: &impl Serialize) -> Box<RawValue> {
    to_raw_value(content).expect("what is sent has only keys that are texts")
}

/// The logs that were taken back, the newest first, and then those that came.
fn new_logs(chain: &Chain, cursor: &mut Cursor, filter: &Filter) -> Vec<Log> {
    let changes = chain.new_blocks(cursor);
    let in_range = |block: &&std::sync::Arc<Block>| is_in_range(filter, block.header.number);
    let removed = changes.removed.iter().filter(in_range).flat_map(|block| {
        matching(block, filter)
            .into_iter()
            .rev()
            .map(|log| Log { removed: true, ..log })
    });
    let added = changes
        .added
        .iter()
        .filter(in_range)
        .flat_map(|block| matching(block, filter));
    removed.chain(added).collect()
}

/// Whether a filter with a range of numbers, if it has one, is also about this block.
fn is_in_range(filter: &Filter, number: u64) -> bool {
    let FilterBlockOption::Range { from_block, to_block } = filter.block_option else {
        return true;
    };
    let bound = |tag: Option<BlockNumberOrTag>| tag.and_then(|tag| tag.as_number());
    bound(from_block).is_none_or(|from| from <= number) && bound(to_block).is_none_or(|to| number <= to)
}
