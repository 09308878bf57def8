//! A chain with a channel contract, a sender with tokens, and a receiver's key.

use alloy_primitives::U256;
use http::HeaderValue;
use microraiden_chain::deploy::{self, TokenParams};
use microraiden_chain::{Contract, Node, Party, Wallet, token};
use microraiden_devchain::{Config, DevChain};
use microraiden_http::Seller;
use microraiden_protocol::{Address, Amount, BlockNumber, ChannelChange, ChannelId, SecretKey};
use microraiden_sender::{ChannelError, Client, ClientOptions, Session, SessionConfig};
use std::time::Duration;

/// What a request costs, unless a test says otherwise.
pub(crate) const PRICE: u64 = 5;

pub(crate) struct Stage {
    chain: DevChain,
    pub(crate) contract: Contract,
    pub(crate) client: Client,
    pub(crate) receiver: SecretKey,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::on(Config::default()).await
    }

    pub(crate) async fn on(config: Config) -> Self {
        let chain = DevChain::start(config).await.expect("a chain");
        let node = Node::connect(&chain.url().parse().expect("a URL"))
            .await
            .expect("the node");
        let deployer = Wallet::new(node.clone(), key(&chain, 0));
        let params = TokenParams {
            supply: "1000000".parse().expect("a number"),
            name: "Test token".to_owned(),
            symbol: "TST".to_owned(),
            decimals: 0,
        };
        let (token, _) = deploy::token(&deployer, params).await.expect("the token");
        let (contract, _) = deploy::channels(&deployer, token, 500)
            .await
            .expect("the contract");
        let contract = Contract::at(node, contract).await.expect("the contract");
        let sender = key(&chain, 1);
        token::transfer(&deployer, token, sender.address(), 100_000.into())
            .await
            .expect("tokens");
        Self {
            client: Client::new(contract.clone(), sender),
            contract,
            receiver: key(&chain, 2),
            chain,
        }
    }

    /// The key of another account, with tokens.
    pub(crate) async fn rich_key(&self, account: usize) -> SecretKey {
        let rich = key(&self.chain, account);
        let deployer = Wallet::new(self.contract.node().clone(), key(&self.chain, 0));
        let token = self.contract.token().address;
        token::transfer(&deployer, token, rich.address(), 100_000.into())
            .await
            .expect("tokens");
        rich
    }

    /// Gives somebody enough ether for some transactions.
    pub(crate) fn give_ether(&self, to: Address) {
        self.chain.set_balance(to, U256::from(10).pow(U256::from(18)));
    }

    /// Every channel that a sender ever opened to a receiver.
    pub(crate) async fn channels_between(&self, sender: Address, receiver: Address) -> Vec<ChannelId> {
        let head = self.contract.node().block_number().await.expect("the node");
        let events = self.contract.events(Party::Sender(sender), BlockNumber(0), head);
        let events = events.await.expect("the node");
        let opened = events.into_iter().filter(|event| {
            event.channel.receiver == receiver && matches!(event.change, ChannelChange::Created { .. })
        });
        opened.map(|event| event.channel).collect()
    }

    /// The sender's key, for what servers could have got from it elsewhere.
    /// The same sender after a restart: it remembers nothing.
    pub(crate) fn restarted_client(&self) -> Client {
        Client::new(self.contract.clone(), key(&self.chain, 1))
    }

    pub(crate) fn sender_key(&self) -> SecretKey {
        key(&self.chain, 1)
    }

    pub(crate) fn mine(&self, blocks: u64) {
        self.chain.mine(blocks);
    }

    /// The sender, opened with its book.
    pub(crate) async fn open_client(&self, options: ClientOptions) -> Result<Client, ChannelError> {
        Client::open(self.contract.clone(), key(&self.chain, 1), options).await
    }

    pub(crate) fn seller(&self) -> Seller {
        self.seller_with(self.receiver.address(), self.contract.address())
    }

    /// With another receiver or contract.
    pub(crate) fn seller_with(&self, receiver: Address, contract: Address) -> Seller {
        let gateway_path = HeaderValue::from_static("/api/1");
        Seller::new(gateway_path, receiver, contract, self.contract.token().address)
    }

    /// A session with short pauses, at most twice the price for a request.
    pub(crate) fn session(&self) -> Session {
        self.session_with(config())
    }

    pub(crate) fn session_with(&self, config: SessionConfig) -> Session {
        Session::new(self.client.clone(), config).expect("a session")
    }

    pub(crate) async fn receiver_tokens(&self) -> Amount {
        let receiver = self.receiver.address();
        self.contract.token_balance(receiver).await.expect("the node")
    }

    pub(crate) async fn open_channels(&self) -> usize {
        let open = self.restarted_client().open_channels(None).await;
        open.expect("the node").len()
    }
}

pub(crate) fn config() -> SessionConfig {
    SessionConfig {
        answer_timeout: Duration::from_secs(1),
        confirmation_timeout: Duration::from_millis(600),
        retry_pause: Duration::from_millis(1),
        ..SessionConfig::new((2 * PRICE).into(), 100_000.into())
    }
}

fn key(chain: &DevChain, account: usize) -> SecretKey {
    SecretKey::from_bytes(chain.accounts()[account].secret_key.as_slice()).expect("a key")
}
