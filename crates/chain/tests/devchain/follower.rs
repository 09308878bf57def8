//! Following the chain: new blocks, reorganisations, restarts, difficult nodes.

use crate::interposed::{Answer, interpose};
use crate::stage::Stage;
use microraiden_chain::{Contract, Follower, Node, Party};
use microraiden_protocol::{BlockNumber, BlockRef, ChainUpdate, ChannelEvent};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// What the updates so far add up to, as a receiver would keep it.
#[derive(Default, Debug, PartialEq)]
pub(crate) struct Book {
    pub(crate) blocks: Vec<BlockRef>,
    pub(crate) events: Vec<ChannelEvent>,
}

impl Book {
    pub(crate) fn apply(&mut self, update: &ChainUpdate) {
        if let Some(rewind_to) = update.rewind_to {
            self.blocks.retain(|block| block.number <= rewind_to);
            self.events.retain(|event| event.block <= rewind_to);
        }
        let head = self.blocks.last().map(|block| block.number);
        assert!(
            update.events.iter().all(|event| Some(event.block) > head),
            "{update:?}"
        );
        assert!(
            update.blocks.iter().all(|block| Some(block.number) > head),
            "{update:?}"
        );
        self.blocks.extend(&update.blocks);
        self.events.extend(update.events.iter().cloned());
    }

    /// Follows to the head; the rewinds on the way.
    pub(crate) async fn catch_up(&mut self, follower: &mut Follower) -> Vec<BlockNumber> {
        let mut rewinds = vec![];
        while let Some(update) = follower.poll().await.unwrap() {
            rewinds.extend(update.rewind_to);
            self.apply(&update);
            assert_eq!(self.blocks.last().copied(), follower.head());
        }
        assert!(follower.caught_up());
        rewinds
    }
}

fn follower(stage: &Stage, start: u64) -> Follower {
    Follower::new(stage.contract.clone(), Party::Any, BlockNumber(start), vec![])
}

pub(crate) async fn assert_agrees(stage: &Stage, book: &Book) {
    assert_eq!(book.events, stage.events(Party::Any).await);
    for block in &book.blocks {
        assert_eq!(stage.node.block(block.number).await.unwrap(), Some(*block));
    }
    assert_eq!(
        book.blocks.last().copied(),
        Some(stage.node.latest().await.unwrap())
    );
}

#[tokio::test]
async fn each_poll_brings_what_is_new() {
    let stage = Stage::new().await;
    let (mut follower, mut book) = (follower(&stage, 0), Book::default());
    assert_eq!((follower.head(), follower.caught_up()), (None, false));
    let one = stage.open(5).await;
    assert_eq!(book.catch_up(&mut follower).await, []);
    assert_eq!(book.events.len(), 1);
    assert_eq!(book.blocks.len() as u64, stage.chain.block_number() + 1);
    assert_eq!(follower.poll().await.unwrap(), None);

    stage
        .contract
        .top_up(&stage.sender, &one, 3.into())
        .await
        .unwrap();
    let update = follower.poll().await.unwrap().unwrap();
    assert_eq!(
        (update.rewind_to, update.blocks.len(), update.events.len()),
        (None, 1, 1)
    );
    book.apply(&update);
    stage.chain.mine(10);
    let update = follower.poll().await.unwrap().unwrap();
    assert_eq!((update.blocks.len(), update.events.len()), (10, 0));
    book.apply(&update);
    assert_agrees(&stage, &book).await;
}

#[tokio::test]
async fn old_blocks_are_read_in_one_go_and_the_newest_one_by_one() {
    let stage = Stage::new().await;
    stage.open(5).await;
    stage.chain.mine(300);
    let late = stage.open(6).await;
    let head = stage.chain.block_number();
    let (mut follower, mut book) = (follower(&stage, 0), Book::default());
    let update = follower.poll().await.unwrap().unwrap();
    assert!(!follower.caught_up());
    assert_eq!(update.blocks.len(), 1);
    assert_eq!(update.blocks[0].number, BlockNumber(head - 64));
    book.apply(&update);
    book.catch_up(&mut follower).await;
    assert_eq!(book.blocks.len(), 65);
    assert_agrees(&stage, &book).await;

    // From the block of the second channel on, that block included; and from a block that is not there yet.
    let mut book = Book::default();
    let start = late.opened_at();
    let mut follower = Follower::new(stage.contract.clone(), Party::Any, start, vec![]);
    book.catch_up(&mut follower).await;
    assert_eq!(book.blocks[0].number, start);
    assert_eq!(book.events.len(), 1);
    let future = BlockNumber(head + 3);
    let mut follower = Follower::new(stage.contract.clone(), Party::Any, future, vec![]);
    assert_eq!(follower.poll().await.unwrap(), None);
    stage.chain.mine(5);
    assert_eq!(follower.poll().await.unwrap().unwrap().blocks[0].number, future);
}

#[tokio::test]
async fn reorganisations_are_rewound_to_the_fork() {
    for keep_transactions in [true, false] {
        for depth in [1, 2, 5, 80] {
            let stage = Stage::new().await;
            let (mut follower, mut book) = (follower(&stage, 0), Book::default());
            stage.chain.mine(100);
            stage.open(5).await;
            stage.chain.mine(2);
            stage.open(6).await;
            book.catch_up(&mut follower).await;
            assert_eq!(book.events.len(), 2);

            let fork = stage.chain.block_number() - depth;
            stage.chain.reorganise(depth, keep_transactions).unwrap();
            // What the follower knows from before: every one of the newest 64 blocks, and the one before them.
            let expected = if depth <= 64 { fork } else { 0 };
            let rewinds = book.catch_up(&mut follower).await;
            assert_eq!(rewinds.len(), 1, "{depth} {keep_transactions}");
            assert!(rewinds[0].0 <= fork);
            if expected > 0 {
                assert_eq!(rewinds, [BlockNumber(expected)]);
            }
            assert_agrees(&stage, &book).await;
            let left = book.events.len();
            assert_eq!(left == 2, keep_transactions || depth == 0, "{depth} {left}");
            assert_eq!(follower.poll().await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn a_reorganisation_between_two_polls_may_be_followed_by_more() {
    let stage = Stage::new().await;
    let (mut follower, mut book) = (follower(&stage, 0), Book::default());
    stage.chain.mine(10);
    book.catch_up(&mut follower).await;
    let head = stage.chain.block_number();
    stage.chain.reorganise(2, true).unwrap();
    stage.open(5).await;
    stage.chain.reorganise(6, false).unwrap();
    stage.open(7).await;
    stage.chain.mine(3);
    let rewinds = book.catch_up(&mut follower).await;
    // Two blocks were added before the second one.
    assert_eq!(rewinds, [BlockNumber(head + 2 - 6)]);
    assert_agrees(&stage, &book).await;
}

#[tokio::test]
async fn a_reorganisation_below_all_that_is_known_starts_again() {
    let stage = Stage::new().await;
    let start = stage.chain.block_number() + 1;
    stage.chain.mine(20);
    let (mut follower, mut book) = (follower(&stage, start), Book::default());
    stage.open(5).await;
    book.catch_up(&mut follower).await;
    stage.chain.reorganise(21, true).unwrap();
    assert_eq!(book.catch_up(&mut follower).await, [BlockNumber(start - 1)]);
    assert_eq!(book.blocks[0].number, BlockNumber(start));
    assert_agrees(&stage, &book).await;
}

#[tokio::test]
async fn a_restart_goes_on_from_the_known_blocks() {
    let stage = Stage::new().await;
    let (mut first, mut book) = (follower(&stage, 0), Book::default());
    stage.open(5).await;
    stage.chain.mine(10);
    book.catch_up(&mut first).await;
    drop(first);
    stage.chain.reorganise(3, true).unwrap();
    stage.open(6).await;

    let again =
        |known: Vec<BlockRef>| Follower::new(stage.contract.clone(), Party::Any, BlockNumber(0), known);
    let head = book.blocks.last().copied();
    let mut follower = again(book.blocks.clone());
    assert_eq!((follower.head(), follower.caught_up()), (head, false));
    let rewinds = book.catch_up(&mut follower).await;
    assert_eq!(rewinds, [BlockNumber(head.unwrap().number.0 - 3)]);
    assert_agrees(&stage, &book).await;

    let mut unchanged = again(book.blocks.clone());
    assert_eq!(unchanged.poll().await.unwrap(), None);
    assert!(unchanged.caught_up());
}

/// The same contract through a node that answers some requests in its own way.
async fn through(
    stage: &Stage,
    answer: impl Fn(&str, &Value) -> Answer + Clone + Send + 'static,
) -> Contract {
    let url = interpose(stage.chain.address(), answer).await;
    let node = Node::connect(&url.parse().unwrap()).await.unwrap();
    Contract::at(node, stage.contract.address()).await.unwrap()
}

fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

#[tokio::test]
async fn ranges_that_a_node_refuses_are_halved() {
    let stage = Stage::new().await;
    stage.open(5).await;
    stage.chain.mine(1000);
    stage.open(6).await;
    let contract = through(&stage, |method, params| match method {
        "eth_getLogs" if params[0]["blockHash"].is_null() => {
            let length = number(&params[0]["toBlock"]) - number(&params[0]["fromBlock"]) + 1;
            if length > 100 {
                Answer::Refuse("block range is too wide")
            } else {
                Answer::Pass
            }
        }
        _ => Answer::Pass,
    });
    let mut follower = Follower::new(contract.await, Party::Any, BlockNumber(0), vec![]);
    let mut book = Book::default();
    book.catch_up(&mut follower).await;
    assert_agrees(&stage, &book).await;
    assert!((75..100).contains(&book.blocks.len()), "{}", book.blocks.len());
}

#[tokio::test]
async fn ranges_that_take_a_node_too_long_are_made_much_shorter() {
    let stage = Stage::new().await;
    stage.open(5).await;
    stage.chain.mine(1000);
    stage.open(6).await;
    let slow = Arc::new(AtomicUsize::new(0));
    let seen = slow.clone();
    let url = interpose(stage.chain.address(), move |method, params| {
        let is_long = method == "eth_getLogs"
            && params[0]["blockHash"].is_null()
            && number(&params[0]["toBlock"]) - number(&params[0]["fromBlock"]) >= 500;
        match is_long {
            true if seen.fetch_add(1, Ordering::Relaxed) == 0 => Answer::Status("504 Gateway Timeout"),
            true => Answer::Silence,
            false => Answer::Pass,
        }
    });
    let url = url.await.parse().unwrap();
    let node = Node::connect_with(&url, Duration::from_millis(500))
        .await
        .unwrap();
    let contract = Contract::at(node, stage.contract.address()).await.unwrap();
    for far in [1, 2] {
        let mut follower = Follower::new(contract.clone(), Party::Any, BlockNumber(0), vec![]);
        let mut book = Book::default();
        book.catch_up(&mut follower).await;
        assert_agrees(&stage, &book).await;
        assert_eq!(slow.load(Ordering::Relaxed), far);
    }
}

#[tokio::test]
async fn progress_is_told_from_where_reading_began() {
    let stage = Stage::new().await;
    stage.chain.mine(400);
    let contract = through(&stage, |method, params| match method {
        "eth_getLogs"
            if params[0]["blockHash"].is_null()
                && number(&params[0]["toBlock"]) - number(&params[0]["fromBlock"]) >= 50 =>
        {
            Answer::Refuse("block range is too wide")
        }
        _ => Answer::Pass,
    });
    let contract = contract.await;
    let begin = stage.node.block(BlockNumber(100)).await.unwrap().unwrap();
    let newest = BlockNumber(stage.chain.block_number());
    let mut follower = Follower::new(contract, Party::Any, BlockNumber(0), vec![begin]);
    assert_eq!(follower.progress(), None);
    let mut told = vec![];
    while follower.poll().await.unwrap().is_some() {
        let progress = follower.progress().unwrap();
        assert_eq!((progress.begin, progress.newest), (begin.number, newest));
        assert_eq!(Some(progress.head), follower.head().map(|head| head.number));
        told.push(progress.percent());
    }
    assert!(told.len() > 5 && told.is_sorted(), "{told:?}");
    assert!(told[0] > 0 && told[0] < 20, "{told:?}");
    assert_eq!(told.last(), Some(&100));
}

#[tokio::test]
async fn a_late_node_is_not_taken_for_a_reorganisation() {
    let stage = Stage::new().await;
    stage.chain.mine(20);
    let late_by = Arc::new(AtomicUsize::new(0));
    let old = stage.node.block(BlockNumber(10)).await.unwrap().unwrap();
    let late = late_by.clone();
    let contract = through(&stage, move |method, params| match method {
        "eth_getBlockByNumber" if late.load(Ordering::Relaxed) > 0 => {
            if params[0] == "latest" {
                let mut header = json!({"number": "0xa", "hash": old.hash, "timestamp": "0x1"});
                header["parentHash"] = json!(old.hash);
                Answer::Result(header)
            } else if number(&params[0]) > 10 {
                Answer::Result(Value::Null)
            } else {
                Answer::Pass
            }
        }
        _ => Answer::Pass,
    });
    let contract = contract.await;
    // As after a restart, with nothing known but the head.
    let known = vec![stage.node.latest().await.unwrap()];
    let mut short = Follower::new(contract.clone(), Party::Any, BlockNumber(0), known.clone());
    let mut full = Follower::new(contract, Party::Any, BlockNumber(0), vec![]);
    Book::default().catch_up(&mut full).await;
    late_by.store(1, Ordering::Relaxed);
    for follower in [&mut short, &mut full] {
        assert_eq!(follower.poll().await.unwrap(), None);
        assert_eq!(follower.head(), known.last().copied());
    }
}

#[tokio::test]
async fn a_chain_that_changes_while_it_is_read_is_read_again() {
    let stage = Stage::new().await;
    stage.chain.mine(20);
    stage.open(5).await;
    let head = stage.node.latest().await.unwrap();
    // The first time, the node's part that keeps the logs does not have the newest block yet.
    let first = Arc::new(AtomicBool::new(true));
    let always = Arc::new(AtomicBool::new(false));
    let (is_first, is_always) = (first.clone(), always.clone());
    let contract = through(&stage, move |method, params| match method {
        "eth_getLogs"
            if params[0]["blockHash"] == json!(head.hash)
                && (is_always.load(Ordering::Relaxed) || is_first.swap(false, Ordering::Relaxed)) =>
        {
            Answer::Refuse("unknown block")
        }
        _ => Answer::Pass,
    });
    let contract = contract.await;
    let mut follower = Follower::new(contract.clone(), Party::Any, BlockNumber(0), vec![]);
    let mut book = Book::default();
    book.catch_up(&mut follower).await;
    assert!(!first.load(Ordering::Relaxed));
    assert_agrees(&stage, &book).await;

    always.store(true, Ordering::Relaxed);
    let mut follower = Follower::new(contract, Party::Any, BlockNumber(0), vec![]);
    let error = follower.poll().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!((follower.head(), follower.caught_up()), (None, false));
}
