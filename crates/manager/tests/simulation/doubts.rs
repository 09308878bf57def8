//! Payments that were taken and came to nothing, and what each life of the program has been told.

use crate::life::Life;
use crate::stage::Stage;
use crate::witness::Witness;
use microraiden_protocol::ChannelId;
use microraiden_store::{Batch, Leadership};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What was decided before a halt was known may take so long, also where the program hangs.
const SLOW: Duration = Duration::from_secs(30);

/// In this time a program finds out what became of a payment, through any spell of trouble.
const ENOUGH: Duration = Duration::from_secs(150);

/// A payment that was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// The units that can no longer be sold, in increasing order; the last one is the proof's.
    pub(crate) gone: Vec<u64>,
    /// So many of them were not bought but folded into the refund, none of them above one that was.
    pub(crate) folded: usize,
    /// Who has accepted it.
    pub(crate) life: Arc<Life>,
    at: Instant,
    trace: Trace,
}

/// Whether the row still tells who has accepted a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trace {
    Fresh,
    /// Whoever has accepted it has seen it there.
    Found,
    /// And then it has lost sight of what it wrote next.
    Lost,
    /// Another program has written on top, before it could be told.
    Covered,
}

impl Accepted {
    pub(crate) fn new(gone: Vec<u64>, folded: usize, life: &Arc<Life>) -> Self {
        Self {
            gone,
            folded,
            life: life.clone(),
            at: Instant::now(),
            trace: Trace::Fresh,
        }
    }

    pub(crate) fn top(&self) -> Option<u64> {
        self.gone.last().copied()
    }
}

/// What the programs know of what concerns all of them.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Since when a life knows that nothing may be sold.
    halted: BTreeMap<u64, Instant>,
    /// Who leads.
    leader: Option<u64>,
    /// Payments whose customer has gone before there was an answer.
    gone: BTreeSet<(ChannelId, u64)>,
}

impl Told {
    /// The operator lets the selling go on.
    pub(crate) fn resumed(&mut self) {
        self.halted.clear();
    }

    /// Whether a life must not sell any more.
    pub(crate) fn is_halted(&self, life: &Life) -> bool {
        let since = self.halted.get(&life.number);
        since.is_some_and(|since| since.elapsed() > SLOW)
    }
}

impl Witness {
    /// A customer has gone before there was an answer.
    pub(crate) fn customer_gone(&mut self, channel: ChannelId, top: u64) {
        self.met("customers gone before the answer", 1);
        self.told.gone.insert((channel, top));
    }

    /// A life reads accounts that are held.
    pub(crate) fn looked(&mut self, channels: &[ChannelId], life: &Life) {
        for channel in channels {
            self.trace(channel, Trace::Fresh, Trace::Found, |of| of.number == life.number);
        }
    }

    /// A life loses sight of a batch.
    pub(crate) fn lost_sight(&mut self, batch: &Batch, life: &Life) {
        for transition in &batch.transitions {
            let channel = transition.after().channel();
            self.trace(channel, Trace::Found, Trace::Lost, |of| of.number == life.number);
        }
    }

    /// A life writes an account.
    pub(crate) fn covered(&mut self, channel: &ChannelId, life: &Life) {
        let others = |of: &Life| of.number != life.number;
        self.trace(channel, Trace::Fresh, Trace::Covered, others);
        self.trace(channel, Trace::Lost, Trace::Covered, others);
    }

    fn trace(&mut self, channel: &ChannelId, before: Trace, now: Trace, whose: impl Fn(&Life) -> bool) {
        let Some(book) = self.books.get_mut(channel) else {
            return;
        };
        let found = book
            .accepted
            .iter_mut()
            .filter(|accepted| accepted.trace == before && whose(&accepted.life));
        found.for_each(|accepted| accepted.trace = now);
    }

    /// Units were given back: where there was no permit for them, nobody was charged.
    pub(crate) fn freed(&mut self, channel: &ChannelId, is_free: impl Fn(u64) -> bool) {
        let Some(book) = self.books.get_mut(channel) else {
            return;
        };
        let before = book.accepted.len();
        book.accepted
            .retain(|accepted| !accepted.top().is_some_and(&is_free));
        let freed = before - book.accepted.len();
        if freed > 0 {
            self.met("given back without a permit", freed);
        }
    }

    /// Every payment that was charged and served nothing, and why; an error where it could have been told.
    pub(crate) fn charged_for_nothing(&self) -> Result<Vec<&'static str>, String> {
        let mut excuses = Vec::new();
        for (channel, book) in &self.books {
            for accepted in &book.accepted {
                let name = (*channel, accepted.top().unwrap_or_default());
                let died = accepted.life.died();
                let is_short = died.is_some_and(|died| died < accepted.at + ENOUGH);
                excuses.push(match accepted.trace {
                    _ if is_short => "charged for nothing: the program died",
                    _ if self.told.gone.contains(&name) => "charged for nothing: the customer had gone",
                    Trace::Covered => "charged for nothing: another program wrote on top",
                    Trace::Fresh | Trace::Found | Trace::Lost => {
                        return Err(format!(
                            "channel {channel}: charged for nothing, {:?} by life {}, {:?}",
                            accepted.gone, accepted.life.number, accepted.trace
                        ));
                    }
                });
            }
        }
        Ok(excuses)
    }
}

impl Stage {
    /// A life has read whether anything may be sold.
    pub(crate) fn told_of_halts(&self, life: &Life) {
        let halted = self.disk().kept.halted;
        let mut witness = self.witness();
        if halted {
            witness
                .told
                .halted
                .entry(life.number)
                .or_insert_with(Instant::now);
        } else {
            witness.told.halted.remove(&life.number);
        }
    }

    /// The store has said who leads.
    pub(crate) fn led(&self, life: &Life, lead: &Leadership) {
        let mut witness = self.witness();
        if !lead.is_ours || witness.told.leader == Some(life.number) {
            return;
        }
        if witness.told.leader.replace(life.number).is_some() {
            witness.met("takeovers", 1);
        }
        drop(witness);
        self.note(format_args!("life {} leads: {lead:?}", life.number));
    }
}
