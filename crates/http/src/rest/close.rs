//! What a cooperative close is asked for with, and the answer.

use super::as_text;
use crate::headers::{BALANCE_SIGNATURE, documented};
use http::{HeaderMap, header};
use microraiden_protocol::{Balance, Signature};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The body of `DELETE /api/1/channels/{sender}/{open_block}`: the request to close cooperatively.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseRequest {
    /// At which balance. Read from a string or a JSON number, exactly.
    #[serde(serialize_with = "as_text::serialize", deserialize_with = "string_or_number")]
    pub balance: Balance,
    /// The sender's balance signature for it, which shows that the sender asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_signature: Option<String>,
    /// Another, smaller balance, in base units; needed where the receiver has withdrawn exactly
    /// `balance`, since the signature for that is public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_balance: Option<String>,
    /// The sender's balance signature for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_signature: Option<String>,
}

/// The receiver's agreement to a close.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseResponse {
    /// The receiver's closing signature.
    #[serde(with = "as_text")]
    pub close_signature: Signature,
}

/// Reads a balance from a JSON string or number. The number is taken as it is written, since a
/// float would round it.
fn string_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Balance, D::Error> {
    let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
    let text = serde_json::from_str::<String>(raw.get());
    let digits = text.as_deref().unwrap_or(raw.get());
    digits.trim_ascii().parse().map_err(serde::de::Error::custom)
}

/// Why a body or query does not ask for a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedClose {
    /// The body is no JSON object.
    #[error("the body is a JSON object with balance and balance_signature, each once")]
    NotAnObject,
    /// A value came more than once, differently.
    #[error("{0} was sent more than once with different values; send it once")]
    Contradiction(&'static str),
    /// No balance was sent.
    #[error("Bad balance format")]
    NoBalance,
    /// The balance is no number of base units.
    #[error("last balance proof balance")]
    BadBalance,
    /// A signature is none.
    #[error("Bad signature format")]
    BadSignature,
    /// One of `auth_balance` and `auth_signature` came without the other, or is no number.
    #[error("auth_balance is a number of base units and comes with auth_signature")]
    BadAuth,
}

/// What a `DELETE` of a channel says, as text: by its body, its query, a header or a cookie.
///
/// As clients send it: JSON with strings or numbers, or a form; a balance in the query; the
/// signature as `RDN-Balance-Signature`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CloseParameters {
    balance: Option<String>,
    balance_signature: Option<String>,
    auth_balance: Option<String>,
    auth_signature: Option<String>,
}

#[derive(Deserialize)]
struct JsonParameters<'a> {
    #[serde(borrow, default)]
    balance: Option<&'a RawValue>,
    #[serde(borrow, default)]
    balance_signature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    auth_balance: Option<&'a RawValue>,
    #[serde(borrow, default)]
    auth_signature: Option<&'a RawValue>,
}

impl CloseParameters {
    /// Reads a JSON object. Numbers are taken as they are written.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_json(body: &[u8]) -> Result<Self, MalformedClose> {
        // A list of the values would be read as well.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(MalformedClose::NotAnObject);
        }
        let read: JsonParameters<'_> =
            serde_json::from_slice(body).map_err(|_| MalformedClose::NotAnObject)?;
        let text = |value: Option<&RawValue>| {
            let raw = value?.get();
            Some(serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned()))
        };
        Ok(Self {
            balance: text(read.balance),
            balance_signature: text(read.balance_signature),
            auth_balance: text(read.auth_balance),
            auth_signature: text(read.auth_signature),
        })
    }

    /// Reads a form, or the query of a URL.
    ///
    /// # Errors
    /// When a value is there more than once, differently.
    pub fn from_form(form: &[u8]) -> Result<Self, MalformedClose> {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(form) {
            let one = |known: &str| (name == known).then(|| value.clone().into_owned());
            read = read.beside(Self {
                balance: one("balance"),
                balance_signature: one("balance_signature"),
                auth_balance: one("auth_balance"),
                auth_signature: one("auth_signature"),
            })?;
        }
        Ok(read)
    }

    /// Takes the signature from its header, or from the cookie of that name, if there is none yet. A
    /// browser sends the cookie of its last payment with every request.
    ///
    /// # Errors
    /// When the header is there more than once, differently, or is no text.
    pub fn or_signature_of(mut self, headers: &HeaderMap) -> Result<Self, MalformedClose> {
        if self.balance_signature.is_some() {
            return Ok(self);
        }
        let mut sent = headers.get_all(BALANCE_SIGNATURE).iter();
        let first = sent.next();
        if sent.any(|other| Some(other) != first) {
            return Err(MalformedClose::Contradiction("balance_signature"));
        }
        let text = match first {
            Some(value) => Some(value.to_str().map_err(|_| MalformedClose::BadSignature)?),
            None => cookie(headers, &documented(&BALANCE_SIGNATURE)),
        };
        self.balance_signature = text
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
        Ok(self)
    }

    /// Both together.
    ///
    /// # Errors
    /// When they contradict each other.
    pub fn beside(self, other: Self) -> Result<Self, MalformedClose> {
        let one = |name, first: Option<String>, second: Option<String>| match (first, second) {
            (Some(first), Some(second)) if first != second => Err(MalformedClose::Contradiction(name)),
            (first, second) => Ok(first.or(second)),
        };
        Ok(Self {
            balance: one("balance", self.balance, other.balance)?,
            balance_signature: one(
                "balance_signature",
                self.balance_signature,
                other.balance_signature,
            )?,
            auth_balance: one("auth_balance", self.auth_balance, other.auth_balance)?,
            auth_signature: one("auth_signature", self.auth_signature, other.auth_signature)?,
        })
    }

    /// Where the channel shall be closed.
    ///
    /// # Errors
    /// When it is missing, or no number of base units.
    pub fn balance(&self) -> Result<Balance, MalformedClose> {
        let text = self.balance.as_deref().ok_or(MalformedClose::NoBalance)?;
        text.parse().map_err(|_| MalformedClose::BadBalance)
    }

    /// The sender's signature for the balance, if one was sent.
    ///
    /// # Errors
    /// When it is none.
    pub fn signature(&self) -> Result<Option<Signature>, MalformedClose> {
        let text = self.balance_signature.as_deref();
        text.map(|text| text.parse().map_err(|_| MalformedClose::BadSignature))
            .transpose()
    }

    /// The sender's other proof, if one was sent.
    ///
    /// # Errors
    /// When half of it is missing, or is none of its kind.
    pub fn other(&self) -> Result<Option<(Balance, Signature)>, MalformedClose> {
        match (&self.auth_balance, &self.auth_signature) {
            (None, None) => Ok(None),
            (Some(balance), Some(signature)) => {
                let balance = balance.parse().map_err(|_| MalformedClose::BadAuth)?;
                let signature = signature.parse().map_err(|_| MalformedClose::BadSignature)?;
                Ok(Some((balance, signature)))
            }
            _ => Err(MalformedClose::BadAuth),
        }
    }
}

/// The value of the first cookie of a name. Cookies that are no text are somebody else's.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(cookie, _)| cookie.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
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
    fn the_senders_request_has_the_documented_shape() {
        let request = CloseRequest {
            balance: 5.into(),
            balance_signature: None,
            auth_balance: None,
            auth_signature: None,
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

    const SIGNATURE: &str = "0xb30809f9a32e4f5012a3e7a7275e4f0f96eaff49f7a34747507abc3147a0975c31cf9f9aa318d1f9675d6e39f062a565213bcef4baa820f0332616f0c38324fe1b";

    #[test]
    fn every_form_of_the_parameters_is_read() {
        let json = format!(r#"{{"balance": 5, "balance_signature": "{SIGNATURE}", "more": [1]}}"#);
        let text = format!(r#" {{"balance_signature": "{SIGNATURE}", "balance": "5"}} "#);
        let form = format!("balance=5&more=1&balance_signature={SIGNATURE}&balance=5");
        let all = [
            CloseParameters::from_json(json.as_bytes()).unwrap(),
            CloseParameters::from_json(text.as_bytes()).unwrap(),
            CloseParameters::from_form(form.as_bytes()).unwrap(),
        ];
        for read in &all {
            assert_eq!(read.balance(), Ok(5.into()));
            assert_eq!(read.signature(), Ok(Some(SIGNATURE.parse().unwrap())));
            assert_eq!(read.other(), Ok(None));
        }
        assert_eq!(all[0].clone().beside(all[2].clone()), Ok(all[0].clone()));

        let cookies = format!("a=b; RDN-Balance-Signature={SIGNATURE} ;c=d");
        for (name, value) in [("rdn-balance-signature", SIGNATURE), ("cookie", &cookies)] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(value).unwrap());
            let read = CloseParameters::default().or_signature_of(&headers).unwrap();
            assert_eq!(read.signature(), all[0].signature(), "{name}");
            let own = CloseParameters::from_form(b"balance_signature=0x12").unwrap();
            assert_eq!(own.clone().or_signature_of(&headers), Ok(own), "{name}");
            assert_eq!(read.balance(), Err(MalformedClose::NoBalance));
        }

        let other = format!("balance=5&auth_balance=3&auth_signature={SIGNATURE}");
        let read = CloseParameters::from_form(other.as_bytes()).unwrap();
        assert_eq!(read.other(), Ok(Some((3.into(), SIGNATURE.parse().unwrap()))));
        assert_eq!(read.signature(), Ok(None));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for body in [
            "",
            "[]",
            "5",
            "\"5\"",
            "{",
            "[\"5\",null,null,null]",
            "{\"balance\":1,\"balance\":1}",
        ] {
            let read = CloseParameters::from_json(body.as_bytes());
            assert_eq!(read, Err(MalformedClose::NotAnObject), "{body}");
        }
        let contradiction = Err(MalformedClose::Contradiction("balance"));
        assert_eq!(CloseParameters::from_form(b"balance=5&balance=6"), contradiction);
        for bad in ["true", "5.0", "-1", "1e3", "[5]", "\" 5\"", "\"\"", "\"0x5\""] {
            let body = format!(r#"{{"balance": {bad}}}"#);
            let read = CloseParameters::from_json(body.as_bytes()).unwrap();
            assert_eq!(read.balance(), Err(MalformedClose::BadBalance), "{bad}");
        }
        let missing = CloseParameters::from_json(br#"{"balance": null}"#).unwrap();
        assert_eq!(missing.balance(), Err(MalformedClose::NoBalance));
        for (form, bad) in [
            ("balance_signature=0x12", true),
            ("balance_signature=", true),
            ("balance_signature=5", true),
            ("auth_balance=3", false),
            ("auth_signature=0x12", false),
            ("auth_balance=x&auth_signature=0x12", false),
        ] {
            let read = CloseParameters::from_form(form.as_bytes()).unwrap();
            assert_eq!(read.signature().is_err(), bad, "{form}");
            assert_eq!(read.other().is_err(), !bad, "{form}");
        }
    }
}
