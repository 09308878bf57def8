//! What to start.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use alloy_primitives::{U256, utils::Unit};

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
    /// What each of the ten accounts owns in the genesis block, 10,000 ether by default.
    pub account_balance_wei: U256,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            chain_id: 31337,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            mining: Mining::default(),
            block_gas_limit: 30_000_000,
            base_fee_wei: 1_000_000_000,
            account_balance_wei: Unit::ETHER.wei() * U256::from(10_000),
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
