//! A store that forgets when the process ends, for one process or for several instances in it.
//!
//! In reading order: [`MemoryStore`], [`state`] (what is kept), [`instance`] (a store of several for the same
//! state), [`line`] (who holds accounts, and who waits for them), [`lead`] (who follows the chain).
//!
//! The instances are the contract of [`SharedStore`](crate::SharedStore) in its simplest form. Nothing in them
//! depends on chance, so a simulation on one thread goes the same way in each run; their time is tokio's, which
//! may be paused.

mod instance;
mod lead;
mod line;
mod state;

pub use instance::MemoryInstance;

use crate::error::StoreError;
use crate::store::{Batch, Binding, BoxFuture, ChannelStore, Snapshot, Ticket};
use instance::Seat;
use lead::Lead;
use line::Line;
use state::State;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Keeps everything in memory; for tests and for trying out. A commit is done when it returns.
#[derive(Debug)]
pub struct MemoryStore {
    binding: Binding,
    kept: Mutex<Kept>,
}

/// Everything that is kept.
#[derive(Debug, Default)]
struct Kept {
    state: State,
    line: Line,
    lead: Lead,
    /// By the numbers of the instances, which count from 1 and are never used twice.
    seats: BTreeMap<u64, Seat>,
    last_seat: u64,
}

impl MemoryStore {
    /// An empty state.
    pub fn new(binding: Binding) -> Self {
        Self {
            binding,
            kept: Mutex::default(),
        }
    }

    /// What the state belongs to.
    pub const fn binding(&self) -> &Binding {
        &self.binding
    }

    /// One more of several stores for this state, as if it were another process's.
    ///
    /// Where there are instances, the store itself is not to be written: it does not wait for what an
    /// instance holds, and does not ask who leads.
    pub fn instance(self: &Arc<Self>) -> MemoryInstance {
        MemoryInstance::new(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChannelStore for MemoryStore {
    fn load(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        Box::pin(async { Ok(self.lock().state.snapshot()?) })
    }

    fn commit(&self, batch: Batch) -> Result<Ticket, StoreError> {
        Ok(answered(self.lock().state.apply(batch)))
    }
}

/// The ticket of a batch that is done.
fn answered(result: Result<(), StoreError>) -> Ticket {
    let (answer, ticket) = oneshot::channel();
    // The other end is right here.
    answer.send(result).expect("the ticket exists");
    ticket.into()
}
