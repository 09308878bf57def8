//! The thread that owns the connection, and group commit.

use super::mark::HighWaterMark;
use super::{connection, group};
use crate::error::StoreError;
use crate::store::{Batch, Snapshot};
use rusqlite::Connection;
use std::iter;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::thread;
use tokio::sync::oneshot;

/// How many batches share one durable commit at most.
const GROUP_BATCHES: usize = 1024;

/// Where the answer to a batch goes; nobody may be waiting for it any more.
pub(super) type Answer = oneshot::Sender<Result<(), StoreError>>;

/// What the writer is asked for.
pub(super) enum Message {
    Commit(Batch, Answer),
    Load(oneshot::Sender<Result<Snapshot, StoreError>>),
}

/// Owns the only connection that writes.
pub(super) struct Writer {
    pub(super) connection: Connection,
    /// None when it cannot be written.
    pub(super) mark: Option<HighWaterMark>,
    pub(super) messages: Receiver<Message>,
    /// Set once, by the first write that fails.
    pub(super) stopped: Arc<OnceLock<StoreError>>,
}

impl Writer {
    /// Works until the store is dropped and everything handed in is answered.
    ///
    /// What arrives during one commit is the next group, and there is no waiting for more: but where
    /// those who hand in share a core with this thread, they go first, or it would commit each
    /// batch as soon as it is there.
    pub(super) fn run(mut self) {
        while let Ok(first) = self.messages.recv() {
            thread::yield_now();
            let mut group = Vec::new();
            let mut loads = Vec::new();
            for message in iter::once(first)
                .chain(self.messages.try_iter())
                .take(GROUP_BATCHES)
            {
                match message {
                    Message::Commit(batch, answer) => group.push((batch, answer)),
                    Message::Load(answer) => loads.push(answer),
                }
            }
            self.commit(group);
            for answer in loads {
                let _ = answer.send(self.load());
            }
        }
        self.close();
    }

    /// After a write that failed, the log is left as it is.
    fn close(self) {
        if self.stopped.get().is_some() {
            return;
        }
        let closed = connection::close(self.connection);
        let synced = self.mark.as_ref().map_or(Ok(()), HighWaterMark::sync);
        if let Err(error) = closed {
            tracing::warn!(%error, "the state file was not closed in order; leave its -wal file beside it");
        }
        if let Err(error) = synced {
            tracing::warn!(%error, "the lock file of the state file is not on the disk");
        }
    }

    fn commit(&mut self, group: Vec<(Batch, Answer)>) {
        if group.is_empty() {
            return;
        }
        let stopped = self.stopped.get().cloned();
        let written = stopped.map_or_else(|| self.write(&group), Err);
        match written {
            Ok(results) => {
                self.raise_mark(&group, &results);
                for ((_, answer), result) in group.into_iter().zip(results) {
                    let _ = answer.send(result);
                }
            }
            Err(stopped) => {
                for (_, answer) in group {
                    let _ = answer.send(Err(stopped.clone()));
                }
            }
        }
    }

    /// Writes a group in one transaction; a failure stops the store.
    fn write(&mut self, group: &[(Batch, Answer)]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        group::write(&mut self.connection, group).map_err(|error| {
            tracing::error!(%error, "a write to the state file failed; the store has stopped");
            self.stopped.get_or_init(|| StoreError::stopped(error)).clone()
        })
    }

    /// Tells of what has become durable.
    fn raise_mark(&mut self, group: &[(Batch, Answer)], results: &[Result<(), StoreError>]) {
        let written = group.iter().zip(results).filter(|(_, result)| result.is_ok());
        let changes = written
            .map(|((batch, _), _)| batch.transitions.len() as u64)
            .sum();
        if let Some(Err(error)) = self.mark.as_mut().map(|mark| mark.rise(changes)) {
            tracing::warn!(%error, "the lock file cannot be written; a loss of the log would not be noticed");
            self.mark = None;
        }
    }

    fn load(&mut self) -> Result<Snapshot, StoreError> {
        if let Some(stopped) = self.stopped.get() {
            return Err(stopped.clone());
        }
        // One transaction, so that all tables are of one moment.
        let transaction = self
            .connection
            .transaction()
            .map_err(|error| StoreError::from_sqlite("accounts", error))?;
        super::load(&transaction)
    }
}
