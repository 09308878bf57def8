//! Nodes that are good, slow, away or of an unusual chain.

use crate::interposed::{Answer, interpose};
use crate::stage::connect;
use microraiden_chain::{ChainError, Node};
use microraiden_devchain::{Config, DevChain};
use microraiden_protocol::BlockNumber;
use serde_json::json;
use std::error::Error;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_node_says_what_it_has() {
    let chain = DevChain::start(Config {
        chain_id: 1 << 40,
        ..Config::default()
    })
    .await
    .unwrap();
    let node = connect(&chain).await;
    assert_eq!(node.chain_id(), 1 << 40);
    chain.mine(3);
    assert_eq!(node.block_number().await.unwrap(), BlockNumber(3));
    let latest = node.latest_header().await.unwrap();
    assert_eq!(latest.block.number, BlockNumber(3));
    assert_eq!(node.block(BlockNumber(3)).await.unwrap(), Some(latest.block));
    assert_eq!(
        node.block(BlockNumber(2)).await.unwrap().unwrap().hash,
        latest.parent
    );
    assert_eq!(node.block(BlockNumber(4)).await.unwrap(), None);
    assert!(latest.base_fee_wei.unwrap() > 0 && latest.timestamp > 0);
    assert!(node.gas_price().await.unwrap() > 0);
    node.check_block_numbers().await.unwrap();
}

#[tokio::test]
async fn a_chain_that_numbers_blocks_in_two_ways_is_refused() {
    let chain = DevChain::start(Config::default()).await.unwrap();
    let seen = "0x00000000000000000000000000000000000000000000000000000000000000ff";
    let url = interpose(chain.address(), move |method, _| match method {
        "eth_call" => Answer::Result(json!(seen)),
        _ => Answer::Pass,
    });
    let node = Node::connect(&url.await.parse().unwrap()).await.unwrap();
    chain.mine(5);
    let error = node.check_block_numbers().await.unwrap_err();
    assert!(
        error.to_string().contains("see block number 255 in block 3"),
        "{error}"
    );
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_node_that_never_answers_is_given_up_in_time() {
    let chain = DevChain::start(Config::default()).await.unwrap();
    let url = interpose(chain.address(), |method, _| match method {
        "eth_chainId" => Answer::Pass,
        _ => Answer::Silence,
    });
    let limit = Duration::from_millis(200);
    let node = Node::connect_with(&url.await.parse().unwrap(), limit)
        .await
        .unwrap();
    let started = Instant::now();
    let error = node.latest().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(
        (limit..limit * 10).contains(&started.elapsed()),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_node_that_is_away_is_a_passing_trouble_and_its_address_no_secret_told() {
    let chain = DevChain::start(Config::default()).await.unwrap();
    let port = chain.address().port();
    let url = format!("http://user:s3cret@127.0.0.1:{port}/s3cret")
        .parse()
        .unwrap();
    let node = Node::connect(&url).await.unwrap();
    chain.stop().await;
    let error = node.latest().await.unwrap_err();
    assert!(error.is_transient());
    assert_told_without_secret(&error);
    assert_told_without_secret(&Node::connect(&url).await.unwrap_err());
    assert!(!format!("{node:?}").contains("s3cret"));

    let error = Node::connect(&"ipc://127.0.0.1".parse().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, ChainError::Scheme(_)));
}

fn assert_told_without_secret(error: &ChainError) {
    let mut told = format!("{error:?}");
    let mut source: Option<&dyn Error> = Some(error);
    while let Some(error) = source {
        told += &format!(" {error}");
        source = error.source();
    }
    assert!(!told.contains("s3cret"), "{told}");
}
