//! Starting and stopping, and what all parts share.

use crate::accounts::Accounts;
use crate::config::Config;
use crate::doubts::Doubts;
use crate::follow::ChainFollower;
use crate::halts::Halts;
use crate::loss::Loss;
use crate::payment::Unavailable;
use crate::sync::{AtomicBool, AtomicU64, Mutex};
use crate::{dispute, follow, gas, lead};
use microraiden_chain::{ChainError, Contract, Follower, Party, Wallet, abi};
use microraiden_protocol::ledger::Writer;
use microraiden_protocol::{Address, Amount, BlockNumber, SecretKey};
use microraiden_store::{ChannelStore, Halt, SharedStore, StoreError, Task, TaskKind};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Chains of nobody's money, whose blocks come as fast as one likes.
pub const DEVELOPMENT_CHAINS: [u64; 2] = [1337, 31337];
/// Over how many blocks it is observed how long a block takes.
const OBSERVED_BLOCKS: u64 = 1_000;

/// Why the manager did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state could not be read.
    #[error("the state cannot be loaded")]
    Store(#[from] StoreError),
    /// What concerns the receiver as a whole could not be kept.
    #[error("the state cannot be kept")]
    Halt(#[source] Unavailable),
    /// The node did not answer, or cannot be used.
    #[error("the chain cannot be followed")]
    Chain(#[from] ChainError),
}

/// The receiver's channel manager. Cheap to clone; all clones are one, and stop with the last.
#[derive(Debug, Clone)]
pub struct ChannelManager {
    pub(crate) shared: Arc<Shared>,
    tasks: Arc<Tasks>,
}

/// What runs beside the payments, until this is dropped.
#[derive(Debug)]
struct Tasks {
    stop: watch::Sender<bool>,
    running: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

pub(crate) struct Shared {
    pub(crate) contract: Contract,
    pub(crate) wallet: Wallet,
    pub(crate) key: SecretKey,
    pub(crate) store: Arc<dyn ChannelStore>,
    /// The same store, where several instances write it.
    pub(crate) others: Option<Arc<dyn SharedStore>>,
    /// Whether this instance follows the chain and brings on chain what is owed.
    pub(crate) leads: AtomicBool,
    /// Whether tasks and halts in memory may not be those that are stored.
    pub(crate) rereads: AtomicBool,
    /// What may not be as it is in memory.
    pub(crate) doubts: Doubts,
    /// Held while an update of the chain is taken over, or what others have written.
    pub(crate) taking: tokio::sync::Mutex<()>,
    pub(crate) config: Config,
    pub(crate) accounts: Accounts,
    /// What the operator has to be asked about.
    pub(crate) halts: Halts,
    /// What is to be done on the chain.
    pub(crate) disputes: dispute::Disputes,
    /// Rung when there may be something to do.
    pub(crate) dispute_bell: Notify,
    pub(crate) stop: watch::Sender<bool>,
    /// How often another instance was faster with an account.
    pub(crate) conflicts: AtomicU64,
    /// Why following has ended for good.
    failure: watch::Sender<Option<Arc<ChainError>>>,
    instance: u64,
    sequence: AtomicU64,
    store_stopped: AtomicBool,
    /// Whether the store could not be reached when it was last looked at.
    pub(crate) store_away: AtomicBool,
    /// What the store has lost.
    pub(crate) loss: Loss,
    /// The wallet cannot pay the gas of what is owed.
    pub(crate) gas_short: AtomicBool,
    /// The challenge period of the contract is too short here.
    challenge_too_short: AtomicBool,
    /// When the chain was last read up to the node's newest block, here or by the leader.
    node_seen: Mutex<Option<Instant>>,
    /// When the node last answered anything that is not older than what was read.
    node_heard: Mutex<Instant>,
    head: AtomicU64,
    /// When the newest block was made, in seconds since 1970; 0 where nobody asks.
    pub(crate) head_time: AtomicU64,
}

/// What a store has kept besides the accounts.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) tasks: Vec<Task>,
    pub(crate) halts: Vec<Halt>,
    pub(crate) head: BlockNumber,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("receiver", &self.key.address())
            .finish_non_exhaustive()
    }
}

impl ChannelManager {
    /// Loads the state, catches up with the chain, and begins to follow and to dispute.
    ///
    /// `key` is the receiver's; `wallet` pays the gas of disputes and usually has the same key. The
    /// store must be bound to this contract and receiver.
    ///
    /// # Errors
    /// When the state cannot be loaded or the chain not be read.
    pub async fn start(
        contract: Contract,
        wallet: Wallet,
        key: SecretKey,
        store: Arc<dyn ChannelStore>,
        config: Config,
    ) -> Result<Self, StartError> {
        let snapshot = store.load().await?;
        let head = snapshot
            .blocks
            .last()
            .map_or(BlockNumber(0), |block| block.number);
        let kept = Kept {
            tasks: snapshot.tasks,
            halts: snapshot.halts,
            head,
        };
        let shared = Arc::new(Shared::new(contract, wallet, key, store, config, kept));
        snapshot
            .accounts
            .into_iter()
            .for_each(|account| shared.accounts.add(account));
        shared.check_challenge_period().await?;
        let manager = match shared.others.clone() {
            None => {
                let party = Party::Receiver(shared.key.address());
                let start = shared.config.start_block;
                let follower = Follower::new(shared.contract.clone(), party, start, snapshot.blocks);
                let mut follower = ChainFollower::new(shared.clone(), follower, snapshot.events);
                follower.catch_up().await?;
                let stop = || shared.stop.subscribe();
                let tasks = vec![
                    tokio::spawn(follow::run(follower, stop())),
                    tokio::spawn(dispute::run(shared.clone(), stop())),
                    tokio::spawn(gas::run(shared.clone(), stop())),
                ];
                Self::of(shared.clone(), tasks)
            }
            Some(others) => {
                let (started, has_started) = oneshot::channel();
                let tasks = vec![
                    tokio::spawn(lead::run(shared.clone(), others.clone(), started)),
                    tokio::spawn(lead::keep_up(shared.clone(), others)),
                ];
                let manager = Self::of(shared.clone(), tasks);
                // Where that has failed, the manager is dropped, and all of it ends.
                has_started.await.unwrap_or(Ok(()))?;
                manager
            }
        };
        if manager.shared.config.resumes_selling {
            manager.resume_selling().await.map_err(StartError::Halt)?;
        }
        Ok(manager)
    }

    /// The handle of what is shared and runs.
    pub(crate) fn of(shared: Arc<Shared>, running: Vec<JoinHandle<()>>) -> Self {
        let tasks = Tasks {
            stop: shared.stop.clone(),
            running: Mutex::new(running),
        };
        Self {
            shared,
            tasks: Arc::new(tasks),
        }
    }

    /// The address that is paid.
    pub fn receiver(&self) -> Address {
        self.shared.key.address()
    }

    /// The channel contract.
    pub fn contract(&self) -> &Contract {
        &self.shared.contract
    }

    /// The channel contract's ABI, as JSON text.
    pub fn channel_abi(&self) -> &'static str {
        abi::channels()
    }

    /// The token's ABI, as JSON text.
    pub fn token_abi(&self) -> &'static str {
        abi::token()
    }

    /// The newest block that was taken over.
    pub fn head(&self) -> BlockNumber {
        self.shared.head()
    }

    /// The first block that can hold one of our channels.
    pub fn start_block(&self) -> BlockNumber {
        self.shared.config.start_block
    }

    /// The least that a transaction must bring in, unless the operator asks for less.
    pub fn min_claim(&self) -> Amount {
        self.shared.config.min_claim
    }

    /// For how many channels a transaction of a kind can and must be sent still. Those that wait for the
    /// sender, or for a settlement to be confirmed, do not count.
    pub fn transactions_left(&self, kind: TaskKind) -> usize {
        dispute::transactions_left(&self.shared, kind)
    }

    /// How often a decision was made again since another instance had been faster with its channel.
    pub fn conflicts(&self) -> u64 {
        self.shared.conflicts.load(Ordering::Relaxed)
    }

    /// Resolves when the chain cannot be followed any more, whatever one does: the node is on another chain,
    /// or the contract is gone. Nothing is sold then, and the program should end.
    pub async fn failed(&self) -> Arc<ChainError> {
        let mut failure = self.shared.failure.subscribe();
        match failure.wait_for(Option::is_some).await.map(|error| error.clone()) {
            Ok(Some(error)) => error,
            // It is owned by what this borrows.
            _ => std::future::pending().await,
        }
    }

    /// Stops selling, following and disputing, and waits until the last two have ended. What becomes
    /// of permits is still kept.
    pub async fn stop(&self) {
        self.shared.stop.send_replace(true);
        let running = std::mem::take(&mut *self.tasks.running.lock().unwrap_or_else(PoisonError::into_inner));
        for task in running {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the channel manager has failed");
            }
        }
    }
}

impl Shared {
    /// Without any account, and with everything working.
    pub(crate) fn new(
        contract: Contract,
        wallet: Wallet,
        key: SecretKey,
        store: Arc<dyn ChannelStore>,
        config: Config,
        kept: Kept,
    ) -> Self {
        let others = store.clone().shared();
        Self {
            accounts: Accounts::of(key.address()),
            contract,
            wallet,
            key,
            leads: AtomicBool::new(others.is_none()),
            rereads: AtomicBool::new(false),
            doubts: Doubts::default(),
            taking: tokio::sync::Mutex::new(()),
            node_seen: Mutex::new(others.is_none().then(Instant::now)),
            node_heard: Mutex::new(Instant::now()),
            others,
            store,
            config,
            halts: Halts::new(&kept.halts),
            disputes: dispute::Disputes::new(kept.tasks),
            dispute_bell: Notify::new(),
            conflicts: AtomicU64::new(0),
            stop: watch::Sender::new(false),
            failure: watch::Sender::new(None),
            // Hash maps draw their keys from the system's randomness.
            instance: RandomState::new().hash_one(0),
            sequence: AtomicU64::new(0),
            store_stopped: AtomicBool::new(false),
            store_away: AtomicBool::new(false),
            loss: Loss::default(),
            gas_short: AtomicBool::new(false),
            challenge_too_short: AtomicBool::new(false),
            head_time: AtomicU64::new(0),
            head: AtomicU64::new(kept.head.0),
        }
    }

    /// A new name for a transition of ours.
    pub(crate) fn writer(&self) -> Writer {
        Writer {
            instance: self.instance,
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed),
        }
    }

    pub(crate) fn head(&self) -> BlockNumber {
        BlockNumber(self.head.load(Ordering::Relaxed))
    }

    pub(crate) fn set_head(&self, head: BlockNumber) {
        self.head.store(head.0, Ordering::Relaxed);
    }

    /// Notes when the node's newest block was made.
    pub(crate) fn set_head_time(&self, timestamp: u64) {
        self.head_time.store(timestamp, Ordering::Relaxed);
    }

    /// Whether the newest block is older than what is sold on, where there is such a limit.
    pub(crate) fn is_head_too_old(&self) -> bool {
        let Some(limit) = self.config.max_head_age else {
            return false;
        };
        let made = Duration::from_secs(self.head_time.load(Ordering::Relaxed));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(made) > limit
    }

    /// Compares the challenge period with the time that blocks take on this chain.
    async fn check_challenge_period(&self) -> Result<(), ChainError> {
        let (node, least) = (self.contract.node(), self.config.min_challenge_time);
        if least.is_zero() || DEVELOPMENT_CHAINS.contains(&node.chain_id()) {
            tracing::info!("a development chain, or so it was set: the challenge period may be short");
            return Ok(());
        }
        let newest = node.latest_header().await?;
        let blocks = newest.block.number.0.min(OBSERVED_BLOCKS);
        let old = node.header(newest.block.number.saturating_sub(blocks)).await?;
        // The chain was just reorganised: as good a time as any to look again.
        let Some(old) = old.filter(|_| blocks > 0) else {
            return Ok(());
        };
        let seconds = newest.timestamp.saturating_sub(old.timestamp);
        let period = u64::from(self.contract.challenge_period());
        let lasts = Duration::from_secs(seconds.saturating_mul(period) / blocks);
        if lasts < least {
            tracing::error!(
                ?lasts,
                ?least,
                blocks = period,
                "the challenge period is too short on this chain: a stale close could not be answered through an outage; nothing is sold"
            );
            self.challenge_too_short.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Notes that the chain was read up to the node's newest block.
    pub(crate) fn node_answered(&self) {
        self.node_answered_before(Duration::ZERO);
    }

    /// Notes that the chain was read so, so long ago.
    pub(crate) fn node_answered_before(&self, age: Duration) {
        let seen = Instant::now().checked_sub(age);
        *self.node_seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// How long ago that was; `None` when it never was.
    pub(crate) fn node_age(&self) -> Option<Duration> {
        let seen = self.node_seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.map(|seen| seen.elapsed())
    }

    /// Notes that the node has answered something that is not older than what was read.
    pub(crate) fn node_spoke(&self) {
        *self.node_heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether the node has answered nothing for as long as stops the selling.
    pub(crate) fn is_node_silent(&self) -> bool {
        let heard = *self.node_heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.elapsed() > self.config.node_timeout
    }

    /// Whether what is in memory can be relied on.
    pub(crate) fn check_store(&self) -> Result<(), Unavailable> {
        if self.store_stopped.load(Ordering::Relaxed) {
            return Err(Unavailable::StoreStopped);
        }
        Ok(())
    }

    /// Whether the store could be reached when it was last looked at.
    pub(crate) fn check_reach(&self) -> Result<(), Unavailable> {
        if self.store_away.load(Ordering::Relaxed) {
            return Err(Unavailable::StoreAway);
        }
        Ok(())
    }

    /// Whether anything may be sold: not while a close on chain would go unseen.
    pub(crate) fn check_selling(&self) -> Result<(), Unavailable> {
        self.check_store()?;
        if self.has_failed() {
            return Err(Unavailable::WrongChain);
        }
        let is_seen = self.node_age().is_some_and(|age| age <= self.config.node_timeout);
        if *self.stop.borrow() {
            return Err(Unavailable::NodeSilent);
        }
        if !is_seen {
            // By the store the others are told how far the chain was read.
            self.check_reach()?;
            return Err(Unavailable::NodeSilent);
        }
        if self.is_head_too_old() {
            return Err(Unavailable::HeadTooOld);
        }
        if self.gas_short.load(Ordering::Relaxed) {
            return Err(Unavailable::GasShort);
        }
        if self.challenge_too_short.load(Ordering::Relaxed) {
            return Err(Unavailable::ChallengeTooShort);
        }
        self.halts.check()
    }

    /// Whether the chain or the contract is another one.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// The chain or the contract is another one.
    pub(crate) fn fail(&self, error: ChainError) {
        tracing::error!(%error, "the chain cannot be followed any more; selling stops for good");
        self.failure.send_replace(Some(Arc::new(error)));
    }

    /// The store has failed: what is in memory may be ahead of the disk, so nothing is sold until
    /// a restart has loaded what is really kept.
    pub(crate) fn stop_selling(&self, error: &StoreError) -> Unavailable {
        let has_stopped = self.store_stopped.swap(true, Ordering::Relaxed);
        if let StoreError::WentBack { .. } = error {
            self.loss.find(error);
        } else if !has_stopped {
            tracing::error!(%error, "the store has failed; selling stops until the receiver is restarted");
        }
        Unavailable::StoreStopped
    }
}
