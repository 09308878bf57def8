//! What of a client's head an upstream gets to see.

use super::options::HostHeader;
use crate::client::Client;
use axum::extract::ConnectInfo;
use http::header::{self, HeaderName};
use http::request::Parts;
use http::uri::Scheme;
use http::{Extensions, HeaderMap, HeaderValue, Version};
use microraiden_http::is_payment_header;
use std::net::{IpAddr, SocketAddr};

/// Headers of one connection only (RFC 9110, 7.6.1); never passed on.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Makes a client's head the proxy's own. `names_te` when the connection has to be told about `TE`.
pub(super) fn pass_on(parts: &mut Parts, host: HostHeader, names_te: bool) {
    let asked_host = parts.headers.get(header::HOST).cloned();
    let takes_trailers = takes_trailers(&parts.headers);
    let headers = &mut parts.headers;
    remove_hop_by_hop(headers);
    remove_claims(headers);
    if host == HostHeader::Upstream {
        // What connects sets the one of the upstream's address.
        headers.remove(header::HOST);
    }
    if takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        if names_te {
            headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        }
    }
    if let Some(address) = client(&parts.extensions)
        && let Ok(value) = address.to_string().parse()
    {
        headers.insert(FORWARDED_FOR, value);
    }
    let proto = match parts.extensions.get::<Scheme>() {
        Some(scheme) if *scheme == Scheme::HTTPS => HeaderValue::from_static("https"),
        _ => HeaderValue::from_static("http"),
    };
    headers.insert(FORWARDED_PROTO, proto);
    if let Some(asked) = asked_host {
        headers.insert(FORWARDED_HOST, asked);
    }
    // Each connection has a version of its own.
    parts.version = Version::HTTP_11;
}

/// Whose request it is.
fn client(extensions: &Extensions) -> Option<IpAddr> {
    if let Some(client) = extensions.get::<Client>() {
        return Some(client.address);
    }
    let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(peer.ip().to_canonical())
}

/// What a client says about itself that only a proxy may say.
fn is_claim(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-forwarded-") || *name == REAL_IP || *name == header::FORWARDED
}

fn remove_claims(headers: &mut HeaderMap) {
    let claims: Vec<_> = headers.keys().filter(|name| is_claim(name)).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
}

fn takes_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::TE).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// Takes out of a request's trailers what some servers would take for a part of its head.
pub(super) fn clean_trailers(trailers: &mut HeaderMap) {
    remove_hop_by_hop(trailers);
    remove_claims(trailers);
    for name in [
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRAILER,
        header::AUTHORIZATION,
        header::COOKIE,
    ] {
        trailers.remove(name);
    }
    let payments: Vec<_> = trailers
        .keys()
        .filter(|name| is_payment_header(name))
        .cloned()
        .collect();
    for name in payments {
        trailers.remove(name);
    }
}

/// Whether an answer says in one way only where it ends: whoever reads another one takes what is behind
/// it for the next answer.
pub(super) fn has_one_length(answer: &HeaderMap) -> bool {
    let mut lengths = answer.get_all(header::CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => true,
        (Some(length), None) => {
            let is_number = length.as_bytes().iter().all(u8::is_ascii_digit);
            is_number && !answer.contains_key(header::TRANSFER_ENCODING)
        }
        (Some(_), Some(_)) => false,
    }
}

/// Removes the headers that are of one connection only, and those that `Connection` names (RFC 9110, 7.6.1).
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn passed(headers: &[(&str, &str)], host: HostHeader, scheme: Option<Scheme>) -> HeaderMap {
        let mut request = Request::new(());
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let peer: SocketAddr = "[::ffff:203.0.113.7]:4711".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(scheme) = scheme {
            request.extensions_mut().insert(scheme);
        }
        let (mut parts, ()) = request.into_parts();
        pass_on(&mut parts, host, false);
        parts.headers
    }

    #[test]
    fn a_client_cannot_say_who_it_is() {
        let claims = [
            ("host", "shop.example"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "admin.example"),
            ("x-forwarded-prefix", "/admin"),
            ("forwarded", "for=10.0.0.1"),
            ("x-real-ip", "10.0.0.1"),
            ("x-own", "1"),
        ];
        let headers = passed(&claims, HostHeader::Upstream, None);
        let mut seen: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        seen.sort();
        let expected = [
            "x-forwarded-for: 203.0.113.7",
            "x-forwarded-host: shop.example",
            "x-forwarded-proto: http",
            "x-own: 1",
        ];
        assert_eq!(seen, expected);
        let headers = passed(&claims, HostHeader::Client, Some(Scheme::HTTPS));
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["host"], "shop.example");
    }

    #[test]
    fn what_a_connection_names_ends_with_it_and_trailers_are_asked_for() {
        let headers = passed(
            &[
                ("connection", "x-hop, TE"),
                ("x-hop", "1"),
                ("te", "gzip;q=0.5, Trailers"),
                ("trailer", "x-sum"),
            ],
            HostHeader::Upstream,
            None,
        );
        assert!(!headers.contains_key("x-hop") && !headers.contains_key("connection"));
        assert_eq!(headers["te"], "trailers");
        assert_eq!(headers["trailer"], "x-sum");
    }

    #[test]
    fn trailers_cannot_carry_what_belongs_to_a_head() {
        let mut trailers = HeaderMap::new();
        for name in [
            "x-forwarded-for",
            "content-length",
            "rdn-balance",
            "authorization",
            "x-sum",
        ] {
            trailers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        clean_trailers(&mut trailers);
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["x-sum"]);
    }
}
