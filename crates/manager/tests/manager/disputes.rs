//! Closes that the sender brings on chain by itself, honest and stale.

use crate::shaky::{Mode, Shaky};
use crate::world::{CHALLENGE_PERIOD, World, no_tasks, quick, row, stays, until};
use microraiden_devchain::Mining;
use microraiden_manager::{ChannelManager, Config, Denied, Unavailable};
use microraiden_protocol::ledger::Refusal;
use microraiden_protocol::{Balance, ChannelChange, ChannelEvent};
use microraiden_store::ChannelStore;
use std::collections::BTreeSet;
use std::time::Duration;

#[tokio::test]
async fn a_stale_close_is_disputed_and_the_receiver_is_paid_in_full() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = world.file(&directory.path().join("state"));
    let (manager, channel) = world.selling(store.clone(), 100).await;
    world.buy(&manager, channel, 40, 40).await;
    world.buy(&manager, channel, 70, 30).await;
    world.close_at(&channel, 40).await;
    world.seen(&manager).await;
    // Not confirmed yet: selling has stopped, but nothing is signed.
    assert_eq!(world.refusal(&manager, channel, 80).await, Refusal::Challenged);
    assert_eq!(row(&*store, &channel).await.promise, None);
    assert_eq!(world.earned().await, 0.into());
    world.node.mine(1);
    world.settled(&channel).await;
    assert_eq!(world.earned().await, 70.into());
    world.node.mine(1);
    no_tasks(&*store).await;
    assert_eq!(world.refusal(&manager, channel, 80).await, Refusal::ClosePromised);
    assert_eq!(manager.channel(&channel), None);
}

#[tokio::test]
async fn also_when_it_happened_while_the_manager_was_down() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let (manager, channel) = world.selling(world.file(&path), 100).await;
    world.buy(&manager, channel, 70, 70).await;
    manager.stop().await;
    drop(manager);
    world.close_at(&channel, 0).await;
    world.node.mine(200);
    let store = world.file(&path);
    let _manager = world.manager(store.clone(), quick()).await;
    world.settled(&channel).await;
    assert_eq!(world.earned().await, 70.into());
    world.node.mine(1);
    no_tasks(&*store).await;
}

#[tokio::test]
async fn also_when_it_restarts_between_promise_and_transaction() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let store = world.file(&path);
    let (manager, channel) = world.selling(store.clone(), 100).await;
    world.buy(&manager, channel, 70, 70).await;
    let (receiver, ether) = (world.receiver.address(), 10_u64.pow(18));
    world.node.set_balance(receiver, "0".parse().unwrap());
    world.close_at(&channel, 0).await;
    world.node.mine(1);
    until("the dispute is promised", async || {
        !store.load().await.unwrap().tasks.is_empty()
    })
    .await;
    let promise = row(&*store, &channel).await.promise.unwrap();
    assert_eq!(promise.dispute(), Some(Balance::from(70)));
    manager.stop().await;
    drop((manager, store));
    assert!(world.contract.channel_info(&channel).await.unwrap().is_some());

    let manager = world.manager(world.file(&path), quick()).await;
    world
        .node
        .set_balance(receiver, ether.to_string().parse().unwrap());
    // Nothing new on chain is needed: it is tried again and again.
    world.settled(&channel).await;
    assert_eq!(world.earned().await, 70.into());
    manager.stop().await;
}

#[tokio::test]
async fn nothing_is_signed_before_the_promise_and_its_task_are_durable() {
    let world = World::start().await;
    let inner = world.memory();
    let store = Shaky::new(inner.clone());
    let (_crashed, channel) = world.selling(store.clone(), 100).await;
    world.buy(&_crashed, channel, 70, 70).await;
    store.set(Mode::Holds);
    world.close_at(&channel, 0).await;
    // The first block's batch holds the follower up until it is written.
    until("the close is read", async || store.held() == 1).await;
    world.node.mine(1);
    stays("the follower waits for the disk", async || store.held() == 1).await;
    store.let_go().await;
    store.set(Mode::Holds);
    until("the dispute is decided", async || store.holds_task()).await;
    stays("the channel is not settled", async || {
        world.contract.channel_info(&channel).await.unwrap().is_some()
    })
    .await;
    // A crash: the next start decides the same, and acts.
    let next = world.manager(inner.clone(), quick()).await;
    world.settled(&channel).await;
    assert_eq!(world.earned().await, 70.into());
    world.node.mine(1);
    world.seen(&next).await;
    no_tasks(&*inner).await;
}

#[tokio::test]
async fn a_store_that_stops_at_any_commit_loses_no_dispute() {
    let world = World::start().await;
    let inner = world.memory();
    let mut paid = 0;
    let mut stopped = Vec::new();
    for commits in 0..6 {
        let (manager, channel) = world.selling(inner.clone(), 100).await;
        world.buy(&manager, channel, 70, 70).await;
        manager.stop().await;
        let store = Shaky::stopping_after(commits, inner.clone());
        let (contract, key) = (world.contract.clone(), world.receiver.clone());
        let wallet = world.wallet(&world.receiver);
        let started = ChannelManager::start(contract, wallet, key, store.clone(), quick()).await;
        world.close_at(&channel, 0).await;
        world.node.mine(1);
        if let Ok(manager) = &started {
            until("the store stops, or the dispute is over", async || {
                world.node.mine(1);
                let tasks = inner.load().await.unwrap().tasks;
                let settled = world.contract.channel_info(&channel).await.unwrap().is_none();
                store.has_stopped() || settled && tasks.is_empty()
            })
            .await;
            manager.stop().await;
        }
        stopped.push((started.is_err(), store.has_stopped()));
        let manager = world.manager(inner.clone(), quick()).await;
        world.settled(&channel).await;
        paid += 70;
        assert_eq!(world.earned().await, paid.into());
        world.node.mine(1);
        no_tasks(&*inner).await;
        manager.stop().await;
    }
    // At the start, and later.
    assert_eq!(stopped.first(), Some(&(true, true)));
    assert!(stopped.contains(&(false, true)), "{stopped:?}");
}

#[tokio::test]
async fn a_stale_close_after_a_promised_one_is_answered_at_the_promise() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 100).await;
    let metered = world.pay(&manager, channel, 70, 70).await.unwrap();
    metered.charge_partly(50.into()).await;
    manager.close(world.close_request(channel, 55)).await.unwrap();
    world.close_at(&channel, 10).await;
    world.node.mine(1);
    world.settled(&channel).await;
    // Not 70, which the sender has signed too: we agreed to 55.
    assert_eq!(world.earned().await, 55.into());
    let promise = row(&*store, &channel).await.promise.unwrap();
    assert_eq!(promise.dispute(), None);
    world.finished(&*store).await;
}

#[tokio::test]
async fn a_promise_above_the_deposit_left_is_answered_at_the_best_proof() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 30).await;
    world.buy(&manager, channel, 25, 25).await;
    world.top_up(&channel, 70).await;
    world.node.mine(1);
    world.seen(&manager).await;
    world.buy(&manager, channel, 70, 45).await;
    manager.close(world.close_request(channel, 70)).await.unwrap();
    // The top-up vanishes, and the sender closes instead.
    world.node.reorganise(2, false).unwrap();
    world.close_at(&channel, 0).await;
    world.node.mine(1);
    world.settled(&channel).await;
    assert_eq!(world.earned().await, 25.into());
    world.finished(&*store).await;
}

#[tokio::test]
async fn an_honest_close_is_not_disputed() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 100).await;
    let metered = world.pay(&manager, channel, 70, 70).await.unwrap();
    metered.charge_partly(50.into()).await;
    // What was sold, less than what was signed.
    world.close_at(&channel, 50).await;
    world.node.mine(u64::from(CHALLENGE_PERIOD) + 1);
    world.seen(&manager).await;
    assert_eq!(store.load().await.unwrap().tasks, []);
    assert_eq!(row(&*store, &channel).await.promise, None);
    let wallet = world.wallet(&world.sender);
    world.contract.settle(&wallet, &channel).await.unwrap();
    assert_eq!(world.earned().await, 50.into());
}

#[tokio::test]
async fn an_unconfirmed_stale_close_is_disputed_before_time_runs_out() {
    let world = World::start().await;
    let config = Config {
        n_confirmations: 450,
        dispute_margin: 100,
        ..quick()
    };
    let store = world.memory();
    let manager = world.manager(store.clone(), config).await;
    let channel = world.open(100).await;
    world.node.mine(450);
    world.seen(&manager).await;
    world.buy(&manager, channel, 70, 70).await;
    world.close_at(&channel, 0).await;
    world.node.mine(399);
    world.seen(&manager).await;
    assert_eq!(row(&*store, &channel).await.promise, None);
    world.node.mine(1);
    world.settled(&channel).await;
    assert_eq!(world.earned().await, 70.into());
}

#[tokio::test]
async fn an_unconfirmed_close_that_vanishes_has_stopped_selling_for_a_while_only() {
    let world = World::start().await;
    let config = Config {
        n_confirmations: 5,
        ..quick()
    };
    let store = world.memory();
    let manager = world.manager(store.clone(), config).await;
    let channel = world.open(100).await;
    world.node.mine(5);
    world.seen(&manager).await;
    world.buy(&manager, channel, 70, 70).await;
    world.close_at(&channel, 0).await;
    world.seen(&manager).await;
    assert_eq!(world.refusal(&manager, channel, 80).await, Refusal::Challenged);
    world.node.reorganise(1, false).unwrap();
    world.seen(&manager).await;
    world.buy(&manager, channel, 80, 10).await;
    // Nor does it come back to haunt us.
    world.node.mine(10);
    world.seen(&manager).await;
    assert_eq!(store.load().await.unwrap().tasks, []);
    world.buy(&manager, channel, 90, 10).await;
}

#[tokio::test]
async fn a_dispute_that_a_reorganisation_takes_back_is_sent_again() {
    let world = World::start().await;
    let config = Config {
        n_confirmations: 3,
        ..quick()
    };
    let store = world.memory();
    let manager = world.manager(store.clone(), config).await;
    let channel = world.open(100).await;
    world.node.mine(3);
    world.seen(&manager).await;
    world.buy(&manager, channel, 70, 70).await;
    world.close_at(&channel, 0).await;
    world.node.mine(3);
    for _ in 0..3 {
        world.settled(&channel).await;
        assert_eq!(store.load().await.unwrap().tasks.len(), 1);
        world.node.reorganise(1, false).unwrap();
        assert_eq!(world.earned().await, 0.into());
    }
    world.settled(&channel).await;
    assert_eq!(world.earned().await, 70.into());
    world.node.mine(3);
    no_tasks(&*store).await;
}

#[tokio::test]
async fn a_settlement_that_vanishes_leaves_a_stale_close_to_be_disputed() {
    let world = World::start().await;
    let config = Config {
        n_confirmations: 450,
        dispute_margin: 100,
        ..quick()
    };
    let manager = world.manager(world.memory(), config).await;
    let channel = world.open(100).await;
    world.node.mine(450);
    world.seen(&manager).await;
    world.buy(&manager, channel, 70, 70).await;
    world.close_at(&channel, 0).await;
    let scheme = world.contract.scheme();
    let closing = scheme.sign_closing(&world.receiver, &channel, 70.into());
    let proof = world.signature(&world.sender, channel, 70);
    let wallet = world.wallet(&world.stranger);
    let settled = world
        .contract
        .cooperative_close(&wallet, &channel, 70.into(), &proof, &closing);
    settled.await.unwrap();
    world.seen(&manager).await;
    assert_eq!(world.refusal(&manager, channel, 80).await, Refusal::Settled);
    world.node.reorganise(1, false).unwrap();
    world.seen(&manager).await;
    assert_eq!(world.refusal(&manager, channel, 80).await, Refusal::Challenged);
    // As far as a look at each block may have to find it.
    for _ in 0..40 {
        world.node.mine(10);
        world.seen(&manager).await;
    }
    world.settled(&channel).await;
    assert_eq!(world.earned().await, 70.into());
}

#[tokio::test]
async fn a_stale_close_that_becomes_an_honest_one_is_not_disputed() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 100).await;
    let metered = world.pay(&manager, channel, 70, 70).await.unwrap();
    metered.charge_partly(50.into()).await;
    let (receiver, ether) = (world.receiver.address(), 10_u64.pow(18));
    world.node.set_balance(receiver, "0".parse().unwrap());
    world.close_at(&channel, 0).await;
    world.node.mine(1);
    until("the dispute is promised", async || {
        !store.load().await.unwrap().tasks.is_empty()
    })
    .await;
    world.node.reorganise(2, false).unwrap();
    world.close_at(&channel, 50).await;
    world.seen(&manager).await;
    world
        .node
        .set_balance(receiver, ether.to_string().parse().unwrap());
    stays("the sender's credit is left to it", async || {
        world.contract.channel_info(&channel).await.unwrap().is_some()
    })
    .await;
    // The promise stays: nothing is sold here any more.
    assert!(row(&*store, &channel).await.promise.is_some());
}

#[tokio::test]
async fn many_stale_closes_do_not_wait_for_each_other() {
    let mining = Mining {
        instant: false,
        interval: Some(Duration::from_millis(60)),
    };
    let world = World::with_mining(mining).await;
    let store = world.memory();
    let manager = world.manager(store.clone(), quick()).await;
    let mut channels = Vec::new();
    for _ in 0..6 {
        channels.push(world.open(100).await);
    }
    until("the last channel is confirmed", async || {
        manager.channel(&channels[5]).is_some()
    })
    .await;
    for channel in &channels {
        world.buy(&manager, *channel, 70, 70).await;
    }
    manager.stop().await;
    for channel in &channels {
        world.close_at(channel, 0).await;
    }
    world.node.mine(1);
    let _manager = world.manager(store.clone(), quick()).await;
    for channel in &channels {
        world.settled(channel).await;
    }
    assert_eq!(world.earned().await, (6 * 70).into());
    no_tasks(&*store).await;
    let events = store.load().await.unwrap().events;
    let is_settled = |event: &&ChannelEvent| matches!(event.change, ChannelChange::Settled { .. });
    let blocks: BTreeSet<_> = events
        .iter()
        .filter(is_settled)
        .map(|event| event.block)
        .collect();
    assert!(blocks.len() < 6, "each waited for the one before: {blocks:?}");
}

#[tokio::test]
async fn stopping_does_not_wait_until_a_dispute_is_mined() {
    let world = World::start().await;
    let (manager, channel) = world.selling(world.memory(), 100).await;
    world.buy(&manager, channel, 70, 70).await;
    world.close_at(&channel, 0).await;
    world.rpc("evm_setAutomine", "[false]").await;
    world.node.mine(1);
    let transactions = format!(r#"["{}", "pending"]"#, world.receiver.address());
    until("the dispute waits for a block", async || {
        let count = world.rpc("eth_getTransactionCount", &transactions).await;
        count.contains(r#""0x1""#)
    })
    .await;
    let stopped = tokio::time::timeout(Duration::from_secs(10), manager.stop());
    stopped.await.unwrap();
    // Nobody looks for closes any more.
    let denied = world.pay(&manager, channel, 80, 10).await.unwrap_err();
    assert_eq!(denied, Denied::Unavailable(Unavailable::NodeSilent));
    world.node.mine(1);
    assert_eq!(world.earned().await, 70.into());
}
