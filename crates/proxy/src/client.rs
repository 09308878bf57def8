//! Who the client is, also where other proxies stand in front of this one.

use crate::network::Network;
use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap, HeaderName, Request};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// Where each proxy adds the address of who asked it.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who asks, as an extension of each request that has passed a [`ClientLayer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Its address; IPv4 addresses are never in their IPv6 form.
    pub address: IpAddr,
}

/// What is counted as one client: an IPv4 address, or the /64 network of an IPv6 address, which
/// one customer of a network has for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientKey {
    /// An address.
    V4([u8; 4]),
    /// The network's half of an address.
    V6([u8; 8]),
}

impl Client {
    /// By this address.
    pub const fn new(address: IpAddr) -> Self {
        Self {
            address: address.to_canonical(),
        }
    }

    /// Of a request by its extensions: what a [`ClientLayer`] has found, or else the other end of the
    /// connection. Where nothing is known, all are `0.0.0.0`, and counted as one.
    pub fn of(extensions: &Extensions) -> Self {
        extensions
            .get::<Self>()
            .copied()
            .unwrap_or_else(|| peer(extensions))
    }

    /// What is counted as this client.
    pub const fn key(self) -> ClientKey {
        match self.address.to_canonical() {
            IpAddr::V4(address) => ClientKey::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                ClientKey::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// The other end of the connection.
fn peer(extensions: &Extensions) -> Client {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    Client::new(peer.map_or(unknown, |ConnectInfo(peer)| peer.ip()))
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(octets) => Ipv4Addr::from(octets).fmt(f),
            Self::V6(network) => {
                let address = u128::from(u64::from_be_bytes(network)) << 64;
                write!(f, "{}/64", Ipv6Addr::from(address))
            }
        }
    }
}

/// Finds out who the client is, and puts a [`Client`] into the request.
///
/// The client is the other end of the connection. Only where that is one of the trusted proxies,
/// `X-Forwarded-For` is read: from its end, the first address that is not trusted is the client's.
/// When all are trusted it is the first of them, and when something stands there that is no
/// address, the other end of the connection.
#[derive(Debug, Clone, Default)]
pub struct ClientLayer {
    trusted: Arc<[Network]>,
}

impl ClientLayer {
    /// With the proxies whose word is taken.
    pub fn new(trusted: impl IntoIterator<Item = Network>) -> Self {
        Self {
            trusted: trusted.into_iter().collect(),
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// Who asks.
    fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> Client {
        let peer = peer(extensions);
        if !self.trusts(peer.address) {
            return peer;
        }
        let mut client = peer;
        for value in headers.get_all(FORWARDED_FOR).iter().rev() {
            // In bytes: what the client has written in front may be no text.
            for entry in value.as_bytes().rsplit(|byte| *byte == b',') {
                let entry = std::str::from_utf8(entry.trim_ascii());
                let Some(address) = entry.ok().and_then(address) else {
                    return peer;
                };
                client = Client::new(address);
                if !self.trusts(address) {
                    return client;
                }
            }
        }
        client
    }
}

/// An address as proxies write it: IPv6 with or without brackets, perhaps with a port.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = entry
        .strip_prefix('[')
        .and_then(|entry| entry.strip_suffix(']'))
        .and_then(|entry| entry.parse().ok().map(IpAddr::V6));
    bare.or_else(|| entry.parse().ok())
        .or_else(|| entry.parse().ok().map(|address: SocketAddr| address.ip()))
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> ClientService<S> {
        let layer = self.clone();
        ClientService { inner, layer }
    }
}

/// A service that knows who asks; see [`ClientLayer`].
#[derive(Debug, Clone)]
pub struct ClientService<S> {
    inner: S,
    layer: ClientLayer,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for ClientService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let client = self.layer.client(request.extensions(), request.headers());
        request.extensions_mut().insert(client);
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn layer() -> ClientLayer {
        let trusted = ["127.0.0.1", "10.0.0.0/8", "2001:db8:a::/48"];
        ClientLayer::new(trusted.map(|network| network.parse().unwrap()))
    }

    fn client(peer: &str, lines: &[&[u8]]) -> String {
        let mut extensions = Extensions::new();
        let peer: IpAddr = peer.parse().unwrap();
        extensions.insert(ConnectInfo(SocketAddr::from((peer, 1234))));
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
        }
        layer().client(&extensions, &headers).address.to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(client("192.0.2.1", &[b"198.51.100.1"]), "192.0.2.1");
        assert_eq!(client("127.0.0.1", &[b"198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("::ffff:127.0.0.1", &[b"198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("::ffff:192.0.2.1", &[b"198.51.100.1"]), "192.0.2.1");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn the_last_that_is_not_trusted_counts() {
        for (lines, found) in [
            // What a client writes itself stands in front of what the proxies add.
            (&[&b"127.0.0.1, 1.1.1.1, 198.51.100.1"[..]][..], "198.51.100.1"),
            (&[b"1.1.1.1, 198.51.100.1, 10.0.0.7,10.1.2.3"], "198.51.100.1"),
            (&[b"1.1.1.1", b"198.51.100.1", b"10.0.0.7"], "198.51.100.1"),
            (&[b"198.51.100.1:5678"], "198.51.100.1"),
            (&[b"2001:db8::1"], "2001:db8::1"),
            (&[b"[2001:db8::1]"], "2001:db8::1"),
            (
                &[b"1.1.1.1,  [2001:db8::1]:80\t, [2001:db8:a::9]:443"],
                "2001:db8::1",
            ),
            (&[b"::ffff:198.51.100.1"], "198.51.100.1"),
            (&[b"1.1.1.1, ::ffff:10.0.0.1"], "1.1.1.1"),
            // Garbage that nobody has to read.
            (&[b"\xff, nonsense, 198.51.100.1"], "198.51.100.1"),
            (&[b"\xff", b"198.51.100.1"], "198.51.100.1"),
            // All of them are ours: the first has asked.
            (&[b"10.0.0.9, 10.0.0.1"], "10.0.0.9"),
        ] {
            assert_eq!(client("127.0.0.1", lines), found, "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_address_leaves_the_other_end() {
        for line in [
            &b""[..],
            b",",
            b"unknown",
            b"_hidden",
            b"1.1.1.1, ",
            b"1.1.1.1,unknown",
            b"\xff",
            b"1.1.1",
            b"[]",
            b"[1.1.1.1]",
            b"[::1",
            b"1.1.1.1:99999",
            b"::1%lo",
            b"\"1.1.1.1\"",
            b"unknown, 10.0.0.1",
            b"1.1.1.1 10.0.0.1",
            b"for=1.1.1.1",
        ] {
            assert_eq!(client("127.0.0.1", &[line]), "127.0.0.1", "{line:?}");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let key = |address: &str| Client::new(address.parse().unwrap()).key();
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff:1:2:3"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.2"), key("192.0.2.1"));
        assert_eq!(key("192.0.2.1").to_string(), "192.0.2.1");
        assert_eq!(key("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
        assert_eq!(Client::of(&Extensions::new()).key().to_string(), "0.0.0.0");
    }

    proptest! {
        /// Whoever asks a trusted proxy, and whatever it writes itself: the proxy has the last word.
        #[test]
        fn nobody_can_pass_for_another(own in "[ -~]{0,60}", real: Ipv4Addr, port: Option<u16>) {
            prop_assume!(!layer().trusts(real.into()));
            let seen = port.map_or(real.to_string(), |port| format!("{real}:{port}"));
            let line = format!("{own}, {seen}");
            prop_assert_eq!(client("10.9.9.9", &[line.as_bytes()]), real.to_string());
            let two = client("10.9.9.9", &[own.as_bytes(), seen.as_bytes()]);
            prop_assert_eq!(two, real.to_string());
        }

        #[test]
        fn every_way_to_write_an_address_is_read(address: IpAddr, port: u16) {
            let canonical = Some(address);
            prop_assert_eq!(super::address(&address.to_string()), canonical);
            prop_assert_eq!(super::address(&SocketAddr::new(address, port).to_string()), canonical);
            if address.is_ipv6() {
                prop_assert_eq!(super::address(&format!("[{address}]")), canonical);
            }
        }
    }
}
