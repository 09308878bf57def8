//! The built program as its users run it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod account;
mod bench;
mod channels;
mod check;
mod config;
mod demo;
mod deploy;
mod dev;
mod devchain;
mod examples;
mod https;
mod init;
mod kill;
mod llm_proxy;
mod migrate;
mod monitor;
mod operate;
mod operator;
mod pay_proxy;
mod place;
mod process;
mod relay;
mod request;
mod scale;
mod several;
mod shop;
mod state;
mod stats;
mod systemd;
mod waiting;
