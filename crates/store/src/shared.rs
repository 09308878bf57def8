//! A state that several instances of one receiver share.
//!
//! Every instance sells. What it decides is written on the version of the account that it was decided on, so
//! of two instances that decide on the same account, one is too late and decides again. One instance at a time
//! leads: it reads the chain for all of them, and brings on chain what is owed.

use crate::error::StoreError;
use crate::store::{Batch, BoxFuture, ChannelStore, Halt, Task, Ticket};
use microraiden_protocol::ledger::AccountRow;
use microraiden_protocol::{BlockNumber, ChannelId};
use std::fmt;
use std::time::Duration;

/// A store that several instances write.
///
/// Its [`commit`](ChannelStore::commit) refuses with [`StoreError::Conflict`] what another instance was faster
/// with, and a batch with a chain update with [`StoreError::NotLeading`] unless this instance leads when it is
/// written. What a failed connection leaves open is [`StoreError::Unknown`]; what certainly was not stored,
/// [`StoreError::Away`]. After neither of them the store has stopped: it comes back by itself.
pub trait SharedStore: ChannelStore {
    /// Reads accounts as they are now, and lets nobody change them until what is held is committed or
    /// dropped; others wait for that. First it waits for all batches that this instance has handed in.
    ///
    /// Channels without an account are left out. Whoever holds does nothing else meanwhile: what is held for
    /// too long is let go, and its commit fails.
    ///
    /// # Errors
    /// [`StoreError::Away`] when the store cannot be reached.
    fn hold(&self, channels: Vec<ChannelId>, purpose: Purpose) -> BoxFuture<'_, Result<Held, StoreError>>;

    /// What has changed since the state was [loaded](ChannelStore::load), or since the last call that succeeded.
    /// May tell again what was told before, and what this instance has written itself.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    fn changes(&self, reading: Reading) -> BoxFuture<'_, Result<Changes, StoreError>>;

    /// Resolves when the leader, or an operator through another instance, has told of a change; also when it
    /// was told before the call. May not tell: look at the [`changes`](Self::changes) now and then all the same.
    fn changed(&self) -> BoxFuture<'_, ()>;

    /// Bids for the lead, keeps it, or only looks who leads.
    ///
    /// # Errors
    /// When it cannot be read or written. Whoever led goes on doing so until [`LEASE`] after its last success
    /// began.
    fn bid(&self, bid: Bid) -> BoxFuture<'_, Result<Leadership, StoreError>>;
}

/// For how long whoever leads does so after its last word.
pub const LEASE: Duration = Duration::from_secs(5);

/// What accounts are held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Sales, closes and withdrawals of the customers. There may be very many.
    Sale,
    /// The chain. Does not wait behind the sales, except for the accounts themselves.
    Chain,
}

/// Accounts that nobody else changes.
#[must_use = "dropped, the accounts are let go as they are"]
pub struct Held {
    /// The accounts, in no particular order.
    pub rows: Vec<AccountRow>,
    /// Writes them.
    pub hold: Box<dyn Hold>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

/// What keeps others from changing accounts; dropped, it lets them go as they are.
pub trait Hold: Send {
    /// Hands a batch in, as [`ChannelStore::commit`]; the accounts are let go when that is done.
    fn commit(self: Box<Self>, batch: Batch) -> Ticket;
}

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Tasks and halts only if they have changed.
    Changed,
    /// Tasks and halts in any case.
    TasksAndHalts,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Accounts, in no particular order.
    pub accounts: Vec<AccountRow>,
    /// Whether these are all accounts there are, since what is stored may be older than what was told before.
    pub is_all: bool,
    /// All tasks there are.
    pub tasks: Option<Vec<Task>>,
    /// All halts in force.
    pub halts: Option<Vec<Halt>>,
}

/// What an instance wants of the lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bid {
    /// Only to know who leads and what the leader says.
    Look,
    /// To lead if nobody does. Whoever leads already keeps the lead, and says this.
    Lead(Word),
    /// Not to lead any more.
    Resign,
}

/// What the leader says of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Word {
    /// The newest block that was taken over.
    pub head: BlockNumber,
    /// When that was made, in seconds since 1970; 0 where nobody asks.
    pub head_time: u64,
    /// How long ago the chain was read up to the node's newest block; `None` when it never was.
    pub node_age: Option<Duration>,
    /// Whether the wallet cannot pay the gas of what is owed.
    pub gas_short: bool,
}

/// Who leads, and what was said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leadership {
    /// Whether this instance leads now.
    pub is_ours: bool,
    /// Whether anybody does.
    pub is_held: bool,
    /// The fencing number of the lead: it rises with every change of the leader.
    pub fence: u64,
    /// What the last leader has said last, its age grown by the time since then; `None` before the first.
    pub word: Option<Word>,
}
