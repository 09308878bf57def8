//! The server, of HTTP/1.1, and with TLS of HTTP/2 as well: accepts connections, and lets go of those
//! that only hold on.
//!
//! In reading order: [`Server`]; [`Limits`]; `room`, who gives place to whom; `tls`, the beginning of an
//! encrypted connection; `connection`, one socket from its first byte to its last; `activity`, what it
//! is doing and until when; `pace`, how long somebody is waited for; `head` and `body` of a request;
//! `streams`, the requests of HTTP/2.

mod activity;
mod body;
mod connection;
mod head;
mod limits;
mod pace;
mod room;
mod socket;
mod streams;
mod tls;

pub(crate) use body::BodyFault;
pub use limits::Limits;
pub(crate) use limits::allow_files;
pub use tls::{Certificates, CertificatesError};

use axum::Router;
use connection::{Service, Visit};
use room::Room;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long to wait when no connection can be accepted, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long the requests of connections that were cut off may take to notice.
const AFTERMATH: Duration = Duration::from_secs(1);

/// A running server; it ends when it is told to stop, or when it is dropped.
///
/// Before a request is routed its target gets one form: encodings that mean nothing are decoded,
/// slashes at its beginning are one, and dot segments are refused. So what a route is priced for
/// is what its service sees. Whichever way a request names its host, it has a `Host` that says so, and
/// one that contradicts itself is refused. Headers in which a service could read another method or path, or
/// whose names have other signs than hyphens, are taken out.
///
/// Each request carries [`ConnectInfo`](axum::extract::ConnectInfo) with the address of its client, and
/// over TLS [`Scheme::HTTPS`](http::uri::Scheme::HTTPS).
#[derive(Debug)]
pub struct Server {
    address: Option<SocketAddr>,
    service: Arc<Service>,
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
        Self::begin(listener, router, limits, None)
    }

    /// Begins to serve over TLS, in the background: HTTP/2 to those who know it.
    pub fn encrypted(
        listener: TcpListener,
        router: Router,
        limits: Limits,
        certificates: Certificates,
    ) -> Self {
        Self::begin(listener, router, limits, Some(certificates))
    }

    fn begin(
        listener: TcpListener,
        router: Router,
        limits: Limits,
        certificates: Option<Certificates>,
    ) -> Self {
        let address = listener.local_addr().ok();
        let (stop, stopping) = watch::channel(false);
        let (end, ended) = watch::channel(false);
        let places = limits.room(if certificates.is_some() { 3 } else { 2 });
        let service = Arc::new(Service {
            routes: RwLock::new(router),
            limits: Arc::new(limits),
            more: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
        });
        let serving = service.clone();
        tokio::spawn(async move {
            serve(
                listener,
                serving.clone(),
                certificates,
                Room::new(places),
                stopping,
            )
            .await;
            // What they hold on to is of no use any more.
            serving.replace(Router::new());
            end.send_replace(true);
        });
        Self {
            address,
            service,
            stop,
            ended,
        }
    }

    /// Where it listens; `None` when the system does not say.
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Answers by other routes from the next request on, also on connections that are open. Those in flight
    /// go on as they are.
    pub fn replace(&self, router: Router) {
        self.service.replace(router);
    }

    /// Takes no more requests, and answers those in flight, within [`Limits::grace`]. Does not wait.
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
/// than [`Limits::grace`].
async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    certificates: Option<Certificates>,
    room: Arc<Room>,
    stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let (runs, mut running) = mpsc::channel(1);
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
        // Answers are small; without this the last packet of each may wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let visit = Visit {
            peer,
            place,
            stopping: stopping.clone(),
        };
        let service = service.clone();
        match &certificates {
            None => connections.spawn(service.serve(stream, visit)),
            Some(certificates) => {
                let (certificates, runs) = (certificates.clone(), runs.clone());
                connections.spawn(service.serve_encrypted(stream, visit, certificates, runs))
            }
        };
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(service.limits.grace, ended).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections are cut off");
        connections.shutdown().await;
    }
    drop(runs);
    // Requests of HTTP/2 have tasks of their own.
    let _ = timeout(AFTERMATH, running.recv()).await;
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
