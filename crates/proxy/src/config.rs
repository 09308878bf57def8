//! What the proxy sells, for whom, and where it keeps its state.

use crate::cors::Cors;
use crate::server::Limits;
use microraiden_manager::Receiver;
use microraiden_paywall::rest;
use microraiden_protocol::Price;
use std::time::Duration;
use url::Url;

/// Everything that [`run`](crate::run) needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who is paid, through which contract, and where it is kept.
    pub receiver: Receiver,
    /// How the chain is followed.
    pub manager: microraiden_manager::Config,
    /// What is sold.
    pub routes: Vec<Route>,
    /// How long an upstream may take until the first byte of its answer's body, and then for each
    /// next piece. While a client's body is waited for, the time stands still.
    pub upstream_timeout: Duration,
    /// What clients may do.
    pub limits: Limits,
    /// Who may log in to the REST interface, and which closes it agrees to.
    pub rest: rest::Settings,
    /// Which web pages may use what is here.
    pub cors: Cors,
}

/// One priced piece of the path space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// A path pattern: `/echofix/{param}` for one segment, `/media/{*rest}` for everything below.
    pub path: String,
    /// What each request costs; 0 is free.
    pub price: Price,
    /// Where requests go, their path and query appended.
    pub upstream: Url,
}
