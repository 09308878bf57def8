//! The running node.

use std::{fmt, net::SocketAddr, time::Duration};

use alloy_primitives::{Address, U256};
use jsonrpsee::server::{Server, ServerConfig, ServerHandle};
use tokio::{task::JoinHandle, time::MissedTickBehavior};
use tower::ServiceBuilder;
use tower_http::cors::CorsLayer;

use crate::{
    Config, DevAccount, ReorganiseError,
    accounts::ACCOUNTS,
    chain::{Chain, SharedChain},
    rpc,
};

const MAX_CONNECTIONS: u32 = 10_000;

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, not one of this machine, or not allowed.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A running development node.
///
/// Several can run in one process; each is a chain of its own. Dropping it stops it, but only [`DevChain::stop`] waits
/// until its port is free.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use microraiden_devchain::{Config, DevChain};
///
/// let node = DevChain::start(Config::default()).await?;
/// println!("{} {}", node.url(), node.accounts()[0].address);
/// node.mine(5);
/// node.reorganise(2, true)?;
/// assert_eq!(node.block_number(), 6);
/// node.stop().await;
/// # Ok(())
/// # }
/// ```
pub struct DevChain {
    chain: SharedChain,
    chain_id: u64,
    address: SocketAddr,
    server: ServerHandle,
    miner: Option<JoinHandle<()>>,
}

impl DevChain {
    /// Starts a node with a chain of the genesis block alone. Must be called inside a tokio runtime, and runs there.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let listen_error = |source| StartError::Listen {
            address: config.listen,
            source,
        };
        let server = Server::builder()
            .set_config(ServerConfig::builder().max_connections(MAX_CONNECTIONS).build())
            .set_http_middleware(ServiceBuilder::new().layer(CorsLayer::permissive()))
            .build(config.listen)
            .await
            .map_err(listen_error)?;
        let address = server.local_addr().map_err(listen_error)?;
        let chain = SharedChain::new(Chain::new(&config));
        let interval = config.mining.interval.filter(|interval| !interval.is_zero());
        Ok(Self {
            server: server.start(rpc::methods(chain.clone())),
            miner: interval.map(|interval| tokio::spawn(mine_regularly(chain.clone(), interval))),
            chain,
            chain_id: config.chain_id,
            address,
        })
    }

    /// Where the node answers, for a client: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The ten accounts that own ether from the start. Their keys are public.
    pub fn accounts(&self) -> &[DevAccount] {
        &ACCOUNTS
    }

    /// The chain id.
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Mines blocks, the first with the transactions that wait.
    pub fn mine(&self, blocks: u64) {
        let mut chain = self.chain.lock();
        for _ in 0..blocks {
            chain.mine();
        }
    }

    /// The number of the newest block.
    pub fn block_number(&self) -> u64 {
        self.chain.lock().number()
    }

    /// Sets the balance of an account, as of the newest block.
    pub fn set_balance(&self, address: Address, balance_wei: U256) {
        self.chain.lock().set_balance(address, balance_wei);
    }

    /// Drops the last `depth` blocks and mines `depth + 1` others with different hashes.
    ///
    /// With `keep_transactions`, each new block has the transactions of the dropped block with its number, in their order;
    /// otherwise they are lost. Balances set by hand after a dropped block are lost with it, and so are snapshots.
    /// Transactions that wait go on waiting.
    ///
    /// Refuses to drop genesis.
    pub fn reorganise(&self, depth: u64, keep_transactions: bool) -> Result<(), ReorganiseError> {
        self.chain.lock().reorganise(depth, keep_transactions)
    }

    /// Remembers the chain as it is; the number with which [`Self::revert`] comes back.
    pub fn snapshot(&self) -> u64 {
        self.chain.lock().snapshot()
    }

    /// Goes back to a snapshot: blocks, balances, waiting transactions and clock. It and all later snapshots are used up.
    ///
    /// False, and nothing happens, if there is no such snapshot or a reorganisation dropped its block.
    pub fn revert(&self, id: u64) -> bool {
        self.chain.lock().revert(id)
    }

    /// Stops the node, and waits until its connections are closed and its port is free.
    pub async fn stop(self) {
        let server = self.server.clone();
        drop(self);
        server.stopped().await;
    }
}

impl Drop for DevChain {
    fn drop(&mut self) {
        if let Some(miner) = &self.miner {
            miner.abort();
        }
        // It fails only if the server has already stopped.
        let _ = self.server.stop();
    }
}

impl fmt::Debug for DevChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevChain")
            .field("chain_id", &self.chain_id)
            .field("address", &self.address)
            .finish()
    }
}

/// Mines a block every so often, the first after one interval.
async fn mine_regularly(chain: SharedChain, interval: Duration) {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        chain.lock().mine();
    }
}
