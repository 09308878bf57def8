//! The head of a request: how large it is, which host it is for, and what in it only pretends.

use http::header::{COOKIE, HOST};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};

/// In the place of which some servers take another method, or another path, which the client has not
/// paid for.
const PRETENDED: [HeaderName; 5] = [
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

/// The size of what was read as the request's head; its reader stops only near the limit.
pub(super) fn bytes<B>(request: &Request<B>) -> usize {
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let headers = request.headers().iter();
    // With a colon, a space and the end of the line.
    let lines = headers.map(|(name, value)| name.as_str().len() + value.len() + 4);
    lines.sum::<usize>() + target
}

/// A request that two readers may take for requests to two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request has to name one host, without a user")]
pub(super) struct Ambiguous;

/// Lets `Host` alone say which host a request is for: HTTP/2 has a place of its own for it, and HTTP/1.1 a
/// form of the target, which wins there (RFC 9112, 3.2.2).
///
/// # Errors
/// When the request contradicts itself.
pub(super) fn settle_host<B>(request: &mut Request<B>) -> Result<(), Ambiguous> {
    let mut named = request.headers().get_all(HOST).iter();
    let (host, more) = (named.next(), named.next());
    if more.is_some() {
        return Err(Ambiguous);
    }
    let Some(authority) = request.uri().authority() else {
        return match host {
            Some(host) if is_host(host.as_bytes()) => Ok(()),
            None if request.version() < Version::HTTP_11 => Ok(()),
            _ => Err(Ambiguous),
        };
    };
    let asked = authority.as_str();
    if !is_host(asked.as_bytes()) {
        return Err(Ambiguous);
    }
    let port = match request.uri().scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => ":443",
        _ => ":80",
    };
    let bare = |host: &str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    let same = |host: &HeaderValue| host.to_str().is_ok_and(|host| bare(host) == bare(asked));
    if request.version() == Version::HTTP_2 && !host.is_none_or(same) {
        return Err(Ambiguous);
    }
    let host = HeaderValue::from_str(asked).map_err(|_| Ambiguous)?;
    request.headers_mut().insert(HOST, host);
    Ok(())
}

/// Whether this is the name or address of a host, perhaps with a port.
fn is_host(text: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(text) else {
        return false;
    };
    let host = authority.host();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let port = authority.as_str().strip_prefix(host).unwrap_or(host);
    (host.starts_with('[') || (!host.is_empty() && host.bytes().all(is_name)))
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_number))
}

/// Takes headers out that an upstream might take for something that the client must not say.
///
/// Names with other signs than hyphens are none that anybody has to send, and CGI, WSGI and their like do
/// not tell `X_Real_IP` from `X-Real-IP`.
pub(super) fn remove_pretended(headers: &mut HeaderMap) {
    let odd = |byte: u8| !byte.is_ascii_alphanumeric() && byte != b'-';
    let pretends = |name: &HeaderName| name.as_str().bytes().any(odd) || PRETENDED.contains(name);
    let pretended: Vec<_> = headers.keys().filter(|name| pretends(name)).cloned().collect();
    for name in pretended {
        headers.remove(name);
    }
}

/// Puts cookies together that HTTP/2 has sent one by one (RFC 9113, 8.2.3).
pub(super) fn join_cookies<B>(request: &mut Request<B>) {
    let cookies: Vec<_> = request.headers().get_all(COOKIE).iter().collect();
    if cookies.len() < 2 {
        return;
    }
    let joined: Vec<&[u8]> = cookies.iter().map(|cookie| cookie.as_bytes()).collect();
    // The parts were values of headers.
    if let Ok(joined) = HeaderValue::from_bytes(&joined.join(&b"; "[..])) {
        request.headers_mut().insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(version: Version, target: &str, hosts: &[&str]) -> Result<Option<String>, Ambiguous> {
        let mut request = Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let mut request = request.body(()).unwrap();
        settle_host(&mut request)?;
        let host = request.headers().get(HOST);
        Ok(host.map(|host| host.to_str().unwrap().to_owned()))
    }

    #[test]
    fn a_request_is_for_one_host() {
        for (target, hosts, host) in [
            ("/", &["a"][..], Some("a")),
            ("/", &["A.b_c-d.:8080"], Some("A.b_c-d.:8080")),
            ("/", &["127.0.0.1:"], Some("127.0.0.1:")),
            ("/", &["[::1]:80"], Some("[::1]:80")),
            ("https://a/", &[], Some("a")),
            ("https://A:443/", &["a"], Some("A:443")),
            ("http://a:80/", &["A"], Some("a:80")),
            ("http://a:81/", &["a:81"], Some("a:81")),
        ] {
            for version in [Version::HTTP_11, Version::HTTP_2] {
                let host = host.map(str::to_owned);
                assert_eq!(settled(version, target, hosts), Ok(host), "{target} {hosts:?}");
            }
        }
        for (target, hosts) in [
            ("/", &["a", "a"][..]),
            ("/", &["a", "b"]),
            ("/", &[]),
            ("https://user@a/", &[]),
            ("http://user@a/", &["a"]),
        ] {
            let settled = settled(Version::HTTP_11, target, hosts);
            assert_eq!(settled, Err(Ambiguous), "{target} {hosts:?}");
        }
        for host in [
            "",
            "a b",
            "a,b",
            "user@a",
            "a@a",
            "a:b",
            "a:+80",
            "a:80:80",
            "a:80@b",
            ":80",
            "/",
            "a/b",
            "http://a",
            "a%2eb",
            "a;b",
            "\u{fc}.example",
            "[::1",
            "[::1]x",
        ] {
            assert_eq!(settled(Version::HTTP_11, "/", &[host]), Err(Ambiguous), "{host}");
        }
        assert_eq!(settled(Version::HTTP_10, "/", &[]), Ok(None));
        for (target, host) in [
            ("https://a/", "b"),
            ("https://a:80/", "a"),
            ("https://a:81/", "a"),
        ] {
            let settled = |version| settled(version, target, &[host]);
            assert_eq!(settled(Version::HTTP_2), Err(Ambiguous), "{target} {host}");
            let asked = target.trim_start_matches("https://").trim_end_matches('/');
            assert_eq!(
                settled(Version::HTTP_11),
                Ok(Some(asked.to_owned())),
                "{target} {host}"
            );
        }
    }

    #[test]
    fn headers_of_servers_that_do_not_tell_signs_apart_are_taken_out() {
        let mut headers = HeaderMap::new();
        for name in [
            "x_real_ip",
            "rdn_price",
            "x.own",
            "path_info",
            "x-original-url",
            "x-http-method-override",
            "x-own",
            "sec-ch-ua",
            "etag2",
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        remove_pretended(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["etag2", "sec-ch-ua", "x-own"]);
    }

    #[test]
    fn cookies_are_one_header() {
        let mut request = Request::builder()
            .header(COOKIE, "a=1")
            .header(COOKIE, "b=2; c=3")
            .body(())
            .unwrap();
        join_cookies(&mut request);
        let cookies: Vec<_> = request.headers().get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }
}
