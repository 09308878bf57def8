//! Stands before a node, is as strict as hosted nodes are, and away when a test wants it.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::StatusCode;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use url::Url;

#[derive(Debug)]
struct Shared {
    node: Url,
    http: reqwest::Client,
    longest_range: AtomicU64,
    away: AtomicBool,
    answered: AtomicU64,
    refused: AtomicU64,
    lowest_range: Mutex<Option<u64>>,
}

/// A running relay; it ends with the runtime.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Relay {
    pub(crate) async fn start(node: Url) -> Self {
        let shared = Arc::new(Shared {
            node,
            http: reqwest::Client::new(),
            longest_range: AtomicU64::new(u64::MAX),
            away: AtomicBool::default(),
            answered: AtomicU64::default(),
            refused: AtomicU64::default(),
            lowest_range: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", post(pass)).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> Url {
        format!("http://{}", self.address).parse().unwrap()
    }

    /// Refuses logs of more blocks from now on.
    pub(crate) fn refuse_ranges_above(&self, blocks: u64) {
        self.shared.longest_range.store(blocks, Ordering::SeqCst);
    }

    /// Whether it answers as a load balancer without nodes does.
    pub(crate) fn set_away(&self, away: bool) {
        self.shared.away.store(away, Ordering::SeqCst);
    }

    /// How many requests were passed on.
    pub(crate) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::SeqCst)
    }

    /// How many ranges were too long.
    pub(crate) fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// The first block of the lowest range that logs were asked of since [`Self::forget`].
    pub(crate) fn lowest_range(&self) -> Option<u64> {
        *self.shared.lowest_range.lock().unwrap()
    }

    pub(crate) fn forget(&self) {
        *self.shared.lowest_range.lock().unwrap() = None;
    }
}

async fn pass(State(relay): State<Arc<Shared>>, body: String) -> Response {
    if relay.away.load(Ordering::SeqCst) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let request: Value = serde_json::from_str(&body).unwrap();
    if let Some((from, to)) = range(&request) {
        let mut lowest = relay.lowest_range.lock().unwrap();
        *lowest = Some(lowest.map_or(from, |lowest| lowest.min(from)));
        let longest = relay.longest_range.load(Ordering::SeqCst);
        if to - from >= longest {
            relay.refused.fetch_add(1, Ordering::SeqCst);
            let message = format!("eth_getLogs is limited to a {longest} range");
            let error = json!({ "code": -32614, "message": message });
            return json!({ "jsonrpc": "2.0", "id": request["id"], "error": error })
                .to_string()
                .into_response();
        }
    }
    let post = relay.http.post(relay.node.clone()).body(body);
    let answer = post.header("content-type", "application/json").send().await;
    relay.answered.fetch_add(1, Ordering::SeqCst);
    answer.unwrap().text().await.unwrap().into_response()
}

/// The blocks that logs are asked of by number.
fn range(request: &Value) -> Option<(u64, u64)> {
    let number = |end: &str| {
        let text = request["params"][0][end].as_str()?;
        u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
    };
    Some((number("fromBlock")?, number("toBlock")?))
}
