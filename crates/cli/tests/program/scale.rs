//! A receiver with 100,000 open channels: the memory of its process, how soon it sells after a start, and how
//! soon it has taken over a block with 1,000 events.

use crate::process::{PATIENCE, Program};
use http::StatusCode;
use microraiden_chain::keys;
use microraiden_protocol::ledger::{Account, StoredProof, Transition, Writer};
use microraiden_protocol::{Address, ChainFacts, ChainUpdate, ChannelChange, ChannelEvent, ChannelId, Phase};
use microraiden_store::{Batch, Binding, ChannelStore, SqliteStore};
use microraiden_tests::{NodeKind, World};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

const CHANNELS: u32 = 100_000;
/// How many of them were opened in the same block.
const OF_A_BLOCK: u32 = 100;
/// How many are written in one batch.
const OF_A_BATCH: u32 = 1_000;
/// The blocks that have come since the receiver was stopped.
const MISSED: u64 = 100;
/// The events of the block that is timed.
const EVENTS: u32 = 1_000;
/// What a call of `createChannel(address,uint192)` begins with.
const CREATE_CHANNEL: &str = "0xa6d15963";
const DEPOSIT: u64 = 1_000_000;
const PAID: u64 = 30;

const MOST_MEMORY_KIB: u64 = 100 * 1024;
const LONGEST_START: Duration = Duration::from_secs(5);
const LONGEST_BLOCK: Duration = Duration::from_secs(1);
const LONGEST_SCRAPE: Duration = Duration::from_secs(1);
/// How long the allocator may take to give back what the start has taken.
const REST: Duration = Duration::from_secs(30);

/// A sender that nobody has the key of.
fn sender(number: u32) -> Address {
    Address::left_padding_from(&(0xabcd_0000_0000 + u64::from(number)).to_be_bytes())
}

/// Makes the state file of a receiver that has read the chain so far, with channels that were opened and paid
/// with. Gives the first of them.
async fn prepare(world: &World, path: &Path) -> ChannelId {
    let node = &world.node;
    node.control("evm_setIntervalMining", json!([0])).await;
    let first_block = u32::try_from(node.block_number().await).unwrap() + 1;
    node.mine(u64::from(CHANNELS / OF_A_BLOCK)).await;
    let binding = Binding {
        escrow: world.contract.escrow(),
        receiver: world.receiver.address(),
    };
    let channel = |number| ChannelId {
        sender: sender(number),
        receiver: binding.receiver,
        open_block: first_block + number / OF_A_BLOCK,
    };
    // A signature that is none of theirs takes the same room.
    let scheme = world.contract.scheme();
    let proof = scheme.sign_balance_proof(&world.sender, channel(0), PAID.into());
    let proof = StoredProof {
        balance: proof.balance,
        signature: proof.signature,
    };
    let store = SqliteStore::open(path, binding).unwrap();
    let numbers: Vec<u32> = (0..CHANNELS).collect();
    let mut tickets = Vec::new();
    for numbers in numbers.chunks(usize::try_from(OF_A_BATCH).unwrap()) {
        let mut batch = Batch::default();
        let mut update = ChainUpdate::default();
        for number in numbers {
            let channel = channel(*number);
            batch.transitions.extend(opened_and_paid(channel, proof));
            update.events.push(ChannelEvent {
                channel,
                block: channel.opened_at(),
                log_index: u64::from(number % OF_A_BLOCK),
                change: ChannelChange::Created {
                    deposit: DEPOSIT.into(),
                },
            });
        }
        batch.chain = Some(update);
        tickets.push(store.commit(batch).unwrap());
    }
    let update = ChainUpdate {
        blocks: vec![world.contract.node().latest().await.unwrap()],
        ..ChainUpdate::default()
    };
    let head = Batch {
        chain: Some(update),
        ..Batch::default()
    };
    tickets.push(store.commit(head).unwrap());
    for ticket in tickets {
        ticket.await.unwrap();
    }
    channel(0)
}

fn opened_and_paid(channel: ChannelId, proof: StoredProof) -> [Transition; 2] {
    let by = Writer {
        instance: 1,
        sequence: 1,
    };
    let facts = ChainFacts {
        phase: Phase::Open,
        deposit: DEPOSIT.into(),
        unconfirmed_deposit: DEPOSIT.into(),
        ..ChainFacts::default()
    };
    let opened = Account::open(channel, facts.clone(), by);
    let mut row = opened.after().row().clone();
    row.balance = proof.balance;
    row.proofs = vec![proof];
    row.spends = 1;
    let paid = Account::from_row(row).unwrap().observe(facts, by);
    [opened, paid]
}

/// Has the node take transactions that open channels, to be mined in one block; who opens the last.
async fn send_openings(world: &World) -> Address {
    let (node, contract, receiver) = (&world.node, world.contract.address(), world.receiver.address());
    node.control("evm_setBlockGasLimit", json!([format!("{:#x}", 1_u64 << 30)]))
        .await;
    node.control("anvil_autoImpersonateAccount", json!([true])).await;
    let ether = format!("{:#x}", 10_u64.pow(18));
    let mut last = Address::ZERO;
    for number in CHANNELS..CHANNELS + EVENTS {
        last = sender(number);
        node.control("anvil_setBalance", json!([last, ether])).await;
        let data = format!("{CREATE_CHANNEL}{:0>64}{:0>64}", format!("{receiver:x}"), 0);
        let transaction = json!({ "from": last, "to": contract, "data": data, "gas": "0x30d40" });
        node.control("eth_sendTransaction", json!([transaction])).await;
    }
    last
}

/// Starts a proxy; also gives its address, and where its metrics are.
fn start(world: &World, files: &Path) -> (Program, String, String) {
    let path = |name: &str| files.join(name).to_str().unwrap().to_owned();
    let mut program = Program::start(&[
        "proxy",
        "--private-key",
        &path("receiver.key"),
        "--rpc-provider",
        world.node.url().as_str(),
        "--channel-manager-address",
        &world.contract.address().to_string(),
        "--upstream",
        "http://127.0.0.1:1",
        "--price",
        "5",
        "--state-file",
        &path("receiver.db"),
        "--port",
        "0",
        "--poll-interval",
        "10",
        "--metrics-address",
        "0",
    ]);
    let mut url = || program.wait_for("URL", |line| line.starts_with("http://").then(|| line.to_owned()));
    let (address, metrics) = (url(), url());
    (program, address, metrics)
}

/// Waits until the proxy shows a channel as open.
async fn until_open(proxy: &str, sender: Address, open_block: u64) {
    let url = format!("{proxy}/api/1/channels/{sender}/{open_block}");
    let begin = Instant::now();
    while !reqwest::get(&url)
        .await
        .is_ok_and(|answer| answer.status() == StatusCode::OK)
    {
        assert!(begin.elapsed() < PATIENCE, "{url} shows no open channel");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_open_channels_take_little_memory_and_time() {
    let world = World::start(NodeKind::Devchain).await;
    let files = tempfile::tempdir().unwrap();
    keys::create(&files.path().join("receiver.key"), &world.receiver).unwrap();
    let first = prepare(&world, &files.path().join("receiver.db")).await;
    world.node.mine(MISSED).await;
    let last = send_openings(&world).await;
    let block = world.node.block_number().await + 1;

    let begin = Instant::now();
    let (program, proxy, metrics) = start(&world, files.path());
    until_open(&proxy, first.sender, first.open_block.into()).await;
    let starting = begin.elapsed();

    let begin = Instant::now();
    // The block with the events, and the one that confirms them.
    world.node.mine(2).await;
    until_open(&proxy, last, block).await;
    let taking_over = begin.elapsed();
    let stats = reqwest::get(format!("{proxy}/api/1/stats")).await.unwrap();
    let stats: Value = serde_json::from_str(&stats.text().await.unwrap()).unwrap();
    assert_eq!(stats["open_channels"], (CHANNELS + EVENTS).to_string());

    let begin = Instant::now();
    let shown = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    let scraping = begin.elapsed();
    let open = format!("microraiden_channels{{state=\"open\"}} {}\n", CHANNELS + EVENTS);
    assert!(shown.contains(&open), "{shown}");

    let begin = Instant::now();
    while program.memory().0 >= MOST_MEMORY_KIB && begin.elapsed() < REST {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (memory, peak) = program.memory();
    // Not by `println!`, which the test runner keeps to itself when all is well.
    let mut report = std::io::stdout();
    writeln!(
        report,
        "{CHANNELS} open channels: {memory} KiB after {:?}, {peak} KiB at most; {starting:?} from the start of the process \
         until it sells; {taking_over:?} for a block with {EVENTS} events and its confirmation; {scraping:?} for a scrape of the metrics",
        begin.elapsed()
    )
    .unwrap();
    // Without optimisation the figures are of no use to anybody.
    if !cfg!(debug_assertions) {
        assert!(memory < MOST_MEMORY_KIB);
        assert!(starting < LONGEST_START);
        assert!(taking_over < LONGEST_BLOCK);
        assert!(scraping < LONGEST_SCRAPE);
    }
}
