//! Addresses in mixed case (EIP-55), remembered: each takes a hash, and a request has several of the
//! same few.

use http::HeaderValue;
use microraiden_protocol::Address;
use std::cell::RefCell;

/// How many addresses a thread remembers; another one in the same place takes its turn.
const PLACES: usize = 256;

thread_local! {
    static REMEMBERED: RefCell<Vec<Option<(Address, HeaderValue)>>> = RefCell::new(vec![None; PLACES]);
}

/// An address as text with its checksum.
pub(crate) fn print_address(address: Address) -> HeaderValue {
    REMEMBERED.with_borrow_mut(|remembered| {
        // Addresses are hashes themselves: any byte of them will do.
        let place = &mut remembered[usize::from(address[19])];
        if let Some((known, text)) = place
            && *known == address
        {
            return text.clone();
        }
        let text = HeaderValue::try_from(address.to_checksum(None)).expect("hexadecimal digits");
        *place = Some((address, text.clone()));
        text
    })
}

/// Reads `0x` and 40 hexadecimal digits, in mixed case only with a right checksum.
pub(crate) fn read_address(text: &[u8]) -> Option<Address> {
    let digits = text.strip_prefix(b"0x").filter(|digits| digits.len() == 40)?;
    let address: Address = std::str::from_utf8(digits)
        .ok()
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?
        .parse()
        .ok()?;
    let one_case = !digits.iter().any(u8::is_ascii_lowercase) || !digits.iter().any(u8::is_ascii_uppercase);
    (one_case || print_address(address).as_bytes() == text).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_is_right() {
        // All of them share a place, so that each has to make room for the next.
        for round in 0..2 {
            for first in 0..=u8::MAX {
                let mut address = Address::repeat_byte(first);
                address[19] = 7;
                let text = address.to_checksum(None);
                for _ in 0..2 {
                    assert_eq!(print_address(address).to_str().unwrap(), text, "round {round}");
                    assert_eq!(read_address(text.as_bytes()), Some(address));
                }
                let wrong: String = text
                    .chars()
                    .map(|digit| match digit {
                        'a'..='f' => digit.to_ascii_uppercase(),
                        'A'..='F' => digit.to_ascii_lowercase(),
                        other => other,
                    })
                    .collect();
                let mixed = text[2..].bytes().any(|digit| digit.is_ascii_uppercase())
                    && text[2..].bytes().any(|digit| digit.is_ascii_lowercase());
                assert_eq!(read_address(wrong.as_bytes()).is_none(), mixed, "{wrong}");
            }
        }
    }
}
