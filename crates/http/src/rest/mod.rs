//! The JSON bodies under `/api/1`, as the documentation has them.
//!
//! Amounts, counts and block numbers are written as decimal strings, addresses with checksum. In
//! reading order: the bodies here, `query` (what a list can be asked for), `close` (what a close
//! is asked for with), `operators` (what is asked for all channels).

mod close;
mod operators;
mod query;

pub use close::{CloseParameters, CloseRequest, CloseResponse, MalformedClose};
pub use operators::{
    Begun, CloseAllRequest, Halt, MalformedCommand, ResumeRequest, WithdrawRequest, command,
};
pub use query::{AbiForm, ListQuery, MAX_LIMIT, MalformedQuery, Place, Status, address, digits};

use microraiden_protocol::{Address, Amount, Balance, Deposit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// `GET /api/1/stats`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Deposits of all open channels.
    #[serde(with = "as_text")]
    pub deposit_sum: Amount,
    /// How many channels are open.
    #[serde(with = "as_text")]
    pub open_channels: u64,
    /// How many channels are closed, but not settled.
    #[serde(with = "as_text")]
    pub pending_channels: u64,
    /// Balances of all channels that are not settled.
    #[serde(with = "as_text")]
    pub balance_sum: Amount,
    /// How many senders have open channels.
    #[serde(with = "as_text")]
    pub unique_senders: u64,
    /// Settled tokens that the receiver holds.
    #[serde(with = "as_text")]
    pub liquid_balance: Amount,
    /// The token.
    #[serde(with = "as_text")]
    pub token_address: Address,
    /// The channel contract.
    #[serde(with = "as_text")]
    pub contract_address: Address,
    /// Who is paid.
    #[serde(with = "as_text")]
    pub receiver_address: Address,
    /// The channel contract's ABI, as JSON text.
    pub manager_abi: String,
    /// The token's ABI, as JSON text.
    pub token_abi: String,
    /// The block from which the contract's events are of interest.
    #[serde(with = "as_text")]
    pub sync_block: u64,
}

/// Where a listed channel is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelState {
    /// Payments are accepted.
    Open,
    /// A close is promised or was requested on chain.
    Closed,
}

/// A channel, alone or in the list of `GET /api/1/channels`. It never tells a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelSummary {
    /// Who pays.
    #[serde(with = "as_text")]
    pub sender_address: Address,
    /// The block that opened the channel.
    #[serde(with = "as_text")]
    pub open_block: u32,
    /// The highest balance accepted.
    #[serde(with = "as_text")]
    pub balance: Balance,
    /// The confirmed deposit.
    #[serde(with = "as_text")]
    pub deposit: Deposit,
    /// Whether payments are accepted.
    pub state: ChannelState,
}

/// `GET /api/1/login`: a token that stands for name and password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The token; it is sent as the user's name, with any password.
    pub token: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login { token: *** }")
    }
}

/// Why one value of a request cannot be used, as the original said it: a sentence by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadValue {
    /// The value's name, and what it must be.
    pub message: BTreeMap<String, String>,
}

impl BadValue {
    /// About one value.
    pub fn of(name: &str, sentence: &str) -> Self {
        Self {
            message: BTreeMap::from([(name.to_owned(), sentence.to_owned())]),
        }
    }
}

/// A value that is written as its text.
mod as_text {
    use super::{Deserialize, Display};
    use serde::{Deserializer, Serializer, de::Error};
    use std::str::FromStr;

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies_have_the_documented_shape() {
        let sender = "0x8Bf640A099fE945DA46F354d3B49c48a125F48B6";
        let channel = ChannelSummary {
            sender_address: sender.parse().unwrap(),
            open_block: 3_241_462,
            balance: 0.into(),
            deposit: 10.into(),
            state: ChannelState::Open,
        };
        let body = json!({
            "sender_address": sender, "open_block": "3241462", "balance": "0", "deposit": "10", "state": "open",
        });
        assert_eq!(serde_json::to_value(&channel).unwrap(), body);
        assert_eq!(serde_json::from_value::<ChannelSummary>(body).unwrap(), channel);
    }
}
