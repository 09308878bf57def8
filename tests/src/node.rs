//! A node for a test: the project's development chain, or anvil.

use alloy_node_bindings::{Anvil, AnvilInstance};
use microraiden_devchain::{Config, DevChain, Mining};
use microraiden_protocol::SecretKey;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use url::Url;

/// Which program a test runs against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// The project's own, in this process.
    Devchain,
    /// Foundry's, a process of its own.
    Anvil,
}

/// How long anvil may take to enter into its books what it has answered for.
const CATCH_UP: Duration = Duration::from_secs(10);

/// The environment variable that says which node the whole-system tests run on.
const CHOICE: &str = "MICRORAIDEN_TEST_NODE";

impl NodeKind {
    /// The one that the environment variable `MICRORAIDEN_TEST_NODE` names, `devchain` or `anvil`; without it devchain.
    ///
    /// # Panics
    /// When it names none.
    pub fn chosen() -> Self {
        match std::env::var(CHOICE).as_deref() {
            Err(std::env::VarError::NotPresent) | Ok("devchain") => Self::Devchain,
            Ok("anvil") => Self::Anvil,
            other => panic!("{CHOICE} is devchain or anvil, not {other:?}"),
        }
    }
}

/// A running node; it ends with the value.
#[derive(Debug)]
pub enum TestNode {
    /// The project's own.
    Devchain(DevChain),
    /// Foundry's.
    Anvil(AnvilInstance),
}

/// How often a block is mined without transactions, so that confirmations come.
const IDLE_BLOCK: Duration = Duration::from_millis(200);

impl TestNode {
    /// Starts a node that mines each transaction at once, and a block every 200 ms besides.
    ///
    /// # Panics
    /// When it does not start; for anvil, when `npm ci` has not been run.
    pub async fn start(kind: NodeKind) -> Self {
        let seconds = IDLE_BLOCK.as_secs_f64().to_string();
        let mining = Mining {
            instant: true,
            interval: Some(IDLE_BLOCK),
        };
        Self::spawn(kind, mining, &["--block-time", &seconds, "--mixed-mining"]).await
    }

    /// Starts a node that mines each transaction at once, and nothing else.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn start_quiet(kind: NodeKind) -> Self {
        Self::spawn(kind, Mining::default(), &[]).await
    }

    async fn spawn(kind: NodeKind, mining: Mining, anvil_options: &[&str]) -> Self {
        match kind {
            NodeKind::Devchain => {
                let config = Config {
                    mining,
                    ..Config::default()
                };
                Self::Devchain(DevChain::start(config).await.expect("a development chain starts"))
            }
            NodeKind::Anvil => {
                let program = anvil_program();
                assert!(
                    program.exists(),
                    "no anvil at {}; run `npm ci`, as `cargo xtask test` does",
                    program.display()
                );
                let anvil = Anvil::at(program).args(anvil_options);
                let started = tokio::task::spawn_blocking(move || anvil.try_spawn())
                    .await
                    .expect("the start does not panic");
                Self::Anvil(started.expect("anvil starts"))
            }
        }
    }

    /// What the node answers to a JSON-RPC request: a result or an error object.
    ///
    /// # Panics
    /// When there is no such answer.
    pub async fn ask(&self, method: &str, params: Value) -> Result<Value, Value> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let post = reqwest::Client::new()
            .post(self.url())
            .header("content-type", "application/json")
            .body(request.to_string());
        let answer = post.send().await.expect("the node answers");
        let answer = answer.bytes().await.expect("the answer is whole");
        let mut answer: Value = serde_json::from_slice(&answer).expect("the answer is JSON");
        match answer.get_mut("error") {
            Some(error) => Err(error.take()),
            None => Ok(answer["result"].take()),
        }
    }

    /// As [`Self::ask`], for what must work.
    ///
    /// # Panics
    /// When it does not.
    pub async fn control(&self, method: &str, params: Value) -> Value {
        let answer = self.ask(method, params).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The number of the newest block.
    ///
    /// # Panics
    /// When the node does not answer.
    pub async fn block_number(&self) -> u64 {
        let number = self.control("eth_blockNumber", json!([])).await;
        let digits = number.as_str().and_then(|number| number.strip_prefix("0x"));
        let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.expect("a block number is a quantity")
    }

    /// Waits until anvil shows what it has answered for: it enters some of it into its books later. The project's own
    /// chain is given no time.
    pub async fn catch_up(&self, shows: impl AsyncFn() -> bool) {
        let begin = Instant::now();
        while matches!(self, Self::Anvil(_)) && begin.elapsed() < CATCH_UP && !shows().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Mines blocks.
    ///
    /// # Panics
    /// When the node does not.
    pub async fn mine(&self, blocks: u64) {
        self.control("anvil_mine", json!([format!("{blocks:#x}")])).await;
    }

    /// Where its JSON-RPC is.
    pub fn url(&self) -> Url {
        let url = match self {
            Self::Devchain(chain) => chain.url(),
            Self::Anvil(anvil) => anvil.endpoint(),
        };
        url.parse().expect("a node's address is a URL")
    }

    /// The keys of its funded accounts; both kinds have the same.
    pub fn key(&self, account: usize) -> SecretKey {
        let bytes = match self {
            Self::Devchain(chain) => chain.accounts()[account].secret_key.0,
            Self::Anvil(anvil) => anvil.keys()[account].to_bytes().into(),
        };
        SecretKey::from_bytes(&bytes).expect("a node's keys are valid")
    }
}

/// The binary of the npm package for this machine.
fn anvil_program() -> PathBuf {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join(format!(
        "node_modules/@foundry-rs/anvil-{}-{arch}/bin/anvil",
        std::env::consts::OS
    ))
}
