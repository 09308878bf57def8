//! A proxy that can be killed and started again, with everything around it that lives on.

use super::PRICE;
use super::content::Content;
use super::payer::Payer;
use crate::process::{PATIENCE, Program};
use microraiden_chain::keys;
use microraiden_protocol::{Amount, Price};
use microraiden_sender::{Client, Closing, DepositPolicy, Session, SessionConfig};
use microraiden_store::{Binding, ChannelStore, SqliteStore, TaskKind};
use microraiden_tests::{NodeKind, World};
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// A chain, content, and a proxy that sells it.
pub(super) struct Stage {
    pub(super) world: Arc<World>,
    pub(super) content: Content,
    files: TempDir,
    address: String,
    proxy: Option<Program>,
    /// The sender's tokens at the beginning.
    sender_had: Amount,
}

/// What a state file says of a channel.
pub(super) struct Kept {
    /// All that was sold.
    pub(super) spent: u64,
    /// Whether a dispute is promised, and to be carried out.
    pub(super) disputes: bool,
}

impl Stage {
    pub(super) async fn start_selling() -> Self {
        // Its mining can be stopped, and transactions to it be lost.
        let world = Arc::new(World::start(NodeKind::Devchain).await);
        let files = tempfile::tempdir().unwrap();
        keys::create(&files.path().join("receiver.key"), &world.receiver).unwrap();
        let sender_had = world.tokens(world.sender.address()).await;
        let mut stage = Self {
            world,
            content: Content::start().await,
            files,
            address: String::new(),
            proxy: None,
            sender_had,
        };
        stage.start();
        stage
    }

    /// Starts the proxy, on the port of the last time.
    pub(super) fn start(&mut self) {
        let path = |name: &str| self.files.path().join(name).to_str().unwrap().to_owned();
        let port = self.address.rsplit(':').next().filter(|port| !port.is_empty());
        let mut program = Program::start(&[
            "proxy",
            "--private-key",
            &path("receiver.key"),
            "--rpc-provider",
            self.world.node.url().as_str(),
            "--channel-manager-address",
            &self.world.contract.address().to_string(),
            "--upstream",
            &self.content.url,
            "--price",
            &PRICE.to_string(),
            "--state-file",
            &path("receiver.db"),
            "--port",
            port.unwrap_or("0"),
            "--poll-interval",
            "30",
        ]);
        self.address = program.wait_for("address", |line| {
            line.starts_with("http://").then(|| line.to_owned())
        });
        self.proxy = Some(program);
    }

    /// Kills the proxy; the moment before.
    pub(super) fn kill(&mut self) -> Instant {
        let proxy = self.proxy.take().expect("it runs");
        let killed = Instant::now();
        proxy.kill();
        killed
    }

    /// Ends the proxy in order, once it has started.
    pub(super) async fn end(mut self) {
        let answer = reqwest::get(format!("{}/api/1/channels", self.address)).await;
        assert_eq!(answer.unwrap().status().as_u16(), 200);
        let proxy = self.proxy.take().expect("it runs");
        assert!(proxy.signal("TERM"), "SIGTERM ends the proxy in order");
    }

    pub(super) async fn payer(&self) -> Arc<Payer> {
        Arc::new(Payer::open(&self.world, &self.address).await)
    }

    /// Reads a copy of the state file of a proxy that was killed, so that the next one finds it as it was.
    pub(super) async fn kept(&self, payer: &Payer) -> Kept {
        assert!(self.proxy.is_none(), "nobody writes");
        let copies = tempfile::tempdir().unwrap();
        for name in ["receiver.db", "receiver.db-wal"] {
            let path = self.files.path().join(name);
            if path.exists() {
                fs::copy(path, copies.path().join(name)).unwrap();
            }
        }
        let binding = Binding {
            escrow: self.world.contract.escrow(),
            receiver: self.world.receiver.address(),
        };
        let copy = copies.path().join("receiver.db");
        let snapshot = SqliteStore::open(&copy, binding).unwrap().load().await.unwrap();
        let account = snapshot
            .accounts
            .iter()
            .find(|account| *account.channel() == payer.channel);
        let promise = account.and_then(|account| account.promise());
        Kept {
            spent: account.map_or(0, |account| account.spent().to_string().parse().unwrap()),
            disputes: promise.is_some_and(|promise| promise.dispute().is_some())
                && snapshot
                    .tasks
                    .iter()
                    .any(|task| task.channel == payer.channel && task.kind == TaskKind::Dispute),
        }
    }

    /// Whether blocks are mined at once for each transaction, or not at all.
    pub(super) async fn mine_at_once(&self, at_once: bool) {
        self.world.node.control("evm_setIntervalMining", json!([0])).await;
        self.world.node.control("evm_setAutomine", json!([at_once])).await;
    }

    /// Whether transactions are lost on their way to the node.
    pub(super) async fn lose_transactions(&self, lost: bool) {
        let fault = json!({ "methods": ["eth_sendRawTransaction"], "kind": "drop" });
        let faults = if lost { vec![fault] } else { Vec::new() };
        self.world
            .node
            .control("devchain_setFaults", json!([faults]))
            .await;
    }

    /// Whether a transaction of the receiver waits to be mined.
    pub(super) async fn has_sent(&self) -> bool {
        let receiver = self.world.receiver.address().to_string();
        let count = async |at: &str| -> Value {
            let parameters = json!([receiver, at]);
            self.world
                .node
                .control("eth_getTransactionCount", parameters)
                .await
        };
        count("pending").await != count("latest").await
    }

    pub(super) async fn until_sent(&self) {
        until("a transaction is sent", async || self.has_sent().await).await;
    }

    /// Waits until a channel is settled; blocks come.
    pub(super) async fn until_settled(&self, payer: &Payer) {
        until("the channel is settled", async || {
            self.world.node.mine(1).await;
            payer.is_settled().await
        })
        .await;
    }

    /// All that is owed was paid, and nothing else.
    pub(super) async fn assert_earned(&self, owed: u64) {
        let tokens = async |owner| self.world.tokens(owner).await;
        assert_eq!(tokens(self.world.receiver.address()).await, Amount::from(owed));
        let sender_has = tokens(self.world.sender.address()).await;
        assert_eq!(self.sender_had.checked_sub(sender_has), Some(Amount::from(owed)));
    }

    /// Starts a real client that buys one thing after the other, whatever happens to the proxy.
    pub(super) async fn session(&self) -> Buyer {
        let config = SessionConfig {
            deposits: DepositPolicy {
                initial_factor: 1_000_000,
                ..DepositPolicy::default()
            },
            max_retries: 100,
            retry_pause: Duration::from_millis(20),
            ..SessionConfig::new(Price::from(PRICE), Amount::from(PRICE * 1_000_000))
        };
        let client = Client::new(self.world.contract.clone(), self.world.sender.clone());
        let session = Session::new(client, config).unwrap();
        let url = format!("{}/quick/session", self.address);
        let mut bought = Bought::default();
        bought.buy(&session, &url).await;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::SeqCst) {
                bought.buy(&session, &url).await;
            }
            (session, bought)
        });
        Buyer { stop, task }
    }
}

/// A client of the sender's library.
pub(super) struct Buyer {
    stop: Arc<AtomicBool>,
    task: JoinHandle<(Session, Bought)>,
}

/// What it was told.
#[derive(Default)]
struct Bought {
    served: u64,
    paid: Amount,
    lost: Amount,
}

impl Bought {
    async fn buy(&mut self, session: &Session, url: &str) {
        let answer = session.get(url).await.unwrap();
        assert_eq!(answer.response.status().as_u16(), 200);
        self.paid = self.paid.checked_add(answer.cost).unwrap();
        self.lost = self.lost.checked_add(answer.lost).unwrap();
        self.served += 1;
    }
}

impl Buyer {
    /// Ends, and closes with the proxy; what is owed.
    pub(super) async fn close(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        let (session, bought) = self.task.await.unwrap();
        assert_eq!(bought.paid, Amount::from(bought.served * PRICE));
        let closed = session.close().await.unwrap();
        assert_eq!(closed.len(), 1);
        assert_eq!(closed[0].closing, Closing::Cooperative);
        let owed = bought.paid.checked_add(bought.lost).unwrap();
        assert_eq!(Amount::from(closed[0].balance), owed);
        owed.to_string().parse().unwrap()
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !condition().await {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
