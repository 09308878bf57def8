//! What `tests/schedules.rs` needs of the insides; only with the feature `shuttle`.
//!
//! Here are a manager that neither follows a chain nor disputes, and the places where that test
//! plants bugs, to see that it finds them.

use crate::accounts::{Slot, SlotGuard};
use crate::config::Config;
use crate::decide::Decision;
use crate::manager::{ChannelManager, Kept, Shared};
use crate::payment::Unavailable;
use microraiden_chain::{Contract, Wallet};
use microraiden_protocol::ledger::Account;
use microraiden_protocol::{ChainFacts, ChannelId, SecretKey};
use microraiden_store::{ChannelStore, Ticket};
use std::cell::Cell;
use std::sync::Arc;

/// A mistake that one could make in a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The account's lock is let go between the decision and its taking effect.
    UnlocksBeforeInstall,
    /// A permit is given before the payment is durable.
    PermitBeforeDurable,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Makes the mistake in all payments on this thread of the system, or none.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

pub(crate) fn has(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Where the lock must be held on.
pub(crate) fn before_install<'a>(account: SlotGuard<'a>, slot: &'a Slot) -> SlotGuard<'a> {
    if has(Bug::UnlocksBeforeInstall) {
        drop(account);
        return slot.lock();
    }
    account
}

impl ChannelManager {
    /// A manager of these accounts that nothing runs beside.
    pub fn unfollowed(
        contract: Contract,
        wallet: Wallet,
        key: SecretKey,
        store: Arc<dyn ChannelStore>,
        config: Config,
        accounts: Vec<Account>,
    ) -> Self {
        let shared = Shared::new(contract, wallet, key, store, config, Kept::default());
        accounts
            .into_iter()
            .for_each(|account| shared.accounts.add(account));
        Self::of(Arc::new(shared), Vec::new())
    }

    /// The account in memory.
    pub fn account(&self, channel: &ChannelId) -> Option<Account> {
        Some(self.shared.accounts.get(channel)?.lock().clone())
    }

    /// Takes over what a chain says, as the follower does.
    ///
    /// # Errors
    /// When the store takes nothing.
    pub fn observe(
        &self,
        channel: &ChannelId,
        change: impl FnOnce(&mut ChainFacts),
    ) -> Option<Result<Ticket, Unavailable>> {
        let slot = self.shared.accounts.get(channel)?;
        let mut account = slot.lock();
        let mut facts = account.facts().clone();
        change(&mut facts);
        let transition = account.observe(facts, self.shared.writer());
        let handed_in = self.shared.hand_in(&mut account, &Decision::new(transition, ()));
        Some(handed_in.map_err(|error| self.shared.store_failed(&error)))
    }
}
