//! A chain with token and channel contract, and keys for everybody.

use crate::node::{NodeKind, TestNode};
use microraiden_chain::deploy::{self, TokenParams};
use microraiden_chain::{Contract, Node, Wallet, token};
use microraiden_protocol::{Address, Amount, SecretKey};

/// A node with deployed contracts. Accounts: 0 deploys, 1 receives, 2 sends, 3 is a stranger.
#[derive(Debug)]
pub struct World {
    /// The node.
    pub node: TestNode,
    /// The channel contract.
    pub contract: Contract,
    /// The deployer's wallet.
    pub deployer: Wallet,
    /// The receiver's key.
    pub receiver: SecretKey,
    /// The sender's key.
    pub sender: SecretKey,
}

/// The challenge period, in blocks.
pub const CHALLENGE_PERIOD: u32 = 500;

impl World {
    /// Deploys the contracts and gives the sender 50 tokens.
    ///
    /// # Panics
    /// When anything fails.
    pub async fn start(kind: NodeKind) -> Self {
        let node = TestNode::start(kind).await;
        let rpc = Node::connect(&node.url()).await.expect("the node answers");
        let deployer = Wallet::new(rpc.clone(), node.key(0));
        let params = TokenParams {
            supply: "1000000000000000000000".parse().expect("a number"),
            name: "TestToken".to_owned(),
            symbol: "TKN".to_owned(),
            decimals: 18,
        };
        let (token, _) = deploy::token(&deployer, params)
            .await
            .expect("the token is deployed");
        let deployed = deploy::channels(&deployer, token, CHALLENGE_PERIOD).await;
        let (contract, _) = deployed.expect("the channel contract is deployed");
        let contract = Contract::at(rpc.clone(), contract)
            .await
            .expect("it is a channel contract");
        let (receiver, sender) = (node.key(1), node.key(2));
        token::mint(&Wallet::new(rpc, sender.clone()), token)
            .await
            .expect("the sender buys tokens");
        Self {
            node,
            contract,
            deployer,
            receiver,
            sender,
        }
    }

    /// A wallet for a key.
    pub fn wallet(&self, key: &SecretKey) -> Wallet {
        Wallet::new(self.contract.node().clone(), key.clone())
    }

    /// The tokens that somebody holds.
    ///
    /// # Panics
    /// When the node does not answer.
    pub async fn tokens(&self, owner: Address) -> Amount {
        self.contract
            .token_balance(owner)
            .await
            .expect("the node answers")
    }
}
