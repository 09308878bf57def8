//! The ledger of one channel at the receiver: one line, each unit sold once.
//!
//! A channel's balance proofs are cumulative, so its amounts lie on a line of units 1, 2, 3, ….
//! A request that presents a proof for balance `B` and pays `p` takes unit `B` and the `p − 1`
//! highest unspent units below it. A unit is spent once. Replays, requests in any order, credit
//! for content that failed and metered prices all follow from that rule.
//!
//! Everything is a function from an [`Account`] and an input to a [`Transition`] or a refusal. An
//! account changes by nothing else: a store writes [`Transition::after`], compares
//! [`Transition::before`] with the version it holds, and has no way to make one up.
//!
//! In reading order: [`units`] (sets of units), [`account`] (the state and its invariants),
//! [`accept`](Account::accept), [`release`](Account::release), [`close_at`](Account::close_at),
//! [`refusal`] (why not).
//!
//! Invariants, checked whenever a state is made or loaded:
//! `spent + |unspent| + refund = balance`; unspent units lie in `1 ..= balance`; the last stored
//! proof is for exactly `balance`; what is in flight is spent.

mod accept;
pub mod account;
mod close;
pub mod refusal;
mod release;
pub mod units;

pub use accept::{Limits, Payment};
pub use account::{
    Account, AccountRow, Closing, CorruptRow, Promise, Standing, StoredProof, Transition, Version, Writer,
};
pub use close::Claim;
pub use refusal::{CloseRefusal, Refusal};
pub use release::{ReleaseError, Spend};
pub use units::{UnitSet, Units};
