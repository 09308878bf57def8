//! Closes that the operator wants, whatever the sender does.

use crate::shaky::{Mode, Shaky};
use crate::world::{World, no_tasks, poll_once, quick, row, stays, until};
use microraiden_manager::{Config, ForceCloseError, Unavailable};
use microraiden_protocol::ledger::Refusal;
use microraiden_protocol::{Balance, ChannelId};
use microraiden_store::{ChannelStore, TaskKind};
use std::pin::pin;

/// Waits until the chain shows a channel as settled, and the tasks are done.
async fn settled_for(world: &World, store: &dyn ChannelStore, channel: &ChannelId, earned: u64) {
    world.settled(channel).await;
    assert_eq!(world.earned().await, earned.into());
    world.finished(store).await;
}

#[tokio::test]
async fn a_forced_close_brings_the_best_proof_on_chain() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 100).await;
    world.buy(&manager, channel, 40, 40).await;
    world.buy(&manager, channel, 70, 30).await;
    manager.force_close(&channel).await.unwrap();
    // Again and again, it is the same.
    manager.force_close(&channel).await.unwrap();
    assert_eq!(world.refusal(&manager, channel, 80).await, Refusal::ClosePromised);
    let promise = row(&*store, &channel).await.promise.unwrap();
    assert_eq!(promise.dispute(), Some(Balance::from(70)));
    settled_for(&world, &*store, &channel, 70).await;
    manager.force_close(&channel).await.unwrap();
    no_tasks(&*store).await;
}

#[tokio::test]
async fn a_settlement_that_vanishes_after_it_was_confirmed_is_brought_on_chain_again() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 100).await;
    world.buy(&manager, channel, 70, 70).await;
    manager.force_close(&channel).await.unwrap();
    world.settled(&channel).await;
    world.node.mine(3);
    world.seen(&manager).await;
    world.node.reorganise(4, false).unwrap();
    assert_eq!(world.earned().await, 0.into());
    settled_for(&world, &*store, &channel, 70).await;
}

#[tokio::test]
async fn a_settlement_that_is_not_confirmed_is_not_relied_on() {
    for is_challenged in [false, true] {
        let world = World::start().await;
        let store = world.memory();
        let config = Config {
            n_confirmations: 5,
            ..quick()
        };
        let manager = world.manager(store.clone(), config).await;
        let channel = world.open(100).await;
        world.node.mine(5);
        world.seen(&manager).await;
        world.buy(&manager, channel, 70, 70).await;
        if is_challenged {
            world.close_at(&channel, 70).await;
        }
        // Somebody has a closing signature that this state does not know, as after a restored backup.
        let closing = world
            .contract
            .scheme()
            .sign_closing(&world.receiver, &channel, 70.into());
        let proof = world.signature(&world.sender, channel, 70);
        let wallet = world.wallet(&world.stranger);
        let settling = world
            .contract
            .cooperative_close(&wallet, &channel, 70.into(), &proof, &closing);
        settling.await.unwrap();
        world.seen(&manager).await;
        for _ in 0..2 {
            manager.force_close(&channel).await.unwrap();
        }
        assert_eq!(row(&*store, &channel).await.promise, None);
        world.node.reorganise(1, false).unwrap();
        assert_eq!(world.earned().await, 0.into());
        // The promise is made when the channel is there again.
        settled_for(&world, &*store, &channel, 70).await;
        assert_eq!(
            row(&*store, &channel).await.promise.unwrap().dispute(),
            Some(Balance::from(70))
        );
    }
}

#[tokio::test]
async fn a_channel_that_is_not_known_or_not_confirmed_is_not_closed() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, mut channel) = world.selling(store.clone(), 100).await;
    let pending = world.open(50).await;
    world.seen(&manager).await;
    channel.open_block += 1_000;
    for unknown in [channel, pending] {
        let refused = manager.force_close(&unknown).await;
        assert_eq!(refused, Err(ForceCloseError::UnknownChannel));
    }
    no_tasks(&*store).await;
}

#[tokio::test]
async fn where_nothing_was_paid_the_selling_stops_and_nothing_is_sent() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 100).await;
    manager.force_close(&channel).await.unwrap();
    manager.force_close(&channel).await.unwrap();
    assert_eq!(world.refusal(&manager, channel, 10).await, Refusal::ClosePromised);
    let promise = row(&*store, &channel).await.promise.unwrap();
    assert_eq!(promise.closing().unwrap().at, Balance::ZERO);
    no_tasks(&*store).await;
    assert!(world.contract.channel_info(&channel).await.unwrap().is_some());
}

#[tokio::test]
async fn a_forced_close_goes_on_after_a_restart() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let store = world.file(&path);
    let (manager, channel) = world.selling(store.clone(), 100).await;
    world.buy(&manager, channel, 70, 70).await;
    let receiver = world.receiver.address();
    world.node.set_balance(receiver, "0".parse().unwrap());
    manager.force_close(&channel).await.unwrap();
    manager.stop().await;
    let tasks = store.load().await.unwrap().tasks;
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].kind, TaskKind::Close);
    drop((manager, store));
    assert!(world.contract.channel_info(&channel).await.unwrap().is_some());

    let store = world.file(&path);
    let manager = world.manager(store.clone(), quick()).await;
    assert_eq!(world.refusal(&manager, channel, 80).await, Refusal::ClosePromised);
    let ether = 10_u64.pow(18).to_string();
    world.node.set_balance(receiver, ether.parse().unwrap());
    settled_for(&world, &*store, &channel, 70).await;
}

#[tokio::test]
async fn an_agreed_close_is_forced_at_its_promise() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 100).await;
    let metered = world.pay(&manager, channel, 70, 70).await.unwrap();
    metered.charge_partly(50.into()).await;
    manager.close(world.close_request(channel, 55)).await.unwrap();
    manager.force_close(&channel).await.unwrap();
    settled_for(&world, &*store, &channel, 55).await;
}

#[tokio::test]
async fn a_forced_close_goes_on_when_the_sender_closes_too() {
    for (claimed, earned) in [(10, 70), (70, 70), (90, 0)] {
        let world = World::start().await;
        let store = world.memory();
        let (manager, channel) = world.selling(store.clone(), 100).await;
        world.buy(&manager, channel, 70, 70).await;
        world.close_at(&channel, claimed).await;
        world.seen(&manager).await;
        manager.force_close(&channel).await.unwrap();
        if claimed > 70 {
            // Its settlement pays us more.
            stays("the close of the sender stays", async || {
                world.contract.channel_info(&channel).await.unwrap().is_some()
            })
            .await;
            assert_eq!(world.earned().await, earned.into());
        } else {
            settled_for(&world, &*store, &channel, earned).await;
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_before_the_promise_is_durable() {
    let world = World::start().await;
    let inner = world.memory();
    let store = Shaky::new(inner.clone());
    let (manager, channel) = world.selling(store.clone(), 100).await;
    world.buy(&manager, channel, 70, 70).await;
    store.set(Mode::Busy);
    let busy = Err(ForceCloseError::Unavailable(Unavailable::Busy));
    assert_eq!(manager.force_close(&channel).await, busy);
    store.set(Mode::Holds);
    let closing = tokio::spawn({
        let manager = manager.clone();
        async move { manager.force_close(&channel).await }
    });
    until("the promise waits for the disk", async || store.held() == 1).await;
    stays("nothing is sent", async || {
        !closing.is_finished() && world.contract.channel_info(&channel).await.unwrap().is_some()
    })
    .await;
    store.let_go().await;
    closing.await.unwrap().unwrap();
    settled_for(&world, &*inner, &channel, 70).await;
}

#[tokio::test]
async fn who_goes_before_it_is_durable_has_closed_it_all_the_same() {
    let world = World::start().await;
    let inner = world.memory();
    let store = Shaky::new(inner.clone());
    let (manager, channel) = world.selling(store.clone(), 100).await;
    world.buy(&manager, channel, 70, 70).await;
    store.set(Mode::Holds);
    {
        let mut closing = pin!(manager.force_close(&channel));
        assert!(poll_once(closing.as_mut()).is_pending());
    }
    stays("nothing is sent", async || {
        world.contract.channel_info(&channel).await.unwrap().is_some()
    })
    .await;
    store.let_go().await;
    settled_for(&world, &*inner, &channel, 70).await;
}

#[tokio::test]
async fn also_when_the_task_is_there_already_and_the_promise_is_another() {
    let world = World::start().await;
    let inner = world.memory();
    let store = Shaky::new(inner.clone());
    let (manager, channel) = world.selling(store.clone(), 30).await;
    world.buy(&manager, channel, 25, 25).await;
    world.top_up(&channel, 70).await;
    world.node.mine(1);
    world.seen(&manager).await;
    world.buy(&manager, channel, 70, 45).await;
    manager.close(world.close_request(channel, 70)).await.unwrap();
    let receiver = world.receiver.address();
    world.node.set_balance(receiver, "0".parse().unwrap());
    manager.force_close(&channel).await.unwrap();
    // The top-up vanishes: only the proof for 25 is covered any more, and it takes a promise.
    world.node.reorganise(2, false).unwrap();
    until("the deposit is lower", async || {
        manager.channel(&channel).unwrap().deposit == 30.into()
    })
    .await;
    store.set(Mode::Holds);
    let ether = 10_u64.pow(18).to_string();
    world.node.set_balance(receiver, ether.parse().unwrap());
    let closing = tokio::spawn({
        let manager = manager.clone();
        async move { manager.force_close(&channel).await }
    });
    until("the promise waits for the disk", async || store.held() >= 1).await;
    stays("nothing is sent", async || {
        world.contract.channel_info(&channel).await.unwrap().is_some()
    })
    .await;
    store.let_go().await;
    closing.await.unwrap().unwrap();
    settled_for(&world, &*inner, &channel, 25).await;
}

#[tokio::test]
async fn a_promise_that_cannot_be_kept_is_not_acted_on() {
    let world = World::start().await;
    let store = Shaky::new(world.memory());
    let (manager, channel) = world.selling(store.clone(), 100).await;
    world.buy(&manager, channel, 70, 70).await;
    store.stop();
    let stopped = Err(ForceCloseError::Unavailable(Unavailable::StoreStopped));
    assert_eq!(manager.force_close(&channel).await, stopped);
    store.set(Mode::Works);
    assert_eq!(manager.force_close(&channel).await, stopped);
    stays("nothing is sent", async || {
        world.contract.channel_info(&channel).await.unwrap().is_some()
    })
    .await;
}
