//! Turns: an account is held in the store, where several instances write it, and everybody here who waits for that
//! decides.
//!
//! There is one turn at a time for an account here; who comes while it begins takes part. So an instance that was
//! too slow is not too slow again and again: the store lets one instance after the other hold an account.

use crate::accounts::{Slot, SlotGuard};
use crate::decide::{Decision, Mark};
use crate::manager::Shared;
use crate::payment::Unavailable;
use microraiden_protocol::ChannelId;
use microraiden_protocol::ledger::Version;
use microraiden_store::{Batch, Purpose, SharedStore, StoreError};
use std::fmt;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Somebody who waits until an account is held: decides then, and is told what became of it.
pub(crate) struct Waiting(Box<Decide>);

type Decide = dyn FnOnce(Result<&mut Held<'_>, Unavailable>) -> Option<Told> + Send;

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

/// Tells somebody whether what was decided is stored. Called where no lock is held.
type Told = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// An account that nobody else changes.
pub(crate) struct Held<'a> {
    pub(crate) account: SlotGuard<'a>,
    /// The version that the store has.
    stored: Version,
    /// The versions that were found at the ends of epochs, the one that has ended with this turn among them.
    found: Vec<(u32, Version)>,
    batch: Batch,
}

/// What is known of a decision whose outcome was unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is stored.
    Stored,
    /// It is not, nor will be.
    Lost,
    /// It is not yet: it may be still on its way.
    Missing,
    /// Nobody can tell.
    Unknown,
}

impl Held<'_> {
    /// Takes a decision over.
    pub(crate) fn take<T>(&mut self, decision: &Decision<T>) {
        let Batch {
            transitions, tasks, ..
        } = decision.batch();
        if let Some(transition) = &decision.transition {
            *self.account = transition.after().clone();
        }
        self.batch.transitions.extend(transitions);
        self.batch.tasks.extend(tasks);
    }

    /// What became of a decision.
    ///
    /// What is decided here within an epoch forms one line, each on the one before. So if the store has one of
    /// them, it has all before it.
    pub(crate) fn fate(&self, mark: &Mark) -> Fate {
        let Some(Version { number, writer: ours }) = mark.version else {
            return Fate::Unknown;
        };
        let found = self.found.iter().map(|(_, found)| found);
        if let Some(its) = found.chain([&self.stored]).find(|found| found.number == number) {
            return match its.writer == ours {
                true => Fate::Stored,
                false => Fate::Lost,
            };
        }
        let first = self.found.iter().find(|(epoch, _)| *epoch == mark.epoch);
        match first.map(|(_, found)| found) {
            _ if self.stored.number < number => Fate::Missing,
            Some(Version {
                number: first,
                writer,
            }) if *first > number && writer.instance == ours.instance && writer.sequence > ours.sequence => {
                Fate::Stored
            }
            _ => Fate::Unknown,
        }
    }
}

impl Shared {
    /// Waits until an account is held, and decides; gives what was decided, and whether it is stored.
    pub(crate) async fn in_turn<R: Send + 'static>(
        self: &Arc<Self>,
        store: &Arc<dyn SharedStore>,
        slot: &Arc<Slot>,
        decide: impl FnOnce(&mut Held<'_>) -> R + Send + 'static,
    ) -> Result<(R, Result<(), StoreError>), Unavailable> {
        let (answer, told) = oneshot::channel();
        let waiting = Waiting(Box::new(move |held| match held {
            Err(error) => {
                let _ = answer.send(Err(error));
                None
            }
            Ok(held) => {
                let decided = decide(held);
                Some(Box::new(move |stored| {
                    // Whoever asked may have gone.
                    let _ = answer.send(Ok((decided, stored)));
                }))
            }
        }));
        if slot.queue(waiting) {
            let channel = *slot.lock().channel();
            tokio::spawn(see_to(self.clone(), store.clone(), slot.clone(), channel));
        }
        told.await.unwrap_or(Err(Unavailable::StoreAway))
    }
}

/// Sees to a queue; dropped by a panic, nobody does, and what was decided in that turn is doubtful.
struct Seeing<'a>(&'a Shared, &'a Slot);

impl Drop for Seeing<'_> {
    fn drop(&mut self) {
        let Self(shared, slot) = *self;
        let epoch = slot.lock().epoch();
        shared.doubt(slot, epoch);
        slot.abandon_queue();
    }
}

/// Takes one turn after the other while somebody waits.
async fn see_to(shared: Arc<Shared>, store: Arc<dyn SharedStore>, slot: Arc<Slot>, channel: ChannelId) {
    let seeing = Seeing(&shared, &slot);
    while slot.has_queue() {
        let told = match take(&shared, &*store, &slot, channel).await {
            Ok(told) => told,
            Err(error) => {
                let denied = slot.lock().waiting();
                for Waiting(decide) in denied {
                    decide(Err(error));
                }
                continue;
            }
        };
        let (stored, told) = told;
        for tell in told {
            tell(stored.clone());
        }
    }
    // Whoever comes now has begun a queue of its own.
    std::mem::forget(seeing);
}

type Turn = (Result<(), StoreError>, Vec<Told>);

/// Takes one turn: all who wait when the account is held decide, and what they decide is stored together.
async fn take(
    shared: &Shared,
    store: &dyn SharedStore,
    slot: &Arc<Slot>,
    channel: ChannelId,
) -> Result<Turn, Unavailable> {
    shared.check_store()?;
    let known = slot.known();
    let held = store.hold(vec![channel], Purpose::Sale).await;
    let mut held = held.map_err(|error| shared.store_failed(&error))?;
    let row = held.rows.pop();
    let found = row.as_ref().map(|row| row.version);
    let compared = known.check(channel, found);
    compared.map_err(|error| shared.store_failed(&error))?;
    let Some(row) = row else {
        // The leader had begun it and could not keep it; if there is such a channel, it is begun again. Or it has
        // kept it since.
        if slot.known() == known {
            shared.accounts.remove(slot);
        }
        return Err(Unavailable::Busy);
    };
    // Dropped, also in a panic, only where the account is not locked any more: what was given may lock it.
    let mut told = Vec::new();
    let (epoch, version, tasks, ticket) = {
        let mut account = slot.lock();
        let (before, stored) = (account.epoch(), row.version);
        if account.known() != known && account.known().is_missing(Some(stored)) {
            // It was held for too long, and is not any more.
            return Err(Unavailable::Busy);
        }
        let read = shared.read(&mut account, row);
        read.map_err(|error| shared.store_failed(&error.into()))?;
        let mut found = shared.doubts.found(&channel);
        found.push((before, stored));
        let batch = Batch::default();
        let mut turn = Held {
            account,
            stored,
            found,
            batch,
        };
        for Waiting(decide) in turn.account.waiting() {
            told.extend(decide(Ok(&mut turn)));
        }
        let Held { account, batch, .. } = turn;
        let tasks = batch.tasks.clone();
        let ticket = (batch != Batch::default()).then(|| held.hold.commit(batch));
        (account.epoch(), account.version(), tasks, ticket)
    };
    let Some(ticket) = ticket else {
        return Ok((Ok(()), told));
    };
    let stored = ticket.await;
    match &stored {
        Ok(()) => {
            slot.is_durable(version);
            shared.disputes.apply(&tasks);
        }
        Err(_) => shared.doubt(slot, epoch),
    }
    Ok((stored, told))
}
