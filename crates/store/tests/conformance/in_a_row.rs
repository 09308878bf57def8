//! Payments on the same channel that wait together.

#![allow(clippy::unwrap_used, reason = "a test")]

use crate::channels::{Channel, batch, commit, open_facts, rows, submit, wait};
use microraiden_protocol::ledger::Transition;
use microraiden_store::{ChannelStore, StoreError};

/// PostgreSQL refuses payments that wait together as a whole: the later ones build on the first.
mod one_by_one {
    use super::refuses_only_what_does_not_fit_among_payments_in_a_row as check;
    use crate::stores::{in_memory, in_one_of, in_sqlite, memory_instances};

    #[test]
    fn memory() {
        in_memory(check);
    }

    #[test]
    fn sqlite() {
        in_sqlite(check);
    }

    #[test]
    fn memory_instance() {
        in_one_of(memory_instances, check);
    }
}

/// What was handed in, whether it fits, and what became of it.
type Told = (Transition, bool, Result<(), StoreError>);

/// Hands in payments on several channels that wait together, of which some do not fit; gives them by channel.
fn payments_in_a_row(store: &dyn ChannelStore) -> Vec<Vec<Told>> {
    let mut channels: Vec<Channel> = (1..=20).map(Channel::new).collect();
    let mut tickets = Vec::new();
    for channel in &mut channels {
        commit(store, batch([channel.open(1_000)])).unwrap();
        let first = channel.pay(1, 1);
        commit(store, batch([first.clone()])).unwrap();
        let then = [channel.pay(2, 1), channel.pay(4, 1), channel.pay(3, 1)];
        let facts = open_facts(2_000);
        let (observed, last) = (channel.observe(facts), channel.pay(5, 1));
        // The stored one again, others in a row, one again, a step that is missing, the rest.
        let handed_in = [
            (&first, false),
            (&then[0], true),
            (&then[1], true),
            (&then[0], false),
            (&observed, false),
            (&then[2], true),
            (&observed, true),
            (&last, true),
            (&last, false),
        ];
        tickets
            .push(handed_in.map(|(transition, fits)| (transition.clone(), fits, submit(store, transition))));
    }
    let told = |(transition, fits, ticket)| (transition, fits, wait(ticket));
    tickets
        .into_iter()
        .map(|channel| channel.map(told).into())
        .collect()
}

/// Payments that wait together may be written as one: it must not show.
fn refuses_only_what_does_not_fit_among_payments_in_a_row(store: &dyn ChannelStore) {
    for channel in payments_in_a_row(store) {
        for (number, (_, fits, outcome)) in channel.iter().enumerate() {
            assert_eq!(outcome.is_ok(), *fits, "batch {number}");
        }
        let last = &channel[7].0;
        assert_eq!(&rows(store)[last.after().channel()], last.after().row());
    }
}

pub(super) fn keeps_what_it_took_among_payments_in_a_row(store: &dyn ChannelStore) {
    for channel in payments_in_a_row(store) {
        let mut stored = channel[0].0.after();
        for (transition, _, outcome) in &channel {
            match outcome {
                Ok(()) => {
                    assert_eq!(transition.before(), Some(stored.version()));
                    stored = transition.after();
                }
                Err(StoreError::Conflict { channel }) => assert_eq!(channel, stored.channel()),
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(&rows(store)[stored.channel()], stored.row());
    }
}
