//! Who holds accounts, and who waits for them.
//!
//! First come, first served: nobody overtakes another who waits for the same account, and no batch one of the
//! same instance. Whoever holds waits for nothing, so nobody waits for ever.

use super::{Kept, answered};
use crate::error::StoreError;
use crate::store::{Batch, Ticket};
use microraiden_protocol::ChannelId;
use microraiden_protocol::ledger::{AccountRow, Transition};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The holds, and those who wait, the first one first.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The accounts of each hold, by its number.
    holds: BTreeMap<u64, BTreeSet<ChannelId>>,
    last_hold: u64,
    waiting: Vec<Waiting>,
}

/// Somebody who waits for accounts.
#[derive(Debug)]
struct Waiting {
    instance: u64,
    channels: BTreeSet<ChannelId>,
    wish: Wish,
}

#[derive(Debug)]
enum Wish {
    /// To write a batch.
    Write(Batch, oneshot::Sender<Result<(), StoreError>>),
    /// To hold the accounts, and to know them.
    Hold(u64, oneshot::Sender<Vec<AccountRow>>),
}

/// What was held is not held any more.
#[derive(Debug, thiserror::Error)]
#[error("the accounts were held for too long")]
struct LetGo;

impl Line {
    fn is_held(&self, channel: &ChannelId) -> bool {
        self.holds.values().any(|held| held.contains(channel))
    }
}

impl Kept {
    /// Writes a batch when it is its turn, which may be at once.
    pub(super) fn line_up(&mut self, instance: u64, batch: Batch) -> Ticket {
        let (answer, ticket) = oneshot::channel();
        self.line.waiting.push(Waiting {
            instance,
            channels: channels(&batch),
            wish: Wish::Write(batch, answer),
        });
        self.advance();
        ticket.into()
    }

    /// Gives the number of a hold that begins when it is its turn. It has ended, for those who wait, after [`let_go`](Self::let_go).
    pub(super) fn begin_hold(
        &mut self,
        instance: u64,
        channels: BTreeSet<ChannelId>,
        answer: oneshot::Sender<Vec<AccountRow>>,
    ) -> u64 {
        self.line.last_hold += 1;
        let number = self.line.last_hold;
        self.line.waiting.push(Waiting {
            instance,
            channels,
            wish: Wish::Hold(number, answer),
        });
        self.advance();
        number
    }

    /// Ends a hold by what it was for. What others hold, it cannot write.
    pub(super) fn write_held(&mut self, instance: u64, number: u64, batch: Batch) -> Ticket {
        if self.line.holds.remove(&number).is_none() {
            let cause = Arc::new(LetGo);
            return answered(Err(StoreError::Away { cause }));
        }
        let others = channels(&batch)
            .into_iter()
            .find(|channel| self.line.is_held(channel));
        answered(match others {
            Some(channel) => Err(StoreError::Conflict { channel }),
            None => self.write(instance, batch),
        })
    }

    /// Ends a hold, or the waiting for it.
    pub(super) fn let_go(&mut self, number: u64) {
        self.line.holds.remove(&number);
        self.line
            .waiting
            .retain(|waiting| !matches!(waiting.wish, Wish::Hold(its, _) if its == number));
        self.advance();
    }

    /// Lets everybody go on whose turn it is.
    fn advance(&mut self) {
        let mut wanted = BTreeSet::new();
        let mut writers = BTreeSet::new();
        for next in std::mem::take(&mut self.line.waiting) {
            let is_free = |channel| !wanted.contains(channel) && !self.line.is_held(channel);
            if !writers.contains(&next.instance) && next.channels.iter().all(is_free) {
                self.grant(next);
                continue;
            }
            wanted.extend(next.channels.iter().copied());
            if matches!(next.wish, Wish::Write(..)) {
                writers.insert(next.instance);
            }
            self.line.waiting.push(next);
        }
    }

    /// Does what was waited for; nobody may want to know any more.
    fn grant(&mut self, next: Waiting) {
        match next.wish {
            Wish::Write(batch, answer) => {
                let _ = answer.send(self.write(next.instance, batch));
            }
            Wish::Hold(number, answer) => {
                let rows = self.state.rows(&next.channels);
                let held = rows.iter().map(|row| row.channel).collect();
                self.line.holds.insert(number, held);
                let _ = answer.send(rows);
            }
        }
    }

    /// Writes, and tells the others of what they cannot wait for.
    fn write(&mut self, instance: u64, batch: Batch) -> Result<(), StoreError> {
        if batch.chain.is_some() && self.lead.holder(Instant::now()) != Some(instance) {
            return Err(StoreError::NotLeading);
        }
        let is_told = batch.chain.is_some() || !batch.tasks.is_empty() || !batch.halts.is_empty();
        self.state.apply(batch)?;
        if is_told {
            let others = self.seats.iter().filter(|(number, _)| **number != instance);
            others.for_each(|(_, seat)| seat.bell.notify_one());
        }
        Ok(())
    }
}

fn channels(batch: &Batch) -> BTreeSet<ChannelId> {
    let changed = batch.transitions.iter().map(Transition::after);
    changed.map(|account| *account.channel()).collect()
}
