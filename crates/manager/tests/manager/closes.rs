//! Closes that the sender asks for: promises that are kept.

use crate::shaky::{Mode, Shaky};
use crate::world::{World, poll_once, quick, row, spent};
use microraiden_manager::{Asker, CloseError, CloseRequest, Denied, Unavailable};
use microraiden_protocol::ledger::{CloseRefusal, Refusal};
use microraiden_protocol::{Balance, Price};
use std::pin::pin;
use std::task::Poll;
use tokio::task::JoinSet;

const OTHER: CloseError = CloseError::Refused(CloseRefusal::OtherPromise);

#[tokio::test]
async fn a_promise_survives_a_restart_and_the_sender_closes_with_it() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let (manager, channel) = world.selling(world.file(&path), 100).await;
    world.buy(&manager, channel, 20, 20).await;
    let metered = world.pay(&manager, channel, 40, 20).await.unwrap();
    metered.charge_partly(5.into()).await;
    // From what was sold, 25, up to the balance.
    for wrong in [24, 41] {
        let denied = manager.close(world.close_request(channel, wrong)).await;
        assert_eq!(denied, Err(CloseRefusal::WrongBalance.into()));
    }
    let signature = manager.close(world.close_request(channel, 25)).await.unwrap();
    let scheme = world.contract.scheme();
    assert!(scheme.is_closing_signature(&signature, &channel, 25.into()));
    manager.stop().await;
    drop(manager);

    let manager = world.manager(world.file(&path), quick()).await;
    let again = manager.close(world.close_request(channel, 25)).await;
    assert_eq!(again, Ok(signature));
    let other = manager.close(world.close_request(channel, 40)).await;
    assert_eq!(other, Err(OTHER));
    assert_eq!(world.refusal(&manager, channel, 50).await, Refusal::ClosePromised);

    let wallet = world.wallet(&world.sender);
    let proof = world.signature(&world.sender, channel, 25);
    let closed = world
        .contract
        .cooperative_close(&wallet, &channel, 25.into(), &proof, &signature);
    closed.await.unwrap();
    assert_eq!(world.earned().await, 25.into());
    world.seen(&manager).await;
    assert_eq!(manager.channel(&channel), None);
}

#[tokio::test]
async fn no_signature_leaves_before_its_promise_is_durable() {
    let world = World::start().await;
    let inner = world.memory();
    let store = Shaky::new(inner.clone());
    let (manager, channel) = world.selling(store.clone(), 100).await;
    world.buy(&manager, channel, 20, 20).await;
    store.set(Mode::Holds);
    let request = world.close_request(channel, 20);
    let (mut first, mut second) = (pin!(manager.close(request)), pin!(manager.close(request)));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    // A crash here: a restart knows of nothing, and nobody has a signature.
    assert_eq!(row(&*inner, &channel).await.promise, None);
    store.let_go().await;
    let (first, second) = (first.await, second.await);
    assert!(first.is_ok());
    assert_eq!(first, second);
    let promise = row(&*inner, &channel).await.promise;
    assert_eq!(promise.unwrap().closing().unwrap().at, Balance::from(20));
}

#[tokio::test]
async fn a_promise_that_cannot_be_kept_is_not_signed() {
    let world = World::start().await;
    let store = Shaky::new(world.memory());
    let (manager, channel) = world.selling(store.clone(), 100).await;
    world.buy(&manager, channel, 20, 20).await;
    store.set(Mode::Holds);
    let request = world.close_request(channel, 20);
    let mut closing = pin!(manager.close(request));
    assert!(poll_once(closing.as_mut()).is_pending());
    store.stop();
    let unavailable = Err(CloseError::Unavailable(Unavailable::StoreStopped));
    assert_eq!(closing.await, unavailable);
    // Not even when the store seems to work again: it may have lost the promise.
    store.set(Mode::Works);
    assert_eq!(manager.close(request).await, unavailable);
}

#[tokio::test]
async fn a_full_queue_promises_nothing() {
    let world = World::start().await;
    let store = Shaky::new(world.memory());
    let (manager, channel) = world.selling(store.clone(), 100).await;
    world.buy(&manager, channel, 20, 20).await;
    store.set(Mode::Busy);
    let request = world.close_request(channel, 20);
    let busy = Err(CloseError::Unavailable(Unavailable::Busy));
    assert_eq!(manager.close(request).await, busy);
    store.set(Mode::Works);
    world.buy(&manager, channel, 30, 10).await;
    let denied = manager.close(request).await;
    assert_eq!(denied, Err(CloseRefusal::WrongBalance.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sold_after_a_promise_and_what_was_sold_before_is_in_it() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = world.file(&directory.path().join("state"));
    let (manager, first) = world.selling(store.clone(), 10_000).await;
    let mut channels = vec![first];
    for _ in 1..10 {
        channels.push(world.open(10_000).await);
    }
    world.node.mine(1);
    world.seen(&manager).await;
    for (round, channel) in channels.into_iter().enumerate() {
        let mut paid = JoinSet::new();
        for request in 1..=60 {
            let offer = world.offer(channel, 10 * request, crate::world::stated(10));
            let manager = manager.clone();
            paid.spawn(async move {
                match manager.pay(offer, Price::from(10)).await {
                    Ok(permit) => permit.charge().cost,
                    Err(Denied::Refused(Refusal::ClosePromised, _)) => 0.into(),
                    Err(denied) => panic!("{denied:?}"),
                }
            });
        }
        // In the middle of it: whatever the balance is, as soon as it is not below what was sold.
        let mut at = 10 * u64::try_from(5 * round).unwrap();
        let promised = loop {
            match manager.close(world.close_request(channel, at)).await {
                Ok(_) => break at,
                Err(CloseError::NothingPaid | CloseError::Refused(CloseRefusal::WrongBalance)) => {}
                Err(error) => panic!("{error}"),
            }
            let balance = manager.channel(&channel).unwrap().balance;
            at = balance.to_string().parse().unwrap();
            tokio::task::yield_now().await;
        };
        let before = spent(&*store, &channel).await;
        let refused = world.pay(&manager, channel, 10_000, 10).await;
        assert!(matches!(refused, Err(Denied::Refused(Refusal::ClosePromised, _))));
        let costs = paid.join_all().await;
        let sold = costs
            .into_iter()
            .reduce(|sum, cost| sum.checked_add(cost).unwrap());
        let sold = sold.unwrap();
        assert!(sold <= promised.into(), "{sold} sold, {promised} promised");
        assert_eq!(before, Balance::ZERO.checked_add(sold).unwrap());
    }
}

#[tokio::test]
async fn only_the_sender_is_promised_a_close() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 100).await;
    let early = manager.close(world.close_request(channel, 0)).await;
    assert_eq!(early, Err(CloseError::NothingPaid));
    world.buy(&manager, channel, 20, 20).await;
    let request = world.close_request(channel, 20);
    for signature in [
        world.signature(&world.stranger, channel, 20),
        world.signature(&world.receiver, channel, 20),
        world.signature(&world.sender, channel, 19),
    ] {
        let asker = Asker::Sender {
            signature,
            other: None,
        };
        let forged = CloseRequest { asker, ..request };
        assert_eq!(manager.close(forged).await, Err(CloseError::NotTheSender));
    }
    let mut elsewhere = channel;
    elsewhere.open_block += 1;
    let unknown = manager.close(world.close_request(elsewhere, 20)).await;
    assert_eq!(unknown, Err(CloseRefusal::UnknownChannel.into()));
    assert_eq!(row(&*store, &channel).await.promise, None);
    world.buy(&manager, channel, 30, 10).await;
}

#[tokio::test]
async fn what_was_in_flight_at_the_promise_may_still_be_released() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 100).await;
    let permit = world.pay(&manager, channel, 20, 20).await.unwrap();
    let mut early = pin!(manager.close(world.close_request(channel, 10)));
    let denied = Poll::Ready(Err(CloseRefusal::WrongBalance.into()));
    assert_eq!(poll_once(early.as_mut()), denied);
    manager.close(world.close_request(channel, 20)).await.unwrap();
    assert_eq!(permit.release().await.cost, 0.into());
    assert_eq!(world.refusal(&manager, channel, 20).await, Refusal::ClosePromised);
    assert_eq!(spent(&*store, &channel).await, Balance::ZERO);
}

#[tokio::test]
async fn a_proof_that_a_withdrawal_made_public_needs_another_beside_it() {
    let world = World::start().await;
    let (manager, channel) = world.selling(world.memory(), 100).await;
    world.buy(&manager, channel, 20, 20).await;
    let wallet = world.wallet(&world.receiver);
    let signature = world.signature(&world.sender, channel, 20);
    let withdrawn = world.contract.withdraw(&wallet, &channel, 20.into(), &signature);
    withdrawn.await.unwrap();
    world.node.mine(1);
    world.seen(&manager).await;
    let close = async |other| {
        let asker = Asker::Sender { signature, other };
        manager
            .close(CloseRequest {
                channel,
                balance: 20.into(),
                asker,
            })
            .await
    };
    let own = |balance| world.signature(&world.sender, channel, balance);
    assert_eq!(close(None).await, Err(CloseError::ProofIsPublic));
    // The same again, a higher one, and somebody else's.
    for (balance, other) in [(20, signature), (21, own(21))] {
        let refused = close(Some((balance.into(), other))).await;
        assert_eq!(refused, Err(CloseError::ProofIsPublic), "{balance}");
    }
    let strangers = world.signature(&world.stranger, channel, 19);
    let refused = close(Some((19.into(), strangers))).await;
    assert_eq!(refused, Err(CloseError::NotTheSender));
    let agreed = close(Some((19.into(), own(19)))).await.unwrap();
    let scheme = world.contract.scheme();
    assert!(scheme.is_closing_signature(&agreed, &channel, 20.into()));
    assert_eq!(close(Some((0.into(), own(0)))).await, Ok(agreed));
}

#[tokio::test]
async fn who_is_allowed_needs_no_signature_of_the_senders() {
    let world = World::start().await;
    let store = world.memory();
    let (manager, channel) = world.selling(store.clone(), 100).await;
    let at = |balance: u64| CloseRequest {
        channel,
        balance: balance.into(),
        asker: Asker::Operator,
    };
    assert_eq!(manager.close(at(0)).await, Err(CloseError::NothingPaid));
    let metered = world.pay(&manager, channel, 20, 20).await.unwrap();
    metered.charge_partly(15.into()).await;
    assert_eq!(
        manager.close(at(14)).await,
        Err(CloseRefusal::WrongBalance.into())
    );
    let signature = manager.close(at(17)).await.unwrap();
    assert_eq!(manager.close(at(17)).await, Ok(signature));
    // No signature of the sender's is made up.
    let promise = row(&*store, &channel).await.promise.unwrap();
    assert_eq!(promise.closing().unwrap().sender_signature, None);
    assert_eq!(manager.close(at(20)).await, Err(OTHER));
}
