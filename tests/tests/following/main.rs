//! Following the chain through nodes as they are, on the development chain and on anvil alike.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod relay;

use microraiden_chain::{Contract, Follower, Node, NodeOptions, Party};
use microraiden_manager::{ChannelManager, Config};
use microraiden_protocol::{BlockNumber, ChannelId, Deposit};
use microraiden_tests::{NodeKind, World, receiver};
use relay::Relay;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use url::Url;

/// Each of these is a test on the development chain and one on anvil.
macro_rules! on_both_nodes {
    ($($name:ident)*) => {
        mod devchain {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::World::start(super::NodeKind::Devchain).await).await;
            })*
        }
        mod anvil {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::World::start(super::NodeKind::Anvil).await).await;
            })*
        }
    };
}

on_both_nodes! {
    a_long_chain_is_read_from_a_node_that_refuses_long_ranges
    a_restart_goes_on_from_the_stored_head
    a_stored_head_that_is_gone_is_rewound_to_the_fork_point
    new_blocks_are_taken_over_when_they_are_announced
    a_receiver_goes_on_with_the_next_node
}

async fn open_channel(world: &World, deposit: u64) -> ChannelId {
    let wallet = world.wallet(&world.sender);
    let (receiver, deposit) = (world.receiver.address(), Deposit::from(deposit));
    let opened = world.contract.open_channel(&wallet, receiver, deposit).await;
    opened.unwrap().0
}

async fn start(world: &World, rpc: Vec<Url>, state_file: &Path, config: Config) -> ChannelManager {
    let receiver = microraiden_manager::Receiver {
        rpc,
        contract: world.contract.address(),
        key: world.receiver.clone(),
        store: state_file.to_owned().into(),
    };
    ChannelManager::open(receiver, config).await.unwrap()
}

/// Waits until the channel can be paid on; how long that took.
async fn until_open(manager: &ChannelManager, channel: &ChannelId) -> Duration {
    let begin = Instant::now();
    while manager.channel(channel).is_none() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{channel} is not seen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begin.elapsed()
}

async fn a_long_chain_is_read_from_a_node_that_refuses_long_ranges(world: World) {
    let old = open_channel(&world, 7).await;
    world.node.mine(400).await;
    let newer = open_channel(&world, 8).await;
    world.node.mine(400).await;
    let (relay, files) = (Relay::start(world.node.url()).await, tempfile::tempdir().unwrap());
    relay.refuse_ranges_above(100);
    let state = files.path().join("receiver.db");
    let manager = start(&world, vec![relay.url()], &state, receiver::quick()).await;
    for channel in [old, newer] {
        assert!(manager.channel(&channel).is_some());
    }
    assert!(manager.head().0 >= 800);
    // A range of some 750 is halved until it is short enough, and then no more is refused.
    assert!((3..=4).contains(&relay.refused()), "{}", relay.refused());
    manager.stop().await;
}

async fn a_restart_goes_on_from_the_stored_head(world: World) {
    let old = open_channel(&world, 7).await;
    world.node.mine(100).await;
    let (relay, files) = (Relay::start(world.node.url()).await, tempfile::tempdir().unwrap());
    let state = files.path().join("receiver.db");
    let manager = start(&world, vec![relay.url()], &state, receiver::quick()).await;
    until_open(&manager, &old).await;
    manager.stop().await;
    let head = manager.head();
    drop(manager);

    world.node.mine(200).await;
    let new = open_channel(&world, 8).await;
    world.node.mine(1).await;
    relay.forget();
    let manager = start(&world, vec![relay.url()], &state, receiver::quick()).await;
    until_open(&manager, &new).await;
    assert!(manager.channel(&old).is_some());
    assert_eq!(relay.lowest_range(), Some(head.0 + 1));
    manager.stop().await;
}

async fn a_stored_head_that_is_gone_is_rewound_to_the_fork_point(world: World) {
    let kept = open_channel(&world, 7).await;
    world.node.mine(100).await;
    let node = Node::connect(&world.node.url()).await.unwrap();
    let contract = Contract::at(node.clone(), world.contract.address())
        .await
        .unwrap();
    let party = Party::Receiver(world.receiver.address());
    let mut follower = Follower::new(contract.clone(), party, BlockNumber(0), vec![]);
    let (mut known, mut seen) = (vec![], vec![]);
    while !follower.caught_up() {
        let update = follower.poll().await.unwrap();
        let (blocks, events) = update
            .map(|update| (update.blocks, update.events))
            .unwrap_or_default();
        known.extend(blocks);
        seen.extend(events);
    }
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].channel, kept);

    // Stopped here. What is read next is another chain from the fifth newest block on, or from a little above: blocks
    // may be mined between the two.
    world.node.control("anvil_reorg", json!([5, []])).await;
    let head = *known.last().unwrap();
    let new = open_channel(&world, 8).await;
    let mut follower = Follower::new(contract, party, BlockNumber(0), known.clone());
    assert_eq!(follower.head(), Some(head));
    let update = loop {
        if let Some(update) = follower.poll().await.unwrap() {
            break update;
        }
    };
    let fork = update.rewind_to.unwrap();
    assert!(
        (head.number.0 - 5..head.number.0).contains(&fork.0),
        "{fork} {head:?}"
    );
    let last = known.iter().rfind(|block| block.number == fork).unwrap();
    assert_eq!(node.block(fork).await.unwrap(), Some(*last));
    let first = known.iter().find(|block| block.number.0 == fork.0 + 1).unwrap();
    assert_ne!(node.block(first.number).await.unwrap(), Some(*first));
    let channels: Vec<_> = update.events.iter().map(|event| event.channel).collect();
    assert_eq!(channels, [new]);
}

async fn new_blocks_are_taken_over_when_they_are_announced(world: World) {
    let files = tempfile::tempdir().unwrap();
    let mut url = world.node.url();
    url.set_scheme("ws").unwrap();
    let config = Config {
        // Longer than the test may take.
        poll_interval: Duration::from_secs(600),
        ..receiver::quick()
    };
    let state = files.path().join("receiver.db");
    let manager = start(&world, vec![url], &state, config).await;
    for deposit in [7, 8] {
        let channel = open_channel(&world, deposit).await;
        until_open(&manager, &channel).await;
    }
    manager.stop().await;
}

async fn a_receiver_goes_on_with_the_next_node(world: World) {
    let (first, second) = (
        Relay::start(world.node.url()).await,
        Relay::start(world.node.url()).await,
    );
    let files = tempfile::tempdir().unwrap();
    let state = files.path().join("receiver.db");
    let urls = vec![first.url(), second.url()];
    let manager = start(&world, urls.clone(), &state, receiver::quick()).await;
    let channel = open_channel(&world, 7).await;
    until_open(&manager, &channel).await;
    let (before, idle) = (first.answered(), second.answered());

    first.set_away(true);
    let channel = open_channel(&world, 8).await;
    until_open(&manager, &channel).await;
    assert!(second.answered() > idle && before > idle);

    // The first one is returned to when it is back.
    first.set_away(false);
    let (before, begin) = (first.answered(), Instant::now());
    while first.answered() < before + 20 {
        assert!(begin.elapsed() < Duration::from_secs(60), "it is not asked again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let idle = second.answered();
    second.set_away(true);
    let channel = open_channel(&world, 9).await;
    until_open(&manager, &channel).await;
    assert_eq!(second.answered(), idle);
    manager.stop().await;

    // The start, too, needs only one of them.
    first.set_away(true);
    second.set_away(false);
    let node = Node::connect_to(&urls, NodeOptions::default()).await.unwrap();
    assert_eq!(node.chain_id(), world.contract.node().chain_id());
}
