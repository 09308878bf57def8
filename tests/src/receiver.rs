//! A receiver in this process: the proxy as its users run it, on a free port.

use crate::world::World;
use axum::Router;
use microraiden_manager::ChannelManager;
use microraiden_paywall::{Paywall, rest};
use microraiden_proxy::{Config, Limits, Proxy, Resource, Route, Server, Site};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

/// A running proxy that sells everything of one upstream for one price.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    monitor: Option<SocketAddr>,
    shutdown: watch::Sender<bool>,
    task: JoinHandle<Result<(), microraiden_proxy::RunError>>,
}

/// How long a proxy waits, for clients and for its upstream.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For clients.
    pub limits: Limits,
    /// For the upstream.
    pub upstream_timeout: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            upstream_timeout: Duration::from_secs(20),
        }
    }
}

impl Patience {
    /// Makes a proxy wait so.
    pub fn apply(self, config: &mut Config) {
        config.limits = self.limits;
        for route in &mut config.site.routes {
            if let Resource::Upstream { options, .. } = &mut route.resource {
                options.timeout = self.upstream_timeout;
            }
        }
    }
}

/// Following quickly, so that tests are quick.
pub fn quick() -> microraiden_manager::Config {
    microraiden_manager::Config {
        poll_interval: Duration::from_millis(30),
        dispute_retry: Duration::from_millis(500),
        ..microraiden_manager::Config::default()
    }
}

impl Receiver {
    /// Starts a proxy that keeps its state in `state_file`.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(
        world: &World,
        upstream: Url,
        price: u64,
        state_file: &Path,
        manager: microraiden_manager::Config,
    ) -> Self {
        let patience = Patience::default();
        Self::with_patience(world, upstream, price, state_file, manager, patience).await
    }

    /// Starts such a proxy with limits of its own.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn with_patience(
        world: &World,
        upstream: Url,
        price: u64,
        state_file: &Path,
        manager: microraiden_manager::Config,
        patience: Patience,
    ) -> Self {
        let change = |config: &mut Config| {
            patience.apply(config);
        };
        Self::start_with(world, upstream, price, state_file, manager, change).await
    }

    /// Starts one whose configuration is changed first.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start_with(
        world: &World,
        upstream: Url,
        price: u64,
        state_file: &Path,
        manager: microraiden_manager::Config,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        Self::launch(world, upstream, price, state_file, manager, change, None).await
    }

    /// Starts one that shows operators how it fares, and whose configuration is changed first.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start_monitored(
        world: &World,
        upstream: Url,
        price: u64,
        state_file: &Path,
        manager: microraiden_manager::Config,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let monitor = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::launch(world, upstream, price, state_file, manager, change, Some(monitor)).await
    }

    async fn launch(
        world: &World,
        upstream: Url,
        price: u64,
        state_file: &Path,
        manager: microraiden_manager::Config,
        change: impl FnOnce(&mut Config),
        monitor: Option<TcpListener>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let bound = |listener: &TcpListener| listener.local_addr().expect("a bound socket has an address");
        let monitored = monitor.as_ref().map(bound);
        let address = listener.local_addr().expect("a bound socket has an address");
        let route = Route::new("/{*rest}", price, upstream);
        let mut config = Config {
            receiver: microraiden_manager::Receiver {
                rpc: vec![world.node.url()],
                contract: world.contract.address(),
                key: world.receiver.clone(),
                store: state_file.to_owned().into(),
            },
            quota_file: state_file.with_added_extension("quota"),
            manager,
            limits: Patience::default().limits,
            certificates: None,
            site: Site {
                routes: vec![route],
                ..Site::default()
            },
        };
        change(&mut config);
        let (shutdown, mut stopped) = watch::channel(false);
        let stopped = async move {
            // A dropped sender means the same.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        let mut proxy = Proxy::new(config, listener);
        if let Some(monitor) = monitor {
            proxy = proxy.with_monitor(monitor);
        }
        let task = tokio::spawn(proxy.run(stopped));
        Self {
            address,
            monitor: monitored,
            shutdown,
            task,
        }
    }

    /// Starts a service of the test's own, which sells by the paywall that it is given.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn serve(
        world: &World,
        state_file: &Path,
        manager: microraiden_manager::Config,
        service: impl FnOnce(&Paywall) -> Router + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let receiver = microraiden_manager::Receiver {
            rpc: vec![world.node.url()],
            contract: world.contract.address(),
            key: world.receiver.clone(),
            store: state_file.to_owned().into(),
        };
        let (shutdown, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let manager = ChannelManager::open(receiver, manager).await?;
            let paywall = Paywall::new(manager.clone());
            let router = rest::router(paywall.clone(), rest::Settings::default()).merge(service(&paywall));
            let server = Server::start(listener, router);
            // A dropped sender means the same.
            let _ = stopped.wait_for(|stopped| *stopped).await;
            server.stop();
            server.join().await;
            manager.stop().await;
            Ok(())
        });
        Self {
            address,
            monitor: None,
            shutdown,
            task,
        }
    }

    /// The URL of a path for operators.
    ///
    /// # Panics
    /// When nothing is shown to operators.
    pub fn monitor(&self, path: &str) -> Url {
        let address = self.monitor.expect("it is monitored");
        format!("http://{address}{path}")
            .parse()
            .expect("an address makes a URL")
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.address)
            .parse()
            .expect("an address makes a URL")
    }

    /// Has it end in order, and does not wait.
    pub fn shut_down(&self) {
        self.shutdown.send_replace(true);
    }

    /// Ends it in order.
    ///
    /// # Panics
    /// When it had failed.
    pub async fn stop(self) {
        self.shut_down();
        self.task
            .await
            .expect("the proxy does not panic")
            .expect("the proxy stops in order");
    }
}
