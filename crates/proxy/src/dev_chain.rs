//! A development chain that web pages use through the proxy: a relay of JSON-RPC to its node, so that a page needs
//! no other server than the one it is from.

use crate::upstream::Upstream;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{MethodRouter, post};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use microraiden_protocol::SecretKey;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;
use tower::Service;
use url::Url;

/// The longest body that is read.
const MAX_BODY: usize = 64 << 10;
/// The most calls at once.
const MAX_CALLS: usize = 100;
/// How long the node may take until its answer begins, and then for each next piece.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is relayed: reading, and sending what was signed elsewhere. Nothing that signs, mines, or changes the chain or
/// the node in another way.
const METHODS: [&str; 18] = [
    "eth_blockNumber",
    "eth_call",
    "eth_chainId",
    "eth_estimateGas",
    "eth_feeHistory",
    "eth_gasPrice",
    "eth_getBalance",
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getCode",
    "eth_getLogs",
    "eth_getStorageAt",
    "eth_getTransactionByHash",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_maxPriorityFeePerGas",
    "eth_sendRawTransaction",
    "net_version",
];

// The codes of JSON-RPC 2.0.
const NO_JSON: i32 = -32700;
const NO_CALL: i32 = -32600;
const NOT_RELAYED: i32 = -32601;
const NO_ANSWER: i32 = -32603;

/// A development chain that is offered to browsers: the page of a 402 can pay on it from a throw-away wallet.
///
/// Its node answers them, by the proxy, at
/// [`DEV_CHAIN_PATH`](microraiden_paywall::page::DEV_CHAIN_PATH); only calls that read, and transactions that were
/// signed elsewhere, are passed on.
#[derive(Clone)]
pub struct OfferedChain {
    /// The chain's node, by `http` or `https`.
    pub node: Url,
    /// A key with ether, which such wallets begin with: **everybody is told it**.
    pub funder: SecretKey,
}

impl fmt::Debug for OfferedChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The node's address may hold a password.
        f.debug_struct("OfferedChain")
            .field("funder", &self.funder)
            .finish_non_exhaustive()
    }
}

impl OfferedChain {
    /// What answers pages in the place of the node.
    pub(crate) fn relay(&self) -> MethodRouter {
        post(relay)
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(Upstream::new(self.node.clone(), TIMEOUT))
    }
}

/// One call. It is written anew for the node, so that both read the same in it.
#[derive(Debug, Deserialize)]
struct Call {
    id: Value,
    method: String,
    #[serde(default)]
    params: Option<Value>,
}

/// What is asked at once.
#[derive(Debug)]
struct Calls {
    calls: Vec<Call>,
    is_batch: bool,
}

/// What is wrong with a request, for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("the Content-Type must be application/json")]
    ContentType,
    #[error("at most {MAX_BODY} bytes are read")]
    TooLong,
    #[error("the body did not come to its end")]
    Broken,
    #[error("this is no JSON")]
    NoJson,
    #[error("send a call with an id, a method and params, or an array of at most {MAX_CALLS}")]
    NoCall,
}

impl Fault {
    fn answer(&self) -> Response<Body> {
        let (status, code) = match self {
            Self::ContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, NO_CALL),
            Self::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, NO_CALL),
            Self::Broken => (StatusCode::BAD_REQUEST, NO_JSON),
            Self::NoJson => (StatusCode::OK, NO_JSON),
            Self::NoCall => (StatusCode::OK, NO_CALL),
        };
        let error = error(&Value::Null, code, &self.to_string());
        let mut answer = answer(Body::from(error.to_string()));
        *answer.status_mut() = status;
        answer
    }
}

async fn relay(
    State(node): State<Upstream>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response<Body> {
    match read(&headers, body) {
        Ok(calls) => calls.relay(node).await,
        Err(fault) => fault.answer(),
    }
}

fn read(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Calls, Fault> {
    // A page of elsewhere may send any other type without asking first.
    if !is_json(headers) {
        return Err(Fault::ContentType);
    }
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Fault::TooLong,
        _ => Fault::Broken,
    })?;
    let (calls, is_batch) = match serde_json::from_slice(&body).map_err(|_| Fault::NoJson)? {
        Value::Array(calls) => (calls, true),
        call => (vec![call], false),
    };
    if calls.is_empty() || calls.len() > MAX_CALLS {
        return Err(Fault::NoCall);
    }
    let calls: Result<Vec<Call>, _> = calls.into_iter().map(serde_json::from_value).collect();
    let calls = calls.map_err(|_| Fault::NoCall)?;
    let is_id = |call: &Call| call.id.is_string() || call.id.is_number();
    match calls.iter().all(is_id) {
        true => Ok(Calls { calls, is_batch }),
        false => Err(Fault::NoCall),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

impl Calls {
    /// Asks the node, if all of it may be asked.
    async fn relay(self, mut node: Upstream) -> Response<Body> {
        let foreign = |call: &&Call| !METHODS.contains(&call.method.as_str());
        if let Some(Call { method, .. }) = self.calls.iter().find(foreign) {
            let shown: String = method.chars().take(50).collect();
            let text = format!("{shown:?} is not relayed, nor what comes with it; ask a node of your own");
            return self.refuse(NOT_RELAYED, &text);
        }
        let calls = self.calls.iter().map(|call| {
            let Call { id, method, params } = call;
            let params = params.clone().unwrap_or(Value::Array(Vec::new()));
            json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        });
        let mut request = Request::new(Body::from(self.shape(calls).to_string()));
        *request.method_mut() = Method::POST;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        let Ok(answered) = node.call(request).await;
        match answered.status().is_success() {
            true => answer(answered.into_body()),
            false => self.refuse(
                NO_ANSWER,
                "the node of the development chain does not answer; is it running?",
            ),
        }
    }

    /// The same error for every call.
    fn refuse(&self, code: i32, text: &str) -> Response<Body> {
        let errors = self.calls.iter().map(|call| error(&call.id, code, text));
        answer(Body::from(self.shape(errors).to_string()))
    }

    /// An array where one was sent.
    fn shape(&self, mut each: impl Iterator<Item = Value>) -> Value {
        match self.is_batch {
            true => each.collect(),
            false => each.next().unwrap_or_default(),
        }
    }
}

fn error(id: &Value, code: i32, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}})
}

fn answer(body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}
