//! The rules of a µRaiden channel as pure values: no I/O, no clock, no async.
//!
//! In reading order:
//!
//! - [`amount`]: exact token amounts and block numbers as types of their own;
//! - [`channel`]: how a channel is named, and what the chain says of it;
//! - [`signature`]: keys, signatures and recovery by libsecp256k1;
//! - [`typed_data`]: the draft typed-data hash that balance proofs use;
//! - [`proof`]: balance proofs and closing signatures;
//! - [`ledger`]: the decision whether a payment is accepted, and what is owed.
//!
//! A sender pays by signing how much it owes in total:
//!
//! ```
//! use microraiden_protocol::{Address, Balance, ChannelId, ProofScheme, SecretKey};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sender = SecretKey::from_bytes(&[7; 32])?;
//! let receiver = SecretKey::from_bytes(&[8; 32])?;
//! let scheme = ProofScheme::DraftTypedData { contract: Address::repeat_byte(9) };
//! let channel = ChannelId { sender: sender.address(), receiver: receiver.address(), open_block: 42 };
//!
//! let proof = scheme.sign_balance_proof(&sender, channel, Balance::from(15));
//! assert_eq!(proof.verify(&scheme)?.balance(), Balance::from(15));
//!
//! // Somebody else's signature is none.
//! assert!(scheme.sign_balance_proof(&receiver, channel, Balance::from(15)).verify(&scheme).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: amounts are never rounded and never wrap; a [`proof::VerifiedProof`] was signed by
//! the channel's sender; a [`ledger::Transition`] can be made only here, so that no other crate
//! can write a state that the ledger did not produce.

pub mod amount;
pub mod channel;
pub mod denomination;
pub mod ledger;
pub mod proof;
pub mod signature;
pub mod typed_data;

pub use alloy_primitives::{Address, B256, hex, keccak256};
pub use amount::{Amount, Balance, BlockNumber, Deposit, Price};
pub use channel::{
    BlockRef, ChainFacts, ChainUpdate, ChannelChange, ChannelEvent, ChannelId, Escrow, Heads, Phase,
};
pub use proof::{BalanceProof, ProofScheme, VerifiedProof};
pub use signature::{SecretKey, Signature, SignatureError};
