//! What a channel's transactions cost, compared with the snapshot and with the contract of 2018.
//!
//! Every scenario begins with a contract that holds no other deposits, so that the first deposit pays for its balance
//! slot and a settlement empties it. Accounts, nonces and block numbers are always the same, and so is each byte that is
//! sent.

use microraiden_chain::{Contract, Node, Wallet, deploy, token};
use microraiden_protocol::{Amount, Balance, ChannelId, SecretKey, Signature};
use microraiden_tests::world::CHALLENGE_PERIOD;
use microraiden_tests::{NodeKind, TestNode};
use std::path::Path;

/// One transaction of a channel; with an approval where the name says so.
struct Scenario {
    name: &'static str,
    /// Gas of the 2018 bytecode here, under the same rules: ours may not be above.
    ceiling: Option<u64>,
    /// Gas in the documentation of 2018, under the rules of then.
    documented: Option<u64>,
}

const fn scenario(name: &'static str, ceiling: Option<u64>, documented: Option<u64>) -> Scenario {
    Scenario {
        name,
        ceiling,
        documented,
    }
}

const OPEN: &str = "open, ERC223";
const TOP_UP: &str = "top up, ERC223";
const OPEN_ERC20: &str = "open, ERC20 with approve";
const TOP_UP_ERC20: &str = "top up, ERC20 with approve";
const WITHDRAW: &str = "withdraw";
const WITHDRAW_FIRST: &str = "withdraw, receiver held no tokens";
const CLOSE: &str = "cooperative close";
const CLOSE_FIRST: &str = "cooperative close, receiver held no tokens";
const CLOSE_ALONE: &str = "uncooperative close";
const SETTLE: &str = "settle";
const SETTLE_FIRST: &str = "settle, receiver held no tokens";

const SCENARIOS: [Scenario; 11] = [
    scenario(OPEN, Some(88_236), Some(88_976)),
    scenario(TOP_UP, Some(54_717), Some(54_885)),
    scenario(OPEN_ERC20, Some(132_590), Some(120_090)),
    scenario(TOP_UP_ERC20, Some(98_562), Some(85_414)),
    scenario(WITHDRAW, None, None),
    scenario(WITHDRAW_FIRST, None, None),
    scenario(CLOSE, Some(66_253), Some(71_182)),
    scenario(CLOSE_FIRST, Some(83_358), None),
    scenario(CLOSE_ALONE, Some(52_740), Some(53_876)),
    scenario(SETTLE, Some(54_135), Some(40_896)),
    scenario(SETTLE_FIRST, None, None),
];

/// The gas of each scenario, in the order in which they were played.
type Measured = Vec<(&'static str, u64)>;

/// The head before the first scenario, on every chain: so channels have the same names everywhere.
const FIRST_HEAD: u64 = 300;

fn tenths(of_a_token: u64) -> Amount {
    Amount::from(of_a_token * 100_000_000_000_000_000)
}

/// What every channel is closed at; both parties then get something.
fn balance() -> Balance {
    Balance::new(tenths(4).base_units())
}

/// A chain that mines each transaction at once, and nothing else.
struct Chain {
    node: TestNode,
    contract: Contract,
    sender: Wallet,
}

impl Chain {
    async fn start(kind: NodeKind) -> Self {
        let node = TestNode::start_quiet(kind).await;
        let rpc = Node::connect(&node.url()).await.unwrap();
        let deployer = Wallet::new(rpc.clone(), node.key(0));
        let params = deploy::TokenParams {
            supply: "1000000000000000000000".parse().unwrap(),
            name: "TestToken".to_owned(),
            symbol: "TKN".to_owned(),
            decimals: 18,
        };
        let (token, _) = deploy::token(&deployer, params).await.unwrap();
        let (address, _) = deploy::channels(&deployer, token, CHALLENGE_PERIOD)
            .await
            .unwrap();
        let contract = Contract::at(rpc.clone(), address).await.unwrap();
        let sender = Wallet::new(rpc, node.key(2));
        token::mint(&sender, token).await.unwrap();
        let head = contract.node().block_number().await.unwrap().0;
        let chain = Self {
            node,
            contract,
            sender,
        };
        chain.node.mine(FIRST_HEAD.checked_sub(head).unwrap()).await;
        chain
    }

    async fn open(&self, receiver: &SecretKey) -> (ChannelId, u64) {
        let deposit = tenths(10).base_units();
        let opened = self
            .contract
            .open_channel_erc223(&self.sender, receiver.address(), deposit.to::<u64>().into())
            .await;
        let (channel, receipts) = opened.unwrap();
        (channel, receipts.gas_used())
    }

    /// The sender's signature for what is owed.
    fn proof(&self, channel: &ChannelId) -> Signature {
        let scheme = self.contract.scheme();
        let proof = scheme.sign_balance_proof(&self.node.key(2), *channel, balance());
        proof.signature
    }

    async fn close(&self, receiver: &SecretKey, channel: &ChannelId) -> u64 {
        let (contract, proof) = (&self.contract, self.proof(channel));
        let closing = contract.scheme().sign_closing(receiver, channel, balance());
        let closed = contract.cooperative_close(&self.sender, channel, balance(), &proof, &closing);
        closed.await.unwrap().gas_used
    }

    async fn withdraw(&self, receiver: &SecretKey, channel: &ChannelId) -> u64 {
        let (contract, proof) = (&self.contract, self.proof(channel));
        let wallet = Wallet::new(contract.node().clone(), receiver.clone());
        let withdrawn = contract.withdraw(&wallet, channel, balance(), &proof).await;
        withdrawn.unwrap().gas_used
    }

    /// The gas of the close and that of the settlement.
    async fn close_alone(&self, channel: &ChannelId) -> (u64, u64) {
        let (contract, sender) = (&self.contract, &self.sender);
        let closed = contract.uncooperative_close(sender, channel, balance()).await;
        self.node.mine(u64::from(CHALLENGE_PERIOD) + 1).await;
        let settled = contract.settle(sender, channel).await;
        (closed.unwrap().gas_used, settled.unwrap().gas_used)
    }

    /// Plays all scenarios; the contract is empty between two lines.
    async fn play(&self) -> Measured {
        let (contract, sender) = (&self.contract, &self.sender);
        let receiver = self.node.key(1);

        let (channel, open) = self.open(&receiver).await;
        let top_up = contract.top_up_erc223(sender, &channel, tenths(5)).await.unwrap();
        let close_first = self.close(&receiver, &channel).await;

        let (address, deposit) = (receiver.address(), tenths(10).base_units());
        let opened = contract.open_channel_erc20(sender, address, deposit.to::<u64>().into());
        let (channel, open_erc20) = opened.await.unwrap();
        let top_up_erc20 = contract.top_up_erc20(sender, &channel, tenths(5)).await.unwrap();
        let close = self.close(&receiver, &channel).await;

        let channel = self.open(&receiver).await.0;
        let (close_alone, settle) = self.close_alone(&channel).await;

        let channel = self.open(&receiver).await.0;
        let withdraw = self.withdraw(&receiver, &channel).await;
        self.close(&receiver, &channel).await;

        let newcomer = self.node.key(3);
        let channel = self.open(&newcomer).await.0;
        let (_, settle_first) = self.close_alone(&channel).await;

        let newcomer = self.node.key(4);
        let channel = self.open(&newcomer).await.0;
        let withdraw_first = self.withdraw(&newcomer, &channel).await;
        vec![
            (OPEN, open),
            (TOP_UP, top_up.gas_used()),
            (OPEN_ERC20, open_erc20.gas_used()),
            (TOP_UP_ERC20, top_up_erc20.gas_used()),
            (WITHDRAW, withdraw),
            (WITHDRAW_FIRST, withdraw_first),
            (CLOSE, close),
            (CLOSE_FIRST, close_first),
            (CLOSE_ALONE, close_alone),
            (SETTLE, settle),
            (SETTLE_FIRST, settle_first),
        ]
    }
}

fn table(measured: &Measured) -> String {
    let mut text = String::from(
        "Gas of whole transactions (gasUsed of the receipts) under the rules of Prague, written by the tests.\n\
         The contract holds no other deposits, and unless said otherwise the receiver already holds tokens.\n\
         2018 bytecode: the contract of 2018 in the same scenario under the same rules, a ceiling for ours.\n\
         2018 documents: the documentation's figures, under the gas schedule of then.\n\n",
    );
    let mut line = |name: &str, ours: &str, ceiling: &str, documented: &str| {
        text.push_str(&format!("{name:<44}{ours:>8}{ceiling:>16}{documented:>16}\n"));
    };
    line("scenario", "ours", "2018 bytecode", "2018 documents");
    let figure = |gas: Option<u64>| gas.map_or_else(|| "-".to_owned(), |gas| gas.to_string());
    for scenario in SCENARIOS {
        let (ceiling, documented) = (figure(scenario.ceiling), figure(scenario.documented));
        line(
            scenario.name,
            &gas_of(&scenario, measured).to_string(),
            &ceiling,
            &documented,
        );
    }
    text
}

fn gas_of(scenario: &Scenario, measured: &Measured) -> u64 {
    let found = measured.iter().find(|(name, _)| *name == scenario.name);
    found.expect("every scenario is played").1
}

#[tokio::test(flavor = "multi_thread")]
async fn gas_is_that_of_the_snapshot_on_both_nodes_and_at_most_that_of_2018() {
    let devchain = Chain::start(NodeKind::Devchain).await.play().await;
    let anvil = Chain::start(NodeKind::Anvil).await.play().await;
    // Prague here, the newest rules there: they charge the same for all of this.
    assert_eq!(devchain, anvil, "both nodes charge the same");
    for scenario in SCENARIOS {
        let (ours, ceiling) = (gas_of(&scenario, &devchain), scenario.ceiling.unwrap_or(u64::MAX));
        assert!(
            ours <= ceiling,
            "{}: {ours}, above {ceiling} of 2018",
            scenario.name
        );
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/gas.txt");
    let table = table(&devchain);
    if std::env::var_os("MICRORAIDEN_WRITE_SNAPSHOT").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let snapshot = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        snapshot == table,
        "tests/snapshots/gas.txt has other figures; if they are meant to change, run again with \
         MICRORAIDEN_WRITE_SNAPSHOT=1 and commit it.\ncommitted:\n{snapshot}\nmeasured:\n{table}"
    );
}
