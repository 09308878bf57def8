//! What the client gets instead of content, and the headers beside it.

use crate::layer::{Paywall, Terms};
use axum::body::Body;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use microraiden_http::{
    MalformedHeader, PaymentHeaders, cookies, prefers_html, refusal_headers, standing_headers,
};
use microraiden_manager::{Denied, Receipt, Unavailable};
use microraiden_protocol::Price;
use std::time::Duration;

/// What decides whether and how an answer is given.
const VARY: HeaderValue = HeaderValue::from_static("Accept, Cookie, RDN-Balance-Signature");

/// What is answered to `OPTIONS`, which is never sold, and never reaches the resource.
pub(crate) fn options(allowed: Option<HeaderValue>) -> Response<Body> {
    let all = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    let mut response = Response::new(Body::empty());
    response
        .headers_mut()
        .insert(header::ALLOW, allowed.unwrap_or(all));
    response
}

/// What is answered to `TRACE`, which never reaches the resource either.
pub(crate) fn no_echo(allowed: Option<HeaderValue>) -> Response<Body> {
    let mut response = options(allowed);
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

/// Whether the request itself is asked for, with whatever secrets are added to it behind the paywall.
/// Some servers of Microsoft's know `TRACE` by another name, and not every one looks at the case.
pub(crate) fn is_echo(method: &Method) -> bool {
    ["TRACE", "TRACK"]
        .iter()
        .any(|name| method.as_str().eq_ignore_ascii_case(name))
}

/// 409: a header that cannot be read.
pub(crate) fn malformed(error: &MalformedHeader) -> Response<Body> {
    sentence(StatusCode::CONFLICT, &error.to_string())
}

/// 429: repeated too often, or nothing but failures of late.
pub(crate) fn too_many(wait: Duration, text: &str) -> Response<Body> {
    let mut response = sentence(StatusCode::TOO_MANY_REQUESTS, text);
    let seconds = wait.as_secs().max(1);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// 402: what the resource costs and how to pay.
pub(crate) fn unpaid(paywall: &Paywall, terms: &Terms, parts: &Parts, price: Price) -> Response<Body> {
    payment_required(paywall, terms, parts, price, paywall.seller.challenge(price))
}

/// 402 with the reason, or 502 or 503 when nothing is sold for now.
pub(crate) fn denied(
    paywall: &Paywall,
    terms: &Terms,
    parts: &Parts,
    price: Price,
    payment: &PaymentHeaders,
    denied: &Denied,
) -> Response<Body> {
    match denied {
        Denied::Refused(refusal, standing) => {
            let mut headers = paywall.seller.challenge(price);
            if let Some(standing) = standing {
                headers.extend(standing_headers(payment.sender, standing));
            }
            headers.extend(refusal_headers(*refusal, payment.form));
            payment_required(paywall, terms, parts, price, headers)
        }
        Denied::Unavailable(why) => unavailable(*why),
    }
}

/// 502 when the node does not do its part or its gas cannot be paid, 503 when we cannot promise what
/// selling takes.
pub(crate) fn unavailable(why: Unavailable) -> Response<Body> {
    let status = match why {
        Unavailable::NodeSilent | Unavailable::HeadTooOld | Unavailable::GasShort => StatusCode::BAD_GATEWAY,
        Unavailable::Busy
        | Unavailable::StoreAway
        | Unavailable::StoreStopped
        | Unavailable::Reorganised
        | Unavailable::ChallengeTooShort
        | Unavailable::WrongChain => StatusCode::SERVICE_UNAVAILABLE,
    };
    sentence(status, &why.to_string())
}

/// A resource that failed: our own short body; nothing was charged.
pub(crate) fn failed(status: StatusCode) -> Response<Body> {
    sentence(
        status,
        "the resource has failed; nothing was charged, the same payment buys again",
    )
}

/// The headers of a paid answer.
pub(crate) fn receipt(receipt: &Receipt) -> HeaderMap {
    let Receipt {
        sender,
        balance,
        cost,
        credit,
        refund,
    } = *receipt;
    microraiden_http::Receipt {
        sender,
        balance,
        cost,
        credit,
        refund,
    }
    .headers()
}

/// Makes a paid answer one client's own: caches that serve several must not keep it.
pub(crate) fn keep_private(headers: &mut HeaderMap) {
    headers.append(header::VARY, VARY);
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
        return;
    }
    let mut directives: Vec<String> = headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_owned())
        .filter(|directive| {
            let name = directive.split('=').next().unwrap_or_default();
            !name.is_empty()
                && !["public", "s-maxage"]
                    .iter()
                    .any(|shared| name.eq_ignore_ascii_case(shared))
        })
        .collect();
    let closed = |directive: &String| {
        ["private", "no-store"]
            .iter()
            .any(|closed| directive.eq_ignore_ascii_case(closed))
    };
    if !directives.iter().any(closed) {
        directives.insert(0, "private".to_owned());
    }
    // The parts were a header's value.
    let value = HeaderValue::try_from(directives.join(", "));
    headers.insert(
        header::CACHE_CONTROL,
        value.unwrap_or(HeaderValue::from_static("private")),
    );
}

fn payment_required(
    paywall: &Paywall,
    terms: &Terms,
    parts: &Parts,
    price: Price,
    headers: HeaderMap,
) -> Response<Body> {
    let html = prefers_html(&parts.headers);
    let mut response = Response::new(Body::empty());
    if html {
        let page = terms.page.as_ref().unwrap_or(&paywall.page);
        let body = page.render(&paywall.page_request(parts, price, &headers));
        *response.body_mut() = body.into();
        *response.headers_mut() = page.headers();
    }
    *response.status_mut() = StatusCode::PAYMENT_REQUIRED;
    // These win.
    response.headers_mut().extend(headers);
    let headers = response.headers_mut();
    let content_type = if html {
        cookies::mirror(&parts.headers, headers);
        "text/html; charset=utf-8"
    } else {
        "application/json"
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, VARY);
    response
}

/// A status with one sentence as a JSON string, as the original answers.
pub(crate) fn sentence(status: StatusCode, text: &str) -> Response<Body> {
    let mut body = serde_json::Value::from(text).to_string();
    body.push('\n');
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use microraiden_http::{Flag, Form, flag, headers};
    use microraiden_protocol::ledger::Refusal;

    #[test]
    fn no_shared_cache_keeps_what_was_paid_for() {
        for (own, private) in [
            (&[][..], "private"),
            (&["public, max-age=60, s-maxage=600"], "private, max-age=60"),
            (&["private"], "private"),
            (&["no-store"], "no-store"),
            (&["max-age=1", "PUBLIC"], "private, max-age=1"),
            (&["S-MaxAge=1,,"], "private"),
        ] {
            let mut headers = HeaderMap::new();
            for value in own {
                headers.append(header::CACHE_CONTROL, HeaderValue::from_static(value));
            }
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
            keep_private(&mut headers);
            assert_eq!(headers[header::CACHE_CONTROL], private, "{own:?}");
            assert_eq!(headers.get_all(header::CACHE_CONTROL).iter().count(), 1);
            let vary: Vec<_> = headers.get_all(header::VARY).iter().collect();
            assert_eq!(vary, [&HeaderValue::from_static("Accept-Language"), &VARY]);
        }
    }

    /// The rows of the documentation's table, as the code has them.
    fn table() -> String {
        let name = |flag: Option<Flag>| {
            flag.map_or("none".to_owned(), |flag| {
                format!("`{}`", headers::documented(&flag.header()))
            })
        };
        let row = |refusal: Refusal| {
            let now = flag(refusal, Form::Documented);
            let before = flag(refusal, Form::Legacy);
            let before = if now == before {
                "the same".to_owned()
            } else {
                name(before)
            };
            let told = if refusal.is_after_signature() { "yes" } else { "no" };
            let (code, now, times) = (refusal.code(), name(now), crate::patience::allowed(refusal));
            format!("| `{code}` | 402 | {now} | {before} | {told} | {times} |\n")
        };
        Refusal::ALL.into_iter().map(row).collect()
    }

    #[test]
    fn the_documentation_has_the_table_of_refusals() {
        let page = include_str!("../../../docs/http.md");
        let (_, rest) = page.split_once("<!-- refusals:").unwrap();
        let (section, _) = rest.split_once("<!-- refusals end -->").unwrap();
        let rows: String = section
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(rows, table(), "docs/http.md");
    }
}
