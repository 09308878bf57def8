//! Access to the chain: contract bindings, canonical events, transactions, deployment and key files.
//!
//! In reading order:
//!
//! - [`Node`]: one or several JSON-RPC endpoints, with limits on the time and size of every answer;
//! - [`Contract`]: a channel contract there, what it says of its channels, and [`Party`] whose events;
//! - [`Follower`]: what is new on the canonical chain, reorganisations included;
//! - [`Signer`]: a private key, or something that signs elsewhere;
//! - [`Wallet`]: a signer that signs and sends transactions, and waits for their [`Receipt`];
//! - [`deploy`] and [`token`]: new contracts, and the token that deposits are made of;
//! - [`deployment`]: both contracts planned, paid for, confirmed and verified;
//! - [`Inspection`]: what stands at an address;
//! - [`keys`]: private keys in files.
//!
//! A token and a channel contract for deposits of it, on a development chain:
//!
//! ```
//! use microraiden_chain::deploy::{self, TokenParams};
//! use microraiden_chain::{Contract, Node, Wallet};
//! use microraiden_devchain::DevChain;
//! use microraiden_protocol::SecretKey;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let devchain = DevChain::start(microraiden_devchain::Config::default()).await?;
//! let node = Node::connect(&devchain.url().parse()?).await?;
//! let owner = SecretKey::from_bytes(&devchain.accounts()[0].secret_key.0)?;
//! let wallet = Wallet::new(node.clone(), owner);
//!
//! let token = TokenParams::with_whole_supply(1_000, "Example".to_owned(), "XMP".to_owned(), 18).ok_or("too many")?;
//! let (token, _) = deploy::token(&wallet, token).await?;
//! let (address, receipt) = deploy::channels(&wallet, token, 500).await?;
//! println!("it has cost {} wei", receipt.cost_wei());
//!
//! let contract = Contract::at(node, address).await?;
//! assert!(contract.is_ours(), "every byte");
//! assert_eq!(contract.token().symbol, "XMP");
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: no request waits for ever; what a [`Follower`] hands out always comes from one chain; keys and
//! addresses of nodes (they may hold a password) are in no error and no log.

pub mod abi;
mod actions;
mod artifact;
mod bindings;
mod chunk;
mod confirm;
mod connection;
mod contract;
pub mod deploy;
pub mod deployment;
mod endpoint;
mod error;
mod events;
mod failover;
mod fees;
mod follower;
mod heads;
pub mod inspection;
pub mod keys;
mod node;
mod nonces;
mod over_http;
mod over_websocket;
mod revert;
mod rpc;
mod signer;
pub mod token;
mod transaction;
mod wallet;

pub use actions::Receipts;
pub use alloy_primitives::U256;
pub use chunk::Chunk;
pub use connection::{Connection, ConnectionError, Connector};
pub use contract::{ChannelInfo, Contract};
pub use error::{ChainError, TransactionError};
pub use events::Party;
pub use follower::{Follower, Progress};
pub use heads::NewHeads;
pub use inspection::Inspection;
pub use node::{Header, Node, NodeOptions, REQUEST_TIMEOUT};
pub use revert::Revert;
pub use rpc::{Answered, RpcError, Transport};
pub use signer::{Signer, SignerError};
pub use token::TokenInfo;
pub use wallet::{Receipt, Wallet, WalletOptions};
