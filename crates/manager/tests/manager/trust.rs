//! What is decided on trust, while the store keeps one waiting or its answer is lost.

use crate::world::{World, quick, stays, until};
use microraiden_manager::{Denied, Unavailable};
use microraiden_protocol::ChannelId;
use microraiden_protocol::ledger::{Promise, Refusal};
use microraiden_store::{
    Batch, Bid, BoxFuture, Changes, ChannelStore, Held, Hold, Leadership, MemoryInstance, MemoryStore,
    Purpose, Reading, SharedStore, Snapshot, StoreError, Ticket,
};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::{oneshot, watch};

/// A store whose holds can be made to wait, and the answer to one of its batches to be lost.
struct Gate {
    me: Weak<Self>,
    inside: MemoryInstance,
    /// Whether accounts can be held now.
    opens: watch::Sender<bool>,
    /// How many wait for that.
    waiting: AtomicU32,
    /// Whether customers' holds are answered by what there was before they waited.
    is_late: AtomicBool,
    /// Whether what is held for the chain is written now.
    writes: watch::Sender<bool>,
    /// How many batches wait for that.
    unwritten: AtomicU32,
    /// Whether another one leads, and how many batches were refused since.
    is_deposed: AtomicBool,
    refused: AtomicU32,
    /// How many batches with transitions were handed in.
    handed: AtomicU32,
    /// What becomes of the next one of them.
    next: Mutex<Option<Lost>>,
}

/// A batch whose answer is lost.
struct Lost {
    is_stored: bool,
    /// When that is noticed.
    noticed: oneshot::Receiver<()>,
}

impl Gate {
    fn new(store: &Arc<MemoryStore>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            inside: store.instance(),
            opens: watch::Sender::new(true),
            waiting: AtomicU32::new(0),
            is_late: AtomicBool::new(false),
            writes: watch::Sender::new(true),
            unwritten: AtomicU32::new(0),
            is_deposed: AtomicBool::new(false),
            refused: AtomicU32::new(0),
            handed: AtomicU32::new(0),
            next: Mutex::default(),
        })
    }

    /// The answer to the next batch will be lost, which is noticed when what this gives is used or dropped.
    fn lose_next(&self, is_stored: bool) -> oneshot::Sender<()> {
        let (notice, noticed) = oneshot::channel();
        *self.next.lock().unwrap() = Some(Lost { is_stored, noticed });
        notice
    }

    fn handed(&self) -> u32 {
        self.handed.load(Ordering::Relaxed)
    }
}

impl ChannelStore for Gate {
    fn load(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        self.inside.load()
    }

    fn commit(&self, batch: Batch) -> Result<Ticket, StoreError> {
        if batch.transitions.is_empty() {
            return self.inside.commit(batch);
        }
        self.handed.fetch_add(1, Ordering::Relaxed);
        let Some(Lost { is_stored, noticed }) = self.next.lock().unwrap().take() else {
            return self.inside.commit(batch);
        };
        if is_stored {
            drop(self.inside.commit(batch)?);
        }
        let (answer, ticket) = oneshot::channel();
        tokio::spawn(async move {
            let _ = noticed.await;
            let cause = Arc::new(io::Error::other("the connection broke"));
            let _ = answer.send(Err(StoreError::Unknown { cause }));
        });
        Ok(ticket.into())
    }

    fn shared(self: Arc<Self>) -> Option<Arc<dyn SharedStore>> {
        Some(self)
    }
}

impl SharedStore for Gate {
    fn hold(&self, channels: Vec<ChannelId>, purpose: Purpose) -> BoxFuture<'_, Result<Held, StoreError>> {
        Box::pin(async move {
            if purpose == Purpose::Chain {
                let Held { rows, hold } = self.inside.hold(channels, purpose).await?;
                let gate = self.me.upgrade().unwrap();
                let hold = Box::new(ChainHold { gate, hold });
                return Ok(Held { rows, hold });
            }
            let mut before = self.inside.load().await?.accounts;
            before.retain(|account| channels.contains(account.channel()));
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let mut opens = self.opens.subscribe();
            opens.wait_for(|opens| *opens).await.unwrap();
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            let mut held = self.inside.hold(channels, purpose).await?;
            if self.is_late.load(Ordering::Relaxed) {
                held.rows = before.iter().map(|account| account.row().clone()).collect();
            }
            Ok(held)
        })
    }

    fn changes(&self, reading: Reading) -> BoxFuture<'_, Result<Changes, StoreError>> {
        self.inside.changes(reading)
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        self.inside.changed()
    }

    fn bid(&self, bid: Bid) -> BoxFuture<'_, Result<Leadership, StoreError>> {
        if self.is_deposed.load(Ordering::Relaxed) {
            let another = Leadership {
                is_held: true,
                ..Leadership::default()
            };
            return Box::pin(async move { Ok(another) });
        }
        self.inside.bid(bid)
    }
}

/// What is held for the chain.
struct ChainHold {
    gate: Arc<Gate>,
    hold: Box<dyn Hold>,
}

impl Hold for ChainHold {
    fn commit(self: Box<Self>, batch: Batch) -> Ticket {
        let Self { gate, hold } = *self;
        let (answer, ticket) = oneshot::channel();
        if gate.is_deposed.load(Ordering::Relaxed) {
            gate.refused.fetch_add(1, Ordering::Relaxed);
            drop(hold);
            answer.send(Err(StoreError::NotLeading)).unwrap();
            return ticket.into();
        }
        gate.unwritten.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let mut writes = gate.writes.subscribe();
            writes.wait_for(|writes| *writes).await.unwrap();
            gate.unwritten.fetch_sub(1, Ordering::Relaxed);
            let _ = answer.send(hold.commit(batch).await);
        });
        ticket.into()
    }
}

/// What was released may have been sold by another one when that is noticed.
#[tokio::test]
async fn a_release_whose_outcome_is_unknown_is_not_decided_again() {
    let world = World::start().await;
    let store = world.memory();
    let gate = Gate::new(&store);
    let (here, channel) = world.selling(gate.clone(), 100).await;
    let there = world.manager(Arc::new(store.instance()), quick()).await;
    world.seen(&there).await;
    let permit = world.pay(&here, channel, 10, 10).await.unwrap();
    let notice = gate.lose_next(true);
    gate.opens.send_replace(false);
    let releasing = tokio::spawn(permit.release());
    until(
        "the release is stored, and the same proof buys again",
        async || {
            let bought = world.pay(&there, channel, 10, 10).await;
            bought.map(|permit| permit.charge()).is_ok()
        },
    )
    .await;
    drop(notice);
    gate.opens.send_replace(true);
    assert_eq!(releasing.await.unwrap().cost, 10.into());
    stays("it buys no more", async || {
        let refused = Denied::Refused(Refusal::AlreadySpent, None);
        let said = |denied| match denied {
            Denied::Refused(refusal, _) => Denied::Refused(refusal, None),
            other => other,
        };
        let there = world.pay(&there, channel, 10, 10).await.unwrap_err();
        let here = world.pay(&here, channel, 10, 10).await.unwrap_err();
        said(there) == refused && said(here) == refused
    })
    .await;
}

/// What is handed in while an account is about to be read would not be in what is read.
#[tokio::test]
async fn nothing_is_decided_on_trust_while_an_account_is_being_held() {
    let world = World::start().await;
    let gate = Gate::new(&world.memory());
    let (here, channel) = world.selling(gate.clone(), 100).await;
    world.buy(&here, channel, 5, 5).await;
    gate.opens.send_replace(false);
    let again = world.offer(channel, 5, crate::world::stated(5));
    let manager = here.clone();
    let refused = tokio::spawn(async move { manager.pay(again, 5.into()).await });
    until("the account is about to be held", async || {
        gate.waiting.load(Ordering::Relaxed) > 0
    })
    .await;
    let before = gate.handed();
    let next = world.offer(channel, 10, crate::world::stated(5));
    let manager = here.clone();
    let paying = tokio::spawn(async move { manager.pay(next, 5.into()).await });
    stays("nothing is handed in", async || gate.handed() == before).await;
    gate.opens.send_replace(true);
    let denied = refused.await.unwrap().unwrap_err();
    assert!(
        matches!(denied, Denied::Refused(Refusal::AlreadySpent, _)),
        "{denied:?}"
    );
    assert_eq!(paying.await.unwrap().unwrap().charge().cost, 5.into());
}

/// A promise that was made a moment ago is in memory before it is stored, and may come to nothing.
#[tokio::test]
async fn a_close_is_signed_again_only_when_its_promise_is_stored() {
    let world = World::start().await;
    let store = world.memory();
    let gate = Gate::new(&store);
    let (here, channel) = world.selling(gate.clone(), 100).await;
    world.buy(&here, channel, 5, 5).await;
    let notice = gate.lose_next(false);
    let before = gate.handed();
    let request = world.close_request(channel, 5);
    let close = || {
        let manager = here.clone();
        tokio::spawn(async move { manager.close(request).await })
    };
    let first = close();
    until("the promise is handed in", async || gate.handed() > before).await;
    let second = close();
    let promise = async || crate::world::row(&*store, &channel).await.promise;
    stays("it is signed only with a promise", async || {
        !second.is_finished() || promise().await.is_some()
    })
    .await;
    drop(notice);
    let lost = first.await.unwrap().unwrap_err();
    assert_eq!(lost, Unavailable::StoreAway.into());
    second.await.unwrap().unwrap();
    let closing = promise()
        .await
        .as_ref()
        .and_then(Promise::closing)
        .map(|closing| closing.at);
    assert_eq!(closing, Some(5.into()));
}

/// A row that is not there locks nothing: it may be written, and that be known here, before the answer comes.
#[tokio::test]
async fn a_channel_that_was_begun_meanwhile_is_not_missed() {
    let world = World::start().await;
    let gate = Gate::new(&world.memory());
    let here = world.manager(gate.clone(), quick()).await;
    gate.writes.send_replace(false);
    let channel = world.open(100).await;
    until("the channel is begun", async || {
        gate.unwritten.load(Ordering::Relaxed) > 0
    })
    .await;
    gate.is_late.store(true, Ordering::Relaxed);
    gate.opens.send_replace(false);
    let (manager, request) = (here.clone(), world.close_request(channel, 5));
    let closing = tokio::spawn(async move { manager.close(request).await });
    until("somebody asks for it", async || {
        gate.waiting.load(Ordering::Relaxed) > 0
    })
    .await;
    gate.writes.send_replace(true);
    world.node.mine(1);
    world.seen(&here).await;
    gate.opens.send_replace(true);
    let refused = closing.await.unwrap().unwrap_err();
    assert_eq!(refused, Unavailable::Busy.into());
    assert_eq!(here.readiness(), Ok(()));
    gate.is_late.store(false, Ordering::Relaxed);
    world.buy(&here, channel, 5, 5).await;
    assert!(here.halts().is_empty());
}

/// What a leader has read and could not store, since another one leads, is not kept in memory.
#[tokio::test]
async fn what_a_deposed_leader_has_read_is_given_up() {
    let world = World::start().await;
    let gate = Gate::new(&world.memory());
    let (here, channel) = world.selling(gate.clone(), 100).await;
    let shown = || here.channel(&channel).map(|shown| shown.state);
    let before = shown();
    assert!(before.is_some());
    gate.is_deposed.store(true, Ordering::Relaxed);
    world.close_at(&channel, 0).await;
    until("what was read is refused", async || {
        gate.refused.load(Ordering::Relaxed) > 0
    })
    .await;
    until("it shows what is stored", async || shown() == before).await;
    stays("it shows what is stored", async || shown() == before).await;
}
