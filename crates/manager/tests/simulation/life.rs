//! One life of the receiver's program: from its start until it dies, at a moment or at a write.

use crate::disk::Front;
use crate::stage::Stage;
use crate::weather::Line;
use fastrand::Rng;
use microraiden_chain::{Contract, Node, Wallet, WalletOptions};
use microraiden_manager::{ChannelManager, Config};
use microraiden_protocol::BlockNumber;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How many blocks the manager leaves to senders to bring an agreed close on chain, or to settle.
pub(crate) const PATIENCE: u64 = 8;
/// How many blocks must lie above what is taken never to vanish.
pub(crate) const FINAL_AFTER: u64 = 16;
/// How long a start may take.
const START: Duration = Duration::from_secs(30);

/// Whether the program is alive. Once dead it has no effect on anything any more.
pub(crate) struct Life {
    alive: watch::Sender<bool>,
    /// It dies with this many more writes.
    writes: AtomicU64,
}

impl Life {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            alive: watch::Sender::new(true),
            writes: AtomicU64::new(u64::MAX),
        })
    }

    pub(crate) fn is_alive(&self) -> bool {
        *self.alive.borrow()
    }

    pub(crate) async fn death(&self) {
        let mut alive = self.alive.subscribe();
        alive.wait_for(|alive| !alive).await.unwrap();
    }

    /// Lets it die when it hands in the write after this many.
    pub(crate) fn die_after(&self, writes: u64) {
        self.writes.store(writes, Ordering::Relaxed);
    }

    pub(crate) fn dies_at_this_write(&self) -> bool {
        let dies = self.writes.fetch_sub(1, Ordering::Relaxed) == 0;
        if dies {
            self.die();
        }
        dies
    }

    fn die(&self) {
        self.alive.send_replace(false);
    }
}

/// The program while it runs.
pub(crate) struct Program {
    pub(crate) life: Arc<Life>,
    pub(crate) manager: ChannelManager,
    front: Arc<Front>,
    /// Requests that it works on.
    pub(crate) requests: JoinSet<()>,
}

impl Program {
    /// Starts on what is durable; `None` when that fails. It may die with one of its first writes.
    pub(crate) async fn start(stage: &Arc<Stage>, rng: &mut Rng, dies_after: Option<u64>) -> Option<Self> {
        let life = Life::new();
        if let Some(writes) = dies_after {
            life.die_after(writes);
        }
        let front = Front::new(stage.clone(), life.clone(), rng.fork());
        let line = Line::new(stage.clone(), life.clone(), rng.fork());
        let kept = stage.disk().kept.clone();
        stage.witness().begin_life(kept);
        let started = timeout(START, start(stage, line, front.clone())).await;
        match started {
            Ok(Ok(manager)) if life.is_alive() => {
                stage.note(format_args!("the program has started"));
                Some(Self {
                    life,
                    manager,
                    front,
                    requests: JoinSet::new(),
                })
            }
            _ => {
                stage.note(format_args!("the program has not started"));
                if life.is_alive() {
                    life.die();
                    front.crash();
                }
                None
            }
        }
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill(self) {
        if self.life.is_alive() {
            self.life.die();
            self.front.crash();
        }
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn start(stage: &Arc<Stage>, line: Arc<Line>, front: Arc<Front>) -> Result<ChannelManager, Failed> {
    let node = Node::over(line).await?;
    let contract = Contract::at(node.clone(), stage.contract()).await?;
    let key = stage.receiver.clone();
    let wallet = Wallet::with_options(node, key.clone(), wallet_options());
    Ok(ChannelManager::start(contract, wallet, key, front, config(stage)).await?)
}

/// Everything is as much quicker as the challenge period is shorter.
fn wallet_options() -> WalletOptions {
    WalletOptions {
        receipt_timeout: Duration::from_secs(60),
        raise_fees_after: Duration::from_secs(24),
        max_fee_per_gas: None,
        is_exclusive: true,
    }
}

fn config(stage: &Stage) -> Config {
    let terms = stage.terms;
    Config {
        n_confirmations: terms.n_confirmations,
        final_after: FINAL_AFTER,
        start_block: BlockNumber(0),
        poll_interval: Duration::from_secs(3),
        node_timeout: Duration::from_secs(30),
        dispute_margin: u64::from(terms.challenge_period / 2),
        dispute_retry: Duration::from_secs(10),
        min_claim: terms.min_claim.into(),
        close_patience: PATIENCE,
        settle_patience: PATIENCE,
        min_challenge_time: Duration::ZERO,
        ..Config::default()
    }
}
