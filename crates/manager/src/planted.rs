//! Mistakes that one could make, for `tests/simulation/planted.rs` to find; only with the feature
//! `planted`, which no program has.

use microraiden_protocol::{BlockNumber, ChannelChange, ChannelEvent, Phase};
use std::cell::Cell;

/// A mistake, each in another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A reorganisation does not look at the channels whose events went away.
    RewindForgets,
    /// A close stops the selling only when it is confirmed.
    CloseCountsWhenConfirmed,
    /// What is to be done on chain is done when it is mined, not when it is confirmed.
    DoneWhenMined,
    /// A closing signature leaves before its promise is durable.
    SignsBeforeDurable,
    /// A proof that is known is served again before that is durable.
    KnownProofIsServedAtOnce,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::RewindForgets,
        Self::CloseCountsWhenConfirmed,
        Self::DoneWhenMined,
        Self::SignsBeforeDurable,
        Self::KnownProofIsServedAtOnce,
    ];
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Makes the mistake in all managers on this thread of the system, or none.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

pub(crate) fn has(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether an event is taken notice of.
pub(crate) fn is_seen(event: &ChannelEvent, confirmed: BlockNumber) -> bool {
    let is_close = matches!(event.change, ChannelChange::CloseRequested { .. });
    !(has(Bug::CloseCountsWhenConfirmed) && is_close && event.block > confirmed)
}

/// Whether nothing is left to be done on a channel.
pub(crate) fn is_over(over: bool, phase: Phase) -> bool {
    over || has(Bug::DoneWhenMined) && matches!(phase, Phase::Settled { .. })
}
