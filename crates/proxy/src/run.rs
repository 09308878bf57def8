//! Putting the parts together, serving, and stopping in order.

use crate::config::Config;
use crate::upstream::Upstream;
use axum::Router;
use microraiden_chain::{ChainError, Contract, Node, Wallet};
use microraiden_manager::{ChannelManager, StartError};
use microraiden_paywall::{Paywall, rest};
use microraiden_store::{Binding, OpenError, SqliteStore};
use std::sync::Arc;
use tokio::net::TcpListener;
use tower::ServiceBuilder;

/// Why the proxy did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The node or the contract cannot be used.
    #[error("the contract cannot be used")]
    Chain(#[from] ChainError),
    /// The state file cannot be used.
    #[error("the state file cannot be used")]
    State(#[from] OpenError),
    /// The channel manager did not start.
    #[error("the channel manager did not start")]
    Start(#[from] StartError),
    /// An upstream cannot be reached in the way its address asks for.
    #[error("the address of an upstream begins with http://, not {0}://")]
    UpstreamScheme(String),
    /// The listening socket failed.
    #[error("the server failed")]
    Serve(#[source] std::io::Error),
}

/// Sells on `listener` until `shutdown` resolves. Connections made before everything has started
/// wait until it has.
///
/// # Errors
/// When a part does not start, or the socket fails.
pub async fn run(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    if let Some(route) = config
        .routes
        .iter()
        .find(|route| route.upstream.scheme() != "http")
    {
        return Err(RunError::UpstreamScheme(route.upstream.scheme().to_owned()));
    }
    let node = Node::connect(&config.rpc).await?;
    node.check_block_numbers().await?;
    let contract = Contract::at(node.clone(), config.contract).await?;
    let binding = Binding {
        escrow: contract.escrow(),
        receiver: config.key.address(),
    };
    let store = Arc::new(SqliteStore::open(&config.state_file, binding)?);
    let wallet = Wallet::new(node, config.key.clone());
    let manager = ChannelManager::start(
        contract,
        wallet,
        config.key.clone(),
        store,
        config.manager.clone(),
    )
    .await?;
    let paywall = Paywall::new(manager.clone());
    let served = axum::serve(listener, router(&paywall, &config))
        .with_graceful_shutdown(shutdown)
        .await;
    manager.stop().await;
    served.map_err(RunError::Serve)
}

fn router(paywall: &Paywall, config: &Config) -> Router {
    let mut router = rest::router(paywall.clone());
    for route in &config.routes {
        let upstream = Upstream::new(route.upstream.clone(), config.upstream_timeout);
        let paid = ServiceBuilder::new()
            .layer(paywall.price(route.price))
            .service(upstream);
        router = router.route_service(&route.path, paid);
    }
    router
}
