//! A database that was replaced by one that lacks the last payments.

use crate::world::{World, quick, stays, until};
use microraiden_manager::Unavailable;
use microraiden_protocol::BlockNumber;
use microraiden_protocol::ledger::Refusal;
use microraiden_store::{
    Batch, Bid, BoxFuture, Changes, ChannelStore, Halt, HaltChange, HaltKind, Held, Leadership,
    MemoryInstance, MemoryStore, Purpose, Reading, SharedStore, Snapshot, StoreError, Ticket, Word,
};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::timeout;

/// One of two stores, first the one, then the other.
struct Failover {
    both: [MemoryInstance; 2],
    now: Mutex<usize>,
    /// What is read of what others wrote.
    changes: Mutex<Told>,
    /// How often that was read.
    readings: AtomicU32,
}

/// What is told of changes.
enum Told {
    /// Nothing: what was lost is found by who sells.
    Nothing,
    /// All that there is.
    All,
    /// The same again and again.
    Late(Changes),
}

impl Failover {
    fn new(first: &Arc<MemoryStore>, second: &Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self {
            both: [first.instance(), second.instance()],
            now: Mutex::new(0),
            changes: Mutex::new(Told::Nothing),
            readings: AtomicU32::new(0),
        })
    }

    fn now(&self) -> &MemoryInstance {
        &self.both[*self.now.lock().unwrap()]
    }

    /// The second takes over.
    fn fail_over(&self, told: Told) {
        *self.changes.lock().unwrap() = told;
        *self.now.lock().unwrap() = 1;
    }

    fn tell(&self, told: Told) {
        *self.changes.lock().unwrap() = told;
    }
}

async fn everything(store: &dyn ChannelStore) -> Changes {
    let snapshot = store.load().await.unwrap();
    Changes {
        accounts: snapshot
            .accounts
            .iter()
            .map(|account| account.row().clone())
            .collect(),
        is_all: true,
        tasks: Some(snapshot.tasks),
        halts: Some(snapshot.halts),
    }
}

impl ChannelStore for Failover {
    fn load(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        self.now().load()
    }

    fn commit(&self, batch: Batch) -> Result<Ticket, StoreError> {
        self.now().commit(batch)
    }

    fn shared(self: Arc<Self>) -> Option<Arc<dyn SharedStore>> {
        Some(self)
    }
}

impl SharedStore for Failover {
    fn hold(
        &self,
        channels: Vec<microraiden_protocol::ChannelId>,
        purpose: Purpose,
    ) -> BoxFuture<'_, Result<Held, StoreError>> {
        self.now().hold(channels, purpose)
    }

    fn changes(&self, _: Reading) -> BoxFuture<'_, Result<Changes, StoreError>> {
        Box::pin(async {
            self.readings.fetch_add(1, Ordering::Relaxed);
            let told = match &*self.changes.lock().unwrap() {
                Told::Nothing => Some(Changes::default()),
                Told::Late(changes) => Some(changes.clone()),
                Told::All => None,
            };
            match told {
                Some(changes) => Ok(changes),
                None => Ok(everything(self.now()).await),
            }
        })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        self.now().changed()
    }

    fn bid(&self, bid: Bid) -> BoxFuture<'_, Result<Leadership, StoreError>> {
        self.now().bid(bid)
    }
}

/// What is in flight is not given back where it was lost: others may have sold the same since.
#[tokio::test]
async fn a_payment_that_the_store_has_lost_is_not_released() {
    let world = World::start().await;
    let (first, second) = (world.memory(), world.memory());
    let failover = Failover::new(&first, &second);
    let (here, channel) = world.selling(failover.clone(), 100).await;
    let permit = world.pay(&here, channel, 70, 70).await.unwrap();

    let there = world.manager(Arc::new(second.instance()), quick()).await;
    world.seen(&there).await;
    for balance in [5, 10, 15] {
        world.buy(&there, channel, balance, 5).await;
    }
    failover.fail_over(Told::Nothing);
    assert_eq!(permit.release().await.cost, 70.into(), "it stays spent");
    until("the channel sells on", async || {
        let paid = world.pay(&here, channel, 20, 5);
        let paid = timeout(Duration::from_secs(5), paid).await;
        paid.expect("somebody sees to those who wait").is_ok()
    })
    .await;
}

/// Whoever remembers more stops, and nobody sells on what there is.
async fn goes_back(sold_since: &[u64]) {
    let world = World::start().await;
    let (first, second) = (world.memory(), world.memory());
    let failover = Failover::new(&first, &second);
    let (here, channel) = world.selling(failover.clone(), 100).await;
    let there = world.manager(Arc::new(second.instance()), quick()).await;
    world.seen(&there).await;
    for balance in [5, 10] {
        world.buy(&here, channel, balance, 5).await;
    }
    for balance in sold_since {
        world.buy(&there, channel, *balance, 5).await;
    }
    failover.fail_over(Told::All);
    until("it is noticed", async || {
        here.readiness() == Err(Unavailable::StoreStopped)
    })
    .await;
    until("the others are told", async || {
        there.halts() == [HaltKind::Restored]
    })
    .await;
    assert_eq!(world.refusal(&there, channel, 50).await, Refusal::ClosingOnly);
    until("it is known which channels there are", async || {
        let [Halt { block, .. }] = second.load().await.unwrap().halts[..] else {
            panic!("it is stored");
        };
        block.is_some_and(|block| block >= BlockNumber(channel.open_block.into()))
    })
    .await;
    // It says so once: the operator may accept the risk.
    there.resume_selling().await.unwrap();
    stays("the selling is resumed", async || there.halts().is_empty()).await;
    let next = sold_since.last().map_or(5, |last| last + 5);
    world.buy(&there, channel, next, 5).await;
}

#[tokio::test]
async fn payments_that_are_lost_are_noticed() {
    goes_back(&[]).await;
}

/// As many versions of the account were written there since.
#[tokio::test]
async fn payments_in_the_place_of_those_that_are_lost_are_noticed() {
    goes_back(&[5, 10]).await;
}

/// Somebody else's payment is seen before it is known whether it is replicated: where it is gone, it may never have been
/// confirmed to anybody.
#[tokio::test]
async fn what_was_only_seen_is_not_missed() {
    let world = World::start().await;
    let (first, second) = (world.memory(), world.memory());
    let failover = Failover::new(&first, &second);
    let (there, channel) = world.selling(Arc::new(first.instance()), 100).await;
    let other = world.manager(Arc::new(second.instance()), quick()).await;
    world.seen(&other).await;
    failover.tell(Told::All);
    let here = world.manager(failover.clone(), quick()).await;
    world.buy(&there, channel, 5, 5).await;
    let known = async || here.channel(&channel).map(|shown| shown.balance) == Some(5.into());
    until("it has seen the payment", known).await;
    failover.fail_over(Told::All);
    until("it has seen that there is none", async || {
        here.channel(&channel).map(|shown| shown.balance) == Some(0.into())
    })
    .await;
    assert_eq!(here.readiness(), Ok(()));
    world.buy(&here, channel, 5, 5).await;
    assert!(here.halts().is_empty() && other.halts().is_empty());
}

#[tokio::test]
async fn a_channel_that_is_lost_is_noticed() {
    let world = World::start().await;
    let (first, second) = (world.memory(), world.memory());
    let failover = Failover::new(&first, &second);
    let (here, channel) = world.selling(failover.clone(), 100).await;
    world.buy(&here, channel, 5, 5).await;
    failover.fail_over(Told::All);
    until("it is noticed", async || {
        here.readiness() == Err(Unavailable::StoreStopped)
    })
    .await;
    until("it is told", async || {
        !second.load().await.unwrap().halts.is_empty()
    })
    .await;
    drop(here);

    let again = world.manager(Arc::new(second.instance()), quick()).await;
    world.seen(&again).await;
    assert_eq!(world.refusal(&again, channel, 5).await, Refusal::ClosingOnly);
}

/// What was read before the last payments is no loss.
#[tokio::test]
async fn what_is_read_late_is_not_taken_for_a_loss() {
    let world = World::start().await;
    let store = world.memory();
    let failover = Failover::new(&store, &store);
    let (here, channel) = world.selling(failover.clone(), 10_000).await;
    world.buy(&here, channel, 5, 5).await;
    let before = everything(&*store).await;
    world.buy(&here, channel, 10, 5).await;
    let none = Changes {
        accounts: Vec::new(),
        ..before.clone()
    };
    let mut balance = 10;
    for late in [before, none] {
        failover.tell(Told::Late(late));
        let readings = || failover.readings.load(Ordering::Relaxed);
        let before = readings();
        while readings() < before + 3 {
            balance += 5;
            world.buy(&here, channel, balance, 5).await;
            assert_eq!(here.readiness(), Ok(()));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Who begins to lead knows what is stored, whatever it has heard.
#[tokio::test]
async fn a_new_leader_reads_what_it_was_not_told_of() {
    let world = World::start().await;
    let store = world.memory();
    let leader = store.instance();
    assert!(leader.bid(Bid::Lead(Word::default())).await.unwrap().is_ours);
    let deaf = world.manager(Failover::new(&store, &store), quick()).await;
    let halt = HaltChange::Set(Halt {
        kind: HaltKind::Reorganised,
        block: Some(BlockNumber(1)),
    });
    let batch = Batch {
        halts: vec![halt],
        ..Batch::default()
    };
    leader.commit(batch).unwrap().await.unwrap();
    stays("it has heard nothing", async || deaf.halts().is_empty()).await;
    leader.bid(Bid::Resign).await.unwrap();
    until("it knows", async || deaf.halts() == [HaltKind::Reorganised]).await;
}
