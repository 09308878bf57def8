//! Cookies: the browser's way to carry a payment, and to be told of one.
//!
//! The page of a 402 cannot read the headers of its own answer, nor add any to the next request; so
//! both travel as cookies, named like the headers.

use crate::headers::{self, ALL, documented, is_payment_name};
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

/// Takes the payment protocol's cookies out of a request, and leaves the others to the letter: what
/// is behind a paywall must not see how it was paid.
pub fn strip(request: &mut HeaderMap) {
    let parts = |value: &HeaderValue| value.as_bytes().split(|byte| *byte == b';').any(is_ours);
    if !request.get_all(COOKIE).iter().any(parts) {
        return;
    }
    let kept: Vec<HeaderValue> = request
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| {
            let parts = value.as_bytes().split(|byte| *byte == b';');
            let others: Vec<&[u8]> = parts.filter(|part| !is_ours(part)).collect();
            let value = HeaderValue::from_bytes(others.join(&b';').trim_ascii()).ok()?;
            (!value.is_empty()).then_some(value)
        })
        .collect();
    replace(request, &COOKIE, kept);
}

/// Takes cookies with the payment protocol's names out of an answer: what is behind a paywall must not
/// tell a page what it owes, nor pay with what the browser sends next.
pub fn strip_set(answer: &mut HeaderMap) {
    if !answer
        .get_all(SET_COOKIE)
        .iter()
        .any(|value| is_ours(value.as_bytes()))
    {
        return;
    }
    let others = answer.get_all(SET_COOKIE).iter();
    let kept = others
        .filter(|value| !is_ours(value.as_bytes()))
        .cloned()
        .collect();
    replace(answer, &SET_COOKIE, kept);
}

fn replace(headers: &mut HeaderMap, name: &HeaderName, values: Vec<HeaderValue>) {
    headers.remove(name);
    for value in values {
        headers.append(name, value);
    }
}

/// Whether a cookie has a name of ours. Behind a `=` at its beginning stands the value of one without a
/// name, which browsers send as if it were all of it.
fn is_ours(cookie: &[u8]) -> bool {
    let cookie = cookie.trim_ascii_start();
    let named = cookie.strip_prefix(b"=").unwrap_or(cookie);
    is_payment_name(named.trim_ascii_start())
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
    fn payment_cookies_are_taken_out_and_others_stay_to_the_letter() {
        for (before, after) in [
            ("a=b; RDN-Payment=1; c=d", Some("a=b; c=d")),
            ("rdn-anything=1", None),
            ("a=b;c=\"x\"", Some("a=b;c=\"x\"")),
            ("xRDN-Price=1", Some("xRDN-Price=1")),
            (
                "RDN-Price=1; a=b;c = d ;; \te=RDN-Price",
                Some("a=b;c = d ;; \te=RDN-Price"),
            ),
            ("a;rDn_Price=1;\t=RDN.Price=2; = RDN-Price; RDN-;b", Some("a;b")),
            ("RDN-Price=1; ", None),
        ] {
            let mut headers = with(&[before.as_bytes()]);
            strip(&mut headers);
            assert_eq!(
                headers.get(COOKIE).map(|value| value.to_str().unwrap()),
                after,
                "{before}"
            );
        }
        let mut several = with(&[b"a=b;c=d", b"RDN-Price=1", b"e=\xff"]);
        strip(&mut several);
        assert_eq!(several, with(&[b"a=b;c=d", b"e=\xff"]));
    }

    #[test]
    fn payment_cookies_of_an_answer_are_taken_out_and_others_stay_to_the_letter() {
        let mut answer = HeaderMap::new();
        for cookie in [
            "RDN-Price=1; Path=/",
            "a=b; Path=/; RDN-Price=1",
            "rdn_sender-balance=1",
            " =RDN-Price=1",
            "__Host-a=\"b\";Secure",
        ] {
            answer.append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        strip_set(&mut answer);
        let kept: Vec<_> = answer.get_all(SET_COOKIE).iter().collect();
        assert_eq!(kept, ["a=b; Path=/; RDN-Price=1", "__Host-a=\"b\";Secure"]);
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
