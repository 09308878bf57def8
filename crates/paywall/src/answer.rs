//! What the client gets instead of content, and the headers beside it.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use microraiden_http::{MalformedHeader, PaymentHeaders, Seller, refusal_headers, standing_headers};
use microraiden_manager::{Denied, Receipt, Unavailable};
use microraiden_protocol::Price;

/// 409: a header that cannot be read.
pub fn malformed(error: &MalformedHeader) -> Response<Body> {
    sentence(StatusCode::CONFLICT, &error.to_string())
}

/// 402: what the resource costs and how to pay.
pub fn unpaid(seller: &Seller, price: Price) -> Response<Body> {
    payment_required(seller.challenge(price))
}

/// 402 with the reason, or 502 or 503 when nothing is sold for now.
pub fn denied(seller: &Seller, price: Price, payment: &PaymentHeaders, denied: &Denied) -> Response<Body> {
    match denied {
        Denied::Refused(refusal, standing) => {
            let mut headers = seller.challenge(price);
            if let Some(standing) = standing {
                headers.extend(standing_headers(payment.sender, standing));
            }
            headers.extend(refusal_headers(*refusal, payment.form));
            payment_required(headers)
        }
        Denied::Unavailable(why) => unavailable(*why),
    }
}

/// 502 when the node is silent, 503 when payments cannot be stored.
pub fn unavailable(why: Unavailable) -> Response<Body> {
    let status = match why {
        Unavailable::NodeSilent => StatusCode::BAD_GATEWAY,
        Unavailable::Busy | Unavailable::StoreStopped => StatusCode::SERVICE_UNAVAILABLE,
    };
    sentence(status, &why.to_string())
}

/// A resource that failed: our own short body; nothing was charged.
pub fn failed(status: StatusCode) -> Response<Body> {
    sentence(
        status,
        "the resource has failed; nothing was charged, the same payment buys again",
    )
}

/// The headers of a paid answer.
pub fn receipt(receipt: &Receipt) -> HeaderMap {
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

fn payment_required(headers: HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PAYMENT_REQUIRED;
    *response.headers_mut() = headers;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
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
