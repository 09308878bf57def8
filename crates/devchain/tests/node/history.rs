//! Whatever happens to a chain, what it says about itself fits together.

use std::collections::HashMap;

use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::{Block, TransactionReceipt};
use microraiden_devchain::{ACCOUNTS, DevChain};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{KEEPER, client, deploy, socket::Socket, start, word};

const STRANGERS: [Address; 3] = [
    Address::repeat_byte(0x71),
    Address::repeat_byte(0x72),
    Address::repeat_byte(0x73),
];
const SENDERS: usize = 4;
const STEPS: u64 = 150;

/// Numbers that look random and are the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Balances that were set by hand after each block.
type Edits = Vec<Vec<(Address, U256)>>;

/// A chain, what it must be like, and those who follow it.
struct Story {
    node: DevChain,
    control: Socket,
    random: Random,
    keeper: Address,
    edits: Edits,
    snapshots: Vec<(Value, Edits)>,
    /// The number of the block with the contract, which always stays.
    base: u64,
    values: u64,
    filter: Value,
    /// The logs of the chain as the filter told of them.
    filtered: Vec<Value>,
    follower: Socket,
    logs: String,
    heads: String,
    steps: Vec<String>,
}

fn parsed<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// The results of requests that are made at once.
async fn ask_all(socket: &mut Socket, requests: Vec<(&str, Value)>) -> Vec<Value> {
    let batch: Vec<Value> = requests
        .into_iter()
        .enumerate()
        .map(|(id, (method, params))| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
        .collect();
    let answers = socket.batch(json!(batch)).await;
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), batch.len());
    answers
        .iter()
        .map(|answer| answer.get("result").unwrap_or_else(|| panic!("{answer}")).clone())
        .collect()
}

/// Adds a log to those of the chain, or takes it away if it was the last and is taken back.
fn follow(logs: &mut Vec<Value>, mut log: Value) {
    if log["removed"] == true {
        log["removed"] = false.into();
        assert_eq!(logs.pop(), Some(log), "only the last log can be taken back");
    } else {
        logs.push(log);
    }
}

impl Story {
    async fn begin(seed: u64) -> Self {
        let node = start().await;
        let keeper = deploy(&client(&node, 0), &KEEPER).await;
        let mut control = Socket::open(&node).await;
        control.ask("evm_setAutomine", json!([false])).await;
        let filter = control.ask("eth_newFilter", json!([{}])).await;
        let mut follower = Socket::open(&node).await;
        Self {
            random: Random(seed),
            keeper,
            edits: vec![Vec::new(); 2],
            snapshots: Vec::new(),
            base: 1,
            values: 0,
            filter,
            filtered: Vec::new(),
            logs: follower.subscribe(json!(["logs"])).await,
            heads: follower.subscribe(json!(["newHeads"])).await,
            steps: Vec::new(),
            node,
            control,
            follower,
        }
    }

    fn stranger(&mut self) -> Address {
        STRANGERS[usize::try_from(self.random.below(3)).unwrap()]
    }

    fn sender(&mut self) -> Address {
        ACCOUNTS[usize::try_from(self.random.below(SENDERS as u64)).unwrap()].address
    }

    /// How many blocks may be dropped.
    fn depth(&mut self) -> u64 {
        let possible = self.node.block_number() - self.base;
        self.random.below(possible.min(5) + 1)
    }

    fn blocks_dropped(&mut self, depth: u64) {
        let left = self.edits.len() - usize::try_from(depth).unwrap();
        self.edits.truncate(left);
        self.snapshots.retain(|(_, edits)| edits.len() <= left);
    }

    fn blocks_mined(&mut self, count: u64) {
        for _ in 0..count {
            self.edits.push(Vec::new());
        }
    }

    fn transfer(&mut self) -> Value {
        json!({
            "from": self.sender(),
            "to": self.stranger(),
            "value": format!("{:#x}", self.random.below(1_000)),
            "gas": "0x5208",
        })
    }

    async fn step(&mut self) {
        let what = self.random.below(100);
        self.steps.push(format!("{what} at {}", self.node.block_number()));
        match what {
            0..25 => {
                let transfer = self.transfer();
                self.control.ask("eth_sendTransaction", json!([transfer])).await;
            }
            25..45 => {
                self.values += 1;
                let call = json!({
                    "from": self.sender(), "to": self.keeper, "data": word(self.values), "gas": "0x30d40",
                });
                self.control.ask("eth_sendTransaction", json!([call])).await;
            }
            45..65 => {
                let count = 1 + self.random.below(3);
                self.node.mine(count);
                self.blocks_mined(count);
            }
            65..72 => {
                let (depth, keep) = (self.depth(), self.random.below(2) == 0);
                self.control
                    .ask("devchain_reorganise", json!([depth, keep]))
                    .await;
                self.blocks_dropped(depth);
                self.blocks_mined(depth + 1);
            }
            72..77 => {
                let depth = self.depth();
                let mut own = Vec::new();
                for block in 0..depth {
                    if self.random.below(2) == 0 {
                        own.push(json!([self.transfer(), block]));
                    }
                }
                self.control.ask("anvil_reorg", json!([depth, own])).await;
                self.blocks_dropped(depth);
                self.blocks_mined(depth);
            }
            77..80 => {
                let depth = self.depth();
                self.control.ask("anvil_rollback", json!([depth])).await;
                self.blocks_dropped(depth);
            }
            80..84 => {
                let id = self.control.ask("evm_snapshot", json!([])).await;
                self.snapshots.push((id, self.edits.clone()));
            }
            84..87 => {
                if let Some(last) = self.snapshots.len().checked_sub(1) {
                    let index = usize::try_from(self.random.below(last as u64 + 1)).unwrap();
                    let (id, edits) = self.snapshots[index].clone();
                    assert_eq!(self.control.ask("evm_revert", json!([id])).await, true);
                    assert_eq!(self.control.ask("evm_revert", json!([id])).await, false);
                    self.snapshots.truncate(index);
                    self.edits = edits;
                }
            }
            87..92 => {
                let (address, balance) = match self.random.below(3) {
                    0 => (
                        self.sender(),
                        U256::from(10_u64.pow(18) + self.random.below(1_000)),
                    ),
                    _ => (self.stranger(), U256::from(self.random.below(5))),
                };
                self.node.set_balance(address, balance);
                self.edits.last_mut().unwrap().push((address, balance));
            }
            92..94 => {
                self.control.ask("evm_increaseTime", json!([100])).await;
            }
            94..96 => {
                let dump = self.node.dump();
                self.node.load(&dump).unwrap();
                self.snapshots.clear();
            }
            _ => self.poll().await,
        }
    }

    async fn poll(&mut self) {
        let changes = self
            .control
            .ask("eth_getFilterChanges", json!([self.filter]))
            .await;
        for log in changes.as_array().unwrap() {
            follow(&mut self.filtered, log.clone());
        }
    }

    /// Looks whether all that a node says fits together; the hashes and the logs of its chain.
    async fn check(&self, socket: &mut Socket) -> (Vec<B256>, Vec<Value>) {
        let newest: U256 = parsed(&socket.ask("eth_blockNumber", json!([])).await);
        let newest: u64 = newest.to();
        assert_eq!(newest + 1, self.edits.len() as u64);
        let watched: Vec<Address> = ACCOUNTS[..SENDERS]
            .iter()
            .map(|account| account.address)
            .chain(STRANGERS)
            .chain([Address::ZERO, self.keeper])
            .collect();
        let mut requests = Vec::new();
        for number in 0..=newest {
            let block = format!("{number:#x}");
            requests.push(("eth_getBlockByNumber", json!([block, true])));
            requests.push(("eth_getBlockReceipts", json!([block])));
            for address in &watched {
                requests.push(("eth_getBalance", json!([address, block])));
            }
        }
        let answers = ask_all(socket, requests).await;
        let mut expected: HashMap<Address, U256> = ACCOUNTS
            .iter()
            .map(|account| {
                (
                    account.address,
                    U256::from(10_000) * U256::from(10).pow(U256::from(18)),
                )
            })
            .collect();
        let (mut hashes, mut logs) = (Vec::<B256>::new(), Vec::new());
        let mut timestamp = 0;
        for ((number, answers), edits) in answers.chunks(2 + watched.len()).enumerate().zip(&self.edits) {
            let block: Block = parsed(&answers[0]);
            assert_eq!(block.header.number, number as u64);
            assert_eq!(
                block.header.parent_hash,
                hashes.last().copied().unwrap_or_default()
            );
            assert_eq!(block.header.inner.hash_slow(), block.header.hash);
            assert!(block.header.timestamp > timestamp);
            timestamp = block.header.timestamp;
            hashes.push(block.header.hash);
            let receipts: Vec<TransactionReceipt> = parsed(&answers[1]);
            let base_fee = u128::from(block.header.base_fee_per_gas.unwrap());
            for (transaction, receipt) in block.transactions.txns().zip(&receipts) {
                assert_eq!(transaction.inner.tx_hash(), &receipt.transaction_hash);
                assert!(receipt.status());
                let fee = U256::from(receipt.effective_gas_price) * U256::from(receipt.gas_used);
                let tip = receipt.effective_gas_price - base_fee;
                let receiver = receipt.to.or(receipt.contract_address).unwrap();
                *expected.entry(receipt.from).or_default() -= fee + transaction.value();
                *expected.entry(receiver).or_default() += transaction.value();
                *expected.entry(Address::ZERO).or_default() += U256::from(tip) * U256::from(receipt.gas_used);
                logs.extend(receipt.logs().iter().map(|log| json!(log)));
            }
            assert_eq!(block.transactions.len(), receipts.len());
            expected.extend(edits.iter().copied());
            for (address, balance) in watched.iter().zip(&answers[2..]) {
                let balance: U256 = parsed(balance);
                let expected = expected.get(address).copied().unwrap_or_default();
                assert_eq!(balance, expected, "{address} after block {number}");
            }
        }
        let found = socket
            .ask("eth_getLogs", json!([{ "fromBlock": "earliest" }]))
            .await;
        assert_eq!(found, json!(logs));
        (hashes, logs)
    }

    /// Lets another node have the same chain.
    async fn check_copy(&self, chain: &(Vec<B256>, Vec<Value>)) {
        let other = start().await;
        other.load(&self.node.dump()).unwrap();
        assert_eq!(other.dump(), self.node.dump());
        let mut socket = Socket::open(&other).await;
        assert_eq!(self.check(&mut socket).await, *chain);
        let pools = [&other, &self.node].map(|node| client(node, 0));
        let [theirs, ours] = pools
            .each_ref()
            .map(|client| crate::ask(client, "txpool_content", json!([])));
        assert_eq!(theirs.await, ours.await);
    }

    async fn end(mut self) {
        // A last log, so that the followers know when they have read all.
        self.values += 1;
        let last = word(self.values);
        // From one who sent nothing yet, so that it cannot have to wait.
        let call = json!({ "from": ACCOUNTS[9].address, "to": self.keeper, "data": last, "gas": "0x30d40" });
        let call = self.control.ask("eth_sendTransaction", json!([call])).await;
        self.node.mine(1);
        self.blocks_mined(1);
        assert_ne!(
            self.control.ask("eth_getTransactionReceipt", json!([call])).await,
            Value::Null
        );
        let mut socket = Socket::open(&self.node).await;
        let chain = self.check(&mut socket).await;
        self.check_copy(&chain).await;
        let (hashes, logs) = chain;
        self.poll().await;
        assert_eq!(self.filtered, logs);
        let mut told = Vec::new();
        while told.last() != logs.last() {
            let log = self.follower.next(&self.logs).await;
            follow(&mut told, log);
        }
        assert_eq!(told, logs);
        // Each head follows one that was there before.
        let mut heads = hashes[..=usize::try_from(self.base).unwrap()].to_vec();
        while heads.last() != hashes.last() {
            let head = self.follower.next(&self.heads).await;
            let parent: B256 = parsed(&head["parentHash"]);
            let known = heads.iter().position(|hash| *hash == parent).unwrap();
            heads.truncate(known + 1);
            heads.push(parsed(&head["hash"]));
        }
        assert_eq!(heads, hashes);
        assert!(!self.follower.has_unread(|_| true));
    }
}

/// Says what happened before a failure.
impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{:?}", self.steps);
        }
    }
}

async fn live(seed: u64) {
    let mut story = Story::begin(seed).await;
    for step in 1..=STEPS {
        story.step().await;
        if step % 50 == 0 {
            let mut socket = Socket::open(&story.node).await;
            let chain = story.check(&mut socket).await;
            story.check_copy(&chain).await;
        }
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_clients_at_once_have_one_chain() {
    const SENT_BY_EACH: u64 = 20;
    let mut story = Story::begin(1).await;
    story.control.ask("evm_setAutomine", json!([true])).await;
    let node = &story.node;
    let keeper = story.keeper;
    let send = |account: usize| async move {
        let mut socket = Socket::open(node).await;
        for value in 0..SENT_BY_EACH {
            let value = word(account as u64 * SENT_BY_EACH + value);
            let call =
                json!({ "from": ACCOUNTS[account].address, "to": keeper, "data": value, "gas": "0x30d40" });
            socket.ask("eth_sendTransaction", json!([call])).await;
        }
    };
    let reorganise = async {
        let mut socket = Socket::open(node).await;
        for step in 0..SENT_BY_EACH {
            let blocks = socket.ask("eth_blockNumber", json!([])).await;
            let blocks: U256 = parsed(&blocks);
            let depth = blocks.to::<u64>().saturating_sub(story.base).min(step % 4);
            socket.ask("devchain_reorganise", json!([depth, true])).await;
        }
    };
    tokio::join!(send(1), send(2), send(3), send(4), reorganise);
    let blocks = usize::try_from(node.block_number()).unwrap();
    story.edits = vec![Vec::new(); blocks + 1];
    let logs = story
        .control
        .ask("eth_getLogs", json!([{ "fromBlock": "earliest" }]))
        .await;
    let mut values: Vec<u64> = logs
        .as_array()
        .unwrap()
        .iter()
        .map(|log| parsed::<U256>(&log["topics"][1]).to())
        .collect();
    values.sort_unstable();
    let all: Vec<u64> = (SENT_BY_EACH..5 * SENT_BY_EACH).collect();
    assert_eq!(values, all, "each transaction is there once");
    story.control.ask("evm_setAutomine", json!([false])).await;
    story.end().await;
}

#[tokio::test]
async fn a_chain_that_goes_back_and_forth_stays_consistent() {
    live(1).await;
}

#[tokio::test]
async fn another_chain_that_goes_back_and_forth_stays_consistent() {
    live(0xdead_beef).await;
}

#[tokio::test]
async fn a_third_chain_that_goes_back_and_forth_stays_consistent() {
    live(0x5eed_0000_0001).await;
}
