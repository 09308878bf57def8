//! A receiver in this process, on a thread and a core of its own.

use super::machine;
use crate::{Failure, listen};
use axum::Router;
use axum::routing::get;
use microraiden_manager::{ChannelManager, Config, Receiver};
use microraiden_paywall::Paywall;
use microraiden_protocol::Price;
use microraiden_proxy::Server;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::{self, JoinHandle};
use tokio::sync::oneshot;

/// Where the content costs something, and where it is free.
pub(super) const PAID: &str = "/paid";
pub(super) const UNPAID: &str = "/unpaid";
/// What a request costs, in base units.
pub(super) const PRICE: u64 = 1;

/// The content of both.
async fn content() -> &'static str {
    "Small debts, settled often, make long friendships.\n"
}

/// A running receiver; it stops when it is dropped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) manager: ChannelManager,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Starts everything that a receiver has, as `proxy` does, on the core.
    ///
    /// # Errors
    /// When a part does not start.
    pub(super) async fn start(receiver: Receiver, core: Option<usize>) -> Result<Self, Failure> {
        let (started, starting) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("receiver".to_owned())
            .spawn(move || {
                let serve = || -> Result<(), Failure> {
                    // Before anything else: threads that are started here stay on this core.
                    machine::pin(core)?;
                    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
                    runtime.block_on(serve(receiver, started, stopped))
                };
                if let Err(error) = serve() {
                    tracing::error!(%error, "the receiver has stopped");
                }
            })?;
        let (address, manager) = starting.await.map_err(|_| "the receiver did not start")??;
        Ok(Self {
            address,
            manager,
            stop,
            thread,
        })
    }

    /// Ends it in order.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        drop(self.manager);
        // It may have stopped by itself.
        let _ = self.stop.send(());
        let ended = tokio::task::spawn_blocking(|| self.thread.join()).await?;
        ended.map_err(|_| "the receiver has panicked".into())
    }
}

type Started = oneshot::Sender<Result<(SocketAddr, ChannelManager), Failure>>;

/// Serves until it is told to stop.
async fn serve(receiver: Receiver, started: Started, stopped: oneshot::Receiver<()>) -> Result<(), Failure> {
    let start = async {
        let manager = ChannelManager::open(receiver, Config::default()).await?;
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let server = Server::start(listener, router(&manager));
        let address = server.address().ok_or("the receiver has no address")?;
        Ok::<_, Failure>((server, address, manager))
    };
    let (server, manager) = match start.await {
        Ok((server, address, manager)) => {
            let _ = started.send(Ok((address, manager.clone())));
            (server, manager)
        }
        Err(error) => {
            let _ = started.send(Err(error));
            return Ok(());
        }
    };
    // Dropped or sent, it means the same.
    let _ = stopped.await;
    server.stop();
    server.join().await;
    manager.stop().await;
    Ok(())
}

/// The same content twice: the difference is what a payment costs.
fn router(manager: &ChannelManager) -> Router {
    let paywall = Paywall::new(manager.clone());
    Router::new()
        .route(PAID, get(content).layer(paywall.price(Price::from(PRICE))))
        .route(UNPAID, get(content))
}
