//! The same runs with a real PostgreSQL beside the memory: it takes every batch that was stored, in that order, and what
//! a program loads must be what is in it.
//!
//! Time stands still in the run while the database works: it has a runtime and threads of its own.

use microraiden_protocol::ledger::Account;
use microraiden_store::{
    Batch, Bid, Binding, ChannelStore, LEASE, PostgresStore, SharedStore, Snapshot, StoreError, Word,
};
use microraiden_test_postgres::Server;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Instant;
use tokio::runtime::Runtime;

thread_local! {
    static SERVER: RefCell<Option<Arc<(Server, Runtime)>>> = const { RefCell::new(None) };
}

/// Has the runs on this thread of the system use a server.
#[allow(dead_code, reason = "what finds planted mistakes needs no database")]
pub(crate) fn use_server(server: Server) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    SERVER.set(Some(Arc::new((server, runtime))));
}

/// A database that has what the memory has.
pub(crate) struct Mirror {
    server: Arc<(Server, Runtime)>,
    store: Arc<PostgresStore>,
    /// When it last bid for the lead, without which nothing about the chain is taken.
    bid: Option<Instant>,
}

impl Mirror {
    /// An empty one, if this thread is to use one.
    pub(crate) fn new(binding: Binding) -> Option<Self> {
        let server = SERVER.with_borrow(Clone::clone)?;
        let url = server.0.database().url;
        let store = wait(&server, async move {
            PostgresStore::connect(&url, binding).await.unwrap()
        });
        Some(Self {
            server,
            store: Arc::new(store),
            bid: None,
        })
    }

    /// Takes a batch that the memory has taken.
    pub(crate) fn write(&mut self, batch: Batch) -> Result<(), StoreError> {
        let bids = batch.chain.is_some() && self.bid.is_none_or(|at| at.elapsed() > LEASE / 2);
        let store = self.store.clone();
        if bids {
            self.bid = Some(Instant::now());
        }
        wait(&self.server, async move {
            if bids {
                assert!(store.bid(Bid::Lead(Word::default())).await?.is_ours);
            }
            store.commit(batch)?.await
        })
    }

    /// What a program loads, which must be what the memory has.
    pub(crate) fn load(&self, expected: Snapshot) -> Snapshot {
        let store = self.store.clone();
        let loaded = wait(&self.server, async move { store.load().await.unwrap() });
        assert_eq!(sorted(loaded.clone()), sorted(expected));
        loaded
    }
}

/// Waits for something that happens on the database's runtime.
fn wait<T: Send + 'static>(
    server: &Arc<(Server, Runtime)>,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let (done, answer) = channel();
    server.1.spawn(async move { done.send(work.await) });
    answer.recv().unwrap()
}

fn sorted(mut snapshot: Snapshot) -> Snapshot {
    snapshot
        .accounts
        .sort_by_key(|account: &Account| *account.channel());
    snapshot.tasks.sort_by_key(|task| (task.channel, task.kind));
    snapshot.halts.sort_by_key(|halt| halt.kind);
    snapshot
}
