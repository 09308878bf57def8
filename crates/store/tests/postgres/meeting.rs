//! Instances that meet at the same rows.

#![allow(clippy::unwrap_used, reason = "a test")]

use super::{commit, filled, hand_in, open, own_server, raw, rows, server, until_back, until_held_up};
use crate::channels::{Channel, batch, head};
use microraiden_store::{Batch, Bid, ChannelStore, Purpose, Reading, SharedStore, StoreError, Word};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// What has not come by then does not come.
const MOMENT: Duration = Duration::from_millis(300);
/// Shorter than anything in the way of what is waited for.
const AT_ONCE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_while_it_holds_lets_go() {
    let (database, mut channel) = filled().await;
    let [hanging, other] = [open(&database).await, open(&database).await];
    let began = Instant::now();
    let held = hanging.hold(vec![channel.id()], Purpose::Sale).await.unwrap();
    let change = channel.touch();
    commit(&other, batch([change])).await.unwrap();
    let waited = began.elapsed();
    assert!(
        waited > Duration::from_secs(1) && waited < Duration::from_secs(6),
        "{waited:?}"
    );
    let late = held.hold.commit(batch([channel.touch()])).await;
    assert!(matches!(late, Err(StoreError::Away { .. })), "{late:?}");
    let stored = rows(&other).await[&channel.id()].version.number;
    assert_eq!(stored + 1, channel.row().version.number);
    // And can hold again.
    drop(hanging.hold(vec![channel.id()], Purpose::Sale).await.unwrap());
}

/// The one of two who waits first looks for a deadlock first, and is the one that gives way.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_got_through() {
    let (database, mut first) = filled().await;
    let store = open(&database).await;
    let mut second = Channel::new(2);
    commit(&store, batch([second.open(7)])).await.unwrap();
    let mut channels = [&mut first, &mut second];
    channels.sort_by_key(|channel| channel.id());
    let [low, high] = channels;
    let lock = |channel: &Channel| {
        format!(
            "SELECT 1 FROM accounts WHERE sender = '\\x{:x}' FOR UPDATE",
            channel.id().sender
        )
    };
    // One statement of a group, and a transaction.
    for together in [false, true] {
        let blocker = raw(&database).await;
        blocker
            .batch_execute(&format!("BEGIN; {}", lock(high)))
            .await
            .unwrap();
        let tickets = match together {
            false => vec![hand_in(&store, low.touch()), hand_in(&store, high.touch())],
            true => vec![store.commit(batch([low.touch(), high.touch()])).unwrap()],
        };
        until_held_up(&database).await;
        // It waits for the store, which waits for it.
        blocker.batch_execute(&lock(low)).await.unwrap();
        blocker.batch_execute("COMMIT").await.unwrap();
        for ticket in tickets {
            ticket.await.unwrap();
        }
    }
    let deadlocks = format!(
        "SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = '{}'",
        database.name
    );
    let began = Instant::now();
    while server().sql("postgres", &deadlocks) != "t" {
        assert!(began.elapsed() < Duration::from_secs(5), "there was no deadlock");
        sleep(MOMENT).await;
    }
    let stored = rows(&store).await;
    assert_eq!(
        (&stored[&low.id()], &stored[&high.id()]),
        (&low.row(), &high.row())
    );
}

/// Each account is written by whoever is faster; nothing is lost, and nothing hangs.
#[tokio::test(flavor = "multi_thread")]
async fn two_that_write_the_same_channels_in_opposite_order_get_through() {
    let database = server().database();
    let mut channels: Vec<_> = (1..=30).map(Channel::new).collect();
    let opened = channels.iter_mut().map(|channel| channel.open(7)).collect();
    let opened = Batch {
        transitions: opened,
        ..Batch::default()
    };
    commit(&open(&database).await, opened).await.unwrap();
    let write = |backwards: bool| {
        let database = database.clone();
        async move {
            let store = open(&database).await;
            let mut written = 0_u64;
            for round in 0..40_usize {
                let mut channels: Vec<_> = (1..=30).map(Channel::new).collect();
                let snapshot = store.load().await.unwrap();
                channels.iter_mut().for_each(|channel| channel.resume(&snapshot));
                if backwards {
                    channels.reverse();
                }
                let changes: Vec<_> = channels.iter_mut().map(Channel::touch).collect();
                let tickets: Vec<_> = match round % 2 {
                    0 => changes
                        .into_iter()
                        .map(|change| (1, hand_in(&store, change)))
                        .collect(),
                    _ => changes
                        .chunks(3)
                        .map(|few| {
                            let transitions = few.to_vec();
                            let few = Batch {
                                transitions,
                                ..Batch::default()
                            };
                            (3, store.commit(few).unwrap())
                        })
                        .collect(),
                };
                for (count, ticket) in tickets {
                    match ticket.await {
                        Ok(()) => written += count,
                        Err(StoreError::Conflict { .. }) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            }
            written
        }
    };
    let (forwards, backwards) = (tokio::spawn(write(false)), tokio::spawn(write(true)));
    let written = forwards.await.unwrap() + backwards.await.unwrap();
    let stored = rows(&open(&database).await).await;
    let versions: u64 = stored.values().map(|row| row.version.number - 1).sum();
    assert_eq!(versions, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn few_hold_for_sales_at_a_time_and_the_chain_does_not_wait_for_them() {
    let database = server().database();
    let store = Arc::new(open(&database).await);
    let mut channels: Vec<_> = (1..=6).map(Channel::new).collect();
    for channel in &mut channels {
        commit(&store, batch([channel.open(7)])).await.unwrap();
    }
    let mut held = Vec::new();
    for channel in &channels[..4] {
        held.push(store.hold(vec![channel.id()], Purpose::Sale).await.unwrap());
    }
    let fifth = store.hold(vec![channels[4].id()], Purpose::Sale);
    let mut fifth = Box::pin(fifth);
    assert!(timeout(MOMENT, &mut fifth).await.is_err());
    let chain = timeout(AT_ONCE, store.hold(vec![channels[5].id()], Purpose::Chain));
    drop(chain.await.unwrap().unwrap());
    held.pop();
    drop(timeout(AT_ONCE, fifth).await.unwrap().unwrap());
}

/// Who asks for accounts and does not wait for them is in nobody's way.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_nobody_waits_for_is_let_go() {
    let (database, mut channel) = filled().await;
    let [store, other] = [open(&database).await, open(&database).await];
    let held = other.hold(vec![channel.id()], Purpose::Sale).await.unwrap();
    for _ in 0..6 {
        let asking = store.hold(vec![channel.id()], Purpose::Sale);
        assert!(timeout(MOMENT / 10, asking).await.is_err());
    }
    held.hold.commit(batch([channel.touch()])).await.unwrap();
    commit(&other, batch([channel.touch()])).await.unwrap();
    assert_eq!(
        store.hold(vec![channel.id()], Purpose::Sale).await.unwrap().rows,
        [channel.row()]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lead_is_given_back_at_the_end() {
    let (database, _) = filled().await;
    let [leader, other] = [open(&database).await, open(&database).await];
    leader.bid(Bid::Resign).await.unwrap();
    let led = leader.bid(Bid::Lead(Word::default())).await.unwrap();
    assert!(led.is_ours && !other.bid(Bid::Lead(Word::default())).await.unwrap().is_ours);
    drop(leader);
    sleep(MOMENT).await;
    let taken = other.bid(Bid::Lead(Word::default())).await.unwrap();
    assert!(taken.is_ours && taken.fence > led.fence);
}

/// The leader renews its lead while it writes; who takes it over waits until that is written.
#[tokio::test(flavor = "multi_thread")]
async fn the_lead_changes_between_two_batches_of_the_chain() {
    let database = server().database();
    let [leader, other] = [open(&database).await, open(&database).await];
    leader.bid(Bid::Lead(Word::default())).await.unwrap();
    let blocker = raw(&database).await;
    blocker.batch_execute("BEGIN; LOCK TABLE blocks").await.unwrap();
    let ticket = leader.commit(head(1)).unwrap();
    until_held_up(&database).await;
    let renewed = timeout(AT_ONCE, leader.bid(Bid::Lead(Word::default())))
        .await
        .unwrap();
    assert!(renewed.unwrap().is_ours);
    server().sql(&database.name, "UPDATE lease SET expires = now()");
    let mut taking = Box::pin(other.bid(Bid::Lead(Word::default())));
    assert!(timeout(MOMENT, &mut taking).await.is_err());
    blocker.batch_execute("ROLLBACK").await.unwrap();
    ticket.await.unwrap();
    assert!(taking.await.unwrap().is_ours);
    let refused = commit(&leader, head(2)).await;
    assert!(matches!(refused, Err(StoreError::NotLeading)), "{refused:?}");
}

/// The leader dies, and with it the server that wrote the lead: the clock of the one that takes over is an hour late.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_back_keeps_no_dead_leader() {
    let database = server().database();
    let [leader, other] = [open(&database).await, open(&database).await];
    let word = Word {
        node_age: Some(Duration::ZERO),
        ..Word::default()
    };
    leader.bid(Bid::Lead(word)).await.unwrap();
    server().sql(
        &database.name,
        "UPDATE lease SET expires = expires + interval '1h', node_seen = node_seen + interval '1h'",
    );
    other.bid(Bid::Look).await.unwrap();
    // Whoever lives says so, and keeps the lead.
    for _ in 0..6 {
        sleep(Duration::from_secs(1)).await;
        assert!(leader.bid(Bid::Lead(word)).await.unwrap().is_ours);
        assert!(!other.bid(Bid::Lead(Word::default())).await.unwrap().is_ours);
    }
    server().sql(
        &database.name,
        "UPDATE lease SET expires = expires + interval '1h', node_seen = node_seen + interval '1h'",
    );
    other.bid(Bid::Look).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    let found = other.bid(Bid::Look).await.unwrap();
    assert!(found.is_held && !found.is_ours);
    let age = found.word.unwrap().node_age.unwrap();
    assert!(
        age >= Duration::from_secs(3),
        "nobody has seen the node since: {age:?}"
    );
    sleep(Duration::from_millis(2100)).await;
    let taken = other.bid(Bid::Lead(Word::default())).await.unwrap();
    assert!(taken.is_ours && taken.fence > found.fence);
    assert!(!leader.bid(Bid::Lead(word)).await.unwrap().is_ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bid_waits_for_nothing_else() {
    let (database, mut channel) = filled().await;
    let store = Arc::new(open(&database).await);
    store.load().await.unwrap();
    store.bid(Bid::Look).await.unwrap();
    let blocker = raw(&database).await;
    blocker.batch_execute("BEGIN; LOCK TABLE accounts").await.unwrap();
    let ticket = hand_in(&store, channel.touch());
    let mut changes = Box::pin(store.changes(Reading::Changed));
    assert!(timeout(MOMENT, &mut changes).await.is_err());
    timeout(AT_ONCE, store.bid(Bid::Lead(Word::default())))
        .await
        .unwrap()
        .unwrap();
    blocker.batch_execute("ROLLBACK").await.unwrap();
    changes.await.unwrap();
    ticket.await.unwrap();
}

/// A server that takes over may lack transactions, and count from an earlier one: everything is told again.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_the_server_everything_is_told() {
    let server = own_server();
    let database = server.database();
    let store = open(&database).await;
    let mut channel = Channel::new(1);
    commit(&store, batch([channel.open(7)])).await.unwrap();
    store.load().await.unwrap();
    store.changes(Reading::Changed).await.unwrap();
    // Nobody writes: the transactions that were read are long over.
    server.sql(&database.name, "SELECT pg_current_xact_id()");
    assert_eq!(store.changes(Reading::Changed).await.unwrap().accounts, []);
    tokio::task::block_in_place(|| server.restart());
    until_back(&store).await;
    let told = store.changes(Reading::Changed).await.unwrap();
    assert_eq!(told.accounts, [channel.row()]);
    assert_eq!(store.changes(Reading::Changed).await.unwrap().accounts, []);
}
