//! What the proxy sells, for whom, and where it keeps its state.

use crate::server::{Certificates, Limits};
use crate::site::Site;
use microraiden_manager::Receiver;
use std::path::PathBuf;

/// Everything that a [`Proxy`](crate::Proxy) needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who is paid, through which contract, and where it is kept.
    pub receiver: Receiver,
    /// Where free requests are counted; each process needs a file of its own.
    pub quota_file: PathBuf,
    /// How the chain is followed.
    pub manager: microraiden_manager::Config,
    /// What clients may do.
    pub limits: Limits,
    /// What it is served over TLS with; without it, over plain HTTP.
    pub certificates: Option<Certificates>,
    /// What is shown and sold; it can be changed while the proxy runs.
    pub site: Site,
}
