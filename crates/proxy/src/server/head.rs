//! The head of a request: how large it is, and which host it is for.

use http::header::{COOKIE, HOST};
use http::uri::Scheme;
use http::{HeaderValue, Request, Version};

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
#[error("the request names more than one host")]
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
        return Ok(());
    };
    let asked = authority.as_str();
    if asked.contains('@') {
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
            ("/", &[][..], None),
            ("/", &["a"], Some("a")),
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
        for (target, hosts) in [("/", &["a", "a"][..]), ("https://user@a/", &[])] {
            let settled = settled(Version::HTTP_11, target, hosts);
            assert_eq!(settled, Err(Ambiguous), "{target} {hosts:?}");
        }
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
