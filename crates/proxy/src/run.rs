//! Putting the parts together, serving, and stopping in order.

use crate::config::Config;
use crate::monitor::Monitor;
use crate::quota::QuotaError;
use crate::server::{Server, allow_files};
use crate::site::{Counts, Site, SiteError};
use microraiden_manager::{ChainError, ChannelManager, OpenError, Receiver};
use microraiden_paywall::{Paywall, rest};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

/// Why the proxy did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The channel manager did not start.
    #[error(transparent)]
    Manager(#[from] OpenError),
    /// The node is on another chain now, or the contract is gone.
    #[error("the chain cannot be followed any more")]
    Chain(#[source] Arc<ChainError>),
    /// The site cannot be shown.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The file of free quotas cannot be used.
    #[error(transparent)]
    Quota(#[from] QuotaError),
}

/// Sells on `listener` until `shutdown` resolves, and then answers the requests in flight, within
/// limits. Connections made before everything has started wait until it has.
///
/// # Errors
/// When the configuration cannot be used, or a part does not start.
pub async fn run(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    Proxy::new(config, listener).run(shutdown).await
}

/// A proxy that does not run yet.
#[derive(Debug)]
pub struct Proxy {
    config: Config,
    listener: TcpListener,
    monitor: Option<TcpListener>,
    control: Control,
    changes: mpsc::Receiver<Change>,
    ready: watch::Sender<bool>,
}

/// A site to be shown from now on, and who waits for that.
type Change = (Site, oneshot::Sender<Result<(), ChangeError>>);

/// Tells of a running proxy, and changes it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Control {
    changes: mpsc::Sender<Change>,
    ready: watch::Receiver<bool>,
}

/// Why a running proxy does not show another site; it shows what it did.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The site cannot be shown.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The file of free quotas cannot be used.
    #[error(transparent)]
    Quota(#[from] QuotaError),
    /// The proxy has ended.
    #[error("the proxy has ended")]
    Ended,
}

impl Control {
    /// Waits until the proxy sells; `false` when it has ended without.
    pub async fn is_ready(&mut self) -> bool {
        self.ready.wait_for(|ready| *ready).await.is_ok()
    }

    /// Shows another site to later requests, also on connections that are open; those in flight are
    /// answered as they were begun. Waits until the proxy sells.
    ///
    /// # Errors
    /// When it cannot be shown; then all is as it was.
    pub async fn show(&self, site: Site) -> Result<(), ChangeError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.changes.send((site, answer)).await;
        sent.map_err(|_| ChangeError::Ended)?;
        answered.await.map_err(|_| ChangeError::Ended)?
    }
}

impl Proxy {
    /// Sells on `listener`, once it runs.
    pub fn new(config: Config, listener: TcpListener) -> Self {
        let (sender, changes) = mpsc::channel(1);
        let (ready, readiness) = watch::channel(false);
        Self {
            config,
            listener,
            monitor: None,
            control: Control {
                changes: sender,
                ready: readiness,
            },
            changes,
            ready,
        }
    }

    /// Shows operators on another listener how the receiver fares: `/metrics`, `/health` and
    /// `/ready`, from before the chain is read until everything has stopped. It asks for no password,
    /// so customers must not reach it.
    #[must_use]
    pub fn with_monitor(mut self, listener: TcpListener) -> Self {
        self.monitor = Some(listener);
        self
    }

    /// What changes it while it runs.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Sells until `shutdown` resolves, and then answers the requests in flight, within limits.
    /// Connections made before everything has started wait until it has.
    ///
    /// # Errors
    /// When the configuration cannot be used, or a part does not start.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), RunError> {
        self.run_opened(ChannelManager::open, shutdown).await
    }

    /// As [`Self::run`], with a channel manager that is opened in a way of one's own: again and again
    /// until it can be, for example. Until then operators see that it starts.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_opened<F: Future<Output = Result<ChannelManager, OpenError>>>(
        self,
        open: impl FnOnce(Receiver, microraiden_manager::Config) -> F,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), RunError> {
        let Self {
            config,
            listener,
            monitor,
            mut changes,
            ready,
            ..
        } = self;
        config.site.check()?;
        let quota_file = config.quota_file;
        let mut counts = Counts::default();
        tell(&config.site.rest);
        let mut shutdown = pin!(shutdown);
        let monitor = monitor.map(Monitor::start);
        let mut settings = config.manager.clone();
        if let Some(monitor) = &monitor {
            settings.meters = monitor.meters();
        }
        let manager = tokio::select! {
            opened = open(config.receiver.clone(), settings) => opened?,
            // Nothing was sold yet.
            () = &mut shutdown => return Ok(()),
        };
        if let Some(monitor) = &monitor {
            monitor.runs(manager.clone());
        }
        let paywall = Paywall::new(manager.clone());
        allow_files();
        counts.prepare(&config.site, &quota_file)?;
        let router = config.site.router(&paywall, &counts)?;
        let server = match config.certificates {
            Some(certificates) => Server::encrypted(listener, router, config.limits, certificates),
            None => Server::with_limits(listener, router, config.limits),
        };
        ready.send_replace(true);
        let mut ended = Ok(());
        loop {
            tokio::select! {
                () = &mut shutdown => server.stop(),
                failure = manager.failed() => {
                    server.stop();
                    ended = Err(RunError::Chain(failure));
                }
                () = server.join() => {}
                Some((site, answer)) = changes.recv() => {
                    let shown = show(&site, &paywall, &mut counts, &quota_file, &server);
                    // Whoever has asked may be gone.
                    let _ = answer.send(shown);
                    continue;
                }
            }
            break;
        }
        if let Some(monitor) = &monitor {
            monitor.stops();
        }
        server.join().await;
        if let Some(quotas) = &counts.quotas {
            quotas.stop().await;
        }
        manager.stop().await;
        ended
    }
}

/// Gives later requests to another site.
fn show(
    site: &Site,
    paywall: &Paywall,
    counts: &mut Counts,
    quota_file: &Path,
    server: &Server,
) -> Result<(), ChangeError> {
    site.check()?;
    counts.prepare(site, quota_file)?;
    server.replace(site.router(paywall, counts)?);
    Ok(())
}

/// Says what the settings mean.
fn tell(rest: &rest::Settings) {
    if rest.legacy_close {
        tracing::warn!(
            "legacy close is on: whoever asks for a close at a channel's balance, which anybody can read, \
             ends the selling on that channel"
        );
    } else {
        tracing::info!(
            "legacy close is off: clients of 2018, which send no signature with a close, close on chain \
             without us, and such a close is disputed when it is stale"
        );
    }
    let operators: Vec<_> = rest.operators.names().collect();
    if operators.is_empty() {
        tracing::info!("nobody can log in as an operator");
    } else {
        tracing::info!(?operators, "operators can log in");
    }
}
