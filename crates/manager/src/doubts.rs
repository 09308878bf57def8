//! Accounts of which something that was decided here is not stored, or may not be.
//!
//! Such an account is read before anything else is decided on it, by whoever comes first; where nobody comes,
//! it is read all the same. What was read is remembered for a while, for those who ask what became of a decision.

use crate::accounts::{Slot, SlotGuard};
use crate::manager::Shared;
use microraiden_protocol::ChannelId;
use microraiden_protocol::ledger::{AccountRow, CorruptRow, Version};
use microraiden_store::{Purpose, SharedStore, StoreError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How many accounts are read at once.
const AT_ONCE: usize = 100;
/// For how long it is remembered what was read, where nobody asks.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The accounts, and those that were a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Doubts(Mutex<BTreeMap<ChannelId, Doubtful>>);

#[derive(Debug)]
struct Doubtful {
    /// When it was read since; `None` while it was not.
    ended: Option<Instant>,
    /// How many ask what became of a decision.
    askers: u32,
    /// What was found at the ends of epochs, the oldest first.
    found: VecDeque<Found>,
}

/// The version that was found at the end of an epoch.
#[derive(Debug)]
struct Found {
    at: Instant,
    epoch: u32,
    version: Version,
}

impl Doubts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ChannelId, Doubtful>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, channel: ChannelId) {
        let mut doubts = self.lock();
        let new = Doubtful {
            ended: None,
            askers: 0,
            found: VecDeque::new(),
        };
        doubts.entry(channel).or_insert(new).ended = None;
    }

    fn end(&self, channel: &ChannelId, epoch: u32, found: Version) {
        if let Some(doubtful) = self.lock().get_mut(channel) {
            let (at, version) = (Instant::now(), found);
            doubtful.ended = Some(at);
            doubtful.found.push_back(Found { at, epoch, version });
            // An account that several instances sell on is read again and again.
            while doubtful.askers == 0
                && doubtful
                    .found
                    .front()
                    .is_some_and(|found| found.at.elapsed() > REMEMBERED)
            {
                doubtful.found.pop_front();
            }
        }
    }

    /// Somebody asks what became of a decision.
    pub(crate) fn ask(&self, channel: &ChannelId) {
        if let Some(doubtful) = self.lock().get_mut(channel) {
            doubtful.askers += 1;
        }
    }

    /// It is known, or nobody can tell.
    pub(crate) fn answered(&self, channel: &ChannelId) {
        if let Some(doubtful) = self.lock().get_mut(channel) {
            doubtful.askers = doubtful.askers.saturating_sub(1);
        }
    }

    /// The versions that were found, each at the end of an epoch.
    pub(crate) fn found(&self, channel: &ChannelId) -> Vec<(u32, Version)> {
        let doubts = self.lock();
        let found = doubts
            .get(channel)
            .into_iter()
            .flat_map(|doubtful| &doubtful.found);
        found.map(|found| (found.epoch, found.version)).collect()
    }

    /// Some of those that are to be read.
    fn next(&self) -> BTreeSet<ChannelId> {
        let mut doubts = self.lock();
        doubts.retain(|_, doubtful| {
            let is_old = doubtful.ended.is_some_and(|ended| ended.elapsed() > REMEMBERED);
            doubtful.askers > 0 || !is_old
        });
        let open = doubts.iter().filter(|(_, doubtful)| doubtful.ended.is_none());
        open.map(|(channel, _)| *channel).take(AT_ONCE).collect()
    }

    fn forget(&self, channel: &ChannelId) {
        self.lock().remove(channel);
    }
}

impl Shared {
    /// Something that was decided in an epoch is not stored, or may not be.
    pub(crate) fn doubt(&self, slot: &Slot, epoch: u32) {
        if let Some(channel) = slot.doubt(epoch) {
            self.doubts.begin(channel);
        }
        self.rereads.store(true, Ordering::Relaxed);
    }

    /// Takes an account as the store has it.
    pub(crate) fn read(&self, account: &mut SlotGuard<'_>, row: AccountRow) -> Result<(), CorruptRow> {
        let (channel, epoch, found) = (row.channel, account.epoch(), row.version);
        account.read(row)?;
        self.doubts.end(&channel, epoch, found);
        Ok(())
    }

    /// Reads the accounts that are doubtful.
    pub(crate) async fn settle_doubts(&self, store: &dyn SharedStore) -> Result<(), StoreError> {
        loop {
            let mut channels = self.doubts.next();
            let slots: Vec<_> = channels
                .iter()
                .filter_map(|channel| self.accounts.get(channel))
                .collect();
            channels.retain(|channel| {
                let is_known = self.accounts.get(channel).is_some();
                if !is_known {
                    self.doubts.forget(channel);
                }
                is_known
            });
            if channels.is_empty() {
                return Ok(());
            }
            let _holding: Vec<_> = slots.iter().map(|slot| slot.hold()).collect();
            let known = self.known(channels.iter().copied());
            let held = store
                .hold(channels.iter().copied().collect(), Purpose::Sale)
                .await?;
            self.take_held(&known, held.rows)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microraiden_protocol::Address;
    use microraiden_protocol::ledger::Writer;

    /// A customer whose requests go to several instances in turn makes its account doubtful for as long as it pays.
    #[tokio::test(start_paused = true)]
    async fn what_nobody_asks_for_is_not_remembered_for_long() {
        let (doubts, channel) = (
            Doubts::default(),
            ChannelId {
                sender: Address::ZERO,
                receiver: Address::ZERO,
                open_block: 1,
            },
        );
        let version = |number| Version {
            number,
            writer: Writer {
                instance: 7,
                sequence: number,
            },
        };
        for number in 0..1000 {
            doubts.begin(channel);
            tokio::time::advance(Duration::from_secs(1)).await;
            doubts.end(&channel, u32::try_from(number).unwrap(), version(number));
            doubts.next();
        }
        let found = doubts.found(&channel);
        assert!((10..=12).contains(&found.len()), "{}", found.len());
        assert_eq!(found.last(), Some(&(999, version(999))));
        // For those who ask, everything is kept.
        doubts.ask(&channel);
        for number in 1000..1100 {
            tokio::time::advance(Duration::from_secs(1)).await;
            doubts.end(&channel, u32::try_from(number).unwrap(), version(number));
        }
        assert_eq!(doubts.found(&channel).len(), found.len() + 100);
        doubts.answered(&channel);
        tokio::time::advance(Duration::from_secs(11)).await;
        doubts.next();
        assert!(doubts.found(&channel).is_empty());
    }
}
