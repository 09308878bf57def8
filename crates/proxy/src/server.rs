//! The HTTP/1.1 server: accepts connections, and lets go of those that only hold on.

use crate::target::{Unusable, normalise};
use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

/// How long a client may take to send the head of a request, or to begin the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long requests in flight may take at the shutdown.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long to wait when no connection can be accepted, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running server; it ends when it is told to stop, or when it is dropped.
///
/// Before a request is routed its target gets one form: encodings that mean nothing are decoded,
/// slashes at its beginning are one, and dot segments are refused. So what a route is priced for
/// is what its service sees.
#[derive(Debug)]
pub struct Server {
    address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
}

impl Server {
    /// Begins to serve, in the background.
    pub fn start(listener: TcpListener, router: Router) -> Self {
        let address = listener.local_addr().ok();
        let (stop, stopping) = watch::channel(false);
        let (end, ended) = watch::channel(false);
        tokio::spawn(async move {
            serve(listener, router, stopping).await;
            end.send_replace(true);
        });
        Self { address, stop, ended }
    }

    /// Where it listens; `None` when the system does not say.
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Takes no more requests, and answers those in flight, within [`GRACE`]. Does not wait.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until it has ended.
    pub async fn join(&self) {
        // A server whose task is gone has ended as well.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

/// Serves until it is told to stop; then answers what is in flight, and cuts off what takes longer
/// than [`GRACE`].
async fn serve(listener: TcpListener, router: Router, stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut stop = stopping.clone();
    // A server that was dropped stops too.
    let mut stopped = pin!(async { drop(stop.wait_for(|stop| *stop).await) });
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), stopping.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = &mut stopped => break,
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections are cut off");
        connections.shutdown().await;
    }
}

/// Serves one connection to its end, or to the end of its request when everything stops.
async fn connection(stream: TcpStream, router: Router, mut stopping: watch::Receiver<bool>) {
    // Answers are small; without this the last packet of each may wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = tower::service_fn(move |request| answer(router.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = async { drop(stopping.wait_for(|stop| *stop).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection has ended");
    }
}

/// Gives a request to the routes, unless its target is none that they can judge.
async fn answer(router: Router, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    match normalise(request.method(), request.uri()) {
        Ok(target) => *request.uri_mut() = target,
        Err(unusable) => return Ok(unusable.into_response()),
    }
    router.oneshot(request.map(Body::new)).await
}

impl IntoResponse for Unusable {
    fn into_response(self) -> Response<Body> {
        (self.status(), format!("{self}\n")).into_response()
    }
}
