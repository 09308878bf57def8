//! The target of a request, in the one form in which it is priced and passed on.
//!
//! Proxy and upstream must not read a path differently, or the content of one route could be had
//! for the price of another, or without being for sale at all.

mod readings;

use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri};
pub(crate) use readings::readings;

/// Why a target cannot be used; nothing is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// A tunnel was asked for.
    #[error("CONNECT is not served here")]
    Tunnel,
    /// `*`, or another target without a path.
    #[error("the request's target is not a path")]
    NoPath,
    /// `.` or `..`, perhaps encoded, which some upstreams resolve.
    #[error("the path has dot segments; send it resolved")]
    DotSegment,
    /// A zero byte, at which some upstreams stop to read.
    #[error("the path has a zero byte")]
    Zero,
    /// There is no end to what it could mean.
    #[error("the path is encoded over and over, or too long for that; send it plain")]
    Unclear,
}

impl Unusable {
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Tunnel => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoPath | Self::DotSegment | Self::Zero | Self::Unclear => StatusCode::BAD_REQUEST,
        }
    }
}

/// The path and query alone, without encodings that mean nothing (RFC 3986, 6.2.2.2), and with one
/// slash at its beginning.
///
/// # Errors
/// See [`Unusable`].
pub(crate) fn normalise(method: &Method, target: &Uri) -> Result<Uri, Unusable> {
    // Not every server looks at the case of a method.
    if method.as_str().eq_ignore_ascii_case("CONNECT") {
        return Err(Unusable::Tunnel);
    }
    let full = target.path_and_query().ok_or(Unusable::NoPath)?;
    let path = decode(full.path(), |byte| {
        byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
    });
    if !path.starts_with('/') {
        return Err(Unusable::NoPath);
    }
    // A client of 2018 joins `http://host/` and `/path`. Elsewhere a double slash may mean something.
    let path = format!("/{}", path.trim_start_matches('/'));
    let readings = readings(&path).ok_or(Unusable::Unclear)?;
    if readings.iter().any(|reading| reading.contains(&0)) {
        return Err(Unusable::Zero);
    }
    if readings.iter().any(|reading| has_dot_segment(reading)) {
        return Err(Unusable::DotSegment);
    }
    let query = full.query().map(|query| format!("?{query}")).unwrap_or_default();
    let full = PathAndQuery::try_from(format!("{path}{query}")).map_err(|_| Unusable::NoPath)?;
    Ok(Uri::from(full))
}

fn has_dot_segment(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/')
        // Some servers take away blanks at the end of a name.
        .any(|segment| matches!(segment.trim_ascii_end(), b"." | b".."))
}

/// Replaces the percent-encodings of the given ASCII characters by the characters.
fn decode(path: &str, wanted: impl Fn(u8) -> bool) -> String {
    let mut parts = path.split('%');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .filter(|byte| byte.is_ascii() && wanted(*byte));
        match byte {
            Some(byte) => {
                decoded.push(char::from(byte));
                decoded.push_str(&part[2..]);
            }
            None => {
                decoded.push('%');
                decoded.push_str(part);
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Result<String, Unusable> {
        normalise(&Method::GET, &Uri::try_from(target).unwrap()).map(|uri| uri.to_string())
    }

    #[test]
    fn a_path_has_one_form() {
        for (target, normal) in [
            ("/", "/"),
            ("/a//b?x=%2e", "/a//b?x=%2e"),
            ("//", "/"),
            ("///a//b//?//", "/a//b//?//"),
            ("/%2F/a", "/%2F/a"),
            ("/%61%7E%2Db", "/a~-b"),
            ("/a%2Fb%20c%", "/a%2Fb%20c%"),
            ("/%zz/%é", "/%zz/%é"),
            ("/%2561", "/%2561"),
            ("/.../.a", "/.../.a"),
            ("http://elsewhere:1/a?b", "/a?b"),
            ("http://elsewhere", "/"),
        ] {
            assert_eq!(get(target).as_deref(), Ok(normal), "{target}");
        }
    }

    #[test]
    fn what_could_be_read_differently_is_refused() {
        for target in [
            "/a/../b",
            "/a/..",
            "/./a",
            "/a/%2e%2E/b",
            "/a/.%2e/b",
            "/a/..%2fb",
            "/a/..%5Cb",
            "/a/..\\b",
            "/a/..;x=y/b",
            "/a/..%3bx/b",
            "/a/..%3Fx",
            "/a/%252e%252e/b",
            "/a/%252e%252e%252fb",
            "/a/%25252e%25252E/b",
            "/a/%%32%65%%32%65/b",
            "/a/.%20/b",
            "/a/..%2520/b",
            "/a/%c0%ae%C0%AE/b",
            "/a/%e0%80%ae./b",
            "/a/%25c0%25ae./b",
            "http://elsewhere/a/../b",
        ] {
            assert_eq!(get(target), Err(Unusable::DotSegment), "{target}");
        }
        for target in ["/a%00", "/a%2500.txt", "/%c0%80"] {
            assert_eq!(get(target), Err(Unusable::Zero), "{target}");
        }
        let deep = format!("/%{}2e", "25".repeat(70));
        assert_eq!(get(&deep), Err(Unusable::Unclear));
        // Behind the question mark is no path.
        assert!(get("/a?b=/../%2e%2e/%00").is_ok());
    }

    #[test]
    fn what_is_no_request_for_a_path_is_refused() {
        assert_eq!(get("*"), Err(Unusable::NoPath));
        for method in ["CONNECT", "connect"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let tunnel = normalise(&method, &Uri::from_static("localhost:80"));
            assert_eq!(tunnel, Err(Unusable::Tunnel));
        }
    }
}
