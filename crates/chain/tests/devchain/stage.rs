//! A chain with a token, a channel contract, a sender with tokens and a receiver.

use alloy_primitives::{Address, U256};
use microraiden_chain::deploy::{self, TokenParams};
use microraiden_chain::{Contract, Node, Party, Wallet};
use microraiden_devchain::{Config, DevChain};
use microraiden_protocol::{
    Balance, BlockNumber, ChannelChange, ChannelEvent, ChannelId, Deposit, SecretKey, Signature,
};

pub(crate) const CHALLENGE_PERIOD: u32 = 500;

pub(crate) struct Stage {
    pub(crate) chain: DevChain,
    pub(crate) node: Node,
    pub(crate) contract: Contract,
    pub(crate) sender: Wallet,
    pub(crate) receiver: Wallet,
}

pub(crate) fn secret_key(chain: &DevChain, account: usize) -> SecretKey {
    SecretKey::from_bytes(chain.accounts()[account].secret_key.as_slice()).unwrap()
}

pub(crate) async fn connect(chain: &DevChain) -> Node {
    Node::connect(&chain.url().parse().unwrap()).await.unwrap()
}

pub(crate) fn token_params() -> TokenParams {
    TokenParams {
        supply: U256::from(1_000_000),
        name: "Test token".into(),
        symbol: "TST".into(),
        decimals: 2,
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let chain = DevChain::start(Config::default()).await.unwrap();
        let sender = Wallet::new(connect(&chain).await, secret_key(&chain, 0));
        let (token, _) = deploy::token(&sender, token_params()).await.unwrap();
        Self::with_token(chain, sender, token).await
    }

    pub(crate) async fn with_token(chain: DevChain, sender: Wallet, token: Address) -> Self {
        let (contract, _) = deploy::channels(&sender, token, CHALLENGE_PERIOD).await.unwrap();
        let node = sender.node().clone();
        let contract = Contract::at(node.clone(), contract).await.unwrap();
        let receiver = Wallet::new(node.clone(), secret_key(&chain, 1));
        Self {
            chain,
            node,
            contract,
            sender,
            receiver,
        }
    }

    /// Opens a channel between sender and receiver.
    pub(crate) async fn open(&self, deposit: u64) -> ChannelId {
        let deposit = Deposit::from(deposit);
        let receiver = self.receiver.address();
        let (channel, _) = self
            .contract
            .open_channel(&self.sender, receiver, deposit)
            .await
            .unwrap();
        channel
    }

    pub(crate) fn balance_signature(&self, channel: ChannelId, balance: u64) -> Signature {
        let key = secret_key(&self.chain, 0);
        let scheme = self.contract.scheme();
        scheme
            .sign_balance_proof(&key, channel, Balance::from(balance))
            .signature
    }

    pub(crate) fn closing_signature(&self, channel: &ChannelId, balance: u64) -> Signature {
        let key = secret_key(&self.chain, 1);
        self.contract
            .scheme()
            .sign_closing(&key, channel, Balance::from(balance))
    }

    /// All events of the contract.
    pub(crate) async fn events(&self, party: Party) -> Vec<ChannelEvent> {
        let head = BlockNumber(self.chain.block_number());
        self.contract.events(party, BlockNumber(0), head).await.unwrap()
    }

    /// What the events of one channel say.
    pub(crate) async fn changes(&self, channel: &ChannelId) -> Vec<ChannelChange> {
        let events = self.events(Party::Any).await.into_iter();
        events
            .filter(|event| event.channel == *channel)
            .map(|event| event.change)
            .collect()
    }

    pub(crate) async fn tokens(&self, wallet: &Wallet) -> String {
        self.contract
            .token_balance(wallet.address())
            .await
            .unwrap()
            .to_string()
    }
}
