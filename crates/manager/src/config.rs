//! How the manager follows the chain and what it allows.

use microraiden_protocol::ledger::Limits;
use microraiden_protocol::{Amount, BlockNumber};
use std::time::Duration;

/// Settings of a [`ChannelManager`](crate::ChannelManager).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How many blocks must lie above a deposit before it can be paid with; 0 takes it at once.
    pub n_confirmations: u64,
    /// How many blocks must lie above a top-up before the deposit without it is forgotten.
    pub final_after: u64,
    /// The first block that can hold one of our channels.
    pub start_block: BlockNumber,
    /// The pause between two looks at the chain.
    pub poll_interval: Duration,
    /// Selling stops when the node has not answered for this long.
    pub node_timeout: Duration,
    /// An unconfirmed stale close is disputed when its `settle_block` is this near.
    pub dispute_margin: u64,
    /// The pause after a dispute transaction that failed.
    pub dispute_retry: Duration,
    /// The least that must be owed on a channel for bringing it on chain to be worth the gas.
    pub min_claim: Amount,
    /// For how many such channels the wallet must hold the gas, or selling stops; 0 never stops it.
    pub most_claims: u32,
    /// What new proofs may skip.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            n_confirmations: 1,
            final_after: 64,
            start_block: BlockNumber(0),
            poll_interval: Duration::from_secs(2),
            node_timeout: Duration::from_secs(30),
            dispute_margin: 100,
            dispute_retry: Duration::from_secs(15),
            min_claim: Amount::from(1),
            most_claims: 16,
            limits: Limits::default(),
        }
    }
}
