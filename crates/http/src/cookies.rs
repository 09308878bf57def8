//! Cookies: the browser's way to carry a payment, and to be told of one.
//!
//! The page of a 402 cannot read the headers of its own answer, nor add any to the next request; so
//! both travel as cookies, named like the headers.

use crate::headers::{self, ALL, documented};
use crate::refusal::Flag;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// What a browser pays with.
static PAYMENT: [HeaderName; 5] = [
    headers::SENDER_ADDRESS,
    headers::OPEN_BLOCK,
    headers::SENDER_BALANCE,
    headers::BALANCE_SIGNATURE,
    headers::PAYMENT,
];

/// The payment cookies of a request, as if they were headers. The first of a name counts (RFC 6265,
/// 5.4); empty ones, and those that cannot be a header's value, are none.
pub(crate) fn payment(request: &HeaderMap) -> HeaderMap {
    let mut found = HeaderMap::new();
    for (name, value) in pairs(request) {
        let Some(name) = PAYMENT.iter().find(|known| is_named(known, name)) else {
            continue;
        };
        if let Ok(value) = HeaderValue::from_bytes(value)
            && !value.is_empty()
            && !found.contains_key(name)
        {
            found.insert(name, value);
        }
    }
    found
}

/// Takes the payment protocol's cookies out of a request, and leaves the others as they are: what
/// is behind a paywall must not see how it was paid.
pub fn strip(request: &mut HeaderMap) {
    let is_ours = |part: &[u8]| {
        let name = part.split(|byte| *byte == b'=').next().unwrap_or_default();
        name.trim_ascii()
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"rdn-"))
    };
    let parts = |value: &HeaderValue| value.as_bytes().split(|byte| *byte == b';').any(is_ours);
    if !request.get_all(COOKIE).iter().any(parts) {
        return;
    }
    let kept: Vec<HeaderValue> = request
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| {
            let others: Vec<&[u8]> = value
                .as_bytes()
                .split(|byte| *byte == b';')
                .filter(|part| !is_ours(part))
                .map(<[u8]>::trim_ascii)
                .filter(|part| !part.is_empty())
                .collect();
            let value = HeaderValue::from_bytes(&others.join(&b"; "[..])).ok()?;
            (!value.is_empty()).then_some(value)
        })
        .collect();
    request.remove(COOKIE);
    for value in kept {
        request.append(COOKIE, value);
    }
}

/// Mirrors the payment headers of a 402 into cookies, for the page in its body; and takes back the
/// flags of an earlier one that the request still carries.
pub fn mirror(request: &HeaderMap, answer: &mut HeaderMap) {
    let mut cookies = Vec::new();
    for name in &ALL {
        if let Some(value) = answer.get(name).and_then(|value| value.to_str().ok()) {
            // A cookie ends at a semicolon: of `code; sentence` the code is left.
            let value = value.split(';').next().unwrap_or_default();
            cookies.push(format!("{}={value}; Path=/; SameSite=Lax", documented(name)));
        }
    }
    let passing = Flag::ALL.map(Flag::header).into_iter().chain([headers::ERROR]);
    for name in passing.filter(|name| !answer.contains_key(name)) {
        if pairs(request).any(|(cookie, _)| is_named(&name, cookie)) {
            cookies.push(format!("{}=; Path=/; SameSite=Lax; Max-Age=0", documented(&name)));
        }
    }
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            answer.append(SET_COOKIE, cookie);
        }
    }
}

/// The cookies of a request; a value is without the quotes that some put around it.
fn pairs(request: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    request
        .get_all(COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|part| {
            let at = part.iter().position(|byte| *byte == b'=')?;
            let value = part[at + 1..].trim_ascii();
            let bare = value
                .strip_prefix(b"\"")
                .and_then(|value| value.strip_suffix(b"\""));
            Some((part[..at].trim_ascii(), bare.unwrap_or(value)))
        })
}

fn is_named(header: &HeaderName, cookie: &[u8]) -> bool {
    cookie.eq_ignore_ascii_case(header.as_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cookies: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in cookies {
            headers.append(COOKIE, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn the_first_cookie_of_a_name_counts_whatever_stands_around() {
        let found = payment(&with(&[
            b"a=b; RDN-Sender-Balance=5 ;rdn-sender-balance=6;; RDN-Price=1; x",
            b"RDN-Open-Block=\"7\"; RDN-Balance-Signature=; RDN-Sender-Address=\xff; =; RDN-Payment=2=3",
        ]));
        let value = |name| found.get(name).map(HeaderValue::as_bytes);
        assert_eq!(value(headers::SENDER_BALANCE), Some(&b"5"[..]));
        assert_eq!(value(headers::OPEN_BLOCK), Some(&b"7"[..]));
        assert_eq!(value(headers::SENDER_ADDRESS), Some(&b"\xff"[..]));
        assert_eq!(value(headers::PAYMENT), Some(&b"2=3"[..]));
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn payment_cookies_are_taken_out_and_others_stay() {
        for (before, after) in [
            ("a=b; RDN-Payment=1; c=d", Some("a=b; c=d")),
            ("rdn-anything=1", None),
            ("a=b;c=\"x\"", Some("a=b;c=\"x\"")),
            ("xRDN-Price=1", Some("xRDN-Price=1")),
        ] {
            let mut headers = with(&[before.as_bytes()]);
            strip(&mut headers);
            assert_eq!(
                headers.get(COOKIE).map(|value| value.to_str().unwrap()),
                after,
                "{before}"
            );
        }
    }

    #[test]
    fn a_402_is_mirrored_and_flags_that_are_over_are_taken_back() {
        let mut answer = HeaderMap::new();
        answer.insert(headers::PRICE, HeaderValue::from_static("5"));
        answer.insert(headers::INVALID_AMOUNT, HeaderValue::from_static("1"));
        answer.insert(
            headers::ERROR,
            HeaderValue::from_static("invalid-amount; pay the price"),
        );
        let request = with(&[b"RDN-Nonexisting-Channel=1; RDN-Invalid-Amount=1"]);
        mirror(&request, &mut answer);
        let cookies: Vec<_> = answer.get_all(SET_COOKIE).iter().collect();
        assert_eq!(
            cookies,
            [
                "RDN-Price=5; Path=/; SameSite=Lax",
                "RDN-Error=invalid-amount; Path=/; SameSite=Lax",
                "RDN-Invalid-Amount=1; Path=/; SameSite=Lax",
                "RDN-Nonexisting-Channel=; Path=/; SameSite=Lax; Max-Age=0",
            ]
        );
    }
}
