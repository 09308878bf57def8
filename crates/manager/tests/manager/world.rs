//! A chain with contracts, a receiver and a sender.

use microraiden_chain::deploy::{self, TokenParams};
use microraiden_chain::{Contract, Node, Wallet, WalletOptions, token};
use microraiden_devchain::{Config as DevConfig, DevChain, Mining};
use microraiden_manager::{Asker, ChannelManager, CloseRequest, Config, Denied, Offer, Permit};
use microraiden_protocol::ledger::{AccountRow, Payment, Refusal};
use microraiden_protocol::{Amount, Balance, ChannelId, Price, SecretKey, Signature};
use microraiden_store::{Binding, ChannelStore, MemoryStore, SqliteStore};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The challenge period, in blocks.
pub(crate) const CHALLENGE_PERIOD: u32 = 500;

/// Longer than anything takes that a test waits for.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) node: DevChain,
    pub(crate) contract: Contract,
    pub(crate) receiver: SecretKey,
    pub(crate) sender: SecretKey,
    pub(crate) stranger: SecretKey,
}

/// Follows quickly, so that tests are quick.
pub(crate) fn quick() -> Config {
    Config {
        poll_interval: Duration::from_millis(5),
        dispute_retry: Duration::from_millis(50),
        ..Config::default()
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < DEADLINE, "waited too long: {what}");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// Looks whether something holds all through a quarter of a second.
pub(crate) async fn stays(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(250) {
        assert!(holds().await, "does not stay so: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Polls a future once.
pub(crate) fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with_mining(Mining::default()).await
    }

    pub(crate) async fn with_mining(mining: Mining) -> Self {
        let config = DevConfig {
            mining,
            ..DevConfig::default()
        };
        Self::with(config).await
    }

    /// A chain whose newest block is years old.
    pub(crate) async fn long_ago() -> Self {
        let config = DevConfig {
            genesis_timestamp_s: Some(1_500_000_000),
            ..DevConfig::default()
        };
        Self::with(config).await
    }

    pub(crate) async fn with(config: DevConfig) -> Self {
        let node = DevChain::start(config).await.unwrap();
        let key = |index: usize| SecretKey::from_bytes(node.accounts()[index].secret_key.as_slice()).unwrap();
        let (deployer, receiver, sender, stranger) = (key(0), key(1), key(2), key(3));
        let rpc = Node::connect(&node.url().parse().unwrap()).await.unwrap();
        let deployer = Wallet::new(rpc.clone(), deployer);
        let params = TokenParams {
            supply: "1000000".parse().unwrap(),
            name: "TestToken".to_owned(),
            symbol: "TKN".to_owned(),
            decimals: 18,
        };
        let (token, _) = deploy::token(&deployer, params).await.unwrap();
        let channels = deploy::channels(&deployer, token, CHALLENGE_PERIOD).await;
        let contract = Contract::at(rpc.clone(), channels.unwrap().0).await.unwrap();
        token::mint(&Wallet::new(rpc, sender.clone()), token)
            .await
            .unwrap();
        Self {
            node,
            contract,
            receiver,
            sender,
            stranger,
        }
    }

    pub(crate) fn wallet(&self, key: &SecretKey) -> Wallet {
        Wallet::new(self.contract.node().clone(), key.clone())
    }

    pub(crate) fn binding(&self) -> Binding {
        Binding {
            escrow: self.contract.escrow(),
            receiver: self.receiver.address(),
        }
    }

    pub(crate) fn memory(&self) -> Arc<MemoryStore> {
        Arc::new(MemoryStore::new(self.binding()))
    }

    pub(crate) fn file(&self, path: &Path) -> Arc<SqliteStore> {
        Arc::new(SqliteStore::open(path, self.binding()).unwrap())
    }

    pub(crate) async fn manager(&self, store: Arc<dyn ChannelStore>, config: Config) -> ChannelManager {
        let (contract, key) = (self.contract.clone(), self.receiver.clone());
        // What a reorganisation drops is soon offered again.
        let options = WalletOptions {
            raise_fees_after: Duration::from_millis(500),
            ..WalletOptions::default()
        };
        let wallet = Wallet::with_options(contract.node().clone(), key.clone(), options);
        let manager = ChannelManager::start(contract, wallet, key, store, config);
        manager.await.unwrap()
    }

    /// A manager of a new state, and a confirmed channel.
    pub(crate) async fn selling(
        &self,
        store: Arc<dyn ChannelStore>,
        deposit: u64,
    ) -> (ChannelManager, ChannelId) {
        let manager = self.manager(store, quick()).await;
        let channel = self.open(deposit).await;
        self.node.mine(1);
        self.seen(&manager).await;
        (manager, channel)
    }

    pub(crate) async fn open(&self, deposit: u64) -> ChannelId {
        let (wallet, receiver) = (self.wallet(&self.sender), self.receiver.address());
        let opened = self.contract.open_channel(&wallet, receiver, deposit.into());
        opened.await.unwrap().0
    }

    pub(crate) async fn top_up(&self, channel: &ChannelId, added: u64) {
        let wallet = self.wallet(&self.sender);
        self.contract
            .top_up(&wallet, channel, added.into())
            .await
            .unwrap();
    }

    /// The sender closes without asking, claiming what it likes.
    pub(crate) async fn close_at(&self, channel: &ChannelId, balance: u64) {
        let wallet = self.wallet(&self.sender);
        let closed = self
            .contract
            .uncooperative_close(&wallet, channel, balance.into());
        closed.await.unwrap();
    }

    /// Waits until a manager has read the chain to its end.
    pub(crate) async fn seen(&self, manager: &ChannelManager) {
        let head = self.node.block_number();
        until("the manager reads the chain", async || manager.head().0 == head).await;
    }

    /// Asks the node for something that only tests want; its whole answer.
    pub(crate) async fn rpc(&self, method: &str, params: &str) -> String {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let address = self.node.address();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// The receiver's tokens.
    pub(crate) async fn earned(&self) -> Amount {
        let receiver = self.receiver.address();
        self.contract.token_balance(receiver).await.unwrap()
    }

    /// Waits until the contract has paid out a channel.
    pub(crate) async fn settled(&self, channel: &ChannelId) {
        until("the channel is settled", async || {
            self.contract.channel_info(channel).await.unwrap().is_none()
        })
        .await;
    }

    /// Mines until what is in the chain now is final, and waits until nothing is left to be done.
    pub(crate) async fn finished(&self, store: &dyn ChannelStore) {
        self.node.mine(quick().final_after);
        no_tasks(store).await;
    }

    pub(crate) fn signature(&self, key: &SecretKey, channel: ChannelId, balance: u64) -> Signature {
        let scheme = self.contract.scheme();
        scheme.sign_balance_proof(key, channel, balance.into()).signature
    }

    pub(crate) fn offer(&self, channel: ChannelId, balance: u64, payment: Payment) -> Offer {
        Offer {
            channel,
            balance: balance.into(),
            signature: Ok(self.signature(&self.sender, channel, balance)),
            payment,
        }
    }

    /// Pays a price with a proof of the sender's, in the way that states it.
    pub(crate) async fn pay(
        &self,
        manager: &ChannelManager,
        channel: ChannelId,
        balance: u64,
        price: u64,
    ) -> Result<Permit, Denied> {
        let offer = self.offer(channel, balance, stated(price));
        manager.pay(offer, Price::from(price)).await
    }

    /// Buys something that is delivered.
    pub(crate) async fn buy(&self, manager: &ChannelManager, channel: ChannelId, balance: u64, price: u64) {
        let permit = self.pay(manager, channel, balance, price).await.unwrap();
        assert_eq!(permit.charge().cost, price.into());
    }

    /// What a payment is refused for.
    pub(crate) async fn refusal(
        &self,
        manager: &ChannelManager,
        channel: ChannelId,
        balance: u64,
    ) -> Refusal {
        match self.pay(manager, channel, balance, 1).await {
            Err(Denied::Refused(refusal, _)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) fn close_request(&self, channel: ChannelId, balance: u64) -> CloseRequest {
        CloseRequest {
            channel,
            balance: balance.into(),
            asker: Asker::Sender {
                signature: self.signature(&self.sender, channel, balance),
                other: None,
            },
        }
    }
}

pub(crate) fn stated(price: u64) -> Payment {
    Payment::Stated(price.into())
}

/// The stored account of a channel.
pub(crate) async fn row(store: &dyn ChannelStore, channel: &ChannelId) -> AccountRow {
    let accounts = store.load().await.unwrap().accounts;
    let account = accounts.iter().find(|account| account.channel() == channel);
    account.unwrap().row().clone()
}

pub(crate) async fn spent(store: &dyn ChannelStore, channel: &ChannelId) -> Balance {
    row(store, channel).await.spent().unwrap()
}

/// Waits until no task is left.
pub(crate) async fn no_tasks(store: &dyn ChannelStore) {
    until("no task is left", async || {
        store.load().await.unwrap().tasks.is_empty()
    })
    .await;
}
