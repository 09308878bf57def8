//! The receiver's proxy: sells what upstream servers offer, route by route.
//!
//! [`run`] puts everything together: the state file, the contract, the channel manager, the REST
//! interface, and a paywall before each [`Route`] of the [`Site`]. It returns when it is told to
//! shut down, after the requests in flight are answered and everything accepted is durable.
//!
//! [`Proxy`] shows besides, at an address of its own, how the receiver fares, and its [`Control`]
//! changes the site while it runs.
//!
//! Before a request is sold, [`ClientLayer`] finds out who asks, [`admission`] whether it may, and
//! [`quota`] whether it is free for once.
//!
//! [`tutorial`] shows how to sell from a program of one's own.
//!
//! What is sold, for how much, and from where:
//!
//! ```
//! use microraiden_proxy::{Route, Site};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let media = Route::new("/media/{*rest}", 5, "http://127.0.0.1:8000".parse()?);
//! let items = Route::new("/items/{id}", 2, "http://127.0.0.1:8001".parse()?);
//! let site = Site { routes: vec![media, items], ..Site::default() };
//! site.check()?;
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: a request reaches the upstream by the path that its price was found for; no client
//! can hold a connection without moving on, keep others out by holding many, or hold up the
//! shutdown.

pub mod admission;
mod client;
mod config;
mod cors;
mod count_per;
mod dev_chain;
pub mod folder;
pub mod metering;
mod monitor;
mod network;
pub mod pages;
pub mod quota;
pub mod rewrite;
mod run;
mod server;
mod site;
mod target;
mod timer;
pub mod tutorial;
mod upstream;

pub use client::{Client, ClientKey, ClientLayer, ClientService};
pub use config::Config;
pub use cors::{Cors, NotAnOrigin, Origin};
pub use dev_chain::OfferedChain;
pub use microraiden_paywall::rest;
pub use network::{Network, NotANetwork};
pub use run::{ChangeError, Control, Proxy, RunError, run};
pub use server::{Certificates, CertificatesError, Limits, Server};
pub use site::{Host, NotAHost, NotAStatus, Prices, Resource, Route, RouteFault, Site, SiteError, Statuses};
pub use upstream::{
    Authorities, HostHeader, NoAnswer, Upstream, UpstreamError, UpstreamOptions, remove_hop_by_hop,
};
