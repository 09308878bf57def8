//! The accounts in memory, each under a lock of its own, and which of them are listed.

use crate::loss::Known;
use crate::overview::{ChannelState, Filter};
use crate::plain::Plain;
use crate::sync::{Mutex, MutexGuard, RwLock};
use crate::turn::Waiting;
use microraiden_protocol::ledger::{Account, AccountRow, CorruptRow, Version};
use microraiden_protocol::{Address, ChannelId};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::ops::{Bound, Deref, DerefMut};
use std::sync::{Arc, PoisonError};

/// One account and its lock. The lock is held for decisions only, never across an await.
#[derive(Debug)]
pub(crate) struct Slot {
    inside: Mutex<Inside>,
    listed: Arc<Listed>,
}

/// What the lock is for.
#[derive(Debug)]
struct Inside {
    kept: Kept,
    /// The newest version that the store has confirmed to us.
    known: Known,
    /// Counts how often the account was read from the store: what was decided before one of these moments
    /// and is not stored by then, never is.
    epoch: u32,
    /// Something that was decided here is not stored, or may not be: the account must be read before anything
    /// else is decided on it.
    is_doubtful: bool,
    /// Decisions that wait until the account is held in the store; `None` while nobody sees to that.
    queue: Option<Vec<Waiting>>,
    /// How many hold it in the store for something else, or are about to.
    holders: u16,
}

/// An account in memory: there are very many, and nearly all of them rest.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a whole one is rare; boxed, a plain one would take more room"
)]
enum Kept {
    /// At rest, in little room.
    Plain(Plain),
    /// Locked, or with more to it.
    Whole(Box<Account>),
}

impl Kept {
    fn of(account: Account) -> Self {
        Plain::of(&account).map_or_else(|| Self::Whole(Box::new(account)), Self::Plain)
    }

    fn channel(&self) -> &ChannelId {
        match self {
            Self::Plain(plain) => plain.channel(),
            Self::Whole(account) => account.channel(),
        }
    }
}

impl Slot {
    /// Locks the account.
    ///
    /// A thread that panicked while it held the lock had not written: decisions are made on
    /// copies, and an account is replaced as a whole.
    pub(crate) fn lock(&self) -> SlotGuard<'_> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Kept::Plain(plain) = &inside.kept {
            inside.kept = Kept::Whole(Box::new(plain.account()));
        }
        let mut guard = SlotGuard {
            before: None,
            inside,
            listed: &self.listed,
        };
        guard.before = ChannelState::of(&guard);
        guard
    }

    /// The store has confirmed a version.
    pub(crate) fn is_durable(&self, version: Version) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if version.number >= inside.known.number() {
            inside.known = Known::of(version);
        }
    }

    /// What was confirmed last.
    pub(crate) fn known(&self) -> Known {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.known
    }

    /// Something that was decided in an epoch is not stored, or may not be. Gives the channel, unless the
    /// account was read since.
    pub(crate) fn doubt(&self, epoch: u32) -> Option<ChannelId> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.epoch != epoch {
            return None;
        }
        inside.is_doubtful = true;
        Some(*inside.kept.channel())
    }

    /// Queues up until the account is held in the store; whether the caller has to see to that.
    pub(crate) fn queue(&self, waiting: Waiting) -> bool {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut inside.queue {
            Some(queue) => {
                queue.push(waiting);
                false
            }
            None => {
                inside.queue = Some(vec![waiting]);
                true
            }
        }
    }

    /// Nobody sees to the queue any more; who waits is not answered.
    pub(crate) fn abandon_queue(&self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let abandoned = inside.queue.take();
        drop(inside);
        drop(abandoned);
    }

    /// Holds the account in the store, from now on: nothing is decided on trust until that is over.
    pub(crate) fn hold(self: &Arc<Self>) -> Holding {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.holders = inside.holders.saturating_add(1);
        drop(inside);
        Holding(self.clone())
    }

    /// Whether somebody waits; if nobody does, nobody sees to the queue any more.
    pub(crate) fn has_queue(&self) -> bool {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = inside.queue.as_ref().is_some_and(|queue| !queue.is_empty());
        if !waits {
            inside.queue = None;
        }
        waits
    }
}

/// An account that is held in the store; dropped, that is over.
#[derive(Debug)]
pub(crate) struct Holding(Arc<Slot>);

impl Drop for Holding {
    fn drop(&mut self) {
        let mut inside = self.0.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.holders = inside.holders.saturating_sub(1);
    }
}

/// A locked account. Dropped, it enters the account's state in the lists when that has changed.
#[derive(Debug)]
pub(crate) struct SlotGuard<'a> {
    before: Option<ChannelState>,
    inside: MutexGuard<'a, Inside>,
    listed: &'a Listed,
}

impl SlotGuard<'_> {
    /// Counts how often the account was read from the store.
    pub(crate) fn epoch(&self) -> u32 {
        self.inside.epoch
    }

    /// Whether something that was decided here is not stored, or may not be.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.inside.is_doubtful
    }

    /// What was confirmed last.
    pub(crate) fn known(&self) -> Known {
        self.inside.known
    }

    /// Whether it may be decided on what is in memory. Not while the account is held, or is about to be: what
    /// is handed in then is not in what is read, and comes after it.
    pub(crate) fn is_trusted(&self) -> bool {
        let is_held = self.inside.queue.is_some() || self.inside.holders > 0;
        !self.inside.is_doubtful && !is_held
    }

    /// Takes the account as the store has it. What was decided here and is not stored is given up; what is
    /// in flight stays so.
    pub(crate) fn read(&mut self, row: AccountRow) -> Result<(), CorruptRow> {
        **self = self.reload(row, self.inside.known.number())?;
        self.inside.epoch = self.inside.epoch.wrapping_add(1);
        self.inside.is_doubtful = false;
        Ok(())
    }

    /// All who wait until the account is held.
    pub(crate) fn waiting(&mut self) -> Vec<Waiting> {
        self.inside.queue.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

impl Deref for SlotGuard<'_> {
    type Target = Account;

    fn deref(&self) -> &Account {
        match &self.inside.kept {
            Kept::Whole(account) => account,
            Kept::Plain(_) => unreachable!("a locked account is whole"),
        }
    }
}

impl DerefMut for SlotGuard<'_> {
    fn deref_mut(&mut self) -> &mut Account {
        match &mut self.inside.kept {
            Kept::Whole(account) => account,
            Kept::Plain(_) => unreachable!("a locked account is whole"),
        }
    }
}

impl Drop for SlotGuard<'_> {
    fn drop(&mut self) {
        // The account is still locked, so that the lists see its states in their order.
        let now = ChannelState::of(self);
        if now != self.before {
            self.listed.enter(key(self.channel()), now);
        }
        if let Some(plain) = Plain::of(self) {
            self.inside.kept = Kept::Plain(plain);
        }
    }
}

/// A channel's name among those of one receiver.
type Key = (Address, u32);

fn key(channel: &ChannelId) -> Key {
    (channel.sender, channel.open_block)
}

/// The channels that anybody may see, in order: one page costs no more than what is on it.
#[derive(Debug, Default)]
struct Listed(RwLock<ByState>);

#[derive(Debug, Default)]
struct ByState {
    open: BTreeSet<Key>,
    closed: BTreeSet<Key>,
}

impl Listed {
    fn enter(&self, channel: Key, state: Option<ChannelState>) {
        let mut listed = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let ByState { open, closed } = &mut *listed;
        for (set, of) in [(open, ChannelState::Open), (closed, ChannelState::Closed)] {
            if state == Some(of) {
                set.insert(channel);
            } else {
                set.remove(&channel);
            }
        }
    }

    fn range(&self, filter: Filter, range: (Bound<Key>, Bound<Key>), most: usize) -> Vec<Key> {
        let listed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let first = |set: &BTreeSet<Key>| set.range(range).take(most).copied().collect::<Vec<_>>();
        let mut channels = match filter {
            Filter::Open => first(&listed.open),
            Filter::Closed => first(&listed.closed),
            Filter::All => [first(&listed.open), first(&listed.closed)].concat(),
        };
        drop(listed);
        channels.sort_unstable();
        channels.truncate(most);
        channels
    }
}

/// All accounts of one receiver, by channel.
#[derive(Debug)]
pub(crate) struct Accounts {
    receiver: Address,
    slots: RwLock<HashMap<Key, Arc<Slot>>>,
    listed: Arc<Listed>,
}

impl Accounts {
    /// None yet.
    pub(crate) fn of(receiver: Address) -> Self {
        Self {
            receiver,
            slots: RwLock::default(),
            listed: Arc::default(),
        }
    }

    pub(crate) fn get(&self, channel: &ChannelId) -> Option<Arc<Slot>> {
        if channel.receiver != self.receiver {
            return None;
        }
        self.slots
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key(channel))
            .cloned()
    }

    /// Adds an account, unless the channel has one by now.
    pub(crate) fn add(&self, account: Account) {
        let (channel, state) = (*account.channel(), ChannelState::of(&account));
        assert_eq!(channel.receiver, self.receiver, "all channels have one receiver");
        let inside = Inside {
            kept: Kept::of(account),
            known: Known::default(),
            epoch: 0,
            is_doubtful: false,
            queue: None,
            holders: 0,
        };
        let slot = Arc::new(Slot {
            inside: Mutex::new(inside),
            listed: self.listed.clone(),
        });
        // Locked before others can find it, so that they cannot overtake it on the lists.
        let account = slot.lock();
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Vacant(place) = slots.entry(key(&channel)) {
            place.insert(slot.clone());
            self.listed.enter(key(&channel), state);
        }
        drop(slots);
        drop(account);
    }

    /// Takes an account away that the store has none of, unless the channel has another one by now.
    pub(crate) fn remove(&self, slot: &Arc<Slot>) {
        let account = slot.lock();
        let key = key(account.channel());
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if slots.get(&key).is_some_and(|known| Arc::ptr_eq(known, slot)) {
            slots.remove(&key);
            // Whoever has it still cannot list it again.
            self.listed.enter(key, None);
        }
    }

    /// All accounts of this moment, in no particular order.
    pub(crate) fn all(&self) -> Vec<Arc<Slot>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.values().cloned().collect()
    }

    /// Up to so many of the listed channels within a range, in order.
    pub(crate) fn listed(
        &self,
        filter: Filter,
        range: (Bound<ChannelId>, Bound<ChannelId>),
        most: usize,
    ) -> Vec<ChannelId> {
        let range = (range.0.map(|low| key(&low)), range.1.map(|high| key(&high)));
        let listed = self.listed.range(filter, range, most);
        let channel = |(sender, open_block)| ChannelId {
            sender,
            receiver: self.receiver,
            open_block,
        };
        listed.into_iter().map(channel).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microraiden_protocol::ledger::Writer;
    use microraiden_protocol::{ChainFacts, Phase};
    use std::time::{Duration, Instant};

    const CHANNELS: u32 = 100_000;

    fn channel(number: u32) -> ChannelId {
        ChannelId {
            sender: Address::left_padding_from(&(number / 2).to_be_bytes()),
            receiver: Address::ZERO,
            open_block: number,
        }
    }

    #[test]
    fn a_page_costs_what_is_on_it() {
        let by = Writer {
            instance: 0,
            sequence: 0,
        };
        let accounts = Accounts::of(Address::ZERO);
        for number in 0..CHANNELS {
            let facts = ChainFacts {
                phase: Phase::Open,
                ..ChainFacts::default()
            };
            accounts.add(Account::open(channel(number), facts, by).into_after());
        }
        let others = ChannelId {
            receiver: Address::repeat_byte(1),
            ..channel(5)
        };
        assert!(accounts.get(&channel(5)).is_some() && accounts.get(&others).is_none());
        // One is closed, and one is settled: they change lists as they are let go.
        for (number, promised) in [(7, true), (8, false)] {
            let slot = accounts.get(&channel(number)).unwrap();
            let mut account = slot.lock();
            let next = if promised {
                let claim = account.close_at(account.balance(), None, by);
                claim.unwrap().transition.unwrap()
            } else {
                let at = microraiden_protocol::BlockNumber(9);
                let facts = ChainFacts {
                    phase: Phase::Settled { at },
                    ..ChainFacts::default()
                };
                account.observe(facts, by)
            };
            *account = next.into_after();
        }
        let range = |number| (Bound::Excluded(channel(number)), Bound::Unbounded);
        let page = |filter, number| accounts.listed(filter, range(number), 3);
        assert_eq!(page(Filter::Open, 5), [6, 9, 10].map(channel));
        assert_eq!(page(Filter::All, 5), [6, 7, 9].map(channel));
        assert_eq!(page(Filter::Closed, 5), [7].map(channel));
        let begin = Instant::now();
        for number in 0..10_000 {
            assert_eq!(page(Filter::All, 9 + 9 * number).len(), 3);
        }
        // Looking at all channels each time would take minutes.
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }
}
