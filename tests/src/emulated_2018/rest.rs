//! The REST API of 2018: numbers are JSON numbers, lists are grouped by sender.

use super::book::{NoClose, Row};
use super::request::{python_int, read_address};
use super::{Shared, html, internal_error, json, json_string};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderMap, StatusCode};
use microraiden_protocol::{Address, Amount, ChannelId};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

type Parameters = Query<HashMap<String, String>>;

/// Adds what lies below `/api/1`.
pub(super) fn routes(router: Router<Arc<Shared>>) -> Router<Arc<Shared>> {
    router
        .route("/cm", get(async || json_string(StatusCode::OK, "OK")))
        .route("/api/1/stats", get(stats))
        .route("/api/1/channels", get(elsewhere))
        .route("/api/1/channels/", get(grouped))
        .route("/api/1/channels/{sender}", get(of_sender))
        .route("/api/1/channels/{sender}/{block}", get(one).delete(close))
}

/// A redirection to the path with a slash.
async fn elsewhere(headers: HeaderMap) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let location = format!("http://{}/api/1/channels/", host.unwrap_or("localhost"));
    (StatusCode::MOVED_PERMANENTLY, [(LOCATION, location)]).into_response()
}

/// The filter by status, or the answer to a wrong one.
fn filter(query: &Parameters) -> Result<fn(&Row) -> bool, Box<Response>> {
    match query.get("status").map_or("open", String::as_str) {
        "open" => Ok(|row| !row.is_closed),
        "closed" => Ok(|row| row.is_closed),
        "all" => Ok(|_| true),
        _ => {
            let body = r#"{"message": {"status": "filter channels by a status"}}"#;
            Err(Box::new(json(StatusCode::BAD_REQUEST, body)))
        }
    }
}

async fn grouped(State(shared): State<Arc<Shared>>, query: Parameters) -> Response {
    let filter = match filter(&query) {
        Ok(filter) => filter,
        Err(answer) => return *answer,
    };
    let book = shared.book.lock().await;
    let mut senders: BTreeMap<Address, Vec<String>> = BTreeMap::new();
    for (channel, _) in book.channels().filter(|(_, row)| filter(row)) {
        let blocks = senders.entry(channel.sender).or_default();
        blocks.push(channel.open_block.to_string());
    }
    let entries = senders.iter().map(|(sender, blocks)| {
        let blocks = blocks.join(", ");
        format!(r#"{{"sender_address": "{sender}", "blocks": [{blocks}]}}"#)
    });
    json(StatusCode::OK, list(entries))
}

async fn of_sender(shared: State<Arc<Shared>>, Path(sender): Path<String>, query: Parameters) -> Response {
    let Some(sender) = read_address(&sender) else {
        return grouped(shared, query).await;
    };
    let filter = match filter(&query) {
        Ok(filter) => filter,
        Err(answer) => return *answer,
    };
    let book = shared.book.lock().await;
    let rows = book.channels().filter(|(channel, _)| channel.sender == sender);
    let entries = rows.filter(|(_, row)| filter(row)).map(|(channel, row)| {
        let (block, state) = (channel.open_block, if row.is_closed { "closed" } else { "open" });
        let (deposit, balance) = (row.deposit, row.balance);
        format!(
            r#"{{"sender_address": "{sender}", "open_block": {block}, "state": "{state}", "deposit": {deposit}, "balance": {balance}}}"#
        )
    });
    json(StatusCode::OK, list(entries))
}

async fn one(State(shared): State<Arc<Shared>>, Path((sender, block)): Path<(String, String)>) -> Response {
    let Ok(open_block) = block.parse() else {
        return html(StatusCode::NOT_FOUND, "Not Found", "text/html");
    };
    let receiver = shared.receiver();
    let channel = read_address(&sender).map(|sender| ChannelId {
        sender,
        receiver,
        open_block,
    });
    let book = shared.book.lock().await;
    let Some((channel, row)) = channel.and_then(|channel| Some((channel, book.channel(&channel)?))) else {
        return json_string(StatusCode::NOT_FOUND, "Sender address not found");
    };
    let signature = Value::from(row.last_signature.clone());
    let timeout = row
        .settle_timeout
        .map_or("-1".to_owned(), |block| block.to_string());
    let (sender, state) = (channel.sender, u8::from(row.is_closed));
    let (deposit, balance) = (row.deposit, row.balance);
    json(
        StatusCode::OK,
        format!(
            r#"{{"receiver": "{receiver}", "sender": "{sender}", "deposit": {deposit}, "open_block_number": {open_block}, "balance": {balance}, "state": {state}, "last_signature": {signature}, "settle_timeout": {timeout}, "ctime": 0.0, "mtime": 0.0, "confirmed": 1, "unconfirmed_topups": {{}}}}"#
        ),
    )
}

async fn stats(State(shared): State<Arc<Shared>>) -> Response {
    let (receiver, contract) = (shared.receiver(), &shared.contract);
    let liquid = contract.token_balance(receiver).await.expect("the node answers");
    let token = contract.token().address;
    let contract = contract.address();
    let book = shared.book.lock().await;
    let sum = |of: fn(&Row) -> Amount| {
        let amounts = book.channels().map(|(_, row)| of(row));
        amounts.fold(Amount::ZERO, |sum, amount| {
            sum.checked_add(amount).expect("a sum of deposits")
        })
    };
    let balances = sum(|row| Amount::new(row.balance.base_units()));
    let deposits = sum(|row| Amount::new(row.deposit.base_units()));
    let open = book.channels().filter(|(_, row)| !row.is_closed).count();
    let pending = book.channels().count() - open;
    let senders: HashSet<_> = book.channels().map(|(channel, _)| channel.sender).collect();
    let (senders, head) = (senders.len(), book.head());
    let (manager_abi, token_abi) = (
        microraiden_chain::abi::channels(),
        microraiden_chain::abi::token(),
    );
    json(
        StatusCode::OK,
        format!(
            r#"{{"balance_sum": {balances}, "deposit_sum": {deposits}, "open_channels": {open}, "pending_channels": {pending}, "unique_senders": {senders}, "liquid_balance": {liquid}, "token_address": "{token}", "contract_address": "{contract}", "receiver_address": "{receiver}", "manager_abi": {manager_abi}, "token_abi": {token_abi}, "sync_block": {head}}}"#
        ),
    )
}

async fn close(
    State(shared): State<Arc<Shared>>,
    Path((sender, block)): Path<(String, String)>,
    query: Parameters,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if shared.closes_denied.load(Ordering::SeqCst) {
        return html(StatusCode::NOT_FOUND, "Not Found", "text/html");
    }
    let Ok(open_block) = block.parse() else {
        return html(StatusCode::NOT_FOUND, "Not Found", "text/html");
    };
    let bad = |text: &str| json_string(StatusCode::BAD_REQUEST, text);
    let balance = match balance(&query, &headers, &body) {
        Ok(Some(balance)) => balance,
        Ok(None) => return bad("Bad balance format"),
        Err(message) => return json(StatusCode::BAD_REQUEST, message),
    };
    let Some(sender) = read_address(&sender) else {
        return internal_error();
    };
    let channel = ChannelId {
        sender,
        receiver: shared.receiver(),
        open_block,
    };
    match shared.book.lock().await.promise_close(&channel, &balance) {
        Ok(balance) => {
            let scheme = shared.contract.scheme();
            let signature = scheme.sign_closing(&shared.key, &channel, balance);
            json(StatusCode::OK, format!(r#"{{"close_signature": "{signature}"}}"#))
        }
        Err(NoClose::Unknown) => bad(&format!(
            "Channel does not exist or has been closed(sender={sender}, open_block_number={open_block})"
        )),
        Err(NoClose::Closed) => bad("Channel closing has been requested already."),
        Err(NoClose::WrongBalance) => bad("Requested closing balance does not match latest one."),
        Err(NoClose::NoPayment) => internal_error(),
    }
}

/// The parameter `balance`, through Python's `int`: of a JSON body, a form or the query.
fn balance(query: &Parameters, headers: &HeaderMap, body: &[u8]) -> Result<Option<String>, &'static str> {
    const NO_NUMBER: &str = r#"{"message": {"balance": "last balance proof balance"}}"#;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let read = |text: &str| {
        let (negative, digits) = python_int(text).map_err(|_| NO_NUMBER)?;
        let sign = if negative { "-" } else { "" };
        Ok(Some(format!("{sign}{digits}")))
    };
    if kind.is_some_and(|kind| kind.starts_with("application/json")) {
        let body: Value = serde_json::from_slice(body).map_err(|_| r#"{"message": "Bad Request"}"#)?;
        match body.get("balance") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => return read(text),
            Some(Value::Bool(flag)) => return read(if *flag { "1" } else { "0" }),
            // Python cuts off what is behind the point.
            Some(Value::Number(number)) => {
                return read(number.to_string().split('.').next().unwrap_or_default());
            }
            Some(_) => return Err(NO_NUMBER),
        }
    }
    let form = format!("http://form/?{}", String::from_utf8_lossy(body));
    let form = url::Url::parse(&form).ok();
    let in_form = form.and_then(|form| {
        let pair = form.query_pairs().find(|(name, _)| name == "balance")?;
        Some(pair.1.into_owned())
    });
    match in_form.or_else(|| query.get("balance").cloned()) {
        Some(text) => read(&text),
        None => Ok(None),
    }
}

fn list(entries: impl Iterator<Item = String>) -> String {
    format!("[{}]", entries.collect::<Vec<_>>().join(", "))
}
