//! How the manager follows the chain and what it allows.

use crate::meters::Meters;
use microraiden_chain::NodeOptions;
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
    /// How nodes are asked; for [`ChannelManager::open`](crate::ChannelManager::open), which connects to them.
    pub node_options: NodeOptions,
    /// The pause between two looks at the chain; a node that announces its blocks ends it early.
    pub poll_interval: Duration,
    /// Selling stops when the node has not answered for this long.
    pub node_timeout: Duration,
    /// An unconfirmed stale close is disputed when its `settle_block` is this near.
    pub dispute_margin: u64,
    /// The pause after a transaction that failed.
    pub dispute_retry: Duration,
    /// The least that a transaction must bring in to be worth its gas: nothing is disputed, closed or
    /// withdrawn for less, unless the operator asks for it.
    pub min_claim: Amount,
    /// What one whole token is worth to the operator, in wei: then the gas of a transaction may cost no
    /// more than its share of what the transaction brings in. Without it there is no such limit.
    pub token_value_wei: Option<u128>,
    /// That share, in percent.
    pub gas_percent: u32,
    /// The most that a unit of gas may cost, in wei: dearer transactions wait, disputes too, and a dispute
    /// that waits until its end is lost. For [`ChannelManager::open`](crate::ChannelManager::open), which
    /// makes the wallet.
    pub max_fee_per_gas: Option<u128>,
    /// How many blocks a sender has to bring an agreed close on chain before we do it.
    pub close_patience: u64,
    /// How many blocks after the end of the challenge period a sender has to settle before we claim.
    pub settle_patience: u64,
    /// For how many such channels the wallet must hold the gas, or selling stops; 0 never stops it.
    pub most_claims: u32,
    /// Selling stops when the newest block is older than this; for chains that make blocks by the clock.
    pub max_head_age: Option<Duration>,
    /// The least that a challenge period may last, or nothing is sold: it must be possible to answer a
    /// stale close through an outage. Development chains are exempt.
    pub min_challenge_time: Duration,
    /// The operator says that selling goes on after what has halted it, and accepts the risk: see
    /// [`ChannelManager::resume_selling`](crate::ChannelManager::resume_selling).
    pub resumes_selling: bool,
    /// What new proofs may skip.
    pub limits: Limits,
    /// What counts the payments; nothing does by default.
    pub meters: Meters,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            n_confirmations: 1,
            final_after: 64,
            start_block: BlockNumber(0),
            node_options: NodeOptions::default(),
            poll_interval: Duration::from_secs(2),
            node_timeout: Duration::from_secs(30),
            dispute_margin: 100,
            dispute_retry: Duration::from_secs(15),
            min_claim: Amount::from(1),
            token_value_wei: None,
            gas_percent: 100,
            max_fee_per_gas: None,
            close_patience: 240,
            settle_patience: 240,
            most_claims: 16,
            max_head_age: None,
            min_challenge_time: Duration::from_secs(30 * 60),
            resumes_selling: false,
            limits: Limits::default(),
            meters: Meters::default(),
        }
    }
}
