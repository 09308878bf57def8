//! What is kept.

use crate::error::StoreError;
use crate::shared::{Changes, Reading};
use crate::store::{Batch, Halt, HaltChange, HaltKind, KEPT_BLOCKS, Snapshot, Task, TaskChange, TaskKind};
use microraiden_protocol::ledger::{Account, AccountRow, CorruptRow, Transition};
use microraiden_protocol::{B256, BlockNumber, BlockRef, ChainUpdate, ChannelEvent, ChannelId};
use std::collections::{BTreeMap, BTreeSet};

/// The contents. In maps that are sorted, so that what is read has the same order in every run.
#[derive(Debug, Default)]
pub(super) struct State {
    accounts: BTreeMap<ChannelId, Stored>,
    blocks: BTreeMap<BlockNumber, B256>,
    events: BTreeMap<(BlockNumber, u64), ChannelEvent>,
    tasks: BTreeMap<(ChannelId, TaskKind), Task>,
    halts: BTreeMap<HaltKind, Halt>,
    /// Counts the batches that were written.
    written: u64,
    /// The batches that changed tasks and halts last.
    tasks_written: u64,
    halts_written: u64,
}

/// An account, and the number of the batch that it was written with.
#[derive(Debug)]
struct Stored {
    row: AccountRow,
    written: u64,
}

impl State {
    pub(super) fn snapshot(&self) -> Result<Snapshot, CorruptRow> {
        let rows = self.accounts.values().map(|stored| stored.row.clone());
        let blocks = self.blocks.iter();
        Ok(Snapshot {
            accounts: rows.map(Account::from_row).collect::<Result<_, _>>()?,
            blocks: blocks
                .map(|(number, hash)| BlockRef {
                    number: *number,
                    hash: *hash,
                })
                .collect(),
            events: self.events.values().cloned().collect(),
            tasks: self.tasks.values().copied().collect(),
            halts: self.halts.values().copied().collect(),
        })
    }

    /// The number of the batch that was written last.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// The accounts of those of these channels that have one.
    pub(super) fn rows(&self, channels: &BTreeSet<ChannelId>) -> Vec<AccountRow> {
        let stored = channels.iter().filter_map(|channel| self.accounts.get(channel));
        stored.map(|stored| stored.row.clone()).collect()
    }

    /// What was written after the batch of this number.
    pub(super) fn changes(&self, since: u64, reading: Reading) -> Changes {
        let accounts = self.accounts.values().filter(|stored| stored.written > since);
        let is_read = |written| written > since || reading == Reading::TasksAndHalts;
        Changes {
            accounts: accounts.map(|stored| stored.row.clone()).collect(),
            is_all: false,
            tasks: is_read(self.tasks_written).then(|| self.tasks.values().copied().collect()),
            halts: is_read(self.halts_written).then(|| self.halts.values().copied().collect()),
        }
    }

    /// Checks everything before it changes anything.
    pub(super) fn apply(&mut self, batch: Batch) -> Result<(), StoreError> {
        let rows = self.next_rows(batch.transitions)?;
        if let Some(update) = &batch.chain {
            self.check_chain(update)?;
        }
        self.written += 1;
        let written = self.written;
        self.accounts.extend(
            rows.into_iter()
                .map(|(channel, row)| (channel, Stored { row, written })),
        );
        if let Some(update) = batch.chain {
            self.apply_chain(update);
        }
        for change in batch.tasks {
            self.tasks_written = written;
            match change {
                TaskChange::Put(task) => {
                    let key = (task.channel, task.kind);
                    self.tasks.insert(key, task.over(self.tasks.get(&key)))
                }
                TaskChange::Remove { channel, kind } => self.tasks.remove(&(channel, kind)),
            };
        }
        for change in batch.halts {
            self.halts_written = written;
            match change {
                HaltChange::Set(halt) => self.halts.insert(halt.kind, halt),
                HaltChange::Lift(kind) => self.halts.remove(&kind),
            };
        }
        Ok(())
    }

    fn next_rows(&self, transitions: Vec<Transition>) -> Result<BTreeMap<ChannelId, AccountRow>, StoreError> {
        let mut next = BTreeMap::<ChannelId, AccountRow>::new();
        for transition in transitions {
            let channel = *transition.after().channel();
            let stored = self.accounts.get(&channel).map(|stored| &stored.row);
            let now = next.get(&channel).or(stored);
            if now.map(|row| row.version) != transition.before() {
                return Err(StoreError::Conflict { channel });
            }
            next.insert(channel, transition.after().row().clone());
        }
        Ok(next)
    }

    fn check_chain(&self, update: &ChainUpdate) -> Result<(), StoreError> {
        let stays = |block| update.rewind_to.is_none_or(|last| block <= last);
        let mut hashes = BTreeMap::new();
        for BlockRef { number, hash } in &update.blocks {
            let stored = self.blocks.get(number).filter(|_| stays(*number));
            let earlier = hashes.insert(number, hash).or(stored);
            if earlier.is_some_and(|earlier| earlier != hash) {
                return Err(StoreError::ChainConflict { block: *number });
            }
        }
        let mut places = BTreeSet::new();
        for event in &update.events {
            let place = (event.block, event.log_index);
            let stored = self.events.contains_key(&place) && stays(event.block);
            if stored || !places.insert(place) {
                return Err(StoreError::ChainConflict { block: event.block });
            }
        }
        Ok(())
    }

    fn apply_chain(&mut self, update: ChainUpdate) {
        if let Some(last) = update.rewind_to {
            self.blocks.retain(|number, _| *number <= last);
            self.events.retain(|(block, _), _| *block <= last);
        }
        let blocks = update.blocks.iter();
        self.blocks
            .extend(blocks.map(|BlockRef { number, hash }| (*number, *hash)));
        let events = update.events.into_iter();
        self.events
            .extend(events.map(|event| ((event.block, event.log_index), event)));
        while self.blocks.len() > KEPT_BLOCKS {
            self.blocks.pop_first();
        }
    }
}
