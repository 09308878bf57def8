//! When to stop answering: refusals that are repeated, and channels whose requests only fail.
//!
//! A client of 2018 repeats what was refused for ever. It stops at a 429, and any client is told by
//! `Retry-After` when to come back. Counted in tables of a fixed size: what is counted may be forgotten
//! early when many clients fail at once, never the other way round.

use microraiden_protocol::ledger::Refusal;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long repetitions are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// How often the same refused request is answered in a window.
const REFUSALS: u32 = 5;
/// How often, when waiting is what the client should do: one of 2018 repeats every 5 seconds.
const WAITING: u32 = 30;
/// For how long waiting is answered.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// How many payments of a channel may be released one after another.
const RELEASES: u32 = 5;
/// For how long nothing is tried on a channel after that.
const PAUSE: Duration = Duration::from_secs(30);
/// Places in a table.
const SLOTS: usize = 1 << 14;

/// Counts what is repeated.
#[derive(Debug)]
pub(crate) struct Patience {
    hasher: RandomState,
    refusals: Table,
    releases: Table,
}

/// Counts by place; while nothing was ever counted, nobody has to look.
#[derive(Debug)]
struct Table {
    used: AtomicBool,
    slots: Mutex<Box<[Slot]>>,
}

impl Table {
    /// `None` when there is nothing in it.
    fn look(&self) -> Option<MutexGuard<'_, Box<[Slot]>>> {
        self.used.load(Ordering::Relaxed).then(|| self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Box<[Slot]>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more.
    fn count(&self, print: u64, now: Instant, limit: u32) {
        self.used.store(true, Ordering::Relaxed);
        count(&mut self.lock(), print, now).limit = limit;
    }
}

/// One thing that is counted.
#[derive(Debug, Clone, Copy)]
struct Slot {
    print: u64,
    count: u32,
    /// How often it is answered in a window.
    limit: u32,
    /// When it was counted first, without a pause longer than a window since.
    first: Instant,
    /// When the running window began.
    window: Instant,
    last: Instant,
}

impl Patience {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let empty = Slot {
            print: 0,
            count: 0,
            limit: REFUSALS,
            first: now,
            window: now,
            last: now,
        };
        let table = || Table {
            used: AtomicBool::new(false),
            slots: Mutex::new(vec![empty; SLOTS].into_boxed_slice()),
        };
        Self {
            hasher: RandomState::new(),
            refusals: table(),
            releases: table(),
        }
    }

    /// A short name for a request, or a channel.
    pub(crate) fn print(&self, of: impl Hash) -> u64 {
        self.hasher.hash_one(of)
    }

    /// How long this request must not be repeated, if it was refused too often.
    pub(crate) fn refuses(&self, request: u64, now: Instant) -> Option<Duration> {
        let mut table = self.refusals.look()?;
        let slot = find(&mut table, request, now)?;
        let too_long = slot.limit == WAITING && now.duration_since(slot.first) > LONGEST_WAIT;
        let end = slot.window + WINDOW;
        if too_long {
            // Until it has been quiet for a window.
            slot.last = now;
            return Some(WINDOW);
        }
        (slot.count >= slot.limit && now < end).then(|| end - now)
    }

    /// Counts a refusal of this request.
    pub(crate) fn refused(&self, request: u64, refusal: Refusal, now: Instant) {
        self.refusals.count(request, now, allowed(refusal));
    }

    /// How long this channel must not be tried, if its requests have only failed of late.
    pub(crate) fn pauses(&self, channel: u64, now: Instant) -> Option<Duration> {
        let mut table = self.releases.look()?;
        let slot = find(&mut table, channel, now)?;
        let end = slot.last + PAUSE;
        if slot.count < RELEASES {
            return None;
        }
        if now >= end {
            // One more try; if it fails, the next pause begins.
            slot.count = RELEASES - 1;
            return None;
        }
        Some(end - now)
    }

    /// Counts a payment of this channel that was released.
    pub(crate) fn released(&self, channel: u64, now: Instant) {
        self.releases.count(channel, now, RELEASES);
    }

    /// A request of this channel was served.
    pub(crate) fn served(&self, channel: u64, now: Instant) {
        let Some(mut table) = self.releases.look() else {
            return;
        };
        if let Some(slot) = find(&mut table, channel, now) {
            slot.count = 0;
        }
    }
}

/// How often the same request is refused so in a minute, before it is told to stop.
pub(crate) const fn allowed(refusal: Refusal) -> u32 {
    if waits(refusal) { WAITING } else { REFUSALS }
}

/// Whether the same request may be accepted later, so that repeating it is right.
const fn waits(refusal: Refusal) -> bool {
    match refusal {
        Refusal::UnknownChannel
        | Refusal::ClosingOnly
        | Refusal::ClosePromised
        | Refusal::Challenged
        | Refusal::Settled
        | Refusal::Unconfirmed
        | Refusal::TopUpUnconfirmed
        | Refusal::Impaired
        | Refusal::BalanceQuery => true,
        Refusal::AboveDeposit
        | Refusal::InvalidSignature
        | Refusal::DecreasingBalance
        | Refusal::AlreadySpent
        | Refusal::InvalidAmount
        | Refusal::NotCovered
        | Refusal::WindowExceeded => false,
    }
}

fn place(print: u64) -> usize {
    usize::try_from(print % SLOTS as u64).expect("below the number of slots")
}

/// What is counted of this, unless it was long ago.
fn find(table: &mut [Slot], print: u64, now: Instant) -> Option<&mut Slot> {
    let slot = &mut table[place(print)];
    let recent = slot.count > 0 && now.duration_since(slot.last) <= WINDOW;
    (slot.print == print && recent).then_some(slot)
}

/// Counts one more; what stood in its place is forgotten.
fn count(table: &mut [Slot], print: u64, now: Instant) -> &mut Slot {
    if find(table, print, now).is_none() {
        table[place(print)] = Slot {
            print,
            count: 0,
            limit: REFUSALS,
            first: now,
            window: now,
            last: now,
        };
    }
    let slot = &mut table[place(print)];
    if now.duration_since(slot.window) >= WINDOW {
        slot.window = now;
        slot.count = 0;
    }
    slot.count = slot.count.saturating_add(1);
    slot.last = now;
    slot
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_same_refused_request_is_answered_a_few_times_in_a_minute() {
        let patience = Patience::new();
        let begin = Instant::now();
        for _ in 0..REFUSALS {
            assert_eq!(patience.refuses(7, begin), None);
            patience.refused(7, Refusal::AlreadySpent, begin);
        }
        assert_eq!(patience.refuses(7, begin + SECOND), Some(WINDOW - SECOND));
        assert_eq!(patience.refuses(8, begin), None);
        // A place that another takes: forgotten, and nobody else is refused.
        patience.refused(7 + SLOTS as u64, Refusal::AlreadySpent, begin);
        assert_eq!(patience.refuses(7, begin), None);
        assert_eq!(patience.refuses(7 + SLOTS as u64, begin), None);
        // Another minute, another count.
        for _ in 0..REFUSALS {
            patience.refused(9, Refusal::InvalidAmount, begin);
        }
        assert!(patience.refuses(9, begin + WINDOW - SECOND).is_some());
        assert_eq!(patience.refuses(9, begin + WINDOW), None);
    }

    #[test]
    fn who_should_wait_may_repeat_every_five_seconds_for_ten_minutes() {
        for refusal in [Refusal::UnknownChannel, Refusal::Unconfirmed] {
            let patience = Patience::new();
            let begin = Instant::now();
            for tick in 0..=120 {
                let now = begin + 5 * tick * SECOND;
                assert_eq!(patience.refuses(7, now), None, "{refusal:?} after {tick}");
                patience.refused(7, refusal, now);
            }
            let late = begin + LONGEST_WAIT + 5 * SECOND;
            assert!(patience.refuses(7, late).is_some(), "{refusal:?}");
            // Who keeps on is refused on; a quiet minute ends it.
            assert!(patience.refuses(7, late + WINDOW).is_some());
            assert_eq!(patience.refuses(7, late + 2 * WINDOW + SECOND), None);
        }
        let patience = Patience::new();
        let begin = Instant::now();
        for _ in 0..WAITING {
            assert_eq!(patience.refuses(7, begin), None);
            patience.refused(7, Refusal::UnknownChannel, begin);
        }
        assert!(patience.refuses(7, begin).is_some());
    }

    #[test]
    fn a_channel_whose_requests_only_fail_has_a_pause() {
        let patience = Patience::new();
        let begin = Instant::now();
        for _ in 0..RELEASES {
            assert_eq!(patience.pauses(7, begin), None);
            patience.released(7, begin);
        }
        assert_eq!(patience.pauses(7, begin + SECOND), Some(PAUSE - SECOND));
        // One try after the pause; it fails.
        let later = begin + PAUSE;
        assert_eq!(patience.pauses(7, later), None);
        patience.released(7, later);
        assert!(patience.pauses(7, later).is_some());
        // Or it is served.
        let later = later + PAUSE;
        assert_eq!(patience.pauses(7, later), None);
        patience.served(7, later);
        patience.released(7, later);
        assert_eq!(patience.pauses(7, later), None);
    }
}
