//! The paying side: opens channels, signs balance proofs and pays for HTTP requests.
//!
//! In reading order:
//!
//! - [`Client`]: a key on a channel contract; opens channels and finds those it has;
//! - [`Channel`]: one of them; transfers, top-ups and closes;
//! - [`ChannelRecord`]: everything that must be remembered of a channel, and [`book`], where it is kept;
//! - [`DepositPolicy`]: how much to lock into a channel;
//! - [`Session`]: an HTTP client that pays when it is asked to, within [`SessionConfig`], with
//!   [`Hooks`]; [`Paying`] makes it a part of a `reqwest-middleware` client, [`once`] is for one request.
//!
//! Invariants: nothing is signed above the deposit, the price limit or the budget, whatever a
//! server answers; a payment is repeated by the same proof, never by another, and is in the book before it is
//! sent; what a receiver says
//! of a balance counts only with our own signature; locks are held only while deciding.

mod allow;
pub mod book;
mod channel;
mod claims;
mod client;
mod error;
mod line;
pub mod once;
mod policy;
mod session;

pub use allow::AllowedContract;
pub use channel::{Action, Channel};
pub use client::{Client, ClientOptions, Funding};
pub use error::ChannelError;
pub use line::{ChannelRecord, ChannelState};
pub use policy::DepositPolicy;
pub use session::{
    Closed, Closing, Cost, Decision, Denial, Failure, Fallback, Hooks, Paid, Paying, Quote, Request, Session,
    SessionConfig, SessionError,
};

pub use microraiden_chain as chain;
pub use microraiden_protocol as protocol;
