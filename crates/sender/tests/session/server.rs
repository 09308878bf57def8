//! An HTTP server that answers as a test tells it to, and keeps what it was sent.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode};
use microraiden_http::PaymentHeaders;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the server was sent.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// How many requests came before.
    pub(crate) number: usize,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    pub(crate) payment: Option<PaymentHeaders>,
}

/// What the server does.
pub(crate) enum Answer {
    Reply(StatusCode, HeaderMap),
    Say(StatusCode, String),
    /// After a while.
    Late(Duration, StatusCode, HeaderMap),
    /// Never.
    Silence,
}

type Script = dyn Fn(&Seen) -> Answer + Send + Sync;

pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone)]
struct Shared {
    seen: Arc<Mutex<Vec<Seen>>>,
    script: Arc<Script>,
}

impl Server {
    pub(crate) async fn start(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let shared = Shared {
            seen: seen.clone(),
            script: Arc::new(script),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new().fallback(answer).with_state(shared);
        tokio::spawn(async { axum::serve(listener, app).await });
        Self { url, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }

    /// The payments that the server was sent, in their order.
    pub(crate) fn payments(&self) -> Vec<PaymentHeaders> {
        self.seen().into_iter().filter_map(|seen| seen.payment).collect()
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body").to_vec();
    let seen = {
        let mut all = shared.seen.lock().expect("no panic");
        let seen = Seen {
            number: all.len(),
            method: parts.method,
            path: parts.uri.path().to_owned(),
            body,
            payment: PaymentHeaders::read(&parts.headers).expect("well-formed payment headers"),
        };
        all.push(seen.clone());
        seen
    };
    let (status, headers, body) = match (shared.script)(&seen) {
        Answer::Reply(status, headers) => (status, headers, String::new()),
        Answer::Say(status, body) => (status, HeaderMap::new(), body),
        Answer::Late(pause, status, headers) => {
            tokio::time::sleep(pause).await;
            (status, headers, String::new())
        }
        Answer::Silence => std::future::pending().await,
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
