//! The built program as its users run it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;
mod check;
mod demo;
mod deploy;
mod devchain;
mod kill;
mod monitor;
mod operate;
mod operator;
mod pay_proxy;
mod place;
mod process;
mod relay;
mod scale;
mod state;
