//! Requests that are free for each client, until it has had so many in a time.
//!
//! In reading order: [`FreeQuota`], how many; [`Quotas`], who has used how many, which survives a
//! restart; [`Free`], what a route has of it. Beneath them, `counts` is what is in memory, and
//! `file` what is on the disk.
//!
//! Invariants: no client gets more than its quota, whatever comes at once; memory and file are
//! bounded, whoever comes; nobody who pays uses anything up.

mod counts;
mod file;
mod free;
mod period;
#[cfg(test)]
mod tests;

pub use file::QuotaError;
pub use free::{Free, FreeFirst, FreeService};
pub use period::{FreeQuota, NotAQuota, Period};

use crate::client::ClientKey;
use counts::Counts;
use file::File;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

/// How many clients are remembered of each quota, unless another number is given.
pub const MOST_CLIENTS: usize = 100_000;

/// How long changes are collected before they are written.
const PAUSE: Duration = Duration::from_millis(500);

/// Who has used how many of its free requests; cheap to clone, one for all routes.
///
/// It is kept in a file, to which changes are written within a second, in the background. An orderly
/// end ([`Quotas::stop`], or dropping the last of its clones) writes all; a kill loses at most the
/// changes of that second, which are free once more. While the disk fails, it goes on in memory.
#[derive(Debug, Clone)]
pub struct Quotas(Arc<Keeper>);

/// Ends the writing when nobody needs it any more.
#[derive(Debug)]
struct Keeper {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the requests and the writer share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write, or the end.
    wake: Condvar,
}

#[derive(Debug)]
struct State {
    counts: Counts,
    /// Whether something has changed since the writer looked.
    changed: bool,
    stopping: bool,
}

impl Quotas {
    /// Opens the file of free quotas, or begins one.
    ///
    /// # Errors
    /// When it cannot be used; it is left as it is.
    pub fn open(path: &Path) -> Result<Self, QuotaError> {
        Self::open_for(path, MOST_CLIENTS)
    }

    /// Remembers another number of clients for each quota. Those who come after so many get nothing
    /// for free until the period ends.
    ///
    /// # Errors
    /// As [`Quotas::open`].
    pub fn open_for(path: &Path, most_clients: usize) -> Result<Self, QuotaError> {
        Self::open_at(path, most_clients, SystemTime::now())
    }

    fn open_at(path: &Path, most_clients: usize, now: SystemTime) -> Result<Self, QuotaError> {
        let mut counts = Counts::new(most_clients);
        let file = File::open(path, &mut counts, now)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                counts,
                changed: false,
                stopping: false,
            }),
            wake: Condvar::new(),
        });
        let writes = shared.clone();
        let writer = thread::Builder::new().name("free-quotas".to_owned());
        let writer = writer.spawn(move || writes.write_to(file));
        let writer = writer.map_err(|source| QuotaError::File {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self(Arc::new(Keeper {
            shared,
            writer: Mutex::new(Some(writer)),
        })))
    }

    /// Uses up one free request of a client; false when it has none left.
    pub fn take(&self, name: &str, client: ClientKey, quota: FreeQuota, now: SystemTime) -> bool {
        let mut state = self.0.shared.lock();
        let taken = state.counts.take(name, client, quota, now);
        if taken {
            self.0.shared.has_changed(&mut state);
        }
        taken
    }

    /// Gives back one that was taken at the time `taken`, unless its period is over.
    pub fn give_back(&self, name: &str, client: ClientKey, quota: FreeQuota, taken: SystemTime) {
        let mut state = self.0.shared.lock();
        state.counts.give_back(name, client, quota, taken);
        self.0.shared.has_changed(&mut state);
    }

    /// The free requests of a route; routes of one name share them.
    pub fn free(&self, name: &str, quota: FreeQuota) -> Free {
        Free::new(self.clone(), name, quota)
    }

    /// Writes everything, and lets the file go; what is used later is forgotten.
    pub async fn stop(&self) {
        let keeper = self.0.clone();
        // The thread that writes is waited for, which takes as long as the disk does.
        let _ = tokio::task::spawn_blocking(move || keeper.stop()).await;
    }
}

impl Keeper {
    fn stop(&self) {
        self.shared.lock().stopping = true;
        self.shared.wake.notify_all();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the last changes of free quotas were not written");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_changed(&self, state: &mut State) {
        if !std::mem::replace(&mut state.changed, true) {
            self.wake.notify_all();
        }
    }

    /// Writes what changes, until the end.
    fn write_to(&self, mut file: File) {
        let mut fails = false;
        loop {
            let mut state = self.next();
            state.changed = false;
            let (changes, stopping) = (state.counts.changes(), state.stopping);
            drop(state);
            let written = file.write(&changes);
            match &written {
                Ok(()) if fails => tracing::info!("free quotas can be written again"),
                Err(error) if !fails => {
                    tracing::warn!(%error, "free quotas cannot be written; a restart would forget what is used now");
                }
                _ => {}
            }
            fails = written.is_err();
            if fails {
                let mut state = self.lock();
                state.counts.unwritten(changes);
                state.changed = true;
            }
            if stopping {
                return;
            }
        }
    }

    /// Waits until something has changed and more was collected, or for the end.
    fn next(&self) -> MutexGuard<'_, State> {
        let idle = |state: &mut State| !state.changed && !state.stopping;
        let state = self.wake.wait_while(self.lock(), idle);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let collects = |state: &mut State| !state.stopping;
        let collected = self.wake.wait_timeout_while(state, PAUSE, collects);
        collected.unwrap_or_else(PoisonError::into_inner).0
    }
}
