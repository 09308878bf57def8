//! Mistakes that one could make, for `tests/simulation/planted.rs` to find; only with the feature
//! `planted`, which no program has.

use crate::turn::Fate;
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
    /// A payment whose outcome is unknown is given back, whether it was stored or not.
    UndoesBlindly,
    /// What is not stored yet is taken for lost, and nothing keeps it from being stored later.
    LostIsNotCovered,
    /// What was handed in and is not stored stays in memory.
    LostIsNotDoubted,
    /// Tasks count before they are stored.
    TasksCountAtOnce,
    /// The leader decides about accounts that it does not hold.
    LeaderDoesNotHold,
    /// A leader that begins anew keeps its fencing number.
    KeepsTheFence,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::RewindForgets,
        Self::CloseCountsWhenConfirmed,
        Self::DoneWhenMined,
        Self::SignsBeforeDurable,
        Self::KnownProofIsServedAtOnce,
        Self::UndoesBlindly,
        Self::LostIsNotCovered,
        Self::LostIsNotDoubted,
        Self::TasksCountAtOnce,
        Self::LeaderDoesNotHold,
        Self::KeepsTheFence,
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

/// What is said of a decision whose outcome was unknown.
pub(crate) fn fate(fate: Fate) -> Fate {
    match fate {
        Fate::Lost | Fate::Missing if has(Bug::UndoesBlindly) => Fate::Stored,
        Fate::Missing if has(Bug::LostIsNotCovered) => Fate::Lost,
        fate => fate,
    }
}
