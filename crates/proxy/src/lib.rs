//! The receiver's proxy: sells what upstream servers offer, route by route.
//!
//! [`run`] puts everything together: the state file, the contract, the channel manager, the REST
//! interface, and a paywall before each [`Route`]. It returns when it is told to shut down, after
//! the requests in flight are answered and everything accepted is durable.

mod config;
mod run;
mod upstream;

pub use config::{Config, Route};
pub use run::{RunError, run};
