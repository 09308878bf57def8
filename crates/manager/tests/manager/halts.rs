//! What stops the selling without stopping what protects it: the chain is followed, and stale closes are
//! answered.

use crate::world::{World, quick, until};
use microraiden_chain::ChainError;
use microraiden_devchain::{Config as DevConfig, Fault, FaultKind};
use microraiden_manager::{ChannelManager, Config, Denied, Unavailable};
use microraiden_protocol::ledger::Refusal;
use microraiden_store::ChannelStore;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn denied(reason: Unavailable) -> Denied {
    Denied::Unavailable(reason)
}

/// Sells, and goes on with other settings: then nothing is sold, and a stale close is answered all the same.
async fn only_protects(world: &World, config: Config, reason: Unavailable) -> ChannelManager {
    let store: Arc<dyn ChannelStore> = world.memory();
    let without = Config {
        min_challenge_time: Duration::ZERO,
        max_head_age: None,
        ..config.clone()
    };
    let manager = world.manager(store.clone(), without).await;
    let (stale, channel) = (world.open(100).await, world.open(100).await);
    world.node.mine(1);
    world.seen(&manager).await;
    world.buy(&manager, stale, 70, 70).await;
    manager.stop().await;
    drop(manager);

    let manager = world.manager(store, config).await;
    let refused = world.pay(&manager, channel, 10, 10).await.unwrap_err();
    assert_eq!(refused, denied(reason));
    world.close_at(&stale, 0).await;
    world.node.mine(1);
    world.settled(&stale).await;
    assert_eq!(world.earned().await, 70.into());
    world.seen(&manager).await;
    let refused = world.pay(&manager, channel, 10, 10).await.unwrap_err();
    assert_eq!(refused, denied(reason));
    manager
}

#[tokio::test]
async fn nothing_is_sold_on_a_head_that_is_too_old() {
    let world = World::long_ago().await;
    let aged = Config {
        max_head_age: Some(Duration::from_secs(3_600)),
        ..quick()
    };
    let manager = only_protects(&world, aged, Unavailable::HeadTooOld).await;
    // The chain goes on.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let answer = world.rpc("evm_setNextBlockTimestamp", &format!("[{now}]")).await;
    assert!(answer.contains(r#""result""#), "{answer}");
    world.node.mine(1);
    until("selling goes on", async || manager.readiness().is_ok()).await;
}

#[tokio::test]
async fn nothing_is_sold_where_the_challenge_period_is_too_short() {
    let config = DevConfig {
        chain_id: 100,
        ..DevConfig::default()
    };
    let world = World::with(config).await;
    // Its blocks come a second after each other, and 500 of them are less than half an hour.
    only_protects(&world, quick(), Unavailable::ChallengeTooShort).await;
}

#[tokio::test]
async fn a_development_chain_may_be_as_quick_as_it_likes() {
    let world = World::start().await;
    let (manager, channel) = world.selling(world.memory(), 100).await;
    assert_eq!(quick().min_challenge_time, Config::default().min_challenge_time);
    world.buy(&manager, channel, 10, 10).await;
}

/// Waits until following has ended for good, and sees that nothing is sold any more.
async fn fails(world: &World, manager: &ChannelManager) -> Arc<ChainError> {
    let failed = tokio::time::timeout(Duration::from_secs(20), manager.failed());
    let error = failed.await.unwrap();
    assert_eq!(manager.readiness(), Err(Unavailable::WrongChain));
    let channel = manager.page(microraiden_manager::PageQuery {
        filter: microraiden_manager::Filter::All,
        sender: None,
        after: None,
        limit: 1,
    });
    let channel = channel.channels[0].channel;
    let refused = world.pay(manager, channel, 20, 10).await.unwrap_err();
    assert_eq!(refused, denied(Unavailable::WrongChain));
    error
}

#[tokio::test]
async fn a_node_that_changes_to_another_chain_is_given_up() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 100).await;
    world.buy(&manager, channel, 10, 10).await;
    let before = store.load().await.unwrap();
    world.node.set_faults(vec![Fault {
        methods: Vec::new(),
        kind: FaultKind::ChainId(1),
        times: None,
    }]);
    world.node.reorganise(2, false).unwrap();
    let error = fails(&world, &manager).await;
    assert!(matches!(*error, ChainError::ChainReplaced { .. }), "{error}");
    // Nothing of it was taken over.
    let after = store.load().await.unwrap();
    assert_eq!(after.blocks, before.blocks);
    assert_eq!(after.events, before.events);
    assert_eq!(after.halts, []);
    manager.stop().await;
    drop(manager);
    // It was that node: with the right one it goes on.
    world.node.set_faults(Vec::new());
    let manager = world.manager(store, quick()).await;
    manager.resume_selling().await.unwrap();
    assert_eq!(world.refusal(&manager, channel, 20).await, Refusal::Unconfirmed);
}

#[tokio::test]
async fn a_contract_that_a_deep_reorganisation_takes_away_is_given_up() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 100).await;
    world.buy(&manager, channel, 10, 10).await;
    world.node.reorganise(world.node.block_number(), false).unwrap();
    let error = fails(&world, &manager).await;
    assert!(matches!(*error, ChainError::NoCode(_)), "{error}");
    // The proofs are still there.
    assert_eq!(crate::world::row(&*store, &channel).await.proofs.len(), 1);
}
