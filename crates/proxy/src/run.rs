//! Putting the parts together, serving, and stopping in order.

use crate::config::{Config, Route};
use crate::monitor::Monitor;
use crate::server::{Server, allow_files};
use crate::upstream::Upstream;
use axum::Router;
use microraiden_manager::{ChainError, ChannelManager, OpenError};
use microraiden_paywall::{Paywall, rest};
use std::pin::pin;
use std::sync::Arc;
use tokio::net::TcpListener;
use tower::ServiceBuilder;

/// Why the proxy did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The channel manager did not start.
    #[error(transparent)]
    Manager(#[from] OpenError),
    /// The node is on another chain now, or the contract is gone.
    #[error("the chain cannot be followed any more")]
    Chain(#[source] Arc<ChainError>),
    /// An upstream cannot be reached in the way its address asks for.
    #[error("the address of an upstream begins with http://, not {0}://")]
    UpstreamScheme(String),
    /// A route's pattern cannot be read, or matches the same paths as another route or the REST
    /// interface.
    #[error(
        "the path pattern {0:?} cannot be used: write /name, /{{one}} or /all/{{*rest}}, and not what the proxy or another route answers"
    )]
    Pattern(String, #[source] matchit::InsertError),
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
    run_monitored(config, listener, None, shutdown).await
}

/// As [`run`], and shows operators on another listener how the receiver fares: `/metrics`, `/health`
/// and `/ready`, from before the chain is read until everything has stopped. It asks for no
/// password, so customers must not reach it.
///
/// # Errors
/// As [`run`].
pub async fn run_monitored(
    config: Config,
    listener: TcpListener,
    monitor: Option<TcpListener>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    if let Some(route) = config
        .routes
        .iter()
        .find(|route| route.upstream.scheme() != "http")
    {
        return Err(RunError::UpstreamScheme(route.upstream.scheme().to_owned()));
    }
    check_patterns(&config.routes)?;
    tell(&config);
    let mut shutdown = pin!(shutdown);
    let monitor = monitor.map(Monitor::start);
    let mut settings = config.manager.clone();
    if let Some(monitor) = &monitor {
        settings.meters = monitor.meters();
    }
    let manager = tokio::select! {
        opened = ChannelManager::open(config.receiver.clone(), settings) => opened?,
        // Nothing was sold yet.
        () = &mut shutdown => return Ok(()),
    };
    if let Some(monitor) = &monitor {
        monitor.runs(manager.clone());
    }
    let paywall = Paywall::new(manager.clone());
    allow_files();
    let server = Server::with_limits(listener, router(&paywall, &config), config.limits);
    let mut ended = Ok(());
    tokio::select! {
        () = &mut shutdown => server.stop(),
        failure = manager.failed() => {
            server.stop();
            ended = Err(RunError::Chain(failure));
        }
        () = server.join() => {}
    }
    if let Some(monitor) = &monitor {
        monitor.stops();
    }
    server.join().await;
    manager.stop().await;
    ended
}

/// Says what the settings mean.
fn tell(config: &Config) {
    if config.rest.legacy_close {
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
    let operators: Vec<_> = config.rest.operators.names().collect();
    if operators.is_empty() {
        tracing::info!("nobody can log in as an operator");
    } else {
        tracing::info!(?operators, "operators can log in");
    }
}

/// Finds what the router would panic on.
fn check_patterns(routes: &[Route]) -> Result<(), RunError> {
    let mut patterns = matchit::Router::new();
    for pattern in rest::PATTERNS {
        // Ours do not conflict.
        let _ = patterns.insert(pattern, ());
    }
    for Route { path, .. } in routes {
        let refuse = |error| RunError::Pattern(path.clone(), error);
        if !path.starts_with('/') {
            return Err(refuse(matchit::InsertError::InvalidParam));
        }
        patterns.insert(path, ()).map_err(refuse)?;
    }
    Ok(())
}

fn router(paywall: &Paywall, config: &Config) -> Router {
    // Segments that begin with `:` or `*` are as good as any; axum would stop at them.
    let mut router = rest::router(paywall.clone(), config.rest.clone()).without_v07_checks();
    for route in &config.routes {
        let upstream = Upstream::new(route.upstream.clone(), config.upstream_timeout);
        let paid = ServiceBuilder::new()
            .layer(paywall.price(route.price))
            .service(upstream);
        router = router.route_service(&route.path, paid);
    }
    match config.cors.layer() {
        // In front of everything, so that a browser's questions are answered and not sold.
        Some(cors) => router.layer(cors),
        None => router,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &[&str]) -> Result<(), RunError> {
        let route = |path: &&str| Route {
            path: (*path).to_owned(),
            price: 1.into(),
            upstream: "http://127.0.0.1:1".parse().unwrap(),
        };
        check_patterns(&patterns.iter().map(route).collect::<Vec<_>>())
    }

    #[test]
    fn patterns_that_the_router_cannot_take_are_refused() {
        for good in [
            &["/", "/{*rest}"][..],
            &["/a", "/a/{b}", "/a/{b}/{*c}", "/:x/*y"],
            &["/api/1/mine", "/api/1/channels/{sender}/{open_block}/more"],
        ] {
            assert!(check(good).is_ok(), "{good:?}");
            // The router agrees: it would panic.
            let mut router = Router::<()>::new().without_v07_checks();
            for path in good {
                router = router.route(path, axum::routing::get(|| async {}));
            }
        }
        for bad in ["", "a", "/{a", "/{}", "/{*a}/b"] {
            assert!(check(&[bad]).is_err(), "{bad:?}");
        }
        assert!(check(&["/{a}", "/{b}"]).is_err());
        for ours in rest::PATTERNS {
            assert!(check(&[ours]).is_err(), "{ours}");
        }
    }
}
