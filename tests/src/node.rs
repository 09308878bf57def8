//! A node for a test: the project's development chain, or anvil.

use alloy_node_bindings::{Anvil, AnvilInstance};
use microraiden_devchain::{Config, DevChain, Mining};
use microraiden_protocol::SecretKey;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// Which program a test runs against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// The project's own, in this process.
    Devchain,
    /// Foundry's, a process of its own.
    Anvil,
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
    /// Starts a node that mines each transaction at once or within a second, and blocks besides.
    ///
    /// # Panics
    /// When it does not start; for anvil, when `npm ci` has not been run.
    pub async fn start(kind: NodeKind) -> Self {
        match kind {
            NodeKind::Devchain => {
                let mining = Mining {
                    instant: true,
                    interval: Some(IDLE_BLOCK),
                };
                let config = Config {
                    mining,
                    ..Config::default()
                };
                Self::Devchain(DevChain::start(config).await.expect("a development chain starts"))
            }
            NodeKind::Anvil => {
                let anvil = anvil_program();
                assert!(
                    anvil.exists(),
                    "no anvil at {}; run `npm ci`, as `cargo xtask test` does",
                    anvil.display()
                );
                let start = move || Anvil::at(anvil).block_time(1).try_spawn();
                let started = tokio::task::spawn_blocking(start)
                    .await
                    .expect("the start does not panic");
                Self::Anvil(started.expect("anvil starts"))
            }
        }
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
