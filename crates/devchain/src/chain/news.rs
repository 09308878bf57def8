//! What changed since somebody last looked: blocks that came and went, transactions that arrived.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use alloy_primitives::B256;
use tokio::sync::watch;

use super::{Block, Chain};

/// How many dropped blocks and arrived transactions are remembered for those who read late.
const REMEMBERED: usize = 4_096;

/// What is remembered for readers, and who is woken.
pub(super) struct News {
    dropped: HashMap<B256, Arc<Block>>,
    /// The keys of `dropped`, oldest first.
    dropped_order: VecDeque<B256>,
    /// The hashes of the transactions that arrived last.
    arrived: VecDeque<B256>,
    /// How many transactions ever arrived.
    arrivals: u64,
    wake: watch::Sender<()>,
}

impl Default for News {
    fn default() -> Self {
        Self {
            dropped: HashMap::new(),
            dropped_order: VecDeque::new(),
            arrived: VecDeque::new(),
            arrivals: 0,
            wake: watch::Sender::new(()),
        }
    }
}

impl News {
    /// A block left the chain.
    pub(super) fn block_dropped(&mut self, block: Arc<Block>) {
        let hash = block.hash();
        if self.dropped.insert(hash, block).is_none() {
            self.dropped_order.push_back(hash);
        }
        if self.dropped_order.len() > REMEMBERED
            && let Some(oldest) = self.dropped_order.pop_front()
        {
            self.dropped.remove(&oldest);
        }
        self.wake();
    }

    /// A transaction entered the pool.
    pub(super) fn transaction_arrived(&mut self, hash: B256) {
        self.arrivals += 1;
        self.arrived.push_back(hash);
        if self.arrived.len() > REMEMBERED {
            self.arrived.pop_front();
        }
        self.wake();
    }

    /// Wakes all readers.
    pub(super) fn wake(&self) {
        self.wake.send_replace(());
    }
}

/// How far a reader has read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    head: B256,
    number: u64,
    arrivals: u64,
}

/// How the chain got from one head to another.
pub(crate) struct Changes {
    /// The blocks that were read and are no longer of the chain, newest first.
    pub(crate) removed: Vec<Arc<Block>>,
    /// The blocks that came, oldest first.
    pub(crate) added: Vec<Arc<Block>>,
}

impl Chain {
    /// Wakes its owner whenever there may be something new to read.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.news.wake.subscribe()
    }

    /// A cursor for which nothing is new.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor {
            head: self.head().hash(),
            number: self.number(),
            arrivals: self.news.arrivals,
        }
    }

    /// The blocks that went and came since the cursor, which moves to the newest.
    ///
    /// If more blocks were dropped since than are remembered, the forgotten ones are not among the removed.
    pub(crate) fn new_blocks(&self, cursor: &mut Cursor) -> Changes {
        let mut removed = Vec::new();
        let (mut hash, mut number) = (cursor.head, cursor.number);
        while self.block_by_hash(&hash).is_none() {
            let Some(block) = self.news.dropped.get(&hash) else {
                number = number.min(self.number());
                break;
            };
            removed.push(block.clone());
            hash = block.header.parent_hash;
            number = block.header.number.saturating_sub(1);
        }
        let added = (number + 1..=self.number())
            .filter_map(|number| self.block(number).cloned())
            .collect();
        *cursor = Cursor {
            arrivals: cursor.arrivals,
            ..self.cursor()
        };
        Changes { removed, added }
    }

    /// The transactions that arrived since the cursor, oldest first, as far as they are remembered; the cursor moves on.
    pub(crate) fn new_transactions(&self, cursor: &mut Cursor) -> Vec<B256> {
        let arrived = &self.news.arrived;
        let new = usize::try_from(self.news.arrivals - cursor.arrivals).unwrap_or(usize::MAX);
        cursor.arrivals = self.news.arrivals;
        arrived
            .iter()
            .skip(arrived.len().saturating_sub(new))
            .copied()
            .collect()
    }
}
