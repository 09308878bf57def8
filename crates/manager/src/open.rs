//! A channel manager from its four ingredients: node, contract, key and state file.

use crate::config::Config;
use crate::manager::{ChannelManager, StartError};
use microraiden_chain::{ChainError, Contract, Node, Wallet, WalletOptions};
use microraiden_protocol::{Address, SecretKey};
use microraiden_store::{
    Binding, ChannelStore, DatabaseError, DatabaseUrl, OpenError as StateError, PostgresStore, SqliteStore,
};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How long one attempt waits for its block; then the order of what waits is thought over.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(180);
/// How long a transaction waits for its block before its fees are raised.
const RAISE_FEES_AFTER: Duration = Duration::from_secs(30);

/// Who is paid, through which contract, and where it is kept.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// The JSON-RPC endpoints of Ethereum nodes of one chain, the preferred one first.
    pub rpc: Vec<Url>,
    /// The channel contract.
    pub contract: Address,
    /// The receiver's key: signs closes, and pays the gas of disputes. While this runs, no other program
    /// may send transactions with it.
    pub key: SecretKey,
    /// What keeps accounts and proofs. Lose it, and the money in it is lost.
    pub store: StoreLocation,
}

/// Where accounts and proofs are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// In an SQLite file, for one process; it is created when it is not there.
    File(PathBuf),
    /// In a PostgreSQL database, which several processes of this receiver may share; its tables are created when
    /// they are not there.
    Database(DatabaseUrl),
}

impl From<PathBuf> for StoreLocation {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

/// As it may be shown: without a password.
impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Database(url) => url.fmt(f),
        }
    }
}

/// Why a channel manager was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The node or the contract cannot be used.
    #[error("the contract cannot be used")]
    Chain(#[from] ChainError),
    /// The state file cannot be used.
    #[error("the state file cannot be used")]
    State(#[from] StateError),
    /// The database cannot be used.
    #[error("the database cannot be used")]
    Database(#[from] DatabaseError),
    /// Following the chain did not start.
    #[error("the channel manager did not start")]
    Start(#[from] StartError),
}

impl ChannelManager {
    /// Opens the state file, or connects to the database, catches up with the chain, and begins to follow it.
    ///
    /// # Errors
    /// When the node, the contract or the store cannot be used.
    pub async fn open(receiver: Receiver, config: Config) -> Result<Self, OpenError> {
        let Receiver {
            rpc,
            contract,
            key,
            store,
        } = receiver;
        let node = Node::connect_to(&rpc, config.node_options).await?;
        node.check_block_numbers().await?;
        let contract = Contract::at(node.clone(), contract).await?;
        let binding = Binding {
            escrow: contract.escrow(),
            receiver: key.address(),
        };
        let store: Arc<dyn ChannelStore> = match &store {
            StoreLocation::File(path) => Arc::new(SqliteStore::open(path, binding)?),
            StoreLocation::Database(url) => Arc::new(PostgresStore::connect(url.reveal(), binding).await?),
        };
        // What was sent before a restart must not hold a dispute up.
        let options = WalletOptions {
            is_exclusive: true,
            max_fee_per_gas: config.max_fee_per_gas,
            receipt_timeout: RECEIPT_TIMEOUT,
            raise_fees_after: RAISE_FEES_AFTER,
        };
        let wallet = Wallet::with_options(node, key.clone(), options);
        Ok(Self::start(contract, wallet, key, store, config).await?)
    }
}
