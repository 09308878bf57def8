//! What PostgreSQL alone does: the way in, tables, instances that meet, and failures.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../channels/mod.rs"]
mod channels;
mod connecting;
mod failures;
mod meeting;
mod proxy;
mod tables;

use channels::{Channel, batch, binding, block, event};
use microraiden_protocol::ledger::AccountRow;
use microraiden_protocol::{BlockNumber, ChainUpdate, ChannelChange, ChannelId};
use microraiden_store::{
    Batch, Bid, ChannelStore, Halt, HaltChange, HaltKind, PostgresStore, SharedStore, StoreError, Task,
    TaskChange, TaskKind, Ticket, Word,
};
use microraiden_test_postgres::{Database, Options, Server};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A server that nobody stops.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(Options::default()))
}

/// A server of one test's own, to be stopped; it does not wait for its disk.
fn own_server() -> Server {
    Server::start(Options {
        fsync: false,
        ..Options::default()
    })
}

async fn open(database: &Database) -> PostgresStore {
    PostgresStore::connect(&database.url, binding()).await.unwrap()
}

/// Hands transitions in, each by itself.
fn hand_in(store: &PostgresStore, transition: microraiden_protocol::ledger::Transition) -> Ticket {
    store.commit(batch([transition])).unwrap()
}

async fn commit(store: &PostgresStore, batch: Batch) -> Result<(), StoreError> {
    store.commit(batch)?.await
}

async fn rows(store: &PostgresStore) -> BTreeMap<ChannelId, AccountRow> {
    let accounts = store.load().await.unwrap().accounts.into_iter();
    accounts
        .map(|account| (*account.channel(), account.row().clone()))
        .collect()
}

/// Waits for the store to come back; gives how long that took.
async fn until_back(store: &PostgresStore) -> Duration {
    let began = Instant::now();
    while let Err(error) = commit(store, Batch::default()).await {
        assert!(matches!(error, StoreError::Away { .. }), "{error:?}");
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "it does not come back: {error:?}"
        );
        sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

/// A database with one account, one event, one block, one task and one halt.
async fn filled() -> (Database, Channel) {
    let database = server().database();
    let store = open(&database).await;
    let mut channel = Channel::new(1);
    let deposit = 100.into();
    store.bid(Bid::Lead(Word::default())).await.unwrap();
    let everything = Batch {
        transitions: vec![channel.open(deposit), channel.pay(20, 5), channel.pay(50, 10)],
        chain: Some(ChainUpdate {
            blocks: vec![block(5)],
            events: vec![event(channel.id(), 5, 0, ChannelChange::Created { deposit })],
            rewind_to: None,
        }),
        tasks: vec![TaskChange::Put(Task {
            channel: channel.id(),
            kind: TaskKind::Dispute,
            transaction: None,
            not_before: BlockNumber(7),
        })],
        halts: vec![HaltChange::Set(Halt {
            kind: HaltKind::Restored,
            block: None,
        })],
    };
    commit(&store, everything).await.unwrap();
    (database, channel)
}

/// A connection for statements that no store makes.
async fn raw(database: &Database) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&database.url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

/// Waits until a session is held up by another's locks.
async fn until_held_up(database: &Database) {
    let began = Instant::now();
    let held_up = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while server().sql(&database.name, held_up) == "0" {
        assert!(began.elapsed() < Duration::from_secs(2), "nobody is held up");
        sleep(Duration::from_millis(10)).await;
    }
}
