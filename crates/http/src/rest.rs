//! The JSON bodies under `/api/1`, as the documentation has them.
//!
//! Amounts, counts and block numbers are written as decimal strings, addresses with checksum.

use microraiden_protocol::{Address, Amount, Balance, Deposit, Signature};
use serde::{Deserialize, Serialize};
use std::fmt::Display;

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

/// The body of `DELETE /api/1/channels/{sender}/{open_block}`: the request to close cooperatively.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseRequest {
    /// At which balance. Read from a string or a JSON number, exactly.
    #[serde(serialize_with = "as_text::serialize", deserialize_with = "string_or_number")]
    pub balance: Balance,
    /// The sender's balance signature for it, which shows that the sender asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_signature: Option<String>,
}

/// The receiver's agreement to a close.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseResponse {
    /// The receiver's closing signature.
    #[serde(with = "as_text")]
    pub close_signature: Signature,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is wrong and what to do.
    pub message: String,
}

/// Reads a balance from a JSON string or number. The number is taken as it is written, since a
/// float would round it.
fn string_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Balance, D::Error> {
    let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
    let text = serde_json::from_str::<String>(raw.get());
    let digits = text.as_deref().unwrap_or(raw.get());
    digits.trim_ascii().parse().map_err(serde::de::Error::custom)
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
    fn a_closing_balance_is_exact_as_string_and_as_number() {
        let max = "6277101735386680763835789423207666416102355444464034512895";
        for text in [max, "0", "9007199254740993", "18446744073709551617"] {
            for body in [
                format!(r#"{{"balance": {text}}}"#),
                format!(r#"{{"balance": "{text}"}}"#),
            ] {
                let request: CloseRequest = serde_json::from_str(&body).unwrap();
                assert_eq!(request.balance.to_string(), text, "{body}");
                assert_eq!(request.balance_signature, None);
            }
        }
        for bad in ["1e3", "5.0", "-1", "true", "null", "[1]", "\"\"", "\"0x5\""] {
            let body = format!(r#"{{"balance": {bad}}}"#);
            assert!(serde_json::from_str::<CloseRequest>(&body).is_err(), "{body}");
        }
        assert!(serde_json::from_str::<CloseRequest>("{}").is_err());
    }

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
        let request = CloseRequest {
            balance: 5.into(),
            balance_signature: None,
        };
        assert_eq!(serde_json::to_value(request).unwrap(), json!({"balance": "5"}));
    }

    #[test]
    fn the_documentations_closing_signature_is_read() {
        // Its v is 1; it is written as 28.
        let text = "0xb30809f9a32e4f5012a3e7a7275e4f0f96eaff49f7a34747507abc3147a0975c31cf9f9aa318d1f9675d6e39f062a565213bcef4baa820f0332616f0c38324fe01";
        let read: CloseResponse = serde_json::from_value(json!({ "close_signature": text })).unwrap();
        assert_eq!(read.close_signature.to_bytes()[64], 28);
    }
}
