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
