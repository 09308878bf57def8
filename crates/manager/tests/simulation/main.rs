//! A scripted chain with a model of the channel contract, for the simulation of the channel manager.

#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(dead_code, reason = "the world that uses the rest of the chain comes next")]

mod agreement;
mod bindings;
mod chain;
mod contract;
mod rpc;
mod token;
mod transaction;
