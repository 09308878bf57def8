//! What a request carries, as the original reads it: Python's numbers, and cookies before headers.

use http::header::{ACCEPT, COOKIE};
use http::{HeaderMap, HeaderName};
use microraiden_http::headers;
use microraiden_protocol::{Address, Balance};

/// A payment's parts; which of them are needed shows later.
#[derive(Debug, Default)]
pub(super) struct Offer {
    pub(super) sender: Option<Address>,
    pub(super) open_block: Option<Number>,
    pub(super) balance: Option<Number>,
    pub(super) signature: Option<String>,
}

/// A number that is not negative, of any size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number(String);

impl Number {
    /// As an unsigned number of 32 bits.
    pub(super) fn block(&self) -> Option<u32> {
        self.0.parse().ok()
    }

    /// As an unsigned number of 192 bits.
    pub(super) fn balance(&self) -> Option<Balance> {
        self.0.parse().ok()
    }
}

/// Reads headers and cookies; an error is the text of the ValueError, for a 409.
pub(super) fn read(headers: &HeaderMap) -> Result<Offer, String> {
    let text = |name: &HeaderName| {
        let value = headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    for (name, message) in [
        (&headers::CONTRACT_ADDRESS, "Invalid contract address"),
        (&headers::RECEIVER_ADDRESS, "Invalid receiver address"),
    ] {
        if let Some(text) = text(name) {
            read_address(&text).ok_or(message)?;
        }
    }
    // Looked for in the type that it never has.
    if headers.contains_key(&headers::PAYMENT) {
        return Err("Payment must be an integer".to_owned());
    }
    let not_negative = |text: Option<String>, message: &str| {
        let number = text.map(|text| python_int(&text)).transpose()?;
        match number {
            Some((true, _)) => Err(message.to_owned()),
            number => Ok(number.map(|(_, digits)| Number(digits))),
        }
    };
    not_negative(text(&headers::PRICE), "Price must be >= 0")?;
    let cookies = cookies(headers);
    let cookie = |name: &HeaderName| {
        let cookie = cookies.iter().find(|(cookie, _)| name.as_str() == cookie);
        cookie.map(|(_, value)| value.clone())
    };
    let either = |name: &HeaderName| cookie(name).or_else(|| text(name));
    let sender = either(&headers::SENDER_ADDRESS)
        .map(|text| read_address(&text).ok_or("Invalid sender address"))
        .transpose()?;
    let balance = cookie(&headers::SENDER_BALANCE).or_else(|| text(&headers::BALANCE));
    Ok(Offer {
        sender,
        open_block: not_negative(either(&headers::OPEN_BLOCK), "Open block must be >= 0")?,
        balance: not_negative(balance, "Balance must be >= 0")?,
        signature: either(&headers::BALANCE_SIGNATURE).filter(|text| !text.is_empty()),
    })
}

/// Whether an unpaid request gets a page: something matches `text/html`, and not only `*/*`.
pub(super) fn accepts_html(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).iter();
    let text: Vec<_> = lines.filter_map(|value| value.to_str().ok()).collect();
    let text = text.join(",");
    let types: Vec<_> = text
        .split(',')
        .filter_map(|entry| entry.split(';').next())
        .map(|entry| entry.trim().to_ascii_lowercase())
        .filter(|entry| !entry.is_empty())
        .collect();
    types
        .iter()
        .any(|entry| matches!(entry.as_str(), "text/html" | "text/*" | "*/*"))
        && types.iter().any(|entry| entry != "*/*")
}

/// `0x` and 40 digits, in mixed case only with a right checksum.
pub(super) fn read_address(text: &str) -> Option<Address> {
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 40)?;
    let address: Address = digits.parse().ok()?;
    let has = |case: fn(&char) -> bool| digits.chars().any(|digit| case(&digit));
    let mixed = has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase);
    (!mixed || address.to_checksum(None) == text).then_some(address)
}

/// Python's `int()`: sign and digits without leading zeros. Other digits than ASCII's are left out.
pub(super) fn python_int(text: &str) -> Result<(bool, String), String> {
    let trimmed = text.trim();
    let negative = trimmed.starts_with('-');
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    // A line between two digits, and nowhere else.
    let is_number = digits
        .split('_')
        .all(|part| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit()));
    if !is_number {
        return Err(format!("invalid literal for int() with base 10: '{text}'"));
    }
    let digits = digits.replace('_', "");
    let digits = digits.trim_start_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    Ok((negative && digits != "0", digits.to_owned()))
}

fn cookies(headers: &HeaderMap) -> Vec<(String, String)> {
    let lines = headers.get_all(COOKIE).iter();
    let lines = lines.filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';'));
    let pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
    pairs
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_python_does() {
        for (text, expected) in [
            ("5", Some((false, "5"))),
            (" +05\t", Some((false, "5"))),
            ("1_000", Some((false, "1000"))),
            ("-5", Some((true, "5"))),
            ("-0", Some((false, "0"))),
            ("", None),
            ("_1", None),
            ("1__0", None),
            ("abc", None),
            ("5.0", None),
        ] {
            let expected = expected.map(|(negative, digits)| (negative, digits.to_owned()));
            assert_eq!(python_int(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn pages_are_for_those_who_ask_for_more_than_anything() {
        let accepts = |text: &str| {
            let value = text.parse().expect("a header value");
            accepts_html(&HeaderMap::from_iter([(ACCEPT, value)]))
        };
        assert!(!accepts_html(&HeaderMap::new()));
        for text in ["*/*", "application/json"] {
            assert!(!accepts(text), "{text}");
        }
        for text in [
            "text/html",
            "text/*",
            "text/html;q=0.5,*/*",
            "application/json,*/*",
            "text/plain, */*;q=0.1",
            "application/json, text/html;q=0.1",
        ] {
            assert!(accepts(text), "{text}");
        }
    }
}
