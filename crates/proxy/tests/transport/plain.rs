//! A server without a paywall, and upstreams for it.

use crate::authority::Authority;
use crate::soon;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request, Version};
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use microraiden_proxy::{Limits, Server, Upstream, UpstreamOptions};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use url::Url;

/// More than any window or buffer holds.
pub(crate) const LARGE: usize = 24 << 20;

/// Gates for handlers that wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    count: Arc<AtomicUsize>,
    left: Arc<AtomicUsize>,
    opens: Arc<Semaphores>,
}

#[derive(Debug)]
struct Semaphores(Semaphore);

impl Default for Semaphores {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

struct Leaves(Arc<AtomicUsize>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Gate {
    /// Waits for one who opens it.
    pub(crate) async fn pass(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        let _leaves = Leaves(self.left.clone());
        self.opens.0.acquire().await.unwrap().forget();
    }

    pub(crate) fn open(&self, for_how_many: usize) {
        self.opens.0.add_permits(for_how_many);
    }

    /// How many have come.
    pub(crate) fn come(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    pub(crate) async fn has_come(&self, count: usize) {
        soon(async {
            while self.come() < count {
                tokio::time::sleep(crate::millis(2)).await;
            }
        })
        .await;
    }

    /// Waits until so many have passed or gone away.
    pub(crate) async fn has_left(&self, count: usize) {
        soon(async {
            while self.left.load(Ordering::SeqCst) < count {
                tokio::time::sleep(crate::millis(2)).await;
            }
        })
        .await;
    }
}

/// What is served, also as an upstream.
pub(crate) fn router(gate: &Gate) -> Router {
    let (wait, drip) = (gate.clone(), gate.clone());
    let waits = move || {
        let gate = wait.clone();
        async move {
            gate.pass().await;
            "at last"
        }
    };
    let drips = move || {
        let pieces = stream::iter(0..3).then(move |number| {
            let gate = drip.clone();
            async move {
                if number > 0 {
                    gate.pass().await;
                }
                Ok::<_, Infallible>(Bytes::from(format!("data: {number}\n\n")))
            }
        });
        async move { ([("content-type", "text/event-stream")], Body::from_stream(pieces)) }
    };
    Router::new()
        .route("/", get(|| async { "ok" }))
        .route("/about", any(about))
        .route("/wait", get(waits))
        .route("/drip", get(drips))
        .route("/large", get(|| async { vec![7; LARGE] }))
        .route(
            "/length",
            post(|body: Bytes| async move { body.len().to_string() }),
        )
        .route("/echo", post(echo))
}

/// What a handler knows of its request.
async fn about(request: Request<Body>) -> String {
    let header = |name: &str| {
        let values: Vec<_> = request
            .headers()
            .get_all(name)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        values.join("|")
    };
    let version = match request.version() {
        Version::HTTP_2 => 2,
        _ => 1,
    };
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let names = [
        "host",
        "cookie",
        "te",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    ];
    let headers: Vec<_> = names
        .iter()
        .map(|name| format!("{name}={}", header(name)))
        .collect();
    format!(
        "version={version} path={} peer={} {}",
        request.uri(),
        peer.is_some(),
        headers.join(" ")
    )
}

/// Gives each piece back as it comes, and the trailers with another name.
async fn echo(body: Body) -> impl IntoResponse {
    let body = body.map_frame(|frame| match frame.into_trailers() {
        Ok(trailers) => {
            let mut echoed = HeaderMap::new();
            if let Some(value) = trailers.get("x-sum") {
                echoed.insert("x-echoed", value.clone());
            }
            Frame::trailers(echoed)
        }
        Err(frame) => frame,
    });
    ([("trailer", "x-echoed")], Body::new(body))
}

pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// A running server, over TLS or not.
pub(crate) struct Plain {
    pub(crate) address: SocketAddr,
    pub(crate) gate: Gate,
    pub(crate) server: Server,
}

impl Plain {
    pub(crate) async fn start(limits: Limits) -> Self {
        let gate = Gate::default();
        Self::of(Server::with_limits(listener().await, router(&gate), limits), gate)
    }

    pub(crate) async fn encrypted(authority: &Authority, limits: Limits) -> Self {
        let gate = Gate::default();
        let server = Server::encrypted(listener().await, router(&gate), limits, authority.certificates());
        Self::of(server, gate)
    }

    fn of(server: Server, gate: Gate) -> Self {
        Self {
            address: server.address().unwrap(),
            gate,
            server,
        }
    }
}

/// A server of HTTP/2 without TLS.
pub(crate) async fn cleartext_http2(gate: &Gate) -> Url {
    let (listener, router) = (listener().await, router(gate));
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(router.clone());
            let connection =
                http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    format!("http://{address}").parse().unwrap()
}

/// Routes that pass everything on.
pub(crate) fn passing_on(base: Url, options: UpstreamOptions) -> Router {
    Router::new().fallback_service(Upstream::with_options(base, options).unwrap())
}
