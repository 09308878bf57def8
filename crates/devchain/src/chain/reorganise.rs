//! Ways back: reorganisation, snapshot, revert.

use alloy_consensus::{TxEnvelope, transaction::Recovered};

use super::{Chain, clock::Clock, pool::Pool, state::Mark};

/// Why the chain could not be reorganised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReorganiseError {
    /// Genesis would have to go.
    #[error("cannot drop {depth} blocks of a chain with {blocks} blocks after genesis")]
    TooDeep {
        /// How many blocks were to be dropped.
        depth: u64,
        /// How many there are, without genesis.
        blocks: u64,
    },
}

/// All that is needed to come back here.
pub(super) struct Snapshot {
    number: u64,
    state: Mark,
    pool: Pool,
    clock: Clock,
}

impl Chain {
    /// Drops the last `depth` blocks and mines `depth + 1` others in their place, so that the new branch is the longer one.
    ///
    /// If the transactions are kept, each new block has those of the dropped block with its number, in their order, and the
    /// last one none; those that are no longer valid are lost. Otherwise they all are. Balances set by hand after a dropped
    /// block go with it, as do snapshots; transactions that wait stay in the pool.
    pub(crate) fn reorganise(&mut self, depth: u64, keep_transactions: bool) -> Result<(), ReorganiseError> {
        let mut branch = self.rollback(depth)?;
        if !keep_transactions {
            branch.iter_mut().for_each(Vec::clear);
        }
        branch.push(Vec::new());
        self.mine_branch(branch);
        Ok(())
    }

    /// Drops as many blocks as `branch` has, and mines blocks with its transactions in their place.
    pub(crate) fn replace(&mut self, branch: Vec<Vec<Recovered<TxEnvelope>>>) -> Result<(), ReorganiseError> {
        self.rollback(branch.len() as u64)?;
        self.mine_branch(branch);
        Ok(())
    }

    /// Drops the last `depth` blocks, and snapshots of them; the transactions that they had, the oldest block's first.
    pub(crate) fn rollback(
        &mut self,
        depth: u64,
    ) -> Result<Vec<Vec<Recovered<TxEnvelope>>>, ReorganiseError> {
        let ancestor = self.check_depth(depth)?;
        let dropped = self.truncate(ancestor);
        let mark = *self.newest_mark();
        self.state.rewind(mark);
        self.snapshots.retain(|_, snapshot| snapshot.number <= ancestor);
        self.reorganisations += 1;
        Ok(dropped)
    }

    /// The number of the block that is the newest after the last `depth` were dropped.
    pub(crate) fn check_depth(&self, depth: u64) -> Result<u64, ReorganiseError> {
        let blocks = self.number();
        blocks
            .checked_sub(depth)
            .ok_or(ReorganiseError::TooDeep { depth, blocks })
    }

    fn mine_branch(&mut self, branch: Vec<Vec<Recovered<TxEnvelope>>>) {
        for transactions in branch {
            self.mine_these(transactions);
        }
    }

    /// Remembers the chain as it is now; the number to come back with.
    pub(crate) fn snapshot(&mut self) -> u64 {
        self.snapshots_taken += 1;
        let snapshot = Snapshot {
            number: self.number(),
            state: self.state.mark(),
            pool: self.pool.clone(),
            clock: self.clock,
        };
        self.snapshots.insert(self.snapshots_taken, snapshot);
        self.snapshots_taken
    }

    /// Goes back to a snapshot; it and all later ones are used up. False if there is no such snapshot.
    pub(crate) fn revert(&mut self, id: u64) -> bool {
        let Some(snapshot) = self.snapshots.remove(&id) else {
            return false;
        };
        self.snapshots.split_off(&id);
        self.truncate(snapshot.number);
        self.state.rewind(snapshot.state);
        *self.newest_mark() = snapshot.state;
        self.pool = snapshot.pool;
        self.clock = snapshot.clock;
        true
    }

    /// Takes the blocks after `number` away; their transactions, the oldest block's first.
    fn truncate(&mut self, number: u64) -> Vec<Vec<Recovered<TxEnvelope>>> {
        let mut dropped = Vec::new();
        while self.number() > number
            && let Some(block) = self.pop()
        {
            dropped.push(
                block
                    .transactions
                    .iter()
                    .map(|executed| executed.transaction.clone())
                    .collect(),
            );
        }
        dropped.reverse();
        dropped
    }
}
