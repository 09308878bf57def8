//! What the sender leaves undone, we do: agreed closes that it does not bring on chain, and honest ones that
//! it does not settle.

use crate::world::{CHALLENGE_PERIOD, World, no_tasks, quick, row, stays, until};
use microraiden_manager::{Asker, ChannelManager, CloseRequest, Config};
use microraiden_protocol::{Balance, ChannelId};
use microraiden_store::ChannelStore;
use std::sync::Arc;

/// How many blocks the sender has for either.
const PATIENCE: u64 = 20;

fn patient() -> Config {
    Config {
        close_patience: PATIENCE,
        settle_patience: PATIENCE,
        ..quick()
    }
}

/// A manager that has sold 50 of a proof for 70, on a deposit of 100.
async fn sold_fifty(
    world: &World,
    store: Arc<dyn ChannelStore>,
    config: Config,
) -> (ChannelManager, ChannelId) {
    let manager = world.manager(store, config).await;
    let channel = world.open(100).await;
    world.node.mine(1);
    world.seen(&manager).await;
    let metered = world.pay(&manager, channel, 70, 70).await.unwrap();
    metered.charge_partly(50.into()).await;
    (manager, channel)
}

/// Nothing is brought on chain for a channel, though we have seen the newest block.
async fn left_alone(world: &World, manager: &ChannelManager, channel: &ChannelId) {
    world.seen(manager).await;
    stays("the channel is left alone", async || {
        world.contract.channel_info(channel).await.unwrap().is_some()
    })
    .await;
}

#[tokio::test]
async fn an_agreed_close_is_brought_on_chain_where_the_sender_vanishes() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = sold_fifty(&world, store.clone(), patient()).await;
    manager.close(world.close_request(channel, 55)).await.unwrap();
    world.node.mine(PATIENCE - 1);
    left_alone(&world, &manager, &channel).await;
    world.node.mine(1);
    world.settled(&channel).await;
    // At what was agreed, not at the 70 that the sender has signed too.
    assert_eq!(world.earned().await, 55.into());
    assert_eq!(row(&*store, &channel).await.promise.unwrap().dispute(), None);
    world.finished(&*store).await;
}

#[tokio::test]
async fn also_across_a_restart() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let (manager, channel) = sold_fifty(&world, world.file(&path), patient()).await;
    manager.close(world.close_request(channel, 55)).await.unwrap();
    manager.stop().await;
    drop(manager);
    world.node.mine(PATIENCE - 1);
    let manager = world.manager(world.file(&path), patient()).await;
    left_alone(&world, &manager, &channel).await;
    manager.stop().await;
    drop(manager);
    world.node.mine(1);
    let store = world.file(&path);
    let _manager = world.manager(store.clone(), patient()).await;
    world.settled(&channel).await;
    assert_eq!(world.earned().await, 55.into());
    world.finished(&*store).await;
}

#[tokio::test]
async fn an_agreed_close_is_left_to_the_sender_where_anybody_asked_or_it_is_worth_too_little() {
    let world = World::start().await;
    for (asker, min_claim) in [(Some(Asker::Anybody), 1), (None, 56)] {
        let config = Config {
            min_claim: min_claim.into(),
            ..patient()
        };
        let store = world.memory();
        let (manager, channel) = sold_fifty(&world, store.clone(), config).await;
        let request = world.close_request(channel, 55);
        let asker = asker.unwrap_or(request.asker);
        manager.close(CloseRequest { asker, ..request }).await.unwrap();
        no_tasks(&*store).await;
        world.node.mine(PATIENCE + 5);
        left_alone(&world, &manager, &channel).await;
        no_tasks(&*store).await;
        manager.stop().await;
    }
}

#[tokio::test]
async fn where_the_deposit_covers_the_agreed_close_no_more_the_best_proof_is_claimed() {
    let world = World::start().await;
    let store = world.memory();
    let manager = world.manager(store.clone(), patient()).await;
    let channel = world.open(30).await;
    world.node.mine(1);
    world.seen(&manager).await;
    world.buy(&manager, channel, 25, 25).await;
    world.top_up(&channel, 70).await;
    world.node.mine(1);
    world.seen(&manager).await;
    world.buy(&manager, channel, 70, 45).await;
    manager.close(world.close_request(channel, 70)).await.unwrap();
    // The top-up vanishes, and the sender with it.
    world.node.reorganise(2, false).unwrap();
    left_alone(&world, &manager, &channel).await;
    world.node.mine(PATIENCE);
    world.settled(&channel).await;
    assert_eq!(world.earned().await, 25.into());
    let promise = row(&*store, &channel).await.promise.unwrap();
    assert_eq!(promise.closing().unwrap().at, Balance::from(70));
    assert_eq!(promise.dispute(), Some(Balance::from(25)));
    world.finished(&*store).await;
}

#[tokio::test]
async fn an_honest_close_that_nobody_settles_is_claimed() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = sold_fifty(&world, store.clone(), patient()).await;
    world.close_at(&channel, 50).await;
    world.node.mine(u64::from(CHALLENGE_PERIOD) + PATIENCE);
    left_alone(&world, &manager, &channel).await;
    assert_eq!(row(&*store, &channel).await.promise, None);
    no_tasks(&*store).await;
    world.node.mine(1);
    world.settled(&channel).await;
    // The only proof there is. The sender had long enough to take its credit.
    assert_eq!(world.earned().await, 70.into());
    world.finished(&*store).await;
}

#[tokio::test]
async fn an_honest_close_that_nobody_settles_is_left_where_it_is_worth_too_little() {
    let world = World::start().await;
    for (min_claim, is_claimed) in [(71, false), (70, true)] {
        let config = Config {
            min_claim: min_claim.into(),
            ..patient()
        };
        let store = world.memory();
        let (manager, channel) = sold_fifty(&world, store.clone(), config).await;
        world.close_at(&channel, 50).await;
        world.node.mine(u64::from(CHALLENGE_PERIOD) + PATIENCE + 1);
        if is_claimed {
            world.settled(&channel).await;
        } else {
            left_alone(&world, &manager, &channel).await;
            assert_eq!(row(&*store, &channel).await.promise, None);
            no_tasks(&*store).await;
        }
        manager.stop().await;
    }
}

#[tokio::test]
async fn a_settlement_of_the_senders_in_time_needs_nothing_of_ours() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = sold_fifty(&world, store.clone(), patient()).await;
    world.close_at(&channel, 50).await;
    world.node.mine(u64::from(CHALLENGE_PERIOD) + PATIENCE / 2);
    let sender = world.wallet(&world.sender);
    world.contract.settle(&sender, &channel).await.unwrap();
    world.node.mine(2 * PATIENCE);
    world.seen(&manager).await;
    assert_eq!(world.earned().await, 50.into());
    assert_eq!(row(&*store, &channel).await.promise, None);
    no_tasks(&*store).await;
    until("it is not shown any more", async || {
        manager.channel(&channel).is_none()
    })
    .await;
}
