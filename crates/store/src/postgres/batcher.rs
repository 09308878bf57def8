//! The task that owns the connection for batches, and group commit.
//!
//! What arrives during one round trip is the next group. Batches of one account's transition, which payments
//! are, become one statement; all others are transactions of their own.

use super::Shared;
use super::accounts::Updates;
use super::error::Fault;
use super::session::{ROUND_TRIP, Session};
use super::transaction::{Lead, NotWritten, repeat, write_alone};
use crate::error::StoreError;
use crate::runs::{Change, Run, Runs, alone};
use crate::store::Batch;
use microraiden_protocol::ledger::Transition;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use std::{iter, pin};
use tokio::sync::{mpsc, oneshot};
use tokio::{select, task, time};

/// How many batches share one round trip at most.
const GROUP_BATCHES: usize = 1024;
/// How long is waited before the next attempt to connect.
const BACKOFF: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// The plan is made once, and must be good whatever the tables become: each row is found by its key.
const SETTINGS: &str = "
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off";

/// A batch that waits.
pub(super) struct Handed {
    pub(super) batch: Batch,
    /// As of when it was handed in.
    pub(super) lead: Option<Lead>,
    /// Where the answer goes; nobody may be waiting for it any more.
    pub(super) answer: Answer,
}

/// Tells what became of a batch.
pub(super) type Answer = oneshot::Sender<Result<(), StoreError>>;

/// Owns the connection for batches.
pub(super) struct Batcher {
    pub(super) shared: Arc<Shared>,
    pub(super) queue: mpsc::Receiver<Handed>,
}

/// A connection with what is prepared on it.
pub(super) struct Desk {
    session: Session,
    updates: Updates,
}

impl Desk {
    /// Prepares a connection, on which nothing that was lost can interfere any more.
    pub(super) async fn on(shared: &Shared, session: Session) -> Result<Self, Fault> {
        shared.database.end_lost(&session).await?;
        session.run(SETTINGS).await?;
        let updates = session
            .within(ROUND_TRIP, Updates::prepare(&session.client))
            .await?;
        Ok(Self { session, updates })
    }
}

impl Batcher {
    /// Works until the store is dropped and everything handed in is answered.
    pub(super) async fn run(mut self, mut desk: Desk) {
        loop {
            let failed = self.work(&mut desk).await;
            let Err(fault) = failed else { return };
            tracing::warn!(error = %fault, "the database is away; nothing can be sold until it is back");
            self.shared.set_away(Some(fault.away()));
            self.shared.database.lose(desk.session);
            let Some(new) = self.come_back().await else { return };
            tracing::info!("the database is back");
            desk = new;
        }
    }

    /// Writes group after group; fails when the connection is of no use any more.
    async fn work(&mut self, desk: &mut Desk) -> Result<(), Fault> {
        loop {
            let first = select! {
                biased;
                first = self.queue.recv() => first,
                () = desk.session.ended() => return Err(Fault::gone()),
            };
            let Some(first) = first else { return Ok(()) };
            // Those who hand in may share a core with us, and have more.
            task::yield_now().await;
            let waiting = iter::from_fn(|| self.queue.try_recv().ok());
            let group = iter::once(first).chain(waiting).take(GROUP_BATCHES);
            let (batches, answers): (Vec<_>, Vec<_>) = group
                .map(|Handed { batch, lead, answer }| ((batch, lead), Some(answer)))
                .unzip();
            let mut group = Group {
                shared: &self.shared,
                desk,
                runs: Runs::default(),
                barriers: Vec::new(),
                answers,
            };
            let written = group.write(&batches).await;
            let mut answers = group.answers;
            if let Err(fault) = written {
                // These were not sent.
                answers
                    .iter_mut()
                    .for_each(|answer| give(answer, Err(fault.away())));
                return Err(fault);
            }
        }
    }

    /// Connects again, and tells all who come meanwhile that the store is away; none when the store was
    /// dropped.
    async fn come_back(&mut self) -> Option<Desk> {
        let shared = self.shared.clone();
        let mut connecting = pin::pin!(connect(&shared));
        loop {
            select! {
                desk = &mut connecting => {
                    self.shared.set_away(None);
                    return Some(desk);
                }
                handed = self.queue.recv() => {
                    let answer = handed?.answer;
                    let _ = answer.send(Err(self.shared.away().unwrap_or(StoreError::Busy)));
                }
            }
        }
    }
}

async fn connect(shared: &Shared) -> Desk {
    let [mut pause, longest] = BACKOFF;
    loop {
        let attempt = async {
            let session = shared
                .database
                .session(None)
                .await
                .map_err(Fault::of_connecting)?;
            Desk::on(shared, session).await
        };
        match attempt.await {
            Ok(desk) => return desk,
            Err(fault) => {
                tracing::debug!(error = %fault, "the database is still away");
                shared.set_away(Some(fault.away()));
            }
        }
        time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        pause = longest.min(pause * 2);
    }
}

/// Batches that are written together.
struct Group<'a> {
    shared: &'a Shared,
    desk: &'a Desk,
    runs: Runs<'a>,
    /// Empty batches, which wait for those before them.
    barriers: Vec<usize>,
    /// Who is not answered yet, by the places of the batches.
    answers: Vec<Option<Answer>>,
}

impl<'a> Group<'a> {
    /// Answers all, or fails when the connection is of no use any more.
    async fn write(&mut self, batches: &'a [(Batch, Option<Lead>)]) -> Result<(), Fault> {
        // Nothing is unknown of what was never sent.
        if !self.desk.session.is_open() {
            return Err(Fault::gone());
        }
        for (at, (batch, lead)) in batches.iter().enumerate() {
            match alone(batch) {
                Some(transition) => self.put_off(at, transition).await?,
                None if *batch == Batch::default() => self.barriers.push(at),
                None => {
                    // It may be about the same accounts.
                    self.write_runs().await?;
                    self.write_alone(at, batch, *lead).await?;
                }
            }
        }
        self.write_runs().await
    }

    /// Takes a batch of one transition into its account's run.
    async fn put_off(&mut self, at: usize, transition: &'a Transition) -> Result<(), Fault> {
        while !self.runs.put(at, transition) {
            self.write_runs().await?;
        }
        Ok(())
    }

    async fn write_alone(&mut self, at: usize, batch: &Batch, lead: Option<Lead>) -> Result<(), Fault> {
        let stopped = self.shared.stopped();
        let written = match stopped {
            Some(stopped) => Err(stopped.into()),
            None => write_alone(&self.desk.session, batch, lead).await,
        };
        let (outcome, lost) = self.shared.judge(written);
        give(&mut self.answers[at], outcome);
        lost.map_or(Ok(()), Err)
    }

    /// Writes what was put off, in at most two statements: most payments change the line only.
    async fn write_runs(&mut self) -> Result<(), Fault> {
        let mut runs: Vec<_> = self.runs.take().collect();
        // Everybody locks accounts in this order.
        runs.sort_unstable_by_key(|run| run.change.after.channel);
        let (line, rows): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.change.line_only);
        let (line_written, rows_written) =
            tokio::join!(biased; self.update(&line, true), self.update(&rows, false));
        let mut lost = Ok(());
        for (runs, written) in [(line, line_written), (rows, rows_written)] {
            let failure = self.answer(&runs, written);
            lost = lost.and(failure);
        }
        lost?;
        for at in std::mem::take(&mut self.barriers) {
            give(&mut self.answers[at], Ok(()));
        }
        Ok(())
    }

    async fn update(&self, runs: &[Run<'_>], line_only: bool) -> Result<HashSet<usize>, NotWritten> {
        if let Some(stopped) = self.shared.stopped() {
            return Err(stopped.into());
        }
        let changes: Vec<&Change<'_>> = runs.iter().map(|run| &run.change).collect();
        let Desk { session, updates } = self.desk;
        repeat(|| session.within(ROUND_TRIP, updates.write(&session.client, &changes, line_only))).await
    }

    fn answer(&mut self, runs: &[Run<'_>], written: Result<HashSet<usize>, NotWritten>) -> Result<(), Fault> {
        let (written, failure) = match written {
            Ok(places) => (Ok(places), None),
            Err(failed) => {
                let (outcome, lost) = self.shared.judge(Err(failed));
                (outcome.map(|()| HashSet::new()), lost)
            }
        };
        for (place, run) in runs.iter().enumerate() {
            let channel = run.change.after.channel;
            let outcome = match &written {
                Ok(places) if places.contains(&place) => Ok(()),
                // The later ones build on the first.
                Ok(_) => Err(StoreError::Conflict { channel }),
                Err(error) => Err(error.clone()),
            };
            for (at, _) in &run.transitions {
                give(&mut self.answers[*at], outcome.clone());
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

fn give(answer: &mut Option<Answer>, outcome: Result<(), StoreError>) {
    if let Some(answer) = answer.take() {
        let _ = answer.send(outcome);
    }
}
