//! Reorganised chains: facts go back and come again, proofs stay.

use crate::shaky::{Mode, Shaky};
use crate::world::{World, quick, row, until};
use microraiden_manager::{ChannelManager, Config, Denied, HaltKind, Unavailable};
use microraiden_protocol::ledger::Refusal;
use microraiden_protocol::{Balance, ChannelId, Phase};

/// Deeper than the confirmations: nothing is sold before the operator says so.
async fn resume(world: &World, manager: &ChannelManager, channel: ChannelId) {
    until("the selling stops", async || {
        manager.halts() == [HaltKind::Reorganised]
    })
    .await;
    let denied = world.pay(manager, channel, 1, 1).await.unwrap_err();
    assert_eq!(denied, Denied::Unavailable(Unavailable::Reorganised));
    assert_eq!(manager.resume_selling().await, Ok(vec![HaltKind::Reorganised]));
    assert_eq!(manager.resume_selling().await, Ok(vec![]));
}

#[tokio::test]
async fn an_opening_that_vanishes_takes_the_channel_away_until_its_key_returns() {
    let world = World::start().await;
    let store = world.memory();
    let manager = world.manager(store.clone(), quick()).await;
    let before = world.node.snapshot();
    let channel = world.open(100).await;
    world.node.mine(4);
    world.seen(&manager).await;
    world.buy(&manager, channel, 40, 40).await;

    assert!(world.node.revert(before));
    let before = world.node.snapshot();
    world.node.mine(7);
    world.seen(&manager).await;
    resume(&world, &manager, channel).await;
    assert_eq!(manager.channel(&channel), None);
    assert_eq!(world.refusal(&manager, channel, 50).await, Refusal::Unconfirmed);
    let kept = row(&*store, &channel).await;
    assert_eq!(kept.facts.phase, Phase::Pending);
    assert_eq!(kept.proofs.len(), 1);

    assert!(world.node.revert(before));
    assert_eq!(world.open(90).await, channel);
    world.node.mine(9);
    world.seen(&manager).await;
    resume(&world, &manager, channel).await;
    let again = manager.channel(&channel).unwrap();
    assert_eq!((again.balance, again.deposit), (40.into(), 90.into()));
    // It does not begin again at nothing.
    assert_eq!(world.refusal(&manager, channel, 40).await, Refusal::AlreadySpent);
    world.buy(&manager, channel, 50, 10).await;
}

#[tokio::test]
async fn a_reorganisation_that_keeps_everything_changes_nothing() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 100).await;
    world.buy(&manager, channel, 10, 10).await;
    let before = row(&*store, &channel).await;
    for depth in [1, 2, 3, 4] {
        world.node.reorganise(depth, true).unwrap();
        world.seen(&manager).await;
        if depth > 1 {
            resume(&world, &manager, channel).await;
        }
        assert_eq!(manager.halts(), []);
    }
    let after = row(&*store, &channel).await;
    assert_eq!(after.facts, before.facts);
    world.buy(&manager, channel, 20, 10).await;
}

#[tokio::test]
async fn a_deposit_that_shrinks_below_the_balance_stops_selling_until_it_grows() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 30).await;
    world.top_up(&channel, 70).await;
    world.node.mine(1);
    world.seen(&manager).await;
    world.buy(&manager, channel, 25, 25).await;
    world.buy(&manager, channel, 80, 55).await;
    world.node.reorganise(2, false).unwrap();
    resume(&world, &manager, channel).await;
    for balance in [80, 81, 30] {
        assert_eq!(world.refusal(&manager, channel, balance).await, Refusal::Impaired);
    }
    let shown = manager.channel(&channel).unwrap();
    assert_eq!((shown.balance, shown.deposit), (80.into(), 30.into()));
    // The proof that the rest of the deposit covers was kept.
    let proofs = row(&*store, &channel).await.proofs;
    let balances: Vec<_> = proofs.iter().map(|proof| proof.balance).collect();
    assert_eq!(balances, [Balance::from(25), Balance::from(80)]);
    world.top_up(&channel, 60).await;
    world.seen(&manager).await;
    assert_eq!(world.refusal(&manager, channel, 85).await, Refusal::Impaired);
    world.node.mine(1);
    world.seen(&manager).await;
    world.buy(&manager, channel, 85, 5).await;
}

#[tokio::test]
async fn an_impaired_channel_that_is_closed_stale_claims_what_the_deposit_covers() {
    let world = World::start().await;
    let (manager, channel) = world.selling(world.memory(), 30).await;
    world.top_up(&channel, 70).await;
    world.node.mine(1);
    world.seen(&manager).await;
    world.buy(&manager, channel, 25, 25).await;
    world.buy(&manager, channel, 80, 55).await;
    world.node.reorganise(2, false).unwrap();
    world.close_at(&channel, 0).await;
    world.node.mine(1);
    world.settled(&channel).await;
    assert_eq!(world.earned().await, 25.into());
}

#[tokio::test]
async fn what_was_reorganised_while_it_was_down_is_found_at_the_start() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let (manager, channel) = world.selling(world.file(&path), 30).await;
    world.top_up(&channel, 70).await;
    world.node.mine(1);
    world.seen(&manager).await;
    world.buy(&manager, channel, 80, 80).await;
    manager.stop().await;
    drop(manager);
    world.node.reorganise(2, false).unwrap();

    let manager = world.manager(world.file(&path), quick()).await;
    resume(&world, &manager, channel).await;
    assert_eq!(world.refusal(&manager, channel, 85).await, Refusal::Impaired);
    world.top_up(&channel, 60).await;
    manager.stop().await;
    drop(manager);
    world.node.mine(1);
    let manager = world.manager(world.file(&path), quick()).await;
    assert_eq!(manager.channel(&channel).unwrap().deposit, 90.into());
    world.buy(&manager, channel, 85, 5).await;
}

#[tokio::test]
async fn other_confirmations_count_from_the_next_start() {
    let world = World::start().await;
    let store = world.memory();
    let with = async |n_confirmations| {
        let config = Config {
            n_confirmations,
            ..quick()
        };
        world.manager(store.clone(), config).await
    };
    let manager = with(10).await;
    let channel = world.open(100).await;
    world.node.mine(3);
    world.seen(&manager).await;
    assert_eq!(world.refusal(&manager, channel, 10).await, Refusal::Unconfirmed);
    manager.stop().await;
    // No block comes in between.
    let manager = with(3).await;
    world.buy(&manager, channel, 10, 10).await;
    manager.stop().await;
    let manager = with(4).await;
    assert_eq!(world.refusal(&manager, channel, 20).await, Refusal::Unconfirmed);
    world.node.mine(1);
    world.seen(&manager).await;
    world.buy(&manager, channel, 20, 10).await;
}

#[tokio::test]
async fn a_reorganisation_while_the_operator_resumes_is_not_resumed_from() {
    let world = World::start().await;
    let store = Shaky::new(world.memory());
    let (manager, channel) = world.selling(store.clone(), 100).await;
    world.node.mine(10);
    world.seen(&manager).await;
    world.node.reorganise(3, false).unwrap();
    until("the selling stops", async || !manager.halts().is_empty()).await;
    world.seen(&manager).await;
    store.set(Mode::Holds);
    let operator = manager.clone();
    let resumed = tokio::spawn(async move { operator.resume_selling().await });
    until("the command waits for the disk", async || store.held() == 1).await;
    world.node.reorganise(3, false).unwrap();
    until("the chain waits behind it", async || store.held() == 2).await;
    store.let_go().await;
    assert_eq!(resumed.await.unwrap(), Ok(vec![HaltKind::Reorganised]));
    // In memory as in the store, which has both in their order.
    resume(&world, &manager, channel).await;
}

#[tokio::test]
async fn without_confirmations_everything_counts_at_once() {
    let world = World::start().await;
    let config = Config {
        n_confirmations: 0,
        final_after: 0,
        ..quick()
    };
    let store = world.memory();
    let manager = world.manager(store.clone(), config).await;
    let channel = world.open(100).await;
    world.seen(&manager).await;
    world.buy(&manager, channel, 10, 10).await;
    world.top_up(&channel, 100).await;
    world.seen(&manager).await;
    world.buy(&manager, channel, 150, 140).await;
    world.close_at(&channel, 0).await;
    world.settled(&channel).await;
    assert_eq!(world.earned().await, 150.into());
    crate::world::no_tasks(&*store).await;
}
