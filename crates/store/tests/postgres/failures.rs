//! Servers and networks that fail, and what the store says of its batches then.

#![allow(clippy::unwrap_used, reason = "a test")]

use super::proxy::Proxy;
use super::{commit, filled, hand_in, open, own_server, raw, rows, server, until_back, until_held_up};
use crate::channels::{Channel, batch, binding, head};
use microraiden_protocol::ledger::AccountRow;
use microraiden_store::{Bid, ChannelStore, PostgresStore, Purpose, Reading, SharedStore, StoreError, Word};
use microraiden_test_postgres::{Options, Server};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How many batches wait at any time.
const IN_FLIGHT: usize = 64;

/// What became of each version that was handed in.
#[derive(Default)]
struct Told(Vec<(AccountRow, Result<(), StoreError>)>);

/// Hands in change after change of all channels, until the store is away.
async fn commit_on_and_on(
    store: &PostgresStore,
    channels: &mut [Channel],
    durable: &tokio::sync::Semaphore,
) -> Told {
    let mut waiting = VecDeque::new();
    let mut told = Told::default();
    let mut is_away = false;
    for at in (0..channels.len()).cycle() {
        // Some change the line alone, and some more.
        let next = match told.0.len() % 3 {
            0 => channels[at].observe(crate::channels::open_facts(told.0.len() as u64 + 1_000_000)),
            _ => channels[at].touch(),
        };
        let row = next.after().row().clone();
        match store.commit(batch([next])) {
            Ok(ticket) => waiting.push_back((row, ticket)),
            Err(refused) => {
                told.0.push((row, Err(refused)));
                is_away = true;
            }
        }
        while waiting.len() >= IN_FLIGHT || is_away {
            let Some((row, ticket)) = waiting.pop_front() else {
                return told;
            };
            let outcome = ticket.await;
            match &outcome {
                Ok(()) => durable.add_permits(1),
                Err(_) => is_away = true,
            }
            told.0.push((row, outcome));
        }
    }
    told
}

/// Every version that was told to be durable is there, and none that was told not to be.
fn assert_true(told: &Told, stored: &BTreeMap<microraiden_protocol::ChannelId, AccountRow>) {
    for (row, outcome) in &told.0 {
        let found = &stored[&row.channel];
        let is_there = row.version.number <= found.version.number;
        match outcome {
            Ok(()) => assert!(is_there, "lost: {:?}, there is {:?}", row.version, found.version),
            Err(StoreError::Away { .. } | StoreError::Conflict { .. }) => {
                assert!(
                    !is_there,
                    "there all the same: {:?}, {:?}",
                    row.version, found.version
                );
            }
            Err(StoreError::Unknown { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
        if row.version == found.version {
            assert_eq!(row, found);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_nothing_acknowledged() {
    let server = Arc::new(Server::start(Options::default()));
    let database = server.database();
    let store = Arc::new(open(&database).await);
    let mut channels: Vec<_> = (1..=20).map(Channel::new).collect();
    for channel in &mut channels {
        commit(&store, batch([channel.open(7)])).await.unwrap();
    }
    let mut unknown = 0;
    for acknowledged in [1, 100, 500, 1000] {
        let durable = Arc::new(tokio::sync::Semaphore::new(0));
        let killing = {
            let (server, durable) = (server.clone(), durable.clone());
            tokio::spawn(async move {
                durable.acquire_many(acknowledged).await.unwrap().forget();
                tokio::task::spawn_blocking(move || server.kill()).await.unwrap();
            })
        };
        let told = commit_on_and_on(&store, &mut channels, &durable).await;
        killing.await.unwrap();
        let refused = store.commit(batch([channels[0].touch()]));
        assert!(matches!(refused, Err(StoreError::Away { .. })));
        assert!(matches!(store.load().await, Err(StoreError::Away { .. })));
        let restarting = server.clone();
        tokio::task::spawn_blocking(move || restarting.restart())
            .await
            .unwrap();
        until_back(&store).await;
        let snapshot = store.load().await.unwrap();
        let stored = snapshot
            .accounts
            .iter()
            .map(|account| (*account.channel(), account.row().clone()));
        assert_true(&told, &stored.collect());
        unknown += told
            .0
            .iter()
            .filter(|(_, outcome)| matches!(outcome, Err(StoreError::Unknown { .. })))
            .count();
        channels.iter_mut().for_each(|channel| channel.resume(&snapshot));
        // And it goes on.
        for channel in &mut channels {
            commit(&store, batch([channel.touch()])).await.unwrap();
        }
    }
    assert!(unknown > 0, "no commit was in flight when the server was killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_given_up_and_taken_again() {
    let server = own_server();
    let database = server.database();
    let store = open(&database).await;
    let [mut first, mut second] = [1, 2].map(Channel::new);
    commit(&store, batch([first.open(7), second.open(7)]))
        .await
        .unwrap();
    let before = rows(&store).await;

    server.pause();
    let began = Instant::now();
    let in_flight = hand_in(&store, first.touch());
    sleep(Duration::from_secs(1)).await;
    let waits = hand_in(&store, second.touch());
    let holds = store.hold(vec![first.id()], Purpose::Sale);
    let (in_flight, waits, holds) = tokio::join!(in_flight, waits, holds);
    assert!(
        matches!(in_flight, Err(StoreError::Unknown { .. })),
        "{in_flight:?}"
    );
    assert!(matches!(waits, Err(StoreError::Away { .. })), "{waits:?}");
    assert!(matches!(holds.map(|_| ()), Err(StoreError::Away { .. })));
    let patience = began.elapsed();
    assert!(
        patience > Duration::from_secs(4) && patience < Duration::from_secs(8),
        "{patience:?}"
    );
    let asked = Instant::now();
    assert!(matches!(
        store.commit(batch([second.touch()])),
        Err(StoreError::Away { .. })
    ));
    assert!(asked.elapsed() < Duration::from_millis(100));

    server.resume();
    until_back(&store).await;
    let after = rows(&store).await;
    assert_eq!(after[&second.id()], before[&second.id()]);
    // What was in flight is decided.
    sleep(Duration::from_millis(500)).await;
    assert_eq!(rows(&store).await, after);
}

/// The server goes on with a statement whose sender is gone. It must not commit it after we have looked.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_statement_commits_nothing_later() {
    let (database, mut channel) = filled().await;
    let proxy = Proxy::to(server().port()).await;
    let far = database
        .url
        .replace(&format!(":{}/", server().port()), &format!(":{}/", proxy.port));
    let store = PostgresStore::connect(&far, binding()).await.unwrap();
    let stored = channel.row();

    let blocker = raw(&database).await;
    blocker
        .batch_execute("BEGIN; SELECT * FROM accounts FOR UPDATE")
        .await
        .unwrap();
    let in_flight = hand_in(&store, channel.touch());
    until_held_up(&database).await;
    proxy.cut();
    let outcome = in_flight.await;
    assert!(matches!(outcome, Err(StoreError::Unknown { .. })), "{outcome:?}");
    until_back(&store).await;
    blocker.batch_execute("ROLLBACK").await.unwrap();
    sleep(Duration::from_millis(500)).await;
    assert_eq!(rows(&store).await[&stored.channel], stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_back_after_its_sessions_were_ended() {
    let (database, mut channel) = filled().await;
    let store = open(&database).await;
    // One session of each kind.
    store.load().await.unwrap();
    store.bid(Bid::Lead(Word::default())).await.unwrap();
    drop(store.hold(vec![channel.id()], Purpose::Sale).await.unwrap());
    drop(store.hold(vec![channel.id()], Purpose::Chain).await.unwrap());
    store.changed().await;
    sleep(Duration::from_millis(200)).await;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE application_name = 'microraiden' AND datname = current_database()";
    assert_eq!(server().sql(&database.name, end), "5");
    // Whoever waits for news looks what it is.
    timeout(Duration::from_secs(5), store.changed()).await.unwrap();
    until_back(&store).await;
    store.changes(Reading::Changed).await.unwrap();
    assert!(store.bid(Bid::Look).await.unwrap().is_ours);
    for purpose in [Purpose::Sale, Purpose::Chain] {
        let held = store.hold(vec![channel.id()], purpose).await.unwrap();
        held.hold.commit(batch([channel.touch()])).await.unwrap();
    }
    commit(&store, batch([channel.touch()])).await.unwrap();
    assert_eq!(rows(&store).await[&channel.id()], channel.row());
}

/// As after a failover to a server that is not the primary yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_reads_is_left_until_one_can_be_written_to() {
    let server = own_server();
    let database = server.database();
    let store = open(&database).await;
    let mut channel = Channel::new(1);
    commit(&store, batch([channel.open(7)])).await.unwrap();
    let set = |value: &str| {
        server.sql(
            "postgres",
            &format!("ALTER SYSTEM SET default_transaction_read_only = {value}"),
        );
        server.sql("postgres", "SELECT pg_reload_conf()");
    };
    set("on");
    sleep(Duration::from_millis(300)).await;
    let next = channel.touch();
    let refused = commit(&store, batch([next.clone()])).await;
    assert!(matches!(refused, Err(StoreError::Away { .. })), "{refused:?}");
    sleep(Duration::from_millis(500)).await;
    assert!(matches!(
        store.commit(batch([next.clone()])),
        Err(StoreError::Away { .. })
    ));
    set("off");
    until_back(&store).await;
    commit(&store, batch([next])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_takes_nothing_more() {
    let (database, mut channel) = filled().await;
    let store = open(&database).await;
    let before = channel.row().version.number;
    let blocker = raw(&database).await;
    blocker
        .batch_execute("BEGIN; LOCK TABLE accounts IN SHARE MODE")
        .await
        .unwrap();
    let mut tickets = Vec::new();
    let refused = loop {
        match store.commit(batch([channel.touch()])) {
            Ok(ticket) => tickets.push(ticket),
            Err(error) => break error,
        }
        assert!(tickets.len() < 10_000, "the queue has no end");
    };
    assert!(
        matches!(refused, StoreError::Busy) && refused.is_transient(),
        "{refused}"
    );
    blocker.batch_execute("ROLLBACK").await.unwrap();
    let taken = u64::try_from(tickets.len()).unwrap();
    for ticket in tickets {
        ticket.await.unwrap();
    }
    // The refused one is not there, and the store goes on without it.
    let snapshot = store.load().await.unwrap();
    channel.resume(&snapshot);
    assert_eq!(channel.row().version.number, before + taken);
    commit(&store, batch([channel.touch()])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_store_finishes_what_was_handed_in() {
    let (database, mut channel) = filled().await;
    let store = open(&database).await;
    let mut other = Channel::new(2);
    commit(&store, batch([other.open(7)])).await.unwrap();
    let held = store.hold(vec![other.id()], Purpose::Sale).await.unwrap();
    let mut tickets = vec![held.hold.commit(batch([other.touch()]))];
    tickets.extend((0..1000).map(|_| hand_in(&store, channel.touch())));
    drop(store);
    for ticket in tickets {
        ticket.await.unwrap();
    }
    let stored = rows(&open(&database).await).await;
    assert_eq!(stored[&channel.id()], channel.row());
    assert_eq!(stored[&other.id()], other.row());
}

/// A server that takes over may lack the last blocks, while the lease there says that all is as it was: what comes on top
/// would hide that.
#[tokio::test]
async fn a_term_does_not_go_on_at_another_server() {
    let server = own_server();
    let database = server.database();
    let store = open(&database).await;
    let until_leading = async || {
        let began = Instant::now();
        loop {
            let bid = store.bid(Bid::Lead(Word::default())).await;
            if bid.is_ok_and(|leadership| leadership.is_ours) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "it does not lead");
            sleep(Duration::from_millis(10)).await;
        }
    };
    until_leading().await;
    commit(&store, head(1)).await.unwrap();
    server.copy();
    until_back(&store).await;
    until_leading().await;
    commit(&store, head(2)).await.unwrap();
    server.fail_over();
    until_back(&store).await;
    let refused = commit(&store, head(3)).await;
    assert!(matches!(refused, Err(StoreError::NotLeading)), "{refused:?}");
    let blocks = |snapshot: microraiden_store::Snapshot| snapshot.blocks.len();
    assert_eq!(blocks(store.load().await.unwrap()), 1);
    // The first bid there ends the term, whatever the lease says.
    let first = store.bid(Bid::Lead(Word::default())).await.unwrap();
    assert!(!first.is_ours, "{first:?}");
    until_leading().await;
    commit(&store, head(2)).await.unwrap();
}
