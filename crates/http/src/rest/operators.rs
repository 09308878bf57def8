//! What an operator asks for all channels, and the answers.

use super::as_text;
use microraiden_protocol::Amount;
use serde::{Deserialize, Deserializer, Serialize};

/// The body of `POST /api/1/admin/close-all`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseAllRequest {
    /// The least that a channel must bring in; the receiver's own by default.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_text")]
    pub minimum_amount: Option<Amount>,
}

/// The body of `POST /api/1/admin/withdraw`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithdrawRequest {
    /// The least that a channel must bring in; the receiver's own by default.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_text")]
    pub minimum_amount: Option<Amount>,
    /// Also where the sender has credit.
    #[serde(default)]
    pub takes_credit: bool,
}

/// The body of `POST /api/1/admin/resume-selling`: an empty object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {}

/// What was begun for all channels, and what was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// How many channels a transaction is sent for.
    #[serde(with = "as_text")]
    pub channels: u64,
    /// What these transactions bring in.
    #[serde(with = "as_text")]
    pub amount: Amount,
    /// How many channels there is nothing to claim on, or where a transaction is under way already.
    #[serde(with = "as_text")]
    pub without_claim: u64,
    /// How many bring in too little.
    #[serde(with = "as_text")]
    pub too_little: u64,
    /// What those would bring in.
    #[serde(with = "as_text")]
    pub too_little_amount: Amount,
    /// How many were left because the sender has credit there.
    #[serde(with = "as_text")]
    pub with_credit: u64,
}

/// What had halted the selling; a list of them answers `POST /api/1/admin/resume-selling`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Halt {
    /// The chain was reorganised deeper than the confirmations.
    Reorganised,
    /// The state was restored from a backup.
    Restored,
}

/// Why the body is not what an operator's command needs.
#[derive(Debug, thiserror::Error)]
pub enum MalformedCommand {
    /// It is no JSON object.
    #[error("the body is a JSON object; for the usual values, send {{}}")]
    NotAnObject,
    /// A value in it is of no use, or unknown.
    #[error("{0}; amounts are strings of decimal digits, in base units")]
    Value(#[source] serde_json::Error),
}

/// Reads the body of an operator's command.
///
/// # Errors
/// When it is no JSON object, or has a value that is unknown or of no use.
pub fn command<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, MalformedCommand> {
    // A list of the values would be read as well.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(MalformedCommand::NotAnObject);
    }
    serde_json::from_slice(body).map_err(MalformedCommand::Value)
}

/// An amount as text, where there is one; `null` is none.
mod optional_text {
    use super::{Amount, Deserializer, as_text};
    use serde::Serializer;

    pub(super) fn serialize<S: Serializer>(value: &Option<Amount>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(amount) => as_text::serialize(amount, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Amount>, D::Error> {
        as_text::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn commands_are_read_exactly() {
        let read = |body: &str| command::<WithdrawRequest>(body.as_bytes());
        assert_eq!(read(" {}").unwrap(), WithdrawRequest::default());
        let request = WithdrawRequest {
            minimum_amount: Some(Amount::from(5)),
            takes_credit: true,
        };
        let body = json!({"minimum_amount": "5", "takes_credit": true});
        assert_eq!(read(&body.to_string()).unwrap(), request);
        assert_eq!(serde_json::to_value(&request).unwrap(), body);
        assert_eq!(
            serde_json::to_value(CloseAllRequest::default()).unwrap(),
            json!({})
        );
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let read = |body: &str| {
            let read = command::<WithdrawRequest>(body.as_bytes());
            read.unwrap_err().to_string()
        };
        for body in ["", "5", "[]", "[\"5\"]", "null", "minimum_amount=5"] {
            assert!(read(body).contains("send {}"), "{body}");
        }
        for (body, word) in [
            (r#"{"minimum_amount": 5}"#, "integer `5`"),
            (r#"{"minimum_amount": null}"#, "null"),
            (r#"{"minimum_amount": "-5"}"#, "in base units"),
            (r#"{"minimum_amount": "0x5"}"#, "in base units"),
            (
                r#"{"minimum_amount": "5", "minimum_amount": "6"}"#,
                "duplicate field",
            ),
            (r#"{"takes_credit": "yes"}"#, "a boolean"),
            (r#"{"minimum": "5"}"#, "unknown field `minimum`"),
            ("{", "EOF"),
        ] {
            assert!(read(body).contains(word), "{body}: {}", read(body));
        }
        assert!(command::<CloseAllRequest>(br#"{"takes_credit": true}"#).is_err());
        assert!(command::<ResumeRequest>(br#"{"minimum_amount": "5"}"#).is_err());
    }

    #[test]
    fn what_was_begun_has_the_documented_shape() {
        let begun = Begun {
            channels: 2,
            amount: Amount::MAX,
            without_claim: 1,
            too_little: 3,
            too_little_amount: Amount::from(4),
            with_credit: 0,
        };
        let body = json!({
            "channels": "2", "amount": Amount::MAX.to_string(), "without_claim": "1",
            "too_little": "3", "too_little_amount": "4", "with_credit": "0",
        });
        assert_eq!(serde_json::to_value(begun).unwrap(), body);
        assert_eq!(serde_json::from_value::<Begun>(body).unwrap(), begun);
        assert_eq!(serde_json::to_value(Halt::Restored).unwrap(), "restored");
    }
}
