//! Why nothing was stored or read.

use microraiden_protocol::ledger::CorruptRow;
use microraiden_protocol::{BlockNumber, ChannelId};
use std::error::Error;
use std::sync::Arc;

/// Why a batch was not stored, or a state not read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Too many batches wait; nothing of this one was taken.
    #[error("too many changes wait to be stored; try again in a moment")]
    Busy,
    /// A write failed. Whether the batches in it are durable is unknown, and what would be read
    /// back now proves nothing: only a new start does.
    #[error("the store has stopped after a failed write; check the disk and restart")]
    Stopped {
        /// What failed.
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
    /// The account is at another version than the one that the change was decided on. Nothing of
    /// the batch was stored.
    #[error("the account of channel {channel} has changed meanwhile; load it and decide again")]
    Conflict {
        /// The channel.
        channel: ChannelId,
    },
    /// The block, or an event at the same place in it, is stored already and differs. Nothing of
    /// the batch was stored.
    #[error("block {block} is stored already, with other contents; rewind the chain below it first")]
    ChainConflict {
        /// The block.
        block: BlockNumber,
    },
    /// An account that the ledger cannot have produced.
    #[error("the stored state is damaged; restore it from a backup")]
    Corrupt(#[from] CorruptRow),
}

impl StoreError {
    /// Whether the same call may succeed in a moment.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Busy)
    }

    pub(crate) fn stopped(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::Stopped {
            cause: Arc::new(cause),
        }
    }
}
