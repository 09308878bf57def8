//! What is durable, and the store that one life of the receiver's program writes it through.

use crate::life::Life;
use crate::stage::Stage;
use crate::weather::one_of;
use fastrand::Rng;
use microraiden_protocol::ledger::AccountRow;
use microraiden_protocol::{ChannelEvent, ChannelId};
use microraiden_store::{
    Batch, Binding, BoxFuture, ChannelStore, HaltChange, HaltKind, MemoryStore, Snapshot, StoreError, Task,
    TaskChange, TaskKind, Ticket,
};
use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

/// What survives: a memory store, and the same once more where it can be looked at.
pub(crate) struct Disk {
    store: Arc<MemoryStore>,
    pub(crate) kept: Kept,
    n_confirmations: u64,
}

/// What a store holds, as far as it matters here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    pub(crate) rows: BTreeMap<ChannelId, AccountRow>,
    pub(crate) tasks: BTreeMap<(ChannelId, TaskKind), Task>,
    pub(crate) events: Vec<ChannelEvent>,
    pub(crate) head: u64,
    /// The chain was reorganised deeper than the confirmations, and the operator has not spoken since.
    pub(crate) halted: bool,
}

impl Kept {
    /// Takes a batch over, as every store must.
    pub(crate) fn apply(&mut self, batch: &Batch, n_confirmations: u64) {
        for transition in &batch.transitions {
            let row = transition.after().row().clone();
            self.rows.insert(row.channel, row);
        }
        if let Some(update) = &batch.chain {
            if let Some(last) = update.rewind_to {
                self.events.retain(|event| event.block <= last);
                self.halted |= self.head.saturating_sub(n_confirmations) > last.0;
            }
            self.events.extend(update.events.iter().cloned());
            self.head = update.blocks.last().map_or(self.head, |block| block.number.0);
        }
        let lifts = HaltChange::Lift(HaltKind::Reorganised);
        self.halted &= !batch.halts.contains(&lifts);
        for change in &batch.tasks {
            match *change {
                TaskChange::Put(task) => self.tasks.insert((task.channel, task.kind), task),
                TaskChange::Remove { channel, kind } => self.tasks.remove(&(channel, kind)),
            };
        }
    }
}

impl Disk {
    pub(crate) fn new(binding: Binding, n_confirmations: u64) -> Self {
        Self {
            store: Arc::new(MemoryStore::new(binding)),
            kept: Kept::default(),
            n_confirmations,
        }
    }

    pub(crate) fn row(&self, channel: &ChannelId) -> Option<&AccountRow> {
        self.kept.rows.get(channel)
    }

    /// Makes a batch durable.
    fn write(&mut self, batch: Batch) -> Result<(), StoreError> {
        let shown = batch.clone();
        let ticket = pin!(self.store.commit(batch)?);
        // A memory store has answered when it returns.
        let Poll::Ready(written) = ticket.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("a memory store does not wait");
        };
        written?;
        self.kept.apply(&shown, self.n_confirmations);
        Ok(())
    }
}

type Waiting = (Batch, oneshot::Sender<Result<(), StoreError>>);

/// A store that writes in groups and after a while, and loses what it has not written when its
/// program dies.
pub(crate) struct Front {
    stage: Arc<Stage>,
    life: Arc<Life>,
    waiting: Mutex<VecDeque<Waiting>>,
    bell: Notify,
    rng: Mutex<Rng>,
    /// Those who wait for an answer that never comes.
    lost: Mutex<Vec<oneshot::Sender<Result<(), StoreError>>>>,
}

impl Front {
    pub(crate) fn new(stage: Arc<Stage>, life: Arc<Life>, rng: Rng) -> Arc<Self> {
        let front = Arc::new(Self {
            stage,
            life,
            waiting: Mutex::default(),
            bell: Notify::new(),
            rng: Mutex::new(rng),
            lost: Mutex::default(),
        });
        tokio::spawn(front.clone().run());
        front
    }

    /// Writes groups of what waits, until the program has died.
    async fn run(self: Arc<Self>) {
        while self.life.is_alive() {
            let pause = self.rng.lock().unwrap().u64(1..25);
            sleep(Duration::from_millis(pause)).await;
            let waiting = self.waiting.lock().unwrap().len();
            if waiting == 0 {
                tokio::select! {
                    biased;
                    () = self.life.death() => {}
                    () = self.bell.notified() => {}
                }
                continue;
            }
            let group = self.rng.lock().unwrap().usize(1..=waiting);
            self.write(group, true);
        }
    }

    /// Writes the first so many, and answers them or not.
    fn write(&self, count: usize, answers: bool) {
        if answers && !self.life.is_alive() {
            return;
        }
        let group: Vec<_> = self.waiting.lock().unwrap().drain(..count).collect();
        self.stage
            .note(format_args!("{count} batches are durable, answered: {answers}"));
        for (batch, answer) in group {
            let written = self.stage.disk().write(batch);
            if let Err(error) = &written {
                let complaint = format!("the store refuses a batch: {error}");
                self.stage.witness().complain(complaint);
            }
            if answers {
                let _ = answer.send(written);
            } else {
                self.lost.lock().unwrap().push(answer);
            }
        }
    }

    /// The program has died: some of what waited is durable, in its order, and the rest is lost.
    pub(crate) fn crash(&self) {
        let waiting = self.waiting.lock().unwrap().len();
        let durable = self.rng.lock().unwrap().usize(..=waiting);
        self.write(durable, false);
        let lost = self
            .waiting
            .lock()
            .unwrap()
            .drain(..)
            .map(|(_, answer)| answer)
            .collect::<Vec<_>>();
        self.stage.witness().met("lost batches", lost.len());
        self.lost.lock().unwrap().extend(lost);
    }
}

impl ChannelStore for Front {
    fn load(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        let store = self.stage.disk().store.clone();
        Box::pin(async move { store.load().await })
    }

    fn commit(&self, batch: Batch) -> Result<Ticket, StoreError> {
        let (answer, ticket) = oneshot::channel();
        if !self.life.is_alive() {
            self.lost.lock().unwrap().push(answer);
            return Ok(ticket.into());
        }
        let busy = self.stage.weather().busy;
        if one_of(&mut self.rng.lock().unwrap(), busy) {
            return Err(StoreError::Busy);
        }
        self.stage.note(format_args!(
            "handed in: {} transitions, {} tasks, head {:?}",
            batch.transitions.len(),
            batch.tasks.len(),
            batch
                .chain
                .as_ref()
                .and_then(|chain| chain.blocks.last())
                .map(|block| block.number.0),
        ));
        self.stage.witness().handed_in(&batch);
        self.waiting.lock().unwrap().push_back((batch, answer));
        self.bell.notify_one();
        if self.life.dies_at_this_write() {
            self.stage.note(format_args!("the program dies at this write"));
            self.crash();
        }
        Ok(ticket.into())
    }
}
