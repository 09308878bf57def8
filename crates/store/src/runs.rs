//! Transitions of one account that follow each other become one write of its row: only where the last
//! leads to is kept anyway.

use crate::store::Batch;
use microraiden_protocol::ChannelId;
use microraiden_protocol::ledger::{AccountRow, Transition, Version};
use std::collections::HashMap;

/// What one transition, or several in a row, make of an account.
pub(crate) struct Change<'a> {
    /// The version that the first was decided on.
    pub(crate) before: Option<Version>,
    /// Where the last leads to.
    pub(crate) after: &'a AccountRow,
    /// Whether each has changed the line only. What is stored of the rest is then right: the
    /// version says so.
    pub(crate) line_only: bool,
}

impl<'a> Change<'a> {
    /// What a transition does.
    pub(crate) fn of(transition: &'a Transition) -> Self {
        Self {
            before: transition.before(),
            after: transition.after().row(),
            line_only: transition.is_line_only(),
        }
    }

    /// Adds a transition of the same account; false if it was decided on another version than this
    /// leads to.
    pub(crate) fn extend(&mut self, next: &'a Transition) -> bool {
        let follows = next.before() == Some(self.after.version);
        if follows {
            self.after = next.after().row();
            self.line_only &= next.is_line_only();
        }
        follows
    }
}

/// Transitions of one account, each decided on the version that the one before leads to, and each the only
/// one in its batch.
pub(crate) struct Run<'a> {
    pub(crate) change: Change<'a>,
    /// With the places of their batches.
    pub(crate) transitions: Vec<(usize, &'a Transition)>,
}

/// What is to be written, at most one for an account, so that their order does not matter.
#[derive(Default)]
pub(crate) struct Runs<'a>(HashMap<ChannelId, Run<'a>>);

impl<'a> Runs<'a> {
    /// Takes a batch's transition into its account's run; false if it does not follow what is there, which
    /// is to be written first.
    #[must_use = "false: nothing was taken"]
    pub(crate) fn put(&mut self, at: usize, transition: &'a Transition) -> bool {
        let run = self
            .0
            .entry(*transition.after().channel())
            .or_insert_with(|| Run {
                change: Change::of(transition),
                transitions: Vec::new(),
            });
        let is_taken = run.transitions.is_empty() || run.change.extend(transition);
        if is_taken {
            run.transitions.push((at, transition));
        }
        is_taken
    }

    /// Everything there is, which is then to be written, in no particular order.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Run<'a>> + use<'a> {
        std::mem::take(&mut self.0).into_values()
    }
}

/// The change of an account that is all there is in a batch.
pub(crate) fn alone(batch: &Batch) -> Option<&Transition> {
    let Batch {
        transitions,
        chain: None,
        tasks,
        halts,
    } = batch
    else {
        return None;
    };
    match transitions.as_slice() {
        [transition] if tasks.is_empty() && halts.is_empty() && transition.before().is_some() => {
            Some(transition)
        }
        _ => None,
    }
}
