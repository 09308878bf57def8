//! The stores that are tried. Another one is a function here, and a line where each suite is run.

#![allow(clippy::unwrap_used, reason = "a test")]

use crate::channels::{binding, runtime, wait};
use microraiden_store::{
    Bid, ChannelStore, LEASE, MemoryStore, PostgresStore, SharedStore, SqliteStore, Word,
};
use microraiden_test_postgres::{Options, Server};
use std::sync::{Arc, OnceLock};

/// Makes so many instances that share a new, empty state.
pub(crate) type Open = fn(usize) -> Vec<Arc<dyn SharedStore>>;

pub(crate) fn in_memory(check: impl FnOnce(&dyn ChannelStore)) {
    check(&MemoryStore::new(binding()));
}

pub(crate) fn in_sqlite(check: impl FnOnce(&dyn ChannelStore)) {
    let folder = tempfile::tempdir().unwrap();
    check(&SqliteStore::open(&folder.path().join("state"), binding()).unwrap());
}

/// One instance, which leads for as long as it takes.
pub(crate) fn in_one_of(open: Open, check: impl FnOnce(&dyn ChannelStore)) {
    let store = open(1).remove(0);
    let bid = Bid::Lead(Word::default());
    assert!(wait(store.bid(bid)).unwrap().is_ours);
    let leading = store.clone();
    let leader = runtime().spawn(async move {
        loop {
            tokio::time::sleep(LEASE / 10).await;
            assert!(leading.bid(bid).await.unwrap().is_ours);
        }
    });
    check(&*store);
    leader.abort();
}

pub(crate) fn memory_instances(count: usize) -> Vec<Arc<dyn SharedStore>> {
    let store = Arc::new(MemoryStore::new(binding()));
    let instances = (0..count).map(|_| Arc::new(store.instance()));
    instances.map(|instance| instance.shared().unwrap()).collect()
}

pub(crate) fn in_postgres(count: usize) -> Vec<Arc<dyn SharedStore>> {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        Server::start(Options {
            fsync: false,
            ..Options::default()
        })
    });
    let database = server.database();
    let instance = |_| {
        let store = wait(PostgresStore::connect(&database.url, binding())).unwrap();
        Arc::new(store).shared().unwrap()
    };
    (0..count).map(instance).collect()
}
