//! Whom a list of those who may come, or may not, names.

use crate::network::{Network, NotANetwork};
use microraiden_protocol::Address;
use std::fmt;
use std::str::FromStr;

/// Whom a list names: clients by where they come from, or who pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Clients of these internet addresses.
    Network(Network),
    /// Who pays from this account.
    Sender(Address),
}

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotARule {
    /// It names no network.
    #[error("{0}; or a sender's address, as 0x and 40 hexadecimal digits")]
    Unreadable(NotANetwork),
    /// A network with a mistake.
    #[error(transparent)]
    Network(NotANetwork),
    /// It begins like a sender's address.
    #[error(
        "{0:?} is no sender's address; write 0x and 40 hexadecimal digits, in mixed case only with a right checksum"
    )]
    Sender(String),
}

impl FromStr for Rule {
    type Err = NotARule;

    fn from_str(text: &str) -> Result<Self, NotARule> {
        let written = text.trim();
        if written
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("0x"))
        {
            let sender = sender(written).ok_or_else(|| NotARule::Sender(text.to_owned()))?;
            return Ok(Self::Sender(sender));
        }
        let network = text.parse().map_err(|error| match error {
            NotANetwork::Unreadable(_) => NotARule::Unreadable(error),
            NotANetwork::HostBits { .. } => NotARule::Network(error),
        })?;
        Ok(Self::Network(network))
    }
}

/// Reads an account's address; in mixed case it must have a right checksum.
fn sender(text: &str) -> Option<Address> {
    let digits = text.strip_prefix("0x")?;
    if digits.len() != 40 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let lower = digits.bytes().any(|digit| digit.is_ascii_lowercase());
    let upper = digits.bytes().any(|digit| digit.is_ascii_uppercase());
    if lower && upper {
        Address::parse_checksummed(text, None).ok()
    } else {
        text.parse().ok()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Sender(sender) => sender.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SENDER: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

    #[test]
    fn a_rule_is_a_network_or_a_sender() {
        for (text, printed) in [
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8::/32", "2001:db8::/32"),
            (SENDER, SENDER),
            (" 0x70997970c51812dc3a010c7d01b50e0d17dc79c8 ", SENDER),
            ("0x70997970C51812DC3A010C7D01B50E0D17DC79C8", SENDER),
        ] {
            let rule: Rule = text.parse().unwrap();
            assert_eq!(rule.to_string(), printed, "{text}");
            let sender = text.contains("0x");
            assert_eq!(matches!(rule, Rule::Sender(_)), sender, "{text}");
        }
    }

    #[test]
    fn a_mistake_is_told() {
        for bad in [
            "0x",
            "0x70997970C51812dc3A010C7d01b50e0d17dc79C",
            "0x70997970C51812dc3A010C7d01b50e0d17dc79C88",
            // One letter in the wrong case.
            "0x70997970c51812dc3A010C7d01b50e0d17dc79C8",
            "0X70997970c51812dc3a010c7d01b50e0d17dc79c8",
            "0x70997970c51812dc3a010c7d01b50e0d17dc79cg",
            "0x+0997970c51812dc3a010c7d01b50e0d17dc79c8",
        ] {
            assert_eq!(
                bad.parse::<Rule>(),
                Err(NotARule::Sender(bad.to_owned())),
                "{bad}"
            );
        }
        let error = "192.0.2.7/24".parse::<Rule>().unwrap_err().to_string();
        assert_eq!(
            error,
            "192.0.2.7/24 is an address within a network; write 192.0.2.0/24 for the whole network"
        );
        for bad in ["", "everybody", "70997970C51812dc3A010C7d01b50e0d17dc79C8", "🦀x"] {
            let error = bad.parse::<Rule>().unwrap_err().to_string();
            assert!(
                error.contains("is no network") && error.contains("or a sender's address"),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(bytes: [u8; 20]) {
            let rule = Rule::Sender(Address::from(bytes));
            prop_assert_eq!(rule.to_string().parse(), Ok(rule));
            let lower = rule.to_string().to_lowercase();
            prop_assert_eq!(lower.parse(), Ok(rule));
        }

        #[test]
        fn no_text_is_more_than_refused(text in "(0x)?.{0,45}") {
            let _ = text.parse::<Rule>();
        }
    }
}
