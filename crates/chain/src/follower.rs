//! What is new on the canonical chain.

use crate::chunk::Chunk;
use crate::contract::Contract;
use crate::error::ChainError;
use crate::events::Party;
use crate::node::Header;
use crate::rpc::RpcError;
use microraiden_protocol::{BlockNumber, BlockRef, ChainUpdate, ChannelEvent};
use std::collections::VecDeque;

/// So near the head every block is looked at by itself.
const NEAR: u64 = 64;
/// How many blocks are remembered.
const MAX_KNOWN: usize = 1024;
/// How often a look is repeated because the chain changed meanwhile.
const ATTEMPTS: u32 = 4;

/// Reads the events of one party from a contract, block after block, and notices when the chain is reorganised.
///
/// Every [`ChainUpdate`] comes from one chain and one node: near the head each header's parent is the block before, and
/// the events are asked for by the block's hash; when another node begins to answer meanwhile, the look is repeated. The follower moves on only when it returns an update; an error, or dropping the
/// future, leaves it where it was.
#[derive(Debug)]
pub struct Follower {
    contract: Contract,
    party: Party,
    start_block: BlockNumber,
    /// In increasing order; the last is the head.
    known: VecDeque<BlockRef>,
    chunk: Chunk,
    caught_up: bool,
    is_late: bool,
    /// Where reading began.
    begin: BlockNumber,
    /// The node's newest block at the last look.
    newest: Option<BlockNumber>,
}

/// How far the chain was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The last block before those that are read.
    pub begin: BlockNumber,
    /// The newest block that was read.
    pub head: BlockNumber,
    /// The node's newest block.
    pub newest: BlockNumber,
}

impl Progress {
    /// The share of the blocks that were read, from 0 to 100.
    pub fn percent(&self) -> u64 {
        let read = self.head.0.saturating_sub(self.begin.0);
        let all = self.newest.0.saturating_sub(self.begin.0);
        (read.saturating_mul(100).checked_div(all)).map_or(100, |percent| percent.min(100))
    }
}

/// What one look has found.
struct Look {
    update: ChainUpdate,
    caught_up: bool,
}

/// Why a look has found nothing.
enum Interrupted {
    /// The chain is another one than a moment ago.
    Changed,
    Failed(ChainError),
}

impl From<ChainError> for Interrupted {
    fn from(error: ChainError) -> Self {
        Self::Failed(error)
    }
}

impl Follower {
    /// Follows from `start_block` on, that one included. `known` are blocks of earlier updates in increasing order, with
    /// the last head; without any the chain is read from the start.
    pub fn new(contract: Contract, party: Party, start_block: BlockNumber, known: Vec<BlockRef>) -> Self {
        let head = known.last().map(|block| block.number);
        let mut follower = Self {
            contract,
            party,
            start_block,
            known: known.into(),
            chunk: Chunk::default(),
            caught_up: false,
            is_late: false,
            begin: head.unwrap_or(start_block.saturating_sub(1)),
            newest: None,
        };
        follower.forget_oldest();
        follower
    }

    /// The newest block that was read; `None` before the first update.
    pub fn head(&self) -> Option<BlockRef> {
        self.known.back().copied()
    }

    /// Whether all blocks up to the newest one of the node were read, as of the last poll.
    pub fn caught_up(&self) -> bool {
        self.caught_up
    }

    /// Whether the node did not know of the head yet, as of the last poll that succeeded: what happens now is not
    /// seen.
    pub fn is_late(&self) -> bool {
        self.is_late
    }

    /// How far it is; `None` before the node has answered.
    pub fn progress(&self) -> Option<Progress> {
        Some(Progress {
            begin: self.begin,
            head: self.head().map_or(self.begin, |head| head.number),
            newest: self.newest?,
        })
    }

    /// Looks for what is new; `None` when there is nothing. Call again at once until [`Self::caught_up`].
    ///
    /// A node whose chain ends before the head, and agrees so far, is late; that is no reorganisation. A reorganisation of
    /// more blocks than are remembered rewinds to the block before the start.
    ///
    /// # Errors
    /// When the node fails, or the chain changes at every look.
    pub async fn poll(&mut self) -> Result<Option<ChainUpdate>, ChainError> {
        for _ in 0..ATTEMPTS {
            match self.look().await {
                Ok(None) => return Ok(None),
                Ok(Some(look)) => {
                    self.take(&look);
                    return Ok(Some(look.update));
                }
                Err(Interrupted::Changed) => {}
                Err(Interrupted::Failed(error)) => return Err(error),
            }
        }
        Err(ChainError::Changing)
    }

    fn take(&mut self, look: &Look) {
        if let Some(rewind_to) = look.update.rewind_to {
            self.known.retain(|block| block.number <= rewind_to);
        }
        self.known.extend(&look.update.blocks);
        self.forget_oldest();
        (self.caught_up, self.is_late) = (look.caught_up, false);
    }

    fn forget_oldest(&mut self) {
        self.known.drain(..self.known.len().saturating_sub(MAX_KNOWN));
    }

    async fn look(&mut self) -> Result<Option<Look>, Interrupted> {
        let epoch = self.contract.node().epoch();
        let found = self.look_at_all().await?;
        // Another node may not have the blocks that the first one spoke of: then its logs lack theirs.
        match self.contract.node().epoch() == epoch {
            true => Ok(found),
            false => Err(Interrupted::Changed),
        }
    }

    async fn look_at_all(&mut self) -> Result<Option<Look>, Interrupted> {
        let latest = self.contract.node().latest().await?;
        self.newest = Some(latest.number);
        if self.head() == Some(latest) {
            (self.caught_up, self.is_late) = (true, false);
            return Ok(None);
        }
        // What lies above the node's newest block is unknown to it, not gone.
        let within = self.known.partition_point(|block| block.number <= latest.number);
        let kept = self.count_canonical(within).await?;
        let is_late = kept == within && within < self.known.len();
        let fork = kept.checked_sub(1).map(|last| self.known[last]);
        let from = fork.map_or(self.start_block, |fork| fork.number.saturating_add(1));
        if is_late || from > latest.number {
            self.caught_up |= self.known.is_empty();
            self.is_late = is_late;
            return Ok(None);
        }
        let rewind_to = (kept < self.known.len())
            .then(|| fork.map_or(self.start_block.saturating_sub(1), |fork| fork.number));
        let near = latest.number.saturating_sub(NEAR - 1) <= from;
        let (blocks, events) = match near {
            true => self.read_near(fork, from, latest).await?,
            false => {
                self.read_far(fork, from, latest.number.saturating_sub(NEAR))
                    .await?
            }
        };
        Ok(Some(Look {
            update: ChainUpdate {
                rewind_to,
                blocks,
                events,
            },
            caught_up: near,
        }))
    }

    /// How many of the first known blocks are still canonical. If one is, so are all before it.
    async fn count_canonical(&self, first: usize) -> Result<usize, Interrupted> {
        let (mut low, mut high) = (0, first);
        // Nearly always it is all of them.
        let mut middle = high.saturating_sub(1);
        while low < high {
            let known = self.known[middle];
            // The node has a newer block: without this one, it is another node behind the same address.
            let canonical = self.contract.node().block(known.number).await?;
            if canonical.ok_or(Interrupted::Changed)? == known {
                low = middle + 1;
            } else {
                high = middle;
            }
            middle = low + (high - low) / 2;
        }
        Ok(low)
    }

    /// Reads up to the newest block, one by one.
    async fn read_near(
        &self,
        fork: Option<BlockRef>,
        from: BlockNumber,
        latest: BlockRef,
    ) -> Result<(Vec<BlockRef>, Vec<ChannelEvent>), Interrupted> {
        let (mut blocks, mut events) = (Vec::new(), Vec::new());
        let mut before = fork.map(|fork| fork.hash);
        for number in from.0..=latest.number.0 {
            let Header { block, parent, .. } = self
                .contract
                .node()
                .header(BlockNumber(number))
                .await?
                .ok_or(Interrupted::Changed)?;
            if before.is_some_and(|before| before != parent) {
                return Err(Interrupted::Changed);
            }
            before = Some(block.hash);
            blocks.push(block);
            match self.contract.events_in(self.party, block).await {
                Ok(found) => events.extend(found),
                // The node, or another one behind the same address, does not have this block.
                Err(error) if is_refusal(&error) => {
                    tracing::warn!(%error, block = number, "the node does not give the logs of its own block");
                    return Err(Interrupted::Changed);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if blocks.last() != Some(&latest) {
            return Err(Interrupted::Changed);
        }
        Ok((blocks, events))
    }

    /// Reads one chunk of old blocks. The block at its end, the same before and after, stands for the chain.
    async fn read_far(
        &mut self,
        fork: Option<BlockRef>,
        from: BlockNumber,
        limit: BlockNumber,
    ) -> Result<(Vec<BlockRef>, Vec<ChannelEvent>), Interrupted> {
        loop {
            let to = from.saturating_add(self.chunk.blocks() - 1).min(limit);
            let end = self
                .contract
                .node()
                .block(to)
                .await?
                .ok_or(Interrupted::Changed)?;
            let asked = to.0 - from.0 + 1;
            let events = match self.contract.events(self.party, from, to).await {
                Ok(events) => events,
                Err(error) if self.chunk.shrinks(asked, &error) => continue,
                Err(error) => return Err(error.into()),
            };
            self.chunk.answered();
            for block in [Some(end), fork].into_iter().flatten() {
                if self.contract.node().block(block.number).await? != Some(block) {
                    return Err(Interrupted::Changed);
                }
            }
            return Ok((vec![end], events));
        }
    }
}

/// Whether the node answered, but did not want to say this.
pub(crate) fn is_refusal(error: &ChainError) -> bool {
    let ChainError::Request { source, .. } = error else {
        return false;
    };
    match source {
        RpcError::Refused { .. } => !source.is_transient(),
        RpcError::TooLarge
        | RpcError::Status {
            status: 400 | 413, ..
        } => true,
        _ => false,
    }
}

/// Whether the node, or what stands before it, has given up on the question.
pub(crate) fn is_timeout(error: &ChainError) -> bool {
    let ChainError::Request { source, .. } = error else {
        return false;
    };
    matches!(
        source,
        RpcError::Timeout
            | RpcError::Status {
                status: 408 | 504 | 524,
                ..
            }
    )
}
