//! Stores that fail, nodes that go away.

use crate::shaky::{Mode, Shaky};
use crate::world::{World, poll_once, quick, row, spent, until};
use microraiden_chain::{Contract, Node, Wallet};
use microraiden_manager::{ChannelManager, Config, Denied, Unavailable};
use microraiden_protocol::ledger::Refusal;
use microraiden_protocol::{Amount, Balance};
use microraiden_store::ChannelStore;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const STOPPED: Denied = Denied::Unavailable(Unavailable::StoreStopped);

#[tokio::test]
async fn there_is_no_permit_before_the_payment_is_durable() {
    let world = World::start().await;
    let inner = world.memory();
    let store = Shaky::new(inner.clone());
    let (manager, channel) = world.selling(store.clone(), 100).await;
    store.set(Mode::Holds);
    let mut paying = pin!(world.pay(&manager, channel, 10, 10));
    assert!(poll_once(paying.as_mut()).is_pending());
    assert_eq!(spent(&*inner, &channel).await, Balance::ZERO);
    store.let_go().await;
    assert_eq!(paying.await.unwrap().charge().cost, 10.into());
    assert_eq!(spent(&*inner, &channel).await, Balance::from(10));
}

#[tokio::test]
async fn a_store_that_stops_at_any_commit_sells_nothing_more() {
    let world = World::start().await;
    let channel = world.open(100).await;
    world.node.mine(1);
    let mut sales = Vec::new();
    for commits in 2..9 {
        let inner = world.memory();
        let store = Shaky::stopping_after(commits, inner.clone());
        let manager = world.manager(store, quick()).await;
        let mut sold = Amount::ZERO;
        let mut failed = false;
        for balance in [10, 20, 30] {
            match world.pay(&manager, channel, balance, 10).await {
                Ok(permit) => {
                    assert!(!failed, "sold after the store has failed");
                    let permit = (balance != 20).then_some(permit);
                    // The second is taken back, if that can be kept.
                    let Some(permit) = permit else { continue };
                    sold = sold.checked_add(permit.charge().cost).unwrap();
                }
                Err(denied) => {
                    assert_eq!(denied, STOPPED);
                    failed = true;
                }
            }
        }
        let signature = manager.close(world.close_request(channel, 30)).await;
        let kept = row(&*inner, &channel).await;
        assert!(kept.spent().unwrap() >= Balance::ZERO.checked_add(sold).unwrap());
        assert_eq!(signature.is_ok(), kept.promise.is_some());
        sales.push((failed, signature.is_ok()));
    }
    // All cases were there: before, between, and not at all.
    assert_eq!(sales.first(), Some(&(true, false)));
    assert!(sales.contains(&(false, false)));
    assert_eq!(sales.last(), Some(&(false, true)));
}

#[tokio::test]
async fn a_release_that_cannot_be_kept_is_not_promised() {
    let world = World::start().await;
    let store = Shaky::new(world.memory());
    let (manager, channel) = world.selling(store.clone(), 100).await;
    let permit = world.pay(&manager, channel, 10, 10).await.unwrap();
    let other = world.pay(&manager, channel, 20, 10).await.unwrap();
    store.set(Mode::Holds);
    let mut releasing = pin!(permit.release());
    assert!(poll_once(releasing.as_mut()).is_pending());
    store.stop();
    // The receipt says that it stays spent, and so does every one after it.
    assert_eq!(releasing.await.cost, 10.into());
    assert_eq!(other.release().await.cost, 10.into());
    assert_eq!(world.pay(&manager, channel, 10, 10).await.unwrap_err(), STOPPED);
}

#[tokio::test]
async fn a_full_queue_refuses_payments_and_delays_releases_and_closes() {
    let world = World::start().await;
    let inner = world.memory();
    let store = Shaky::new(inner.clone());
    let (manager, channel) = world.selling(store.clone(), 100).await;
    let permit = world.pay(&manager, channel, 10, 10).await.unwrap();
    store.set(Mode::Busy);
    let busy = Denied::Unavailable(Unavailable::Busy);
    assert_eq!(world.pay(&manager, channel, 20, 10).await.unwrap_err(), busy);
    let mut releasing = pin!(permit.release());
    assert!(poll_once(releasing.as_mut()).is_pending());
    world.close_at(&channel, 0).await;
    store.set(Mode::Works);
    assert_eq!(releasing.await.cost, 0.into());
    assert_eq!(spent(&*inner, &channel).await, Balance::ZERO);
    world.seen(&manager).await;
    assert_eq!(world.refusal(&manager, channel, 20).await, Refusal::Challenged);
    assert_eq!(row(&*inner, &channel).await.balance, Balance::from(10));
}

#[tokio::test]
async fn a_follower_whose_batch_fails_stops_the_selling() {
    let world = World::start().await;
    let store = Shaky::new(world.memory());
    let (manager, channel) = world.selling(store.clone(), 100).await;
    store.stop();
    world.node.mine(1);
    until("selling stops", async || {
        world.pay(&manager, channel, 10, 10).await.err() == Some(STOPPED)
    })
    .await;
    // Not to be trusted again before a restart.
    store.set(Mode::Works);
    assert_eq!(world.pay(&manager, channel, 10, 10).await.unwrap_err(), STOPPED);
}

#[tokio::test]
async fn the_last_manager_that_is_dropped_gives_the_store_back() {
    let world = World::start().await;
    let store: Arc<dyn ChannelStore> = world.memory();
    let (manager, channel) = world.selling(store.clone(), 100).await;
    let clone = manager.clone();
    drop(manager);
    world.buy(&clone, channel, 10, 10).await;
    drop(clone);
    until("nobody has the store", async || Arc::strong_count(&store) == 1).await;
}

/// A line to the node that can be cut.
struct Line {
    address: SocketAddr,
    cut: watch::Sender<bool>,
}

impl Line {
    async fn to(node: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cut = watch::Sender::new(false);
        let state = cut.subscribe();
        tokio::spawn(async move {
            loop {
                let (mut here, _) = listener.accept().await.unwrap();
                let mut state = state.clone();
                tokio::spawn(async move {
                    if *state.borrow_and_update() {
                        // Accepts, and never answers.
                        let _ = state.wait_for(|cut| !cut).await;
                        return;
                    }
                    let mut there = TcpStream::connect(node).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut here, &mut there) => {}
                        _ = state.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { address, cut }
    }
}

/// A manager that reaches the node by a line, and a confirmed channel.
async fn by_line(world: &World, line: &Line) -> (ChannelManager, microraiden_protocol::ChannelId) {
    let url = format!("http://{}", line.address).parse().unwrap();
    let node = Node::connect_with(&url, Duration::from_millis(300))
        .await
        .unwrap();
    let contract = Contract::at(node.clone(), world.contract.address())
        .await
        .unwrap();
    let config = Config {
        node_timeout: Duration::from_millis(500),
        ..quick()
    };
    let key = world.receiver.clone();
    let wallet = Wallet::new(node, key.clone());
    let manager = ChannelManager::start(contract, wallet, key, world.memory(), config).await;
    let manager = manager.unwrap();
    let channel = world.open(100).await;
    world.node.mine(1);
    world.seen(&manager).await;
    (manager, channel)
}

const SILENT: Denied = Denied::Unavailable(Unavailable::NodeSilent);

#[tokio::test]
async fn a_node_that_is_silent_stops_the_selling_until_it_answers() {
    let world = World::start().await;
    let line = Line::to(world.node.address()).await;
    let (manager, channel) = by_line(&world, &line).await;
    world.buy(&manager, channel, 10, 10).await;
    line.cut.send_replace(true);
    until("selling stops", async || {
        world.pay(&manager, channel, 10, 10).await.err() == Some(SILENT)
    })
    .await;
    line.cut.send_replace(false);
    until("selling goes on", async || {
        world.pay(&manager, channel, 20, 10).await.is_ok()
    })
    .await;
    world.buy(&manager, channel, 30, 10).await;
}

#[tokio::test]
async fn after_a_silence_nothing_is_sold_before_the_chain_is_read() {
    let world = World::start().await;
    let line = Line::to(world.node.address()).await;
    let (manager, channel) = by_line(&world, &line).await;
    line.cut.send_replace(true);
    until("selling stops", async || {
        world.pay(&manager, channel, 10, 20).await.err() == Some(SILENT)
    })
    .await;
    // So much that it is read in several steps, with the close in the last.
    world.node.mine(300);
    world.close_at(&channel, 0).await;
    line.cut.send_replace(false);
    until("the close is seen", async || {
        match world.pay(&manager, channel, 10, 10).await {
            Err(denied) if denied == SILENT => false,
            Err(Denied::Refused(Refusal::Challenged, _)) => true,
            other => panic!("sold with a close on chain: {other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_silent_node() {
    let world = World::start().await;
    let line = Line::to(world.node.address()).await;
    let url = format!("http://{}", line.address).parse().unwrap();
    let node = Node::connect(&url).await.unwrap();
    let contract = Contract::at(node.clone(), world.contract.address())
        .await
        .unwrap();
    let key = world.receiver.clone();
    let wallet = Wallet::new(node, key.clone());
    let manager = ChannelManager::start(contract, wallet, key, world.memory(), quick()).await;
    line.cut.send_replace(true);
    let stopped = tokio::time::timeout(Duration::from_secs(10), async { manager.unwrap().stop().await });
    stopped.await.unwrap();
}
