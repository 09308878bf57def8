//! Starting and stopping, and what all parts share.

use crate::accounts::Accounts;
use crate::config::Config;
use crate::follow::ChainFollower;
use crate::payment::Unavailable;
use crate::sync::{AtomicBool, AtomicU64, Mutex};
use crate::{dispute, follow, gas};
use microraiden_chain::{ChainError, Contract, Follower, Party, Wallet, abi};
use microraiden_protocol::ledger::Writer;
use microraiden_protocol::{Address, BlockNumber, SecretKey};
use microraiden_store::{ChannelStore, StoreError, Task};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Why the manager did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state could not be read.
    #[error("the state cannot be loaded")]
    Store(#[from] StoreError),
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
    pub(crate) config: Config,
    pub(crate) accounts: Accounts,
    /// Stale closes to answer.
    pub(crate) disputes: dispute::Disputes,
    /// Rung when there may be something to dispute.
    pub(crate) dispute_bell: Notify,
    pub(crate) stop: watch::Sender<bool>,
    instance: u64,
    sequence: AtomicU64,
    store_stopped: AtomicBool,
    /// The wallet cannot pay the gas of what is owed.
    pub(crate) gas_short: AtomicBool,
    node_seen: Mutex<Instant>,
    head: AtomicU64,
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
        let party = Party::Receiver(key.address());
        let follower = Follower::new(contract.clone(), party, config.start_block, snapshot.blocks);
        let head = follower.head().map_or(BlockNumber(0), |block| block.number);
        let shared = Arc::new(Shared::new(
            contract,
            wallet,
            key,
            store,
            config,
            snapshot.tasks,
            head,
        ));
        snapshot
            .accounts
            .into_iter()
            .for_each(|account| shared.accounts.add(account));
        let mut follower = ChainFollower::new(shared.clone(), follower, snapshot.events);
        follower.catch_up().await?;
        let tasks = vec![
            tokio::spawn(follow::run(follower)),
            tokio::spawn(dispute::run(shared.clone())),
            tokio::spawn(gas::run(shared.clone())),
        ];
        Ok(Self::of(shared, tasks))
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
        tasks: Vec<Task>,
        head: BlockNumber,
    ) -> Self {
        Self {
            contract,
            wallet,
            key,
            store,
            config,
            accounts: Accounts::default(),
            disputes: dispute::Disputes::new(tasks),
            dispute_bell: Notify::new(),
            stop: watch::Sender::new(false),
            // Hash maps draw their keys from the system's randomness.
            instance: RandomState::new().hash_one(0),
            sequence: AtomicU64::new(0),
            store_stopped: AtomicBool::new(false),
            gas_short: AtomicBool::new(false),
            node_seen: Mutex::new(Instant::now()),
            head: AtomicU64::new(head.0),
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

    /// Notes that the chain was read up to the node's newest block.
    pub(crate) fn node_answered(&self) {
        *self.node_seen.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether what is in memory can be relied on.
    pub(crate) fn check_store(&self) -> Result<(), Unavailable> {
        if self.store_stopped.load(Ordering::Relaxed) {
            return Err(Unavailable::StoreStopped);
        }
        Ok(())
    }

    /// Whether anything may be sold: not while a close on chain would go unseen.
    pub(crate) fn check_selling(&self) -> Result<(), Unavailable> {
        self.check_store()?;
        let seen = *self.node_seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *self.stop.borrow() || seen.elapsed() > self.config.node_timeout {
            return Err(Unavailable::NodeSilent);
        }
        if self.gas_short.load(Ordering::Relaxed) {
            return Err(Unavailable::GasShort);
        }
        Ok(())
    }

    /// The store has failed: what is in memory may be ahead of the disk, so nothing is sold until
    /// a restart has loaded what is really kept.
    pub(crate) fn stop_selling(&self, error: &StoreError) -> Unavailable {
        if !self.store_stopped.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the store has failed; selling stops until the receiver is restarted");
        }
        Unavailable::StoreStopped
    }
}
