//! Accounts of which something that was decided here is not stored, or may not be.
//!
//! Such an account is read before anything else is decided on it, by whoever comes first; where nobody comes,
//! it is read all the same. What was read is remembered for a while, for those who ask what became of a decision.

use crate::accounts::{Slot, SlotGuard};
use crate::manager::Shared;
use microraiden_protocol::ChannelId;
use microraiden_protocol::ledger::{AccountRow, CorruptRow, Version};
use microraiden_store::{Purpose, SharedStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};
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
    /// The versions that were found, each at the end of an epoch.
    found: Vec<(u32, Version)>,
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
            found: Vec::new(),
        };
        doubts.entry(channel).or_insert(new).ended = None;
    }

    fn end(&self, channel: &ChannelId, epoch: u32, found: Version) {
        if let Some(doubtful) = self.lock().get_mut(channel) {
            doubtful.ended = Some(Instant::now());
            doubtful.found.push((epoch, found));
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
        doubts
            .get(channel)
            .map_or_else(Vec::new, |doubtful| doubtful.found.clone())
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
        let (channel, epoch, found) = (row.channel, account.stored().epoch, row.version);
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
            let held = store
                .hold(channels.iter().copied().collect(), Purpose::Sale)
                .await?;
            self.take_held(&channels, held.rows)?;
        }
    }
}
