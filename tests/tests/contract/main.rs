//! The committed contracts in a real EVM: that they pay what the ledger accepts, and what they cost.
//!
//! - [`gas`]: the gas of a channel's transactions, on both nodes, held against a snapshot;
//! - [`agreement`]: random proofs ([`proofs`]) for channels that live in the ledger and on a chain ([`life`], [`evm`]).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agreement;
mod evm;
mod gas;
mod life;
mod proofs;
