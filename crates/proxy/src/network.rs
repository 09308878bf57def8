//! A range of internet addresses, as people write it.

use ipnet::{IpNet, Ipv4Net};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of internet addresses: `192.0.2.0/24`, `2001:db8::/32`, or a single address.
///
/// IPv4 addresses that are written as IPv6 (`::ffff:192.0.2.1`) are IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpNet);

/// Why a text is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotANetwork {
    /// Neither an address nor a range.
    #[error(
        "{0:?} is no network; write an address such as 192.0.2.7 or 2001:db8::7, or a network such as \
         192.0.2.0/24 or 2001:db8::/32"
    )]
    Unreadable(String),
    /// An address inside of a network is named in the place of the network.
    #[error("{written} is an address within a network; write {meant} for the whole network")]
    HostBits {
        /// What stands there.
        written: String,
        /// The network that it is in.
        meant: Network,
    },
}

impl Network {
    /// Whether an address is one of these.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let written = text.trim();
        if let Ok(address) = written.parse::<IpAddr>() {
            return Ok(Self(address.to_canonical().into()));
        }
        let network: IpNet = written
            .parse()
            .map_err(|_| NotANetwork::Unreadable(text.to_owned()))?;
        let meant = Self(canonical(network.trunc()));
        if network != network.trunc() {
            let written = written.to_owned();
            return Err(NotANetwork::HostBits { written, meant });
        }
        Ok(meant)
    }
}

/// As IPv4, if it is a network of IPv4 addresses that are written as IPv6.
fn canonical(network: IpNet) -> IpNet {
    let IpAddr::V4(address) = network.network().to_canonical() else {
        return network;
    };
    let length = match network {
        IpNet::V4(network) => Some(network.prefix_len()),
        IpNet::V6(network) => network.prefix_len().checked_sub(96),
    };
    length
        .and_then(|length| Ipv4Net::new(address, length).ok())
        .map_or(network, IpNet::V4)
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            self.0.addr().fmt(f)
        } else {
            self.0.fmt(f)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Network {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_network_is_read_and_holds_what_it_should() {
        for (text, printed, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.7", "192.0.2.8"),
            (" 192.0.2.7/32 ", "192.0.2.7", "::ffff:192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "::/0", "2001:db8::1", "127.0.0.1"),
            ("2001:DB8::/32", "2001:db8::/32", "2001:db8:ffff::", "2001:db9::"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24", "192.0.2.9", "192.0.3.9"),
        ] {
            let network = read(text);
            assert_eq!(network.to_string(), printed, "{text}");
            assert!(network.contains(inside.parse().unwrap()), "{text} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{text} {outside}");
        }
    }

    #[test]
    fn an_address_within_a_network_is_told_which_one_is_meant() {
        for (text, meant) in [
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("10.1.0.0/8", "10.0.0.0/8"),
            ("2001:db8::1/64", "2001:db8::/64"),
            ("192.0.2.7/0", "0.0.0.0/0"),
        ] {
            let error = text.parse::<Network>().unwrap_err();
            let said = format!("{text} is an address within a network; write {meant} for the whole network");
            assert_eq!(error.to_string(), said);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            " ",
            "/",
            "/24",
            "localhost",
            "192.0.2",
            "192.0.2.0/",
            "192.0.2.0/33",
            "192.0.2.0/-1",
            "192.0.2.0/24/24",
            "192.0.2.0/255.255.255.0",
            "192.0.2.0-192.0.2.9",
            "192.0.2.*",
            "2001:db8::/129",
            "[::1]",
            "127.0.0.1:80",
            "fe80::1%eth0",
            "192.0.2.01",
            "٣.0.0.1",
        ] {
            let error = bad.parse::<Network>().unwrap_err();
            assert_eq!(error, NotANetwork::Unreadable(bad.to_owned()), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(address: IpAddr, length in 0..=128u8) {
            // An IPv4 address in its other form is in no network of IPv6.
            let address = address.to_canonical();
            let length = if address.is_ipv4() { length.min(32) } else { length };
            let network = Network(canonical(IpNet::new(address, length).unwrap().trunc()));
            prop_assert_eq!(network.to_string().parse(), Ok(network));
            prop_assert_eq!(network.contains(address), true);
        }

        #[test]
        fn no_text_is_more_than_refused(text in ".{0,40}") {
            let _ = text.parse::<Network>();
        }
    }
}
