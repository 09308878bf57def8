//! Who may come, how often, and what is free, over real sockets; where somebody pays, with the real
//! paywall on a real chain.

#![allow(clippy::unwrap_used, reason = "a test")]

mod addresses;
mod free;
mod kill;
mod paying;
mod shop;
