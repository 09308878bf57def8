//! One of several stores for the same state.

use super::MemoryStore;
use crate::error::StoreError;
use crate::shared::{Bid, Changes, Held, Hold, Leadership, Purpose, Reading, SharedStore};
use crate::store::{Batch, BoxFuture, ChannelStore, Snapshot, Ticket};
use microraiden_protocol::ChannelId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{self, Instant};

/// For how long accounts are held at most.
const LONGEST_HOLD: Duration = Duration::from_secs(5);

/// One of several stores that share the state of a [`MemoryStore`], each as if in a process of its own.
///
/// A commit is done when it returns, except where accounts are held. Dropped, it is as a process that was
/// killed: what was handed in goes on, and the lead is kept until its time is over.
#[derive(Debug)]
pub struct MemoryInstance {
    store: Arc<MemoryStore>,
    number: u64,
    bell: Arc<Notify>,
}

/// What the state knows of an instance.
#[derive(Debug)]
pub(super) struct Seat {
    /// Rings when others have something to tell.
    pub(super) bell: Arc<Notify>,
    /// The last batch that the instance has heard of.
    heard: u64,
}

impl MemoryInstance {
    pub(super) fn new(store: Arc<MemoryStore>) -> Self {
        let bell = Arc::new(Notify::new());
        let mut kept = store.lock();
        kept.last_seat += 1;
        let number = kept.last_seat;
        let seat = Seat {
            bell: bell.clone(),
            heard: 0,
        };
        kept.seats.insert(number, seat);
        drop(kept);
        Self { store, number, bell }
    }
}

impl Drop for MemoryInstance {
    fn drop(&mut self) {
        self.store.lock().seats.remove(&self.number);
    }
}

impl ChannelStore for MemoryInstance {
    fn load(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        Box::pin(async {
            let mut kept = self.store.lock();
            let snapshot = kept.state.snapshot()?;
            kept.hear(self.number);
            Ok(snapshot)
        })
    }

    fn commit(&self, batch: Batch) -> Result<Ticket, StoreError> {
        Ok(self.store.lock().line_up(self.number, batch))
    }

    fn shared(self: Arc<Self>) -> Option<Arc<dyn SharedStore>> {
        Some(self)
    }
}

impl SharedStore for MemoryInstance {
    /// In memory nothing waits behind sales. Needs tokio's time.
    fn hold(&self, channels: Vec<ChannelId>, _: Purpose) -> BoxFuture<'_, Result<Held, StoreError>> {
        Box::pin(async move {
            let (answer, rows) = oneshot::channel();
            let channels = channels.into_iter().collect();
            let number = self.store.lock().begin_hold(self.number, channels, answer);
            let mut hold = MemoryHold {
                store: self.store.clone(),
                instance: self.number,
                number,
                limit: None,
            };
            // The other end is in the line for as long as the hold is here.
            let rows = rows.await.expect("a hold waits in the line");
            let store = self.store.clone();
            let limit = tokio::spawn(async move {
                time::sleep(LONGEST_HOLD).await;
                store.lock().let_go(number);
            });
            hold.limit = Some(limit.abort_handle());
            let hold = Box::new(hold);
            Ok(Held { rows, hold })
        })
    }

    fn changes(&self, reading: Reading) -> BoxFuture<'_, Result<Changes, StoreError>> {
        Box::pin(async move {
            let mut kept = self.store.lock();
            let heard = kept.hear(self.number);
            Ok(kept.state.changes(heard, reading))
        })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.bell.notified())
    }

    fn bid(&self, bid: Bid) -> BoxFuture<'_, Result<Leadership, StoreError>> {
        Box::pin(async move { Ok(self.store.lock().lead.bid(self.number, bid, Instant::now())) })
    }
}

impl super::Kept {
    /// Notes that an instance knows everything by now; gives what it knew before.
    fn hear(&mut self, instance: u64) -> u64 {
        let written = self.state.written();
        let seat = self.seats.get_mut(&instance);
        seat.map_or(0, |seat| std::mem::replace(&mut seat.heard, written))
    }
}

/// Accounts that are held, or waited for.
struct MemoryHold {
    store: Arc<MemoryStore>,
    instance: u64,
    number: u64,
    /// Lets go when it has taken too long.
    limit: Option<AbortHandle>,
}

impl Hold for MemoryHold {
    fn commit(self: Box<Self>, batch: Batch) -> Ticket {
        self.store.lock().write_held(self.instance, self.number, batch)
    }
}

impl Drop for MemoryHold {
    fn drop(&mut self) {
        if let Some(limit) = &self.limit {
            limit.abort();
        }
        self.store.lock().let_go(self.number);
    }
}
