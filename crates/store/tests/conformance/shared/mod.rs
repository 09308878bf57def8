//! What every store must do that several instances write, run for each of them.
//!
//! In reading order: [`holds`] (two decisions on one account), [`changes`] (what others wrote), [`lead`].

#![allow(clippy::unwrap_used, reason = "a test")]

mod changes;
mod holds;
mod lead;

use crate::channels::{Channel, batch, head, wait};
use crate::stores::{self, Open};
use microraiden_protocol::ChannelId;
use microraiden_protocol::ledger::{Account, AccountRow, Transition, Writer};
use microraiden_store::{Batch, SharedStore, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// As many instances as each check gets.
type Instances = [Arc<dyn SharedStore>; 3];

/// How long a check may take.
const LIMIT: Duration = Duration::from_secs(60);

macro_rules! suite {
    ($($theme:ident::$name:ident)*) => {
        mod memory { $(#[test] fn $name() { super::run(super::stores::memory_instances, super::$theme::$name); })* }
        mod postgres { $(#[test] fn $name() { super::run(super::stores::in_postgres, super::$theme::$name); })* }
    };
}

suite! {
    holds::the_second_of_two_decisions_is_refused
    holds::no_change_is_lost_between_two_who_decide_again
    holds::a_hold_shows_what_was_committed_before
    holds::a_hold_keeps_others_out
    holds::a_hold_keeps_nobody_from_other_accounts
    holds::what_is_held_is_committed_without_conflict
    holds::a_hold_that_is_dropped_lets_go
    holds::who_waits_no_longer_is_in_nobodys_way
    holds::a_hold_leaves_out_channels_without_an_account
    changes::what_others_wrote_is_told
    changes::what_was_held_meanwhile_is_told
    changes::nothing_is_missed_among_many_writers
    changes::the_others_are_told_of_tasks_halts_and_the_chain
    lead::one_leads_until_it_resigns
    lead::of_many_who_bid_at_once_one_leads
    lead::the_word_is_told_with_its_age
    lead::who_does_not_lead_writes_nothing_of_the_chain
    lead::another_takes_over_after_a_silence
}

fn run<F: Future<Output = ()>>(open: Open, check: fn(Instances) -> F) {
    let Ok(instances) = open(3).try_into() else {
        panic!("there are not three instances");
    };
    // What waits for ever fails.
    wait(async { timeout(LIMIT, check(instances)).await }).expect("the check ends");
}

async fn put(store: &Arc<dyn SharedStore>, batch: Batch) -> Result<(), StoreError> {
    store.commit(batch).unwrap().await
}

/// Opens the accounts of new channels.
async fn opened<const N: usize>(store: &Arc<dyn SharedStore>) -> [Channel; N] {
    let mut number = 0;
    let mut channels = [(); N].map(|()| {
        number += 1;
        Channel::new(number)
    });
    let changes = channels.each_mut().map(|channel| channel.open(1_000));
    put(store, batch(changes)).await.unwrap();
    channels
}

/// All accounts by channel.
async fn rows(store: &Arc<dyn SharedStore>) -> BTreeMap<ChannelId, AccountRow> {
    let accounts = store.load().await.unwrap().accounts.into_iter();
    accounts
        .map(|account| (*account.channel(), account.row().clone()))
        .collect()
}

/// The next version of an account, by this instance.
fn next(row: &AccountRow, instance: u64) -> Transition {
    let sequence = row.version.number;
    let account = Account::from_row(row.clone()).unwrap();
    account.observe(row.facts.clone(), Writer { instance, sequence })
}

/// Whether nothing comes of it for a while.
async fn waits<F: Future + Unpin>(future: &mut F) -> bool {
    timeout(Duration::from_millis(200), future).await.is_err()
}
