//! A group of batches in one transaction.
//!
//! Payments on one channel that follow each other become one write of its row: only where the last
//! leads to is kept anyway.

use super::accounts::{self, Change};
use super::writer::Answer;
use super::{Failure, chain};
use crate::error::StoreError;
use crate::store::Batch;
use microraiden_protocol::ChannelId;
use microraiden_protocol::ledger::Transition;
use rusqlite::{Connection, TransactionBehavior};
use std::collections::HashMap;

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
        runs: HashMap::new(),
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

/// The change of an account that is all there is in a batch.
fn alone(batch: &Batch) -> Option<&Transition> {
    let Batch {
        transitions,
        chain: None,
        tasks,
        halts,
    } = batch
    else {
        return None;
    };
    match transitions.as_slice() {
        [transition] if tasks.is_empty() && halts.is_empty() && transition.before().is_some() => {
            Some(transition)
        }
        _ => None,
    }
}

/// Transitions of one account, each decided on the version that the one before leads to.
struct Run<'a> {
    change: Change<'a>,
    /// With the places of their batches.
    transitions: Vec<(usize, &'a Transition)>,
}

/// A group that is being written.
struct Writing<'a> {
    connection: &'a Connection,
    /// What is to be written, at most one for an account, so that their order does not matter.
    runs: HashMap<ChannelId, Run<'a>>,
    outcomes: Vec<Outcome>,
}

impl<'a> Writing<'a> {
    /// Takes a batch of one transition into its account's run.
    fn put_off(&mut self, at: usize, transition: &'a Transition) -> rusqlite::Result<()> {
        let channel = *transition.after().channel();
        if let Some(run) = self.runs.get_mut(&channel) {
            if run.change.extend(transition) {
                run.transitions.push((at, transition));
                return Ok(());
            }
            let run = self.runs.remove(&channel);
            run.map_or(Ok(()), |run| self.write_run(&run))?;
        }
        let run = Run {
            change: Change::of(transition),
            transitions: vec![(at, transition)],
        };
        self.runs.insert(channel, run);
        Ok(())
    }

    fn write_runs(&mut self) -> rusqlite::Result<()> {
        for (_, run) in std::mem::take(&mut self.runs) {
            self.write_run(&run)?;
        }
        Ok(())
    }

    /// Writes a run at once; if that is refused, each transition by itself, as some may fit.
    fn write_run(&mut self, run: &Run<'_>) -> rusqlite::Result<()> {
        if run.change.write(self.connection)? {
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
