//! A store that forgets when the process ends.

use crate::error::StoreError;
use crate::store::{
    Batch, Binding, BoxFuture, ChannelStore, Halt, HaltChange, HaltKind, KEPT_BLOCKS, Snapshot, Task,
    TaskChange, TaskKind, Ticket,
};
use microraiden_protocol::ledger::{Account, AccountRow, CorruptRow, Transition};
use microraiden_protocol::{B256, BlockNumber, BlockRef, ChainUpdate, ChannelEvent, ChannelId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use tokio::sync::oneshot;

/// Keeps everything in memory; for tests and for trying out. A commit is done when it returns.
#[derive(Debug)]
pub struct MemoryStore {
    binding: Binding,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    accounts: HashMap<ChannelId, AccountRow>,
    blocks: BTreeMap<BlockNumber, B256>,
    events: BTreeMap<(BlockNumber, u64), ChannelEvent>,
    tasks: HashMap<(ChannelId, TaskKind), Task>,
    halts: BTreeMap<HaltKind, Halt>,
}

impl MemoryStore {
    /// An empty state.
    pub fn new(binding: Binding) -> Self {
        Self {
            binding,
            state: Mutex::default(),
        }
    }

    /// What the state belongs to.
    pub const fn binding(&self) -> &Binding {
        &self.binding
    }
}

impl ChannelStore for MemoryStore {
    fn load(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        Box::pin(async {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(state.snapshot()?)
        })
    }

    fn commit(&self, batch: Batch) -> Result<Ticket, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, ticket) = oneshot::channel();
        // The other end is right here.
        answer.send(state.apply(batch)).expect("the ticket exists");
        Ok(ticket.into())
    }
}

impl State {
    fn snapshot(&self) -> Result<Snapshot, CorruptRow> {
        let rows = self.accounts.values().cloned();
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

    /// Checks everything before it changes anything.
    fn apply(&mut self, batch: Batch) -> Result<(), StoreError> {
        let rows = self.next_rows(batch.transitions)?;
        if let Some(update) = &batch.chain {
            self.check_chain(update)?;
        }
        self.accounts.extend(rows);
        if let Some(update) = batch.chain {
            self.apply_chain(update);
        }
        for change in batch.tasks {
            match change {
                TaskChange::Put(task) => self.tasks.insert((task.channel, task.kind), task),
                TaskChange::Remove { channel, kind } => self.tasks.remove(&(channel, kind)),
            };
        }
        for change in batch.halts {
            match change {
                HaltChange::Set(halt) => self.halts.insert(halt.kind, halt),
                HaltChange::Lift(kind) => self.halts.remove(&kind),
            };
        }
        Ok(())
    }

    fn next_rows(&self, transitions: Vec<Transition>) -> Result<HashMap<ChannelId, AccountRow>, StoreError> {
        let mut next = HashMap::<ChannelId, AccountRow>::new();
        for transition in transitions {
            let channel = *transition.after().channel();
            let now = next.get(&channel).or_else(|| self.accounts.get(&channel));
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
