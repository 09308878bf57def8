//! A paid request: the original's checks in their order, and what it answers.

use super::book::Row;
use super::request::{self, Offer};
use super::{Mishap, Shared, html, internal_error, json_string};
use alloy_primitives::{U256, hex};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use microraiden_http::headers::{self, documented};
use microraiden_protocol::{Address, ChannelId, Signature};
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Below this the receiver's ether is said to be too little, which it is far above as well.
const BALANCE_LIMIT_WEI: u64 = 100_000_000;

/// What becomes of a payment.
enum Verdict {
    Refused(HeaderMap),
    /// With the headers from before it was stored.
    Accepted(HeaderMap),
    /// An exception that nobody catches.
    Exception,
}

/// Sells whatever is asked for.
pub(super) async fn access(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    // Double slashes are tolerated.
    let path = request.uri().path().replace("//", "/");
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return [(ALLOW, "GET, HEAD, OPTIONS")].into_response(),
        _ => return html(StatusCode::METHOD_NOT_ALLOWED, "", "text/html"),
    }
    if shared.mishap(&[Mishap::NodeOffline]).is_some() {
        return json_string(StatusCode::BAD_GATEWAY, "Ethereum node is not responding");
    }
    let node = shared.contract.node();
    let wei = node
        .eth_balance(shared.receiver())
        .await
        .expect("the node answers");
    if wei < U256::from(BALANCE_LIMIT_WEI) {
        let message = "Channel manager ETH balance is below limit";
        return json_string(StatusCode::BAD_GATEWAY, message);
    }
    let offer = match request::read(request.headers()) {
        Ok(offer) => offer,
        Err(message) => {
            shared.refused.fetch_add(1, Ordering::SeqCst);
            return json_string(StatusCode::CONFLICT, &message);
        }
    };
    if path.starts_with("/free/") {
        return resource(&path, HeaderMap::new());
    }
    let headers = shared.base_headers();
    let Some(signature) = offer.signature.clone() else {
        return shared.payment_required(request.headers(), headers);
    };
    match shared.verdict(&offer, &signature, headers).await {
        Verdict::Refused(headers) => {
            shared.refused.fetch_add(1, Ordering::SeqCst);
            shared.payment_required(request.headers(), headers)
        }
        Verdict::Exception => internal_error(),
        Verdict::Accepted(headers) => match shared.mishap(&[Mishap::LostAnswer, Mishap::HandlerError]) {
            Some(Mishap::LostAnswer) => std::future::pending().await,
            Some(_) => internal_error(),
            None => resource(&path, headers),
        },
    }
}

/// What is sold. A string, or a response object that has the `RDN-*` headers merged in.
fn resource(path: &str, headers: HeaderMap) -> Response {
    let mut response = html(StatusCode::OK, path.to_owned(), "text/html; charset=utf-8");
    if path.starts_with("/response/") {
        response.headers_mut().extend(headers);
    }
    response
}

impl Shared {
    fn base_headers(&self) -> HeaderMap {
        let checksum = |address: Address| text(address.to_checksum(None));
        HeaderMap::from_iter([
            (headers::GATEWAY_PATH, text("/api/1")),
            (headers::RECEIVER_ADDRESS, checksum(self.receiver())),
            (headers::CONTRACT_ADDRESS, checksum(self.contract.address())),
            (headers::TOKEN_ADDRESS, checksum(self.contract.token().address)),
            (headers::PRICE, text(self.price())),
        ])
    }

    /// Checks a payment and stores it, with nothing in between.
    async fn verdict(&self, offer: &Offer, signature: &str, mut headers: HeaderMap) -> Verdict {
        let mut book = self.book.lock().await;
        let (Some(sender), Some(block), Some(balance)) = (offer.sender, &offer.open_block, &offer.balance)
        else {
            return Verdict::Exception;
        };
        let channel = block.block().map(|open_block| ChannelId {
            sender,
            receiver: self.receiver(),
            open_block,
        });
        if channel.is_some_and(|channel| book.is_unconfirmed(&channel)) {
            return flagged(headers, headers::INSUFFICIENT_CONFIRMATIONS);
        }
        let known = channel.and_then(|channel| Some((channel, book.channel(&channel)?.clone())));
        let Some((channel, row)) = known.filter(|(_, row)| !row.is_closed) else {
            return flagged(headers, headers::NONEXISTING_CHANNEL);
        };
        let (Some(balance), Some(parsed)) = (balance.balance(), read_signature(signature)) else {
            return Verdict::Exception;
        };
        let hash = self.contract.scheme().balance_proof_hash(&channel, balance);
        match parsed.recover(hash) {
            Err(_) => return Verdict::Exception,
            Ok(signer) if signer != sender => return flagged(headers, headers::INVALID_BALANCE_PROOF),
            Ok(_) => {}
        }
        stored(&row, sender, &mut headers);
        let raised = balance.checked_since(row.balance);
        if balance != row.balance && raised != Some(self.price().into()) {
            return flagged(headers, headers::INVALID_AMOUNT);
        }
        // What is not raised or not covered has no flag: its exception is swallowed.
        if book.register(&channel, balance, signature) {
            Verdict::Accepted(headers)
        } else {
            Verdict::Refused(headers)
        }
    }

    /// A 402, as a page with cookies for those who seem to be browsers.
    fn payment_required(&self, request: &HeaderMap, headers: HeaderMap) -> Response {
        let mut response = if request::accepts_html(request) {
            self.pages.fetch_add(1, Ordering::SeqCst);
            let mut page = html(StatusCode::PAYMENT_REQUIRED, "<html></html>", "text/html");
            for (name, value) in &headers {
                let value = String::from_utf8_lossy(value.as_bytes());
                let cookie = text(format!("{}={value}; Path=/", documented(name)));
                page.headers_mut().append(SET_COOKIE, cookie);
            }
            page
        } else {
            let json = [(CONTENT_TYPE, "application/json")];
            (StatusCode::PAYMENT_REQUIRED, json).into_response()
        };
        response.headers_mut().extend(headers);
        response
    }
}

fn flagged(mut headers: HeaderMap, flag: HeaderName) -> Verdict {
    headers.insert(flag, text(1));
    Verdict::Refused(headers)
}

/// What is told of the account, as it was before this payment.
fn stored(row: &Row, sender: Address, headers: &mut HeaderMap) {
    headers.insert(headers::SENDER_ADDRESS, text(sender.to_checksum(None)));
    headers.insert(headers::SENDER_BALANCE, text(row.balance));
    if let Some(signature) = &row.last_signature {
        headers.insert(headers::BALANCE_SIGNATURE, text(signature));
    }
}

/// 65 bytes; any v from 35 on is taken for one of EIP-155. High s is not read here, which the
/// original takes.
fn read_signature(text: &str) -> Option<Signature> {
    let mut bytes = hex::decode(text).ok()?;
    let v = bytes.get_mut(64)?;
    if *v >= 35 {
        *v = 27 + (*v - 35) % 2;
    }
    Signature::from_bytes(&bytes).ok()
}

fn text(value: impl Display) -> HeaderValue {
    value.to_string().parse().expect("printable text")
}
