//! The development chain beside anvil: the same clients do the same things on both, and where they differ is written down.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alloy;
mod clients;
mod differences;
mod typed_data;
