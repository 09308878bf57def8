//! What whole-system tests share: a node, a deployed contract, an upstream, and a running receiver.
//!
//! Everything is real: the contracts run in a real EVM, behind JSON-RPC over HTTP; the receiver
//! keeps a real state file; requests go over sockets. Servers bind port 0 on loopback.
//!
//! ```
//! use microraiden_tests::{NodeKind, World};
//!
//! # #[tokio::main]
//! # async fn main() {
//! let world = World::start(NodeKind::chosen()).await;
//! let sender = world.sender.address();
//! assert_eq!(world.tokens(sender).await.to_string(), "50000000000000000000");
//! # }
//! ```

pub mod emulated_2018;
pub mod node;
mod pages;
pub mod receiver;
pub mod tour;
pub mod tutorial;
pub mod upstream;
pub mod world;

pub use emulated_2018::Emulated2018;
pub use node::{NodeKind, TestNode};
pub use receiver::Receiver;
pub use tour::Tour;
pub use upstream::Upstream;
pub use world::World;
