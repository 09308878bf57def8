//! The HTTP/1.1 server: accepts connections, and lets go of those that only hold on.
//!
//! In reading order: [`Server`]; [`Limits`]; `room`, who gives place to whom; `connection`, one
//! socket from its first byte to its last; `activity`, what it is doing and until when; `pace`, how
//! long somebody is waited for; `body`, the body of a request.

mod activity;
mod body;
mod connection;
mod limits;
mod pace;
mod room;

pub(crate) use body::BodyFault;
pub use limits::Limits;
pub(crate) use limits::allow_files;

use axum::Router;
use connection::Service;
use room::Room;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long requests in flight may take at the shutdown.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long to wait when no connection can be accepted, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running server; it ends when it is told to stop, or when it is dropped.
///
/// Before a request is routed its target gets one form: encodings that mean nothing are decoded,
/// slashes at its beginning are one, and dot segments are refused. So what a route is priced for
/// is what its service sees. Each request carries [`ConnectInfo`](axum::extract::ConnectInfo) with
/// the address of its client.
#[derive(Debug)]
pub struct Server {
    address: Option<SocketAddr>,
    router: Current,
    stop: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
}

impl Server {
    /// Begins to serve, in the background, within the limits that are meant for everybody.
    pub fn start(listener: TcpListener, router: Router) -> Self {
        Self::with_limits(listener, router, Limits::default())
    }

    /// Begins to serve, in the background.
    pub fn with_limits(listener: TcpListener, router: Router, limits: Limits) -> Self {
        let address = listener.local_addr().ok();
        let (stop, stopping) = watch::channel(false);
        let (end, ended) = watch::channel(false);
        let limits = Arc::new(limits);
        let router = Current::new(router);
        let service = Service {
            router: router.clone(),
            limits,
        };
        tokio::spawn(async move {
            serve(listener, service, stopping).await;
            end.send_replace(true);
        });
        Self {
            address,
            router,
            stop,
            ended,
        }
    }

    /// Gives later requests to another router, also those on connections that are open. Requests in
    /// flight are answered by the one that they were given to.
    pub fn replace(&self, router: Router) {
        self.router.set(router);
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

/// The router that the next request is given to.
#[derive(Debug, Clone)]
struct Current(Arc<RwLock<Router>>);

impl Current {
    fn new(router: Router) -> Self {
        Self(Arc::new(RwLock::new(router)))
    }

    fn get(&self) -> Router {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, router: Router) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = router;
    }
}

/// Serves until it is told to stop; then answers what is in flight, and cuts off what takes longer
/// than [`GRACE`].
async fn serve(listener: TcpListener, service: Service, stopping: watch::Receiver<bool>) {
    let room = Room::new(service.limits.room());
    let mut connections = JoinSet::new();
    let mut stop = stopping.clone();
    // A server that was dropped stops too.
    let mut stopped = pin!(async { drop(stop.wait_for(|stop| *stop).await) });
    'serving: loop {
        let welcomed = async {
            let (stream, peer) = accept(&listener).await;
            (stream, peer, room.enter().await)
        };
        let mut welcomed = pin!(welcomed);
        let (stream, peer, place) = loop {
            tokio::select! {
                welcomed = welcomed.as_mut() => break welcomed,
                Some(_) = connections.join_next() => {}
                () = &mut stopped => break 'serving,
            }
        };
        connections.spawn(service.clone().serve(stream, peer, place, stopping.clone()));
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections are cut off");
        connections.shutdown().await;
    }
}

/// Waits for the next connection.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
