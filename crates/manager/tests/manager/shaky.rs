//! A store that fails when it is told to.

use microraiden_store::{Batch, BoxFuture, ChannelStore, Snapshot, StoreError, Ticket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Works,
    /// Takes nothing.
    Busy,
    /// Takes everything and writes nothing yet; what a crash loses.
    Holds,
    /// A write has failed.
    Stopped,
}

type Held = (Batch, oneshot::Sender<Result<(), StoreError>>);

/// Passes batches on to another store, or not.
pub(crate) struct Shaky {
    inner: Arc<dyn ChannelStore>,
    state: Mutex<(Mode, Vec<Held>)>,
    /// After so many commits, everything fails.
    left: AtomicUsize,
}

impl Shaky {
    pub(crate) fn new(inner: Arc<dyn ChannelStore>) -> Arc<Self> {
        Self::stopping_after(usize::MAX, inner)
    }

    pub(crate) fn stopping_after(commits: usize, inner: Arc<dyn ChannelStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            state: Mutex::new((Mode::Works, Vec::new())),
            left: AtomicUsize::new(commits),
        })
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.state.lock().unwrap().0 = mode;
    }

    /// How many batches wait.
    pub(crate) fn held(&self) -> usize {
        self.state.lock().unwrap().1.len()
    }

    /// Whether a write has failed.
    pub(crate) fn has_stopped(&self) -> bool {
        self.state.lock().unwrap().0 == Mode::Stopped
    }

    /// Whether a batch with tasks waits.
    pub(crate) fn holds_task(&self) -> bool {
        let state = self.state.lock().unwrap();
        state.1.iter().any(|(batch, _)| !batch.tasks.is_empty())
    }

    /// Writes what was held.
    pub(crate) async fn let_go(&self) {
        let held = {
            let mut state = self.state.lock().unwrap();
            state.0 = Mode::Works;
            // All are handed in before anything else can be.
            let held = std::mem::take(&mut state.1).into_iter();
            held.map(|(batch, answer)| (self.inner.commit(batch), answer))
                .collect::<Vec<_>>()
        };
        for (ticket, answer) in held {
            // Whoever asked may have gone.
            let _ = answer.send(match ticket {
                Ok(ticket) => ticket.await,
                Err(error) => Err(error),
            });
        }
    }

    /// Fails what was held, and everything after it.
    pub(crate) fn stop(&self) {
        *self.state.lock().unwrap() = (Mode::Stopped, Vec::new());
    }
}

fn stopped() -> StoreError {
    StoreError::Stopped {
        cause: Arc::new(std::io::Error::other("no space left on the device")),
    }
}

impl ChannelStore for Shaky {
    fn load(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        self.inner.load()
    }

    fn commit(&self, batch: Batch) -> Result<Ticket, StoreError> {
        let (answer, ticket) = oneshot::channel();
        let mut state = self.state.lock().unwrap();
        match state.0 {
            Mode::Works if self.left.fetch_sub(1, Ordering::Relaxed) > 0 => return self.inner.commit(batch),
            Mode::Works => {
                // The one that fails was taken before.
                state.0 = Mode::Stopped;
                answer.send(Err(stopped())).unwrap();
            }
            Mode::Busy => return Err(StoreError::Busy),
            Mode::Stopped => return Err(stopped()),
            Mode::Holds => state.1.push((batch, answer)),
        }
        Ok(ticket.into())
    }
}
