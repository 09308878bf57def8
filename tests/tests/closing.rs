//! Closes that are not agreed on, on the development chain and on anvil alike.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use microraiden_protocol::{Amount, Balance, ChannelId, Price};
use microraiden_sender::{Client, Closing, Session, SessionConfig};
use microraiden_tests::{NodeKind, Receiver, Upstream, World, receiver};
use std::time::{Duration, Instant};

const PRICE: u64 = 5;

/// Pays six requests through a proxy; gives the channel that paid 30.
async fn pay_six(world: &World, proxy: &Receiver) -> (Session, ChannelId) {
    let client = Client::new(world.contract.clone(), world.sender.clone());
    let config = SessionConfig {
        retry_pause: Duration::from_millis(50),
        ..SessionConfig::new(Price::from(PRICE), Amount::from(30))
    };
    let session = Session::new(client, config).unwrap();
    for request in 0..6 {
        let answer = session.get(proxy.url(&format!("/echo/{request}"))).await.unwrap();
        assert_eq!(answer.response.text().await.unwrap(), request.to_string());
    }
    let channels = session.channels();
    assert_eq!(channels.len(), 1);
    let channel = channels[0].id();
    (session, channel)
}

async fn until_receiver_has(world: &World, tokens: u64) {
    let begin = Instant::now();
    while world.tokens(world.receiver.address()).await != Amount::from(tokens) {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "the receiver does not get its {tokens}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn a_stale_close_is_disputed(kind: NodeKind) {
    let world = World::start(kind).await;
    let (upstream, files) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let state = files.path().join("receiver.db");
    let proxy = Receiver::start(&world, upstream.url(), PRICE, &state, receiver::quick()).await;
    let before = world.tokens(world.sender.address()).await;
    let (_, channel) = pay_six(&world, &proxy).await;

    let wallet = world.wallet(&world.sender);
    world
        .contract
        .uncooperative_close(&wallet, &channel, Balance::from(10))
        .await
        .unwrap();
    until_receiver_has(&world, 30).await;
    let after = world.tokens(world.sender.address()).await;
    assert_eq!(
        before.checked_sub(after),
        Some(Amount::from(30)),
        "the rest of the deposit is back"
    );
    assert!(
        world.contract.channel_info(&channel).await.unwrap().is_none(),
        "the channel is settled"
    );
    let listed = reqwest::get(proxy.url("/api/1/channels"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(listed, "[]\n", "nothing is sold on it any more");
    assert_eq!(upstream.served(), 6);
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_close_is_disputed_on_the_development_chain() {
    a_stale_close_is_disputed(NodeKind::Devchain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_close_is_disputed_on_anvil() {
    a_stale_close_is_disputed(NodeKind::Anvil).await;
}

async fn an_honest_close_is_settled_by_the_sender(kind: NodeKind) {
    let world = World::start(kind).await;
    let (upstream, files) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let state = files.path().join("receiver.db");
    let proxy = Receiver::start(&world, upstream.url(), PRICE, &state, receiver::quick()).await;
    let before = world.tokens(world.sender.address()).await;
    let (session, channel) = pay_six(&world, &proxy).await;
    // The receiver is away: no agreement is to be had.
    proxy.stop().await;
    let channels = session.channels();
    channels[0].close().await.unwrap();
    assert!(
        channels[0].settle().await.is_err(),
        "not before the challenge period is over"
    );
    let period = u64::from(world.contract.challenge_period());
    world.node.mine(period + 1).await;
    channels[0].settle().await.unwrap();
    assert_eq!(world.tokens(world.receiver.address()).await, Amount::from(30));
    let after = world.tokens(world.sender.address()).await;
    assert_eq!(before.checked_sub(after), Some(Amount::from(30)));
    assert!(world.contract.channel_info(&channel).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_close_is_settled_on_the_development_chain() {
    an_honest_close_is_settled_by_the_sender(NodeKind::Devchain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_close_is_settled_on_anvil() {
    an_honest_close_is_settled_by_the_sender(NodeKind::Anvil).await;
}

/// The signature that is shown for such a close was read by everybody on chain.
#[tokio::test(flavor = "multi_thread")]
async fn a_close_at_what_was_withdrawn_is_agreed_on() {
    let world = World::start(NodeKind::Devchain).await;
    let (upstream, files) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let state = files.path().join("receiver.db");
    let proxy = Receiver::start(&world, upstream.url(), PRICE, &state, receiver::quick()).await;
    let (session, channel) = pay_six(&world, &proxy).await;
    let signature = session.channels()[0].balance_sig().unwrap();
    let wallet = world.wallet(&world.receiver);
    let withdrawing = world
        .contract
        .withdraw(&wallet, &channel, Balance::from(30), &signature);
    withdrawing.await.unwrap();
    // The receiver sees its own withdrawal, which makes the signature public to it.
    world.node.mine(5).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let closed = session.close().await.unwrap();
    assert_eq!(closed[0].balance, Balance::from(30));
    assert_eq!(closed[0].closing, Closing::Cooperative);
    assert_eq!(world.tokens(world.receiver.address()).await, Amount::from(30));
    proxy.stop().await;
}
