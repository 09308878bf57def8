//! The trait of all stores, and what goes in and out.

use crate::error::StoreError;
use crate::shared::SharedStore;
use microraiden_protocol::ledger::{Account, Transition};
use microraiden_protocol::{
    Address, B256, BlockNumber, BlockRef, ChainUpdate, ChannelEvent, ChannelId, Escrow,
};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// A future behind a pointer, so that a store can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How many of the newest blocks a store keeps: more than any reorganisation to survive.
pub const KEPT_BLOCKS: usize = 1024;

/// What a state belongs to; a state file is bound to it for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// The channel contract.
    pub escrow: Escrow,
    /// Who is paid.
    pub receiver: Address,
}

/// Keeps the state of a receiver: accounts, the chain as far as it was read, and tasks.
pub trait ChannelStore: Send + Sync + 'static {
    /// Reads everything, at start.
    ///
    /// Fails when what is stored is damaged, or was not produced by the ledger.
    fn load(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>>;

    /// Hands a batch in; never waits. Batches are written in the order in which they were handed
    /// in, and those that wait share one durable commit.
    ///
    /// Nothing is durable before the ticket says so. A ticket that is dropped cancels nothing.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when too many batches wait already, and nothing was taken;
    /// [`StoreError::Stopped`] after a write that failed.
    fn commit(&self, batch: Batch) -> Result<Ticket, StoreError>;

    /// The same store where several instances may write it; `None` where this process is the only one.
    fn shared(self: Arc<Self>) -> Option<Arc<dyn SharedStore>> {
        None
    }
}

/// Changes that become durable together, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Changes of accounts, each on the version that it was decided on.
    pub transitions: Vec<Transition>,
    /// How much further the chain was read.
    pub chain: Option<ChainUpdate>,
    /// Tasks that begin, went on, or are done.
    pub tasks: Vec<TaskChange>,
    /// What stops the selling from now on, or no longer does.
    pub halts: Vec<HaltChange>,
}

/// Everything that a store holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// All accounts, in no particular order; nothing is in flight on them.
    pub accounts: Vec<Account>,
    /// Up to [`KEPT_BLOCKS`] canonical blocks in increasing order; the last one is the head.
    pub blocks: Vec<BlockRef>,
    /// All events, in the order of the chain.
    pub events: Vec<ChannelEvent>,
    /// What is to be done, in no particular order.
    pub tasks: Vec<Task>,
    /// What stops the selling, in no particular order.
    pub halts: Vec<Halt>,
}

/// Something to be done on the chain: written with the event that asks for it, done at its own
/// pace, and removed when the chain shows that it is done. There is one of a kind per channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// The channel.
    pub channel: ChannelId,
    /// What to do.
    pub kind: TaskKind,
    /// The transaction that was last sent for it.
    pub transaction: Option<B256>,
    /// Not to be begun before the chain has this block; 0 for at once.
    pub not_before: BlockNumber,
}

impl Task {
    /// As it is when it is put in the place of another one of its kind and channel, which may be none.
    #[must_use]
    pub fn over(mut self, before: Option<&Self>) -> Self {
        let not_before = before.map_or(self.not_before, |before| before.not_before);
        self.not_before = self.not_before.min(not_before);
        self
    }
}

/// What there is to be done on the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskKind {
    /// The sender closed with less than it owes: claim more before the challenge period is over.
    Dispute,
    /// Bring a close on chain: the operator wants it, whatever the sender does, or the sender has not
    /// done its part.
    Close,
    /// Withdraw what the last withdrawal of the account was decided for.
    Withdraw,
}

/// A change of the tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskChange {
    /// Adds the task, or replaces it; it is not put off by that: of two blocks not to begin before, the lower
    /// one counts.
    Put(Task),
    /// Takes the task away, if there is one.
    Remove {
        /// The channel.
        channel: ChannelId,
        /// Which of its tasks.
        kind: TaskKind,
    },
}

/// Something that has happened to the receiver as a whole, after which selling goes on only when the
/// operator says so. There is one of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Halt {
    /// What has happened.
    pub kind: HaltKind,
    /// The block that it is about; its kind says how.
    pub block: Option<BlockNumber>,
}

/// Why the operator has to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HaltKind {
    /// The chain was reorganised deeper than the confirmations; the last block that stayed. Nothing is
    /// sold.
    Reorganised,
    /// The state is a backup that was restored: what was paid after it is not known any more. Nothing is
    /// sold on channels opened up to the block, or on any while there is none.
    Restored,
}

/// A change of the halts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HaltChange {
    /// Adds the halt, or replaces it.
    Set(Halt),
    /// Takes the halt away, if there is one.
    Lift(HaltKind),
}

/// Resolves when a batch is durable, or tells why it is not.
#[derive(Debug)]
#[must_use = "a batch is not durable before its ticket says so"]
pub struct Ticket(oneshot::Receiver<Result<(), StoreError>>);

impl From<oneshot::Receiver<Result<(), StoreError>>> for Ticket {
    /// For those who write a store. Dropping the sender without an answer means
    /// [`StoreError::Stopped`].
    fn from(answer: oneshot::Receiver<Result<(), StoreError>>) -> Self {
        Self(answer)
    }
}

impl Future for Ticket {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or_else(|gone| Err(StoreError::stopped(gone))))
    }
}
