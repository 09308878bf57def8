//! Values of headers: text, decimals and addresses, read strictly from any bytes.

use crate::checksum::read_address;
use crate::headers::documented;
use http::{HeaderMap, HeaderName, HeaderValue};
use microraiden_protocol::Address;
use std::fmt::Display;
use std::str::FromStr;

/// A header that cannot be understood; the receiver answers 409 with this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {defect}", documented(.header))]
pub struct MalformedHeader {
    /// The header.
    pub header: HeaderName,
    /// What is wrong with it, and what to send.
    pub defect: Defect,
}

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// Needed, and not there.
    #[error("is missing, but needed")]
    Missing,
    /// Not decimal digits, or beyond the number's range.
    #[error("send a decimal number of at most {bits} bits, digits only")]
    NotDecimal {
        /// The range.
        bits: u16,
    },
    /// Not an address, or one with a mistake in it.
    #[error("send an address as 0x and 40 hexadecimal digits, in mixed case only with a right checksum")]
    NotAddress,
    /// Not printable ASCII.
    #[error("send printable ASCII characters only")]
    NotText,
    /// Sent twice with different values.
    #[error("was sent more than once with different values; send it once")]
    Repeated,
    /// Two headers that mean the same, with different values.
    #[error("differs from RDN-Balance; send the same balance in both, or only one")]
    Contradiction,
    /// Neither header nor cookies carry the whole payment alone, and they differ.
    #[error("differs from the cookie of that name; send the payment in headers or in cookies, not in both")]
    CookieContradiction,
}

impl Defect {
    pub(crate) fn of(self, header: &HeaderName) -> MalformedHeader {
        MalformedHeader {
            header: header.clone(),
            defect: self,
        }
    }
}

/// The header's bytes without the white space around, if it is there.
///
/// # Errors
/// When it is there more than once with different values.
pub(crate) fn bytes<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a [u8]>, MalformedHeader> {
    let mut values = headers
        .get_all(name)
        .iter()
        .map(|value| value.as_bytes().trim_ascii());
    let first = values.next();
    if values.any(|value| Some(value) != first) {
        return Err(Defect::Repeated.of(name));
    }
    Ok(first)
}

/// The header's printable text.
pub(crate) fn text<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, MalformedHeader> {
    let printable = |bytes: &'a [u8]| match std::str::from_utf8(bytes) {
        Ok(text) if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => Ok(text),
        _ => Err(Defect::NotText.of(name)),
    };
    bytes(headers, name)?.map(printable).transpose()
}

/// The header's decimal number of `bits` bits.
pub(crate) fn decimal<T: FromStr>(
    headers: &HeaderMap,
    name: &HeaderName,
    bits: u16,
) -> Result<Option<T>, MalformedHeader> {
    let defect = || Defect::NotDecimal { bits }.of(name);
    let parse = |bytes: &[u8]| {
        let digits = std::str::from_utf8(bytes)
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|text| text.parse().ok()).ok_or_else(defect)
    };
    bytes(headers, name)?.map(parse).transpose()
}

/// The header's amount, price or balance: a decimal `uint192`.
pub(crate) fn amount<T: FromStr>(
    headers: &HeaderMap,
    name: &HeaderName,
) -> Result<Option<T>, MalformedHeader> {
    decimal(headers, name, 192)
}

/// The header's address.
pub(crate) fn address(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Address>, MalformedHeader> {
    let parse = |bytes| read_address(bytes).ok_or_else(|| Defect::NotAddress.of(name));
    bytes(headers, name)?.map(parse).transpose()
}

/// What a needed header says.
pub(crate) fn needed<T>(value: Option<T>, name: &HeaderName) -> Result<T, MalformedHeader> {
    value.ok_or_else(|| Defect::Missing.of(name))
}

/// Prints a number, a signature or our own ASCII text as a header's value.
pub(crate) fn print(value: impl Display) -> HeaderValue {
    HeaderValue::try_from(value.to_string()).expect("printable ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::{PRICE, SENDER_ADDRESS};
    use microraiden_protocol::Price;

    fn with(name: &HeaderName, values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn decimals_are_digits_only() {
        let read = |value: &str| amount::<Price>(&with(&PRICE, &[value.as_bytes()]), &PRICE);
        assert_eq!(read(" 007\t"), Ok(Some(Price::from(7))));
        for bad in ["", "+5", "-1", "1_0", "0x1", "1e3", "5.0", "٣", &"9".repeat(58)] {
            let error = read(bad).unwrap_err();
            assert_eq!(error, Defect::NotDecimal { bits: 192 }.of(&PRICE), "{bad:?}");
        }
        assert_eq!(amount::<Price>(&HeaderMap::new(), &PRICE), Ok(None));
        let open_block = decimal::<u32>(&with(&PRICE, &[b"4294967296"]), &PRICE, 32);
        assert_eq!(open_block.unwrap_err().defect, Defect::NotDecimal { bits: 32 });
    }

    #[test]
    fn addresses_have_a_prefix_and_a_right_checksum() {
        let sender = "0x8Bf640A099fE945DA46F354d3B49c48a125F48B6";
        let read = |text: &str| address(&with(&SENDER_ADDRESS, &[text.as_bytes()]), &SENDER_ADDRESS);
        let upper = format!("0x{}", sender[2..].to_uppercase());
        for good in [sender, &sender.to_lowercase(), &upper, &format!(" {sender} ")] {
            assert_eq!(read(good), Ok(Some(sender.parse().unwrap())), "{good}");
        }
        let wrong_case = sender.replace('B', "b");
        let upper_prefix = sender.replace("0x", "0X");
        let twice = format!("0x{}", &sender[..40].to_lowercase());
        for bad in [
            "",
            "0x",
            &sender[2..],
            &sender[..41],
            &wrong_case,
            &upper_prefix,
            &twice,
            "0xé",
        ] {
            assert_eq!(read(bad), Err(Defect::NotAddress.of(&SENDER_ADDRESS)), "{bad}");
        }
    }

    #[test]
    fn a_header_twice_counts_only_when_it_says_the_same() {
        let same = with(&PRICE, &[b"5", b" 5"]);
        assert_eq!(amount::<Price>(&same, &PRICE), Ok(Some(Price::from(5))));
        let error = amount::<Price>(&with(&PRICE, &[b"5", b"6"]), &PRICE).unwrap_err();
        assert_eq!(
            error.to_string(),
            "RDN-Price: was sent more than once with different values; send it once"
        );
    }
}
