//! A server with content to sell, which counts, fails and waits as a test wants.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;
use url::Url;

#[derive(Debug)]
struct Shared {
    served: AtomicU64,
    waiting: AtomicU64,
    failures: AtomicU64,
    open: watch::Sender<bool>,
    last_headers: Mutex<HeaderMap>,
}

/// A running server: `/echo/{text}` answers the text, `/fail/{n}` 500 for its first `n` calls,
/// `/wait/{text}` when the gate is open, `/status/{code}` that status with headers of its own,
/// `/length` the length of the request's body.
#[derive(Debug, Clone)]
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Upstream {
    /// Starts on a free port; it ends with the runtime.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared {
            served: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            open: watch::Sender::new(true),
            last_headers: Mutex::new(HeaderMap::new()),
        });
        let router = Router::new()
            .route("/echo/{text}", get(echo))
            .route("/fail/{times}", get(fail))
            .route("/wait/{text}", get(wait))
            .route("/status/{code}", get(with_status))
            .route("/length", post(length))
            .with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn url(&self) -> Url {
        format!("http://{}", self.address)
            .parse()
            .expect("an address makes a URL")
    }

    /// How many requests were answered with content.
    pub fn served(&self) -> u64 {
        self.shared.served.load(Ordering::SeqCst)
    }

    /// How many requests wait at the gate: paid for, and not answered.
    pub fn waiting(&self) -> u64 {
        self.shared.waiting.load(Ordering::SeqCst)
    }

    /// Opens or shuts the gate of `/wait`.
    pub fn set_gate(&self, open: bool) {
        self.shared.open.send_replace(open);
    }

    /// The headers of the last request to `/echo`.
    pub fn last_headers(&self) -> HeaderMap {
        self.shared
            .last_headers
            .lock()
            .expect("no panic while it was held")
            .clone()
    }
}

async fn echo(State(shared): State<Arc<Shared>>, headers: HeaderMap, Path(text): Path<String>) -> String {
    *shared.last_headers.lock().expect("no panic while it was held") = headers;
    shared.served.fetch_add(1, Ordering::SeqCst);
    text
}

async fn fail(State(shared): State<Arc<Shared>>, Path(times): Path<u64>) -> Result<String, StatusCode> {
    if shared.failures.fetch_add(1, Ordering::SeqCst) < times {
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    shared.served.fetch_add(1, Ordering::SeqCst);
    Ok("at last".to_owned())
}

/// With headers that must not reach the client.
async fn with_status(Path(code): Path<u16>) -> Result<impl IntoResponse, StatusCode> {
    let status = StatusCode::from_u16(code).map_err(|_| StatusCode::NOT_FOUND)?;
    let headers = [
        ("rdn-price", "1"),
        ("rdn-cost", "1"),
        ("rdn-anything", "1"),
        ("keep-alive", "timeout=1"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("x-own", "1"),
    ];
    Ok((status, headers))
}

async fn length(State(shared): State<Arc<Shared>>, body: Bytes) -> String {
    shared.served.fetch_add(1, Ordering::SeqCst);
    body.len().to_string()
}

/// Takes the request out of the count also when its client has gone.
struct Waiting(Arc<Shared>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn wait(State(shared): State<Arc<Shared>>, Path(text): Path<String>) -> String {
    shared.waiting.fetch_add(1, Ordering::SeqCst);
    let waiting = Waiting(shared.clone());
    let mut open = shared.open.subscribe();
    // The sender lives as long as the server.
    let _ = open.wait_for(|open| *open).await;
    drop(waiting);
    shared.served.fetch_add(1, Ordering::SeqCst);
    text
}
