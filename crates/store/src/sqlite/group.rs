//! A group of batches in one transaction.

use super::accounts;
use super::writer::Answer;
use super::{Failure, chain};
use crate::error::StoreError;
use crate::runs::{Run, Runs, alone};
use crate::store::Batch;
use microraiden_protocol::ledger::Transition;
use rusqlite::{Connection, TransactionBehavior};

/// What became of one batch.
type Outcome = Result<(), StoreError>;

/// Writes a group; gives the outcome of each batch once all of them are durable.
pub(super) fn write(
    connection: &mut Connection,
    group: &[(Batch, Answer)],
) -> rusqlite::Result<Vec<Outcome>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut writing = Writing {
        connection: &transaction,
        runs: Runs::default(),
        outcomes: vec![Ok(()); group.len()],
    };
    for (at, (batch, _)) in group.iter().enumerate() {
        match alone(batch) {
            Some(transition) => writing.put_off(at, transition)?,
            None => {
                // It may be about the same accounts.
                writing.write_runs()?;
                writing.outcomes[at] = write_batch(&transaction, batch)?;
            }
        }
    }
    writing.write_runs()?;
    let outcomes = writing.outcomes;
    transaction.commit()?;
    Ok(outcomes)
}

/// A group that is being written.
struct Writing<'a> {
    connection: &'a Connection,
    runs: Runs<'a>,
    outcomes: Vec<Outcome>,
}

impl<'a> Writing<'a> {
    /// Takes a batch of one transition into its account's run.
    fn put_off(&mut self, at: usize, transition: &'a Transition) -> rusqlite::Result<()> {
        while !self.runs.put(at, transition) {
            self.write_runs()?;
        }
        Ok(())
    }

    fn write_runs(&mut self) -> rusqlite::Result<()> {
        for run in self.runs.take() {
            self.write_run(&run)?;
        }
        Ok(())
    }

    /// Writes a run at once; if that is refused, each transition by itself, as some may fit.
    fn write_run(&mut self, run: &Run<'_>) -> rusqlite::Result<()> {
        if accounts::write_change(self.connection, &run.change)? {
            return Ok(());
        }
        for (at, transition) in &run.transitions {
            self.outcomes[*at] = match accounts::write(self.connection, transition) {
                Ok(()) => Ok(()),
                Err(Failure::Refused(error)) => Err(error),
                Err(Failure::Failed(error)) => return Err(error),
            };
        }
        Ok(())
    }
}

/// Writes a batch within its own savepoint, so that a refused one leaves nothing behind.
fn write_batch(connection: &Connection, batch: &Batch) -> rusqlite::Result<Outcome> {
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
    for change in &batch.halts {
        chain::write_halt(connection, change)?;
    }
    Ok(())
}
