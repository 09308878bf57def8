//! What a store has lost of what it had confirmed, as a database does that fails over to a replica that was behind.
//!
//! Whoever finds that out stops, since what is in memory rests on it; and it writes a halt as after a restored backup, so
//! that nobody sells the same again: not other instances, and not this one after a restart.

use crate::manager::Shared;
use crate::payment::Unavailable;
use microraiden_protocol::ChannelId;
use microraiden_protocol::ledger::Version;
use microraiden_store::{Halt, HaltChange, HaltKind, StoreError};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

/// A version that the store has confirmed to be durable, in little room; the default where it has confirmed none.
///
/// What was only read does not count: it may be seen before it is replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Known {
    number: u64,
    /// Tells its writer from others; names of instances are random.
    writer: u32,
}

impl Known {
    pub(crate) fn of(version: Version) -> Self {
        let Version { number, writer } = version;
        let [a, b, c, d, ..] = (writer.instance ^ writer.sequence).to_le_bytes();
        let writer = u32::from_le_bytes([a, b, c, d]);
        Self { number, writer }
    }

    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// Whether a store that has this version, or none, has lost the known one.
    pub(crate) fn is_missing(&self, found: Option<Version>) -> bool {
        let found = found.map(Self::of).unwrap_or_default();
        found.number < self.number || found.number == self.number && found.writer != self.writer
    }

    /// Refuses what a store has that has lost what was known before it was asked. What it has confirmed since may be
    /// newer than what it has told.
    pub(crate) fn check(&self, channel: ChannelId, found: Option<Version>) -> Result<(), StoreError> {
        match self.is_missing(found) {
            true => Err(StoreError::WentBack { channel }),
            false => Ok(()),
        }
    }
}

/// Whether anything was lost.
#[derive(Debug, Default)]
pub(crate) struct Loss {
    is_found: AtomicBool,
    /// It is not stored yet that nobody may sell.
    is_untold: AtomicBool,
}

impl Loss {
    /// Something was lost, as this error says.
    pub(crate) fn find(&self, error: &StoreError) {
        if !self.is_found.swap(true, Ordering::Relaxed) {
            self.is_untold.store(true, Ordering::Relaxed);
            tracing::error!(%error, "selling stops, and a restart does not bring back what is lost: bring back a database that has it, or else restart all receivers; they only close the channels that there are until you resume the selling");
        }
    }
}

impl Shared {
    /// What was confirmed of accounts, to be compared with what is held.
    pub(crate) fn known(&self, channels: impl IntoIterator<Item = ChannelId>) -> BTreeMap<ChannelId, Known> {
        let known = |channel| self.accounts.get(&channel).map(|slot| slot.known());
        let channels = channels.into_iter();
        channels
            .map(|channel| (channel, known(channel).unwrap_or_default()))
            .collect()
    }

    /// Doubts accounts that are newer here than in what was read of all of them. They may have been written since, or
    /// be on their way; what became of them is found out where they are held.
    pub(crate) fn doubt_what_is_not(&self, found: &HashMap<ChannelId, Version>) {
        for slot in self.accounts.all() {
            let account = slot.lock();
            let (epoch, version) = (account.epoch(), account.version());
            let found = found.get(account.channel());
            let is_there = found.is_some_and(|found| *found == version || found.number > version.number);
            drop(account);
            if !is_there {
                self.doubt(&slot, epoch);
            }
        }
    }

    /// Lets nobody sell on the channels that there are, if anything was lost. Here nothing is sold until a restart; this
    /// is for the time after it, and for others. The leader dates it.
    pub(crate) async fn tell_of_loss(&self) -> Result<(), Unavailable> {
        if !self.loss.is_untold.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (kind, block) = (HaltKind::Restored, None);
        self.keep_halts(vec![HaltChange::Set(Halt { kind, block })])
            .await?;
        self.loss.is_untold.store(false, Ordering::Relaxed);
        tracing::warn!("it is stored that channels can only be closed: receivers can be restarted now");
        Ok(())
    }
}
