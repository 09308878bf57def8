//! What the proxy sells, for whom, and where it keeps its state.

use microraiden_protocol::{Address, Price, SecretKey};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Everything that [`run`](crate::run) needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The JSON-RPC endpoint of an Ethereum node.
    pub rpc: Url,
    /// The channel contract.
    pub contract: Address,
    /// The receiver's key: signs closes, and pays the gas of disputes.
    pub key: SecretKey,
    /// The file that keeps accounts and proofs; lose it, and the money in it is lost.
    pub state_file: PathBuf,
    /// How the chain is followed.
    pub manager: microraiden_manager::Config,
    /// What is sold.
    pub routes: Vec<Route>,
    /// How long an upstream may take to begin its answer.
    pub upstream_timeout: Duration,
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
