//! Which of several instances leads.

use crate::world::{World, quick, until};
use microraiden_chain::Wallet;
use microraiden_manager::{ChannelManager, Config};
use microraiden_store::{Bid, SharedStore, Word};
use std::sync::Arc;
use std::time::Duration;

/// An instance whose node is behind what another one has read sees no close, however well the node answers.
#[tokio::test]
async fn an_instance_with_a_late_node_leaves_the_lead_to_others() {
    let world = World::start().await;
    let early = world.node.snapshot();
    world.node.mine(20);
    let state = world.memory();
    let leader = world.manager(Arc::new(state.instance()), quick()).await;
    world.seen(&leader).await;
    leader.stop().await;
    assert!(world.node.revert(early));

    let config = Config {
        node_timeout: Duration::from_millis(500),
        ..quick()
    };
    let (contract, key) = (world.contract.clone(), world.receiver.clone());
    let wallet = Wallet::new(contract.node().clone(), key.clone());
    let other = state.instance();
    let word = Word {
        gas_short: true,
        head_time: 7,
        ..Word::default()
    };
    assert!(other.bid(Bid::Lead(word)).await.unwrap().is_ours);
    other.bid(Bid::Resign).await.unwrap();
    let late = Arc::new(state.instance());
    let starting = tokio::spawn(ChannelManager::start(contract, wallet, key, late, config));
    until("the late one leads", async || {
        other.bid(Bid::Look).await.unwrap().is_held
    })
    .await;
    let said = other.bid(Bid::Look).await.unwrap().word.unwrap();
    assert_eq!(
        (said.gas_short, said.head_time),
        (true, 7),
        "it knows nothing else"
    );
    until("the late one gives up", async || {
        other.bid(Bid::Lead(Word::default())).await.unwrap().is_ours
    })
    .await;
    // It waits for its node as those do that do not lead.
    let late = starting.await.unwrap().unwrap();
    other.bid(Bid::Resign).await.unwrap();
    world.node.mine(30);
    until("the late one leads", async || {
        other.bid(Bid::Look).await.unwrap().is_held
    })
    .await;
    world.seen(&late).await;
}

/// A node that answers well, and whose chain stands still.
#[tokio::test]
async fn an_instance_whose_node_stands_still_leaves_the_lead_to_others() {
    let world = World::long_ago().await;
    let state = world.memory();
    let config = Config {
        node_timeout: Duration::from_millis(1_500),
        max_head_age: Some(Duration::from_secs(3_600)),
        ..quick()
    };
    let _manager = world.manager(Arc::new(state.instance()), config).await;
    let other = state.instance();
    assert!(other.bid(Bid::Look).await.unwrap().is_held);
    until("it gives up", async || {
        other.bid(Bid::Lead(Word::default())).await.unwrap().is_ours
    })
    .await;
}
