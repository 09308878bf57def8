//! A database that was replaced by one that lacks the last payments.

use crate::world::{World, quick, until};
use microraiden_store::{
    Batch, Bid, BoxFuture, Changes, ChannelStore, Held, Leadership, MemoryInstance, Purpose, Reading,
    SharedStore, Snapshot, StoreError, Ticket,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::timeout;

/// One of two stores, first the one, then the other.
struct Failover {
    both: [MemoryInstance; 2],
    now: Mutex<usize>,
}

impl Failover {
    fn now(&self) -> &MemoryInstance {
        &self.both[*self.now.lock().unwrap()]
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
        // Whatever was told before, what was lost is found by who sells.
        Box::pin(async { Ok(Changes::default()) })
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
    let failover = Arc::new(Failover {
        both: [first.instance(), second.instance()],
        now: Mutex::new(0),
    });
    let (here, channel) = world.selling(failover.clone(), 100).await;
    let permit = world.pay(&here, channel, 70, 70).await.unwrap();

    let there = world.manager(Arc::new(second.instance()), quick()).await;
    world.seen(&there).await;
    for balance in [5, 10, 15] {
        world.buy(&there, channel, balance, 5).await;
    }
    *failover.now.lock().unwrap() = 1;
    assert_eq!(permit.release().await.cost, 70.into(), "it stays spent");
    until("the channel sells on", async || {
        let paid = world.pay(&here, channel, 20, 5);
        let paid = timeout(Duration::from_secs(5), paid).await;
        paid.expect("somebody sees to those who wait").is_ok()
    })
    .await;
}
