//! The crate against a development chain: real contracts, real blocks, over real HTTP.
#![allow(clippy::unwrap_used, reason = "the functions that tests share are tests, too")]

mod channels;
mod failover;
mod follower;
mod interposed;
mod keys;
mod node;
mod nonces;
mod signatures;
mod stage;
mod wallet;
mod websocket;
