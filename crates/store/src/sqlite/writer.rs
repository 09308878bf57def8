//! The thread that owns the connection, and group commit.

use super::{Failure, accounts, chain};
use crate::error::StoreError;
use crate::store::{Batch, Snapshot};
use rusqlite::{Connection, TransactionBehavior};
use std::iter;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use tokio::sync::oneshot;

/// How many batches share one durable commit at most.
const GROUP_BATCHES: usize = 1024;

/// Where the answer to a batch goes; nobody may be waiting for it any more.
type Answer = oneshot::Sender<Result<(), StoreError>>;

/// What the writer is asked for.
pub(super) enum Message {
    Commit(Batch, Answer),
    Load(oneshot::Sender<Result<Snapshot, StoreError>>),
}

/// Owns the only connection that writes.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) messages: Receiver<Message>,
    /// Set once, by the first write that fails.
    pub(super) stopped: Arc<OnceLock<StoreError>>,
}

impl Writer {
    /// Works until the store is dropped and everything handed in is answered.
    ///
    /// There is no waiting for more: what arrives during one commit is the next group.
    pub(super) fn run(mut self) {
        while let Ok(first) = self.messages.recv() {
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
    }

    fn commit(&mut self, group: Vec<(Batch, Answer)>) {
        if group.is_empty() {
            return;
        }
        let stopped = self.stopped.get().cloned();
        let written = stopped.map_or_else(|| self.write(&group), Err);
        match written {
            Ok(results) => {
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
        write_group(&mut self.connection, group).map_err(|error| {
            tracing::error!(%error, "a write to the state file failed; the store has stopped");
            self.stopped.get_or_init(|| StoreError::stopped(error)).clone()
        })
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
        Ok(Snapshot {
            accounts: accounts::load(&transaction)?,
            blocks: chain::load_blocks(&transaction)?,
            events: chain::load_events(&transaction)?,
            tasks: chain::load_tasks(&transaction)?,
        })
    }
}

/// Gives the result of each batch once all of them are durable.
fn write_group(
    connection: &mut Connection,
    group: &[(Batch, Answer)],
) -> rusqlite::Result<Vec<Result<(), StoreError>>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let results = group
        .iter()
        .map(|(batch, _)| write_batch(&transaction, batch))
        .collect::<rusqlite::Result<_>>()?;
    transaction.commit()?;
    Ok(results)
}

/// Writes a batch within its own savepoint, so that a refused one leaves nothing behind.
fn write_batch(connection: &Connection, batch: &Batch) -> rusqlite::Result<Result<(), StoreError>> {
    connection.prepare_cached("SAVEPOINT batch")?.execute([])?;
    let result = match write_changes(connection, batch) {
        Ok(()) => Ok(()),
        Err(Failure::Refused(error)) => {
            connection.prepare_cached("ROLLBACK TO batch")?.execute([])?;
            Err(error)
        }
        Err(Failure::Failed(error)) => return Err(error),
    };
    connection.prepare_cached("RELEASE batch")?.execute([])?;
    Ok(result)
}

fn write_changes(connection: &Connection, batch: &Batch) -> Result<(), Failure> {
    for transition in &batch.transitions {
        accounts::write(connection, transition)?;
    }
    if let Some(update) = &batch.chain {
        chain::write_update(connection, update)?;
    }
    for change in &batch.tasks {
        chain::write_task(connection, change)?;
    }
    Ok(())
}
