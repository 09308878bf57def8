//! A receiver in this process, with the content in its own hands or on a server behind it.

use super::apart::Apart;
use super::machine::Cores;
use crate::{Failure, listen};
use axum::Router;
use axum::routing::get;
use microraiden_manager::{ChannelManager, Receiver};
use microraiden_paywall::Paywall;
use microraiden_protocol::Price;
use microraiden_proxy::{Config, Limits, Proxy, Route, Server, Site};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use tokio::sync::oneshot;
use url::Url;

/// Where the content costs something, and where it is free.
pub(super) const PAID: &str = "/paid";
pub(super) const UNPAID: &str = "/unpaid";
/// What a request costs, in base units.
pub(super) const PRICE: u64 = 1;
/// Of this machine, at a port that is free.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What is sold, and the same for nothing.
async fn content() -> &'static str {
    "Small debts, settled often, make long friendships.\n"
}

/// Where a receiver listens, and what knows what it was paid.
pub(super) struct Till {
    pub(super) address: SocketAddr,
    pub(super) manager: ChannelManager,
}

/// Starts everything that a receiver has, on its core; it sells what it has itself.
///
/// # Errors
/// When a part does not start.
pub(super) async fn start(receiver: Receiver, cores: Cores) -> Result<Apart<Till>, Failure> {
    let serve = async move |started: oneshot::Sender<Till>, stopped: oneshot::Receiver<()>| {
        let manager = ChannelManager::open(receiver, microraiden_manager::Config::default()).await?;
        let server = Server::start(listen(ANYWHERE).await?, router(&manager));
        let address = server.address().ok_or("the receiver has no address")?;
        let till = Till {
            address,
            manager: manager.clone(),
        };
        let _ = started.send(till);
        let _ = stopped.await;
        server.stop();
        server.join().await;
        manager.stop().await;
        Ok(())
    };
    Apart::start("receiver", cores.server, serve).await
}

/// The same content twice: the difference is what a payment costs.
fn router(manager: &ChannelManager) -> Router {
    let paywall = Paywall::new(manager.clone());
    Router::new()
        .route(PAID, get(content).layer(paywall.price(Price::from(PRICE))))
        .route(UNPAID, get(content))
}

/// Starts a reverse proxy on the receiver's core, as the command `proxy` does without further settings,
/// and the server behind it where the load is: both are elsewhere in earnest.
///
/// # Errors
/// When a part does not start.
pub(super) async fn start_proxy(receiver: Receiver, cores: Cores) -> Result<Apart<Till>, Failure> {
    let upstream = start_upstream(cores.generator).await?;
    let site = Site {
        routes: vec![
            Route::new(PAID, PRICE, upstream.shown.clone()),
            Route::new(UNPAID, 0, upstream.shown.clone()),
        ],
        ..Site::default()
    };
    let config = Config {
        receiver,
        quota_file: PathBuf::new(),
        manager: microraiden_manager::Config::default(),
        limits: Limits::default(),
        certificates: None,
        site,
    };
    let serve = async move |started: oneshot::Sender<Till>, stopped: oneshot::Receiver<()>| {
        let listener = listen(ANYWHERE).await?;
        let address = listener.local_addr()?;
        let open = async move |receiver, config| {
            let manager = ChannelManager::open(receiver, config).await?;
            let till = Till {
                address,
                manager: manager.clone(),
            };
            // Who connects before the rest has started waits until it has.
            let _ = started.send(till);
            Ok(manager)
        };
        let stop = async { drop(stopped.await) };
        Proxy::new(config, listener).run_opened(open, stop).await?;
        upstream.stop().await
    };
    Apart::start("receiver", cores.server, serve).await
}

/// Starts a server that has the content at every path, on the core; gives its address.
///
/// # Errors
/// When it does not start.
async fn start_upstream(core: Option<usize>) -> Result<Apart<Url>, Failure> {
    let serve = async |started: oneshot::Sender<Url>, stopped: oneshot::Receiver<()>| {
        let listener = listen(ANYWHERE).await?;
        let url = format!("http://{}", listener.local_addr()?).parse()?;
        let server = Server::start(listener, Router::new().fallback(get(content)));
        let _ = started.send(url);
        let _ = stopped.await;
        server.stop();
        server.join().await;
        Ok(())
    };
    Apart::start("upstream", core, serve).await
}
