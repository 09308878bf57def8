//! Payments: confirmed, refused, in flight, released, charged in part.

use crate::shaky::{Mode, Shaky};
use crate::world::{World, poll_once, quick, row, spent, stated};
use microraiden_manager::{Config, Denied, Offer};
use microraiden_protocol::ledger::{Payment, Refusal};
use microraiden_protocol::{Amount, Balance, Price, SignatureError};
use microraiden_store::ChannelStore;
use std::pin::pin;
use tokio::task::JoinSet;

#[tokio::test]
async fn a_channel_is_confirmed_then_pays_and_each_refusal_has_its_turn() {
    let world = World::start().await;
    let config = Config {
        n_confirmations: 2,
        ..quick()
    };
    let store = world.memory();
    let manager = world.manager(store, config).await;
    let channel = world.open(100).await;
    let mut unknown = channel;
    unknown.open_block += 1;
    assert_eq!(
        world.refusal(&manager, unknown, 10).await,
        Refusal::UnknownChannel
    );
    world.node.mine(1);
    world.seen(&manager).await;
    assert_eq!(world.refusal(&manager, channel, 10).await, Refusal::Unconfirmed);
    assert_eq!(manager.channel(&channel), None);
    world.node.mine(1);
    world.seen(&manager).await;
    world.buy(&manager, channel, 10, 10).await;

    let denied = async |offer: Offer, price: u64| manager.pay(offer, Price::from(price)).await.unwrap_err();
    let forged = Offer {
        signature: Ok(world.signature(&world.stranger, channel, 20)),
        ..world.offer(channel, 20, stated(10))
    };
    assert_eq!(denied(forged, 10).await, Refusal::InvalidSignature.into());
    let none = Offer {
        signature: Err(SignatureError::Length(3)),
        ..forged
    };
    assert_eq!(denied(none, 10).await, Refusal::InvalidSignature.into());
    let above = world.offer(channel, 101, stated(91));
    assert_eq!(denied(above, 91).await, Refusal::AboveDeposit.into());
    // From here on the sender is proved, and may know.
    for (balance, payment, price, expected) in [
        (10, stated(0), 10, Refusal::BalanceQuery),
        (5, Payment::Increment, 10, Refusal::DecreasingBalance),
        (10, stated(10), 10, Refusal::AlreadySpent),
        (20, stated(10), 11, Refusal::InvalidAmount),
        (20, Payment::Increment, 9, Refusal::InvalidAmount),
        (20, stated(11), 11, Refusal::NotCovered),
    ] {
        let Denied::Refused(refusal, Some(standing)) =
            denied(world.offer(channel, balance, payment), price).await
        else {
            panic!("{expected:?} is told without a standing");
        };
        assert_eq!(refusal, expected);
        assert_eq!(standing.balance, Balance::from(10));
        let signature = world.signature(&world.sender, channel, 10);
        assert_eq!(standing.signature, Some(signature));
    }
    assert_eq!(manager.channel(&channel).unwrap().balance, 10.into());
}

#[tokio::test]
async fn a_top_up_counts_when_it_is_confirmed() {
    let world = World::start().await;
    let (manager, channel) = world.selling(world.memory(), 10).await;
    assert_eq!(world.refusal(&manager, channel, 15).await, Refusal::AboveDeposit);
    world.top_up(&channel, 10).await;
    world.seen(&manager).await;
    assert_eq!(
        world.refusal(&manager, channel, 15).await,
        Refusal::TopUpUnconfirmed
    );
    world.buy(&manager, channel, 10, 10).await;
    world.node.mine(1);
    world.seen(&manager).await;
    world.buy(&manager, channel, 15, 5).await;
    assert_eq!(manager.channel(&channel).unwrap().deposit, 20.into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_payments_in_flight_sell_in_any_order() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let (manager, channel) = world.selling(world.file(&path), 10_000).await;
    let mut sold = JoinSet::new();
    for request in 0..64 {
        // 37 has no divisor in common with 64: every place once, far from in order.
        let balance = 10 * (1 + request * 37 % 64);
        let offer = world.offer(channel, balance, stated(10));
        let manager = manager.clone();
        sold.spawn(async move { manager.pay(offer, Price::from(10)).await.unwrap() });
    }
    // All permits are held at the same time.
    let permits = sold.join_all().await;
    let costs = permits.into_iter().map(|permit| permit.charge().cost);
    let sum = costs.reduce(|sum, cost| sum.checked_add(cost).unwrap());
    assert_eq!(sum, Some(Amount::from(640)));
    manager.stop().await;
    drop(manager);
    let store = world.file(&path);
    assert_eq!(spent(&*store, &channel).await, Balance::from(640));
    assert_eq!(row(&*store, &channel).await.balance, Balance::from(640));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_channels_pay_at_once() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = world.file(&directory.path().join("state"));
    let (manager, first) = world.selling(store.clone(), 100).await;
    let mut channels = vec![first];
    for _ in 1..200 {
        channels.push(world.open(100).await);
    }
    world.node.mine(1);
    world.seen(&manager).await;
    let mut sold = JoinSet::new();
    for channel in &channels {
        for balance in [30, 20, 10] {
            let offer = world.offer(*channel, balance, stated(10));
            let manager = manager.clone();
            sold.spawn(async move { manager.pay(offer, Price::from(10)).await.unwrap().charge() });
        }
    }
    assert_eq!(sold.join_all().await.len(), 600);
    let totals = manager.totals();
    assert_eq!(totals.balance_sum, Amount::from(200 * 30));
    assert_eq!((totals.open_channels, totals.unique_senders), (200, 1));
    let stored = store.load().await.unwrap().accounts;
    assert!(stored.iter().all(|account| account.spent() == Balance::from(30)));
    assert_eq!(stored.len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_proof_twenty_times_at_once_sells_once() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = world.file(&directory.path().join("state"));
    let (manager, channel) = world.selling(store, 1_000).await;
    for round in 1..=10 {
        let offer = world.offer(channel, 10 * round, stated(10));
        let mut asked = JoinSet::new();
        for _ in 0..20 {
            let manager = manager.clone();
            asked.spawn(async move { manager.pay(offer, Price::from(10)).await });
        }
        let (sold, refused): (Vec<_>, Vec<_>) = asked.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!(sold.len(), 1);
        for denied in refused.into_iter().filter_map(Result::err) {
            assert!(matches!(denied, Denied::Refused(Refusal::AlreadySpent, Some(_))));
        }
    }
}

#[tokio::test]
async fn what_was_released_is_bought_again_by_the_same_proof() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 100).await;
    let permit = world.pay(&manager, channel, 10, 10).await.unwrap();
    let receipt = permit.release().await;
    assert_eq!((receipt.cost, receipt.credit), (0.into(), 10.into()));
    assert_eq!(receipt.balance, Balance::from(10));
    assert_eq!(spent(&*store, &channel).await, Balance::ZERO);
    // Once in the way of 2018, and again stated, after a restart.
    let offer = world.offer(channel, 10, Payment::Increment);
    let again = manager.pay(offer, Price::from(10)).await.unwrap();
    assert_eq!(again.release().await.credit, 10.into());
    manager.stop().await;
    let manager = world.manager(store.clone(), quick()).await;
    world.buy(&manager, channel, 10, 10).await;
    assert_eq!(world.refusal(&manager, channel, 10).await, Refusal::AlreadySpent);
    assert_eq!(spent(&*store, &channel).await, Balance::from(10));
}

#[tokio::test]
async fn what_a_metered_answer_left_pays_for_the_next() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 1_000).await;
    let permit = world.pay(&manager, channel, 100, 100).await.unwrap();
    let receipt = permit.charge_partly(30.into()).await;
    assert_eq!((receipt.cost, receipt.credit), (30.into(), 70.into()));
    assert_eq!(spent(&*store, &channel).await, Balance::from(30));
    world.buy(&manager, channel, 101, 71).await;
    assert_eq!(spent(&*store, &channel).await, Balance::from(101));
    // More than was paid is never charged.
    let permit = world.pay(&manager, channel, 111, 10).await.unwrap();
    assert_eq!(permit.charge_partly(11.into()).await.cost, 10.into());
    assert_eq!(spent(&*store, &channel).await, Balance::from(111));
}

#[tokio::test]
async fn a_permit_that_is_dropped_stays_spent() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 100).await;
    drop(world.pay(&manager, channel, 10, 10).await.unwrap());
    assert_eq!(world.refusal(&manager, channel, 10).await, Refusal::AlreadySpent);
    assert_eq!(spent(&*store, &channel).await, Balance::from(10));
}

#[tokio::test]
async fn clients_that_go_before_the_commit_leave_what_a_restart_finds() {
    let world = World::start().await;
    let inner = world.memory();
    let store = Shaky::new(inner.clone());
    let (manager, channel) = world.selling(store.clone(), 100).await;
    let permit = world.pay(&manager, channel, 10, 10).await.unwrap();
    store.set(Mode::Holds);
    {
        // Both get as far as waiting for the disk.
        let mut paying = pin!(world.pay(&manager, channel, 30, 20));
        assert!(poll_once(paying.as_mut()).is_pending());
        let mut releasing = pin!(permit.release());
        assert!(poll_once(releasing.as_mut()).is_pending());
    }
    assert_eq!(store.held(), 2);
    store.let_go().await;
    let stored = row(&*inner, &channel).await;
    assert_eq!(stored.balance, Balance::from(30));
    assert_eq!(stored.spent(), Some(Balance::from(20)));
    let restarted = world.manager(inner, quick()).await;
    for manager in [&manager, &restarted] {
        assert_eq!(world.refusal(manager, channel, 30).await, Refusal::AlreadySpent);
        let shown = manager.channel(&channel).unwrap();
        assert_eq!(shown.balance, Balance::from(30));
    }
    world.buy(&restarted, channel, 10, 10).await;
}
