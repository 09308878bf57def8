//! The options of `proxy` about what is brought on chain, and when nothing is sold.

use clap::Args;
use microraiden_manager::Config;
use std::time::Duration;

/// What a transaction of the receiver must be worth, how long senders are waited for, and what the chain must be like.
#[derive(Debug, Args)]
pub(crate) struct ClaimArgs {
    /// What one whole token is worth, in wei: then the gas of a transaction costs at most its share of what it brings in
    #[arg(long, value_name = "WEI")]
    token_value: Option<u128>,
    /// That share, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 100, requires = "token_value")]
    gas_percent: u32,
    /// How many blocks a sender has to bring an agreed close on chain before the receiver does it
    #[arg(long, value_name = "BLOCKS", default_value_t = Config::default().close_patience)]
    close_patience: u64,
    /// How many blocks after the challenge period a sender has to settle before the receiver claims
    #[arg(long, value_name = "BLOCKS", default_value_t = Config::default().settle_patience)]
    settle_patience: u64,
    /// Sell nothing while the newest block is older; for chains that make blocks by the clock
    #[arg(long, value_name = "SECONDS")]
    max_head_age: Option<u64>,
    /// Sell nothing where the challenge period lasts less; 0 for any. Development chains are exempt
    #[arg(long, value_name = "MINUTES", default_value_t = 30)]
    min_challenge_minutes: u32,
}

impl ClaimArgs {
    /// The default settings, with these.
    pub(crate) fn config(&self) -> Config {
        Config {
            token_value_wei: self.token_value,
            gas_percent: self.gas_percent,
            close_patience: self.close_patience,
            settle_patience: self.settle_patience,
            max_head_age: self.max_head_age.map(Duration::from_secs),
            min_challenge_time: Duration::from_secs(60 * u64::from(self.min_challenge_minutes)),
            ..Config::default()
        }
    }
}
