//! An in-process Ethereum development node on revm, behind JSON-RPC.
//!
//! [`DevChain::start`] opens a port on the loopback interface and answers there as a node of an Ethereum chain would, with
//! ten funded accounts whose keys are published. It is for development and tests only: there is no network of peers, and
//! anyone who reaches the port can change the chain.
//!
//! In reading order: [`Config`] and [`Mining`] say what to start, [`DevAccount`] who has the money, [`DevChain`] is the
//! running node, [`Fault`] how it can misbehave. Inside, `chain` is the chain itself (state, transaction pool, blocks; no I/O, no async) and `rpc` the thin
//! layer that speaks JSON-RPC.
//!
//! ```
//! use microraiden_devchain::{Config, DevChain};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = DevChain::start(Config::default()).await?;
//! println!("{} {}", node.url(), node.accounts()[0].address);
//! node.mine(5);
//! node.reorganise(2, true)?; // other blocks, the same transactions
//! node.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! Invariants:
//! - Headers, blooms, transaction and receipt roots, base fees and gas are those of a real chain under the rules of the
//!   Prague hard fork. Only the state root is not a Merkle-Patricia root: it is a running hash of all state changes since
//!   genesis, so that it commits to the state without a trie.
//! - Blocks are numbered without gaps, and timestamps strictly increase.
//! - The state after each block is kept, so that calls at old blocks, reorganisations and snapshots are exact.

mod accounts;
mod chain;
mod config;
mod faults;
mod node;
mod rpc;
mod typed_data_v1;

pub use accounts::{ACCOUNTS, DERIVATION_PATH, DevAccount, MNEMONIC, MnemonicError};
pub use chain::{LoadError, ReorganiseError};
pub use config::{Config, Cors, Mining};
pub use faults::{Fault, FaultKind};
pub use node::{DevChain, StartError};
