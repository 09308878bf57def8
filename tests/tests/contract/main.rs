//! The committed contracts in a real EVM: what a channel costs.
//!
//! - [`gas`]: the gas of a channel's transactions, on both nodes, held against a snapshot.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod gas;
