//! The receiver's proxy: sells what upstream servers offer, route by route.
//!
//! [`run`] puts everything together: the state file, the contract, the channel manager, the REST
//! interface, and a paywall before each [`Route`]. It returns when it is told to shut down, after
//! the requests in flight are answered and everything accepted is durable.
//!
//! [`run_monitored`] shows besides, at an address of its own, how the receiver fares.
//!
//! [`tutorial`] shows how to sell from a program of one's own.
//!
//! Invariants: a request reaches the upstream by the path that its price was found for; no client
//! can hold a connection without moving on, keep others out by holding many, or hold up the
//! shutdown.

mod config;
mod cors;
mod monitor;
mod run;
mod server;
mod target;
pub mod tutorial;
mod upstream;

pub use config::{Config, Route};
pub use cors::{Cors, NotAnOrigin, Origin};
pub use microraiden_paywall::rest;
pub use run::{RunError, run, run_monitored};
pub use server::{GRACE, Limits, Server};
pub use upstream::{Upstream, remove_hop_by_hop};
