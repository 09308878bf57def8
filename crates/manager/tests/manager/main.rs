//! The channel manager with real parts: contracts in a development node, and a state file.

#![allow(clippy::unwrap_used, reason = "a test")]

mod closes;
mod disputes;
mod failover;
mod failures;
mod forced;
mod gas;
mod halts;
mod lead;
mod lists;
mod matrix;
mod patience;
mod payments;
mod reorganisations;
mod replay;
mod restored;
mod shaky;
mod speed;
mod trust;
mod withdrawals;
mod world;
