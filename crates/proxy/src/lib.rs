//! The receiver's proxy: sells what upstream servers offer, route by route.
//!
//! [`run`] puts everything together: the state file, the contract, the channel manager, the REST
//! interface, and a paywall before each [`Route`] of the [`Site`]. It returns when it is told to
//! shut down, after the requests in flight are answered and everything accepted is durable.
//!
//! [`Proxy`] shows besides, at an address of its own, how the receiver fares, and its [`Control`]
//! changes the site while it runs.
//!
//! [`tutorial`] shows how to sell from a program of one's own.
//!
//! Invariants: a request reaches the upstream by the path that its price was found for; no client
//! can hold a connection without moving on, keep others out by holding many, or hold up the
//! shutdown.

mod config;
mod cors;
pub mod folder;
pub mod metering;
mod monitor;
pub mod pages;
pub mod rewrite;
mod run;
mod server;
mod site;
mod target;
pub mod tutorial;
mod upstream;

pub use config::Config;
pub use cors::{Cors, NotAnOrigin, Origin};
pub use microraiden_paywall::rest;
pub use run::{ChangeError, Control, Proxy, RunError, run};
pub use server::{GRACE, Limits, Server};
pub use site::{Host, NotAHost, NotAStatus, Prices, Resource, Route, RouteFault, Site, SiteError, Statuses};
pub use upstream::{NoAnswer, Upstream, remove_hop_by_hop};
