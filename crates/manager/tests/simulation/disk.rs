//! What is durable.

use crate::database::Mirror;
use crate::life::Life;
use crate::stage::Stage;
use microraiden_protocol::ledger::AccountRow;
use microraiden_protocol::{ChannelEvent, ChannelId};
use microraiden_store::{
    Batch, Bid, Binding, ChannelStore, HaltChange, HaltKind, Hold, Leadership, MemoryInstance, MemoryStore,
    SharedStore, Snapshot, StoreError, Task, TaskChange, TaskKind, Ticket,
};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::sync::oneshot;

/// What survives: a memory store, and the same once more where it can be looked at.
pub(crate) struct Disk {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) kept: Kept,
    /// The same in a real database, where that is asked for.
    mirror: Option<Mirror>,
    n_confirmations: u64,
    /// Where several programs share it: what was sent to it, in that order.
    sent: Vec<(Ticket, Parcel)>,
    /// Wakes who sees to what was sent.
    waker: Waker,
    /// Whose life the batches about the chain were from, by the fencing number.
    leaders: BTreeMap<u64, u64>,
}

pub(crate) type Answer = oneshot::Sender<Result<(), StoreError>>;

/// A batch on its way to a state that is shared.
pub(crate) struct Parcel {
    pub(crate) batch: Batch,
    pub(crate) life: Arc<Life>,
    pub(crate) instance: Arc<MemoryInstance>,
    /// The fencing number of the lead, as the program knew it.
    pub(crate) fence: Option<u64>,
    pub(crate) answer: Answer,
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
                TaskChange::Put(task) => {
                    let key = (task.channel, task.kind);
                    self.tasks.insert(key, task.over(self.tasks.get(&key)))
                }
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
            mirror: Mirror::new(binding),
            n_confirmations,
            sent: Vec::new(),
            waker: Waker::noop().clone(),
            leaders: BTreeMap::new(),
        }
    }

    pub(crate) fn row(&self, channel: &ChannelId) -> Option<&AccountRow> {
        self.kept.rows.get(channel)
    }

    /// Makes a batch durable.
    pub(crate) fn write(&mut self, batch: Batch) -> Result<(), StoreError> {
        let shown = batch.clone();
        let ticket = self.store.commit(batch)?;
        at_once(ticket)?;
        self.is_stored(&shown);
        Ok(())
    }

    /// A batch is durable.
    fn is_stored(&mut self, batch: &Batch) {
        self.kept.apply(batch, self.n_confirmations);
        if let Some(mirror) = &mut self.mirror {
            mirror.write(batch.clone()).unwrap();
        }
    }

    /// What a program loads, which has these contents.
    pub(crate) fn loaded(&self, snapshot: Snapshot) -> Snapshot {
        match &self.mirror {
            Some(mirror) => mirror.load(snapshot),
            None => snapshot,
        }
    }
}

/// What a memory store gives without waiting.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a memory store does not wait"),
    }
}

impl Parcel {
    /// Who leads, as far as this program is concerned.
    fn lead(&self) -> Leadership {
        at_once(self.instance.bid(Bid::Look)).unwrap()
    }

    /// What was sent under another lead than the one of this moment is refused.
    fn is_fenced_off(&self) -> bool {
        self.batch.chain.is_some() && self.fence != Some(self.lead().fence)
    }
}

impl Stage {
    /// Sends a batch to the store, which writes it when nobody holds what it changes.
    pub(crate) fn send_parcel(&self, parcel: Parcel) {
        self.settle();
        if parcel.is_fenced_off() {
            return self.answer(parcel, Err(StoreError::NotLeading));
        }
        let ticket = parcel.instance.commit(parcel.batch.clone()).unwrap();
        self.disk().sent.push((ticket, parcel));
        self.settle();
    }

    /// Sends a batch for accounts that are held.
    pub(crate) fn send_held(&self, parcel: Parcel, hold: Box<dyn Hold>) {
        self.settle();
        if parcel.is_fenced_off() {
            drop(hold);
            self.answer(parcel, Err(StoreError::NotLeading));
        } else {
            let written = at_once(hold.commit(parcel.batch.clone()));
            self.answer(parcel, written);
        }
        self.settle();
    }

    /// Takes note of what the store has written, in its order.
    pub(crate) fn settle(&self) {
        let mut disk = self.disk();
        let waker = disk.waker.clone();
        let mut context = Context::from_waker(&waker);
        let (mut waiting, mut done) = (Vec::new(), Vec::new());
        for (mut ticket, parcel) in std::mem::take(&mut disk.sent) {
            match Pin::new(&mut ticket).poll(&mut context) {
                Poll::Ready(written) => done.push((parcel, written)),
                Poll::Pending => waiting.push((ticket, parcel)),
            }
        }
        disk.sent = waiting;
        drop(disk);
        for (parcel, written) in done {
            self.answer(parcel, written);
        }
    }

    /// Sees to it, as soon as something is written.
    pub(crate) async fn settle_always(self: Arc<Self>) {
        poll_fn(|context| {
            self.disk().waker = context.waker().clone();
            self.settle();
            Poll::<()>::Pending
        })
        .await;
    }

    fn answer(&self, parcel: Parcel, written: Result<(), StoreError>) {
        match &written {
            Ok(()) => self.written(&parcel),
            // Whoever leads holds the accounts that it decides about.
            Err(StoreError::Conflict { .. }) if parcel.batch.chain.is_none() => {
                self.witness().met("conflicts", 1);
            }
            Err(StoreError::NotLeading) => self.witness().met("deposed leaders refused", 1),
            Err(StoreError::Away { .. }) => self.witness().met("holds that were let go", 1),
            Err(error) => {
                let complaint = format!("the store refuses {}: {error}", shown(&parcel.batch));
                self.witness().complain(complaint);
            }
        }
        self.note(format_args!(
            "life {}: {}: {written:?}",
            parcel.life.number,
            shown(&parcel.batch)
        ));
        // Who has handed it in may have gone.
        let _ = parcel.answer.send(written);
    }

    fn written(&self, parcel: &Parcel) {
        let (mut disk, mut witness) = (self.disk(), self.witness());
        if parcel.batch.chain.is_some() {
            let lead = parcel.lead();
            let leader = *disk.leaders.entry(lead.fence).or_insert(parcel.life.number);
            if !lead.is_ours || leader != parcel.life.number {
                witness.complain(format!(
                    "life {} writes of the chain, which life {leader} reads: {lead:?}",
                    parcel.life.number
                ));
            }
        }
        witness.handed_in(&parcel.batch, &parcel.life);
        disk.is_stored(&parcel.batch);
    }
}

/// A batch in few words.
pub(crate) fn shown(batch: &Batch) -> String {
    let head = batch.chain.as_ref().and_then(|chain| chain.blocks.last());
    format!(
        "{} transitions, {} tasks, {} halts, head {:?}",
        batch.transitions.len(),
        batch.tasks.len(),
        batch.halts.len(),
        head.map(|block| block.number.0)
    )
}
