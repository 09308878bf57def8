//! How many payments a second: run with `--ignored --nocapture`.

use crate::world::{World, quick, spent, stated};
use microraiden_manager::{ChannelManager, Offer};
use microraiden_protocol::{Balance, ChannelId, Price};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::task::JoinSet;

const IN_FLIGHT: usize = 64;
const PAYMENTS: u64 = 40_000;

/// Offers every payment once, so many at a time; the seconds that it took.
async fn sell(manager: &ChannelManager, offers: Vec<Offer>) -> f64 {
    let (offers, next) = (Arc::new(offers), Arc::new(AtomicUsize::new(0)));
    let started = Instant::now();
    let mut buyers = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (manager, offers, next) = (manager.clone(), offers.clone(), next.clone());
        buyers.spawn(async move {
            while let Some(offer) = offers.get(next.fetch_add(1, Ordering::Relaxed)) {
                manager.pay(*offer, Price::from(1)).await.unwrap().charge();
            }
        });
    }
    buyers.join_all().await;
    started.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn payments_per_second() {
    let world = World::start().await;
    let directory = tempfile::tempdir_in(".").unwrap();
    for count in [1_u64, 100] {
        let store = world.file(&directory.path().join(count.to_string()));
        let manager = world.manager(store.clone(), quick()).await;
        let mut channels: Vec<ChannelId> = Vec::new();
        for _ in 0..count {
            channels.push(world.open(PAYMENTS).await);
        }
        world.node.mine(1);
        world.seen(&manager).await;
        let each = PAYMENTS / count;
        let offers = (1..=each).flat_map(|balance| {
            let offer = |channel: &ChannelId| world.offer(*channel, balance, stated(1));
            channels.iter().map(offer).collect::<Vec<_>>()
        });
        let seconds = sell(&manager, offers.collect()).await;
        for channel in &channels {
            assert_eq!(spent(&*store, channel).await, Balance::from(each));
        }
        let payments = 1.0 / seconds * f64::from(u32::try_from(PAYMENTS).unwrap());
        println!(
            "{payments:.0} payments a second: {PAYMENTS} through ChannelManager::pay on {count} channel(s), \
             {IN_FLIGHT} in flight, SQLite on disk, {seconds:.2} s"
        );
        manager.stop().await;
    }
}
