//! One life of the receiver's program: from its start until it dies, at a moment or at a write.

use crate::alone::AloneFront;
use crate::shared::SharedFront;
use crate::stage::Stage;
use crate::weather::Line;
use fastrand::Rng;
use microraiden_chain::{Contract, Node, Wallet, WalletOptions};
use microraiden_manager::{ChannelManager, Config};
use microraiden_protocol::BlockNumber;
use microraiden_store::ChannelStore;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How many blocks the manager leaves to senders to bring an agreed close on chain, or to settle.
pub(crate) const PATIENCE: u64 = 8;
/// How many blocks must lie above what is taken never to vanish.
pub(crate) const FINAL_AFTER: u64 = 16;
/// How long what is stopped in order may work on.
const GRACE: Duration = Duration::from_secs(2);
/// How long a start may take.
const START: Duration = Duration::from_secs(30);

/// Whether the program is alive. Once dead it has no effect on anything any more.
#[derive(Debug)]
pub(crate) struct Life {
    /// Counts the lives of a run.
    pub(crate) number: u64,
    alive: watch::Sender<bool>,
    /// It dies with this many more writes.
    writes: AtomicU64,
    /// Its connection to a shared store breaks at the batch after so many.
    batches: AtomicU64,
    died: Mutex<Option<Instant>>,
    /// It hangs until then: nothing leaves it or comes in.
    hangs: Mutex<Instant>,
    /// It does not hear until then what others write.
    deaf: Mutex<Instant>,
    /// Its clock stands until then: whatever it was told last of the lead, it goes on to believe.
    stands: Mutex<Instant>,
}

impl Life {
    pub(crate) fn new(number: u64) -> Arc<Self> {
        Arc::new(Self {
            number,
            alive: watch::Sender::new(true),
            writes: AtomicU64::new(u64::MAX),
            batches: AtomicU64::new(u64::MAX),
            died: Mutex::default(),
            hangs: Mutex::new(Instant::now()),
            deaf: Mutex::new(Instant::now()),
            stands: Mutex::new(Instant::now()),
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
        *self.died.lock().unwrap() = Some(Instant::now());
    }

    pub(crate) fn died(&self) -> Option<Instant> {
        *self.died.lock().unwrap()
    }

    /// Lets its connection break at the batch after this many.
    pub(crate) fn break_after(&self, batches: u64) {
        self.batches.store(batches, Ordering::Relaxed);
    }

    pub(crate) fn breaks_at_this_batch(&self) -> bool {
        self.batches.fetch_sub(1, Ordering::Relaxed) == 0
    }

    pub(crate) fn hang(&self, time: Duration) {
        *self.hangs.lock().unwrap() = Instant::now() + time;
    }

    pub(crate) fn deafen(&self, time: Duration) {
        *self.deaf.lock().unwrap() = Instant::now() + time;
    }

    pub(crate) fn is_deaf(&self) -> bool {
        Instant::now() < *self.deaf.lock().unwrap()
    }

    pub(crate) fn stop_clock(&self, time: Duration) {
        *self.stands.lock().unwrap() = Instant::now() + time;
    }

    pub(crate) fn clock_stands(&self) -> bool {
        Instant::now() < *self.stands.lock().unwrap()
    }

    /// On the way for a while, and for as long as it hangs; a program that has died hears and says nothing any
    /// more.
    pub(crate) async fn travel(&self, time: Duration) {
        sleep(time).await;
        loop {
            let until = *self.hangs.lock().unwrap();
            if Instant::now() >= until {
                break;
            }
            sleep_until(until).await;
        }
        if !self.is_alive() {
            pending::<()>().await;
        }
    }
}

/// The way of a program to its store.
#[derive(Clone)]
enum Front {
    Alone(Arc<AloneFront>),
    Shared(Arc<SharedFront>),
}

/// Requests that a program works on.
pub(crate) type Requests = Arc<Mutex<JoinSet<()>>>;

/// The program while it runs.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) life: Arc<Life>,
    pub(crate) manager: ChannelManager,
    front: Front,
    pub(crate) requests: Requests,
}

impl Program {
    /// Starts on what is durable; `None` when that fails. It may die with one of its first writes.
    pub(crate) async fn start(
        stage: Arc<Stage>,
        number: u64,
        mut rng: Rng,
        dies_after: Option<u64>,
    ) -> Option<Self> {
        let life = Life::new(number);
        if let Some(writes) = dies_after {
            life.die_after(writes);
        }
        let front = match stage.terms.instances {
            0 => Front::Alone(AloneFront::new(stage.clone(), life.clone(), rng.fork())),
            _ => Front::Shared(SharedFront::new(stage.clone(), life.clone(), rng.fork())),
        };
        let line = Line::new(stage.clone(), life.clone(), rng.fork());
        if let Front::Alone(_) = front {
            let kept = stage.disk().kept.clone();
            stage.witness().begin_life(kept);
        }
        let started = timeout(START, start(&stage, line, front.store())).await;
        match started {
            Ok(Ok(manager)) if life.is_alive() => {
                stage.note(format_args!("life {number} has started"));
                Some(Self {
                    life,
                    manager,
                    front,
                    requests: Requests::default(),
                })
            }
            _ => {
                stage.note(format_args!("life {number} has not started"));
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
        self.requests.lock().unwrap().abort_all();
    }

    /// Ends it in order, and gives it a moment for what it works on.
    pub(crate) async fn stop(self) {
        let _ = timeout(START, self.manager.stop()).await;
        self.life.travel(GRACE).await;
        self.kill();
    }

    /// Whether the store says that it leads.
    pub(crate) fn leads(&self) -> bool {
        match &self.front {
            Front::Alone(_) => true,
            Front::Shared(front) => front.leads(),
        }
    }
}

impl Front {
    fn store(&self) -> Arc<dyn ChannelStore> {
        match self {
            Self::Alone(front) => front.clone(),
            Self::Shared(front) => front.clone(),
        }
    }

    /// The program has died: some of what waited is durable, in its order, and the rest is lost.
    fn crash(&self) {
        match self {
            Self::Alone(front) => front.crash(),
            Self::Shared(front) => front.crash(),
        }
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn start(
    stage: &Arc<Stage>,
    line: Arc<Line>,
    store: Arc<dyn ChannelStore>,
) -> Result<ChannelManager, Failed> {
    let node = Node::over(line).await?;
    let contract = Contract::at(node.clone(), stage.contract()).await?;
    let key = stage.receiver.clone();
    let wallet = Wallet::with_options(node, key.clone(), wallet_options());
    Ok(ChannelManager::start(contract, wallet, key, store, config(stage)).await?)
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
