//! Several nodes as one: those that fail, are behind, on another fork, or want fewer requests.

use crate::follower::{Book, assert_agrees};
use crate::interposed::{Answer, interpose};
use crate::stage::{Stage, connect, secret_key};
use alloy_primitives::{Address, Bytes, U256};
use microraiden_chain::{ChainError, Contract, Follower, Node, NodeOptions, Party, Wallet};
use microraiden_devchain::{Config, DevChain, Fault, FaultKind};
use microraiden_protocol::BlockNumber;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Another node that has the chain as it is now.
async fn copy(chain: &DevChain) -> DevChain {
    let copy = DevChain::start(Config::default()).await.unwrap();
    copy.load(&chain.dump()).unwrap();
    copy
}

/// The first node is the stage's, with answers of its own; the second is another one.
async fn two_nodes(
    stage: &Stage,
    second: &DevChain,
    answer: impl Fn(&str, &Value) -> Answer + Clone + Send + 'static,
) -> Node {
    let urls = [interpose(stage.chain.address(), answer).await, second.url()];
    let urls = urls.map(|url| url.parse().unwrap());
    Node::connect_to(&urls, NodeOptions::default()).await.unwrap()
}

async fn follow(stage: &Stage, node: &Node) -> Follower {
    let contract = Contract::at(node.clone(), stage.contract.address())
        .await
        .unwrap();
    Follower::new(contract, Party::Any, BlockNumber(0), vec![])
}

/// A node that is away while the flag is set.
fn unless(away: &Arc<AtomicBool>) -> impl Fn(&str, &Value) -> Answer + Clone + Send + 'static {
    let away = away.clone();
    move |_, _| match away.load(Ordering::Relaxed) {
        true => Answer::Break,
        false => Answer::Pass,
    }
}

/// Follows until the head is that of the stage's node; the rewinds on the way.
async fn follow_back(stage: &Stage, follower: &mut Follower, book: &mut Book) -> Vec<BlockNumber> {
    let (started, mut rewinds) = (Instant::now(), vec![]);
    let head = stage.node.latest().await.unwrap();
    while follower.head() != Some(head) {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "{:?}",
            follower.head()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
        rewinds.extend(book.catch_up(follower).await);
    }
    rewinds
}

#[tokio::test]
async fn the_next_node_goes_on_where_the_first_one_has_failed() {
    let stage = Stage::new().await;
    stage.open(5).await;
    stage.chain.mine(500);
    stage.open(6).await;
    stage.chain.mine(500);
    let second = copy(&stage.chain).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = asked.clone();
    let node = two_nodes(&stage, &second, move |method, params| {
        let is_range = method == "eth_getLogs" && params[0]["blockHash"].is_null();
        match (is_range, seen.load(Ordering::Relaxed)) {
            (false, ..3) => Answer::Pass,
            (true, ..2) => {
                seen.fetch_add(1, Ordering::Relaxed);
                Answer::Refuse("block range is too wide")
            }
            (true, 2) => {
                seen.fetch_add(1, Ordering::Relaxed);
                Answer::Pass
            }
            (_, _) => Answer::Break,
        }
    })
    .await;
    let (mut follower, mut book) = (follow(&stage, &node).await, Book::default());
    assert_eq!(book.catch_up(&mut follower).await, []);
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    assert_eq!(book.events.len(), 2);
    assert_agrees(&stage, &book).await;
}

#[tokio::test]
async fn a_next_node_that_is_behind_is_late_and_no_reorganisation() {
    let stage = Stage::new().await;
    stage.chain.mine(20);
    let second = copy(&stage.chain).await;
    stage.open(5).await;
    stage.chain.mine(3);
    // Away from the moment on at which it has said what its newest block is.
    let (away, leaves) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (goes, left) = (away.clone(), leaves.clone());
    let node = two_nodes(&stage, &second, move |_, params| {
        if goes.load(Ordering::Relaxed) {
            return Answer::Break;
        }
        if left.load(Ordering::Relaxed) && params[0] == "latest" {
            goes.store(true, Ordering::Relaxed);
        }
        Answer::Pass
    })
    .await;
    let (mut follower, mut book) = (follow(&stage, &node).await, Book::default());
    book.catch_up(&mut follower).await;
    let head = follower.head();
    stage.open(6).await;
    leaves.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        assert_eq!(follower.poll().await.unwrap(), None);
        assert_eq!(follower.head(), head);
    }
    assert!(away.load(Ordering::Relaxed));
    assert_eq!(node.latest().await.unwrap().number.0, second.block_number());

    leaves.store(false, Ordering::Relaxed);
    away.store(false, Ordering::Relaxed);
    assert_eq!(follow_back(&stage, &mut follower, &mut book).await, []);
    assert_agrees(&stage, &book).await;
}

#[tokio::test]
async fn a_next_node_on_another_fork_is_a_reorganisation_there_and_back() {
    let stage = Stage::new().await;
    stage.chain.mine(10);
    stage.open(5).await;
    let fork = BlockNumber(stage.chain.block_number());
    let second = copy(&stage.chain).await;
    stage.open(6).await;
    stage.chain.mine(2);
    let stranger = Wallet::new(connect(&second).await, secret_key(&second, 5));
    let (to, value) = (Address::repeat_byte(5), U256::from(1));
    stranger.send(Some(to), Bytes::new(), value, None).await.unwrap();
    second.mine(5);

    let away = Arc::new(AtomicBool::new(false));
    let node = two_nodes(&stage, &second, unless(&away)).await;
    let (mut follower, mut book) = (follow(&stage, &node).await, Book::default());
    book.catch_up(&mut follower).await;
    assert_eq!(book.events.len(), 2);
    away.store(true, Ordering::Relaxed);
    assert_eq!(book.catch_up(&mut follower).await, [fork]);
    assert_eq!(book.events.len(), 1);
    assert_eq!(follower.head().unwrap().number.0, second.block_number());
    away.store(false, Ordering::Relaxed);
    assert_eq!(follow_back(&stage, &mut follower, &mut book).await, [fork]);
    assert_agrees(&stage, &book).await;
}

#[tokio::test]
async fn what_two_nodes_say_is_not_put_together() {
    let stage = Stage::new().await;
    let second = copy(&stage.chain).await;
    stage.open(5).await;
    stage.chain.mine(200);
    // The first one fails for the logs alone. The second one lacks the blocks with them, says so slowly, and
    // meanwhile the first one is back.
    let fails = Arc::new(AtomicBool::new(true));
    let failing = fails.clone();
    let node = two_nodes(&stage, &second, move |method, _| {
        match method == "eth_getLogs" && failing.swap(false, Ordering::Relaxed) {
            true => Answer::Break,
            false => Answer::Pass,
        }
    })
    .await;
    second.set_faults(vec![Fault {
        methods: vec!["eth_getLogs".to_owned()],
        kind: FaultKind::DelayMs(1500),
        times: None,
    }]);
    let (mut follower, mut book) = (follow(&stage, &node).await, Book::default());
    fails.store(true, Ordering::Relaxed);
    let others = tokio::spawn({
        let node = node.clone();
        async move {
            loop {
                node.block_number().await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });
    book.catch_up(&mut follower).await;
    others.abort();
    assert!(!fails.load(Ordering::Relaxed));
    assert_eq!(book.events.len(), 1);
    assert_agrees(&stage, &book).await;
}

#[tokio::test]
async fn a_transaction_is_sent_once_although_the_node_that_took_it_did_not_say_so() {
    let stage = Stage::new().await;
    // Both addresses lead to the same node, as two hosted nodes that share what they are sent.
    let node = two_nodes(&stage, &stage.chain, |method, _| match method {
        "eth_sendRawTransaction" => Answer::PassUnheard,
        _ => Answer::Pass,
    })
    .await;
    let head = stage.chain.block_number();
    let wallet = Wallet::new(node.clone(), secret_key(&stage.chain, 5));
    let to = Address::repeat_byte(5);
    let receipt = wallet
        .send(Some(to), Bytes::new(), U256::from(3), None)
        .await
        .unwrap();
    assert_eq!(receipt.block.number.0, head + 1);
    assert_eq!(stage.chain.block_number(), head + 1);
    assert_eq!(node.eth_balance(to).await.unwrap(), U256::from(3));
}

#[tokio::test]
async fn nodes_of_two_chains_are_refused_by_their_place_in_the_list() {
    let one = DevChain::start(Config::default()).await.unwrap();
    let other = Config {
        chain_id: 5,
        ..Config::default()
    };
    let other = DevChain::start(other).await.unwrap();
    let key = format!("http://user:s3cret@{}/s3cret", other.address());
    let urls = [one.url(), one.url(), key].map(|url| url.parse().unwrap());
    let error = Node::connect_to(&urls, NodeOptions::default()).await.unwrap_err();
    assert!(matches!(error, ChainError::OtherChain { .. }));
    assert_eq!(
        error.to_string(),
        "node 3 of the list is of chain 5, but node 1 is of chain 31337"
    );
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_node_that_wants_fewer_requests_is_asked_again_when_it_said() {
    let chain = DevChain::start(Config::default()).await.unwrap();
    let refusals = Arc::new(AtomicUsize::new(0));
    let refused = refusals.clone();
    let url = interpose(chain.address(), move |method, _| match method {
        "eth_blockNumber" if refused.fetch_add(1, Ordering::Relaxed) == 0 => {
            Answer::Status("429 Too Many Requests\r\nretry-after: 1")
        }
        _ => Answer::Pass,
    });
    let node = Node::connect(&url.await.parse().unwrap()).await.unwrap();
    let started = Instant::now();
    assert_eq!(node.block_number().await.unwrap(), BlockNumber(0));
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(refusals.load(Ordering::Relaxed), 2);
}
