//! What to start.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use alloy_primitives::{U256, utils::Unit};

use crate::{ACCOUNTS, DevAccount};

/// Settings of a [`DevChain`](crate::DevChain).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The chain id, 31337 by default.
    pub chain_id: u64,
    /// Where the JSON-RPC server listens, by default a free port of the IPv4 loopback interface.
    pub listen: SocketAddr,
    /// When blocks are mined, by default as soon as a transaction arrives.
    pub mining: Mining,
    /// The gas limit of each block, 30,000,000 by default.
    pub block_gas_limit: u64,
    /// The base fee of the first blocks, 1 gwei by default. It moves from there by the rules of EIP-1559.
    pub base_fee_wei: u64,
    /// The accounts that own ether from the start and for which the node signs, by default [`ACCOUNTS`].
    pub accounts: Vec<DevAccount>,
    /// What each of them owns in the genesis block, 10,000 ether by default.
    pub account_balance_wei: U256,
    /// The timestamp of the genesis block, from which time goes on; by default the time of the start.
    pub genesis_timestamp_s: Option<u64>,
    /// Whether `eth_sendTransaction` works for every sender, as if all were impersonated. Off by default.
    pub auto_impersonate: bool,
    /// How many blocks one `eth_getLogs` may cover, as hosted nodes limit it; without limit by default.
    pub max_log_range_blocks: Option<u64>,
    /// Which web pages may call the node, all by default.
    pub cors: Cors,
}

/// Which web pages a browser lets read the node's answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// Those of any origin.
    Any,
    /// Those of one origin, such as `http://localhost:3000`.
    Only(String),
    /// None but its own: no CORS headers are sent.
    Off,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            chain_id: 31337,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            mining: Mining::default(),
            block_gas_limit: 30_000_000,
            base_fee_wei: 1_000_000_000,
            accounts: ACCOUNTS.to_vec(),
            account_balance_wei: Unit::ETHER.wei() * U256::from(10_000),
            genesis_timestamp_s: None,
            auto_impersonate: false,
            max_log_range_blocks: None,
            cors: Cors::Any,
        }
    }
}

/// When blocks are mined, apart from those asked for by [`DevChain::mine`](crate::DevChain::mine) or `evm_mine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mining {
    /// Whether a block is mined as soon as an executable transaction arrives.
    pub instant: bool,
    /// Whether a block, empty if need be, is also mined every so often. Zero counts as `None`.
    pub interval: Option<Duration>,
}

impl Default for Mining {
    fn default() -> Self {
        Self {
            instant: true,
            interval: None,
        }
    }
}
