//! The accounts in memory, each under a lock of its own.

use crate::sync::{Mutex, MutexGuard, RwLock};
use microraiden_protocol::ChannelId;
use microraiden_protocol::ledger::Account;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

/// One account and its lock. The lock is held for decisions only, never across an await.
#[derive(Debug)]
pub(crate) struct Slot(Mutex<Account>);

impl Slot {
    /// Locks the account.
    ///
    /// A thread that panicked while it held the lock had not written: decisions are made on
    /// copies, and an account is replaced as a whole.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All accounts, by channel.
#[derive(Debug, Default)]
pub(crate) struct Accounts(RwLock<HashMap<ChannelId, Arc<Slot>>>);

impl Accounts {
    pub(crate) fn get(&self, channel: &ChannelId) -> Option<Arc<Slot>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(channel)
            .cloned()
    }

    /// Adds the account of a channel that has none yet.
    pub(crate) fn add(&self, account: Account) {
        let slot = Arc::new(Slot(Mutex::new(account)));
        let channel = *slot.lock().channel();
        let before = self
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(channel, slot);
        assert!(before.is_none(), "channel {channel} has an account already");
    }

    /// Every account there is now, in no particular order.
    pub(crate) fn all(&self) -> Vec<Arc<Slot>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }
}
