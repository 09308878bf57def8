//! The paywall: a tower layer that sells HTTP resources for balance proofs, and the public REST
//! interface of the receiver.
//!
//! ```text
//! request → price → payment headers → permit or 402 → resource → receipt headers
//! ```
//!
//! In reading order: [`PaywallLayer`] and its [`service`], [`price`], [`answer`] (what the client
//! gets instead of content), [`rest`].
//!
//! Invariants: the resource is called only with a permit in hand, or when it costs nothing; payment
//! headers do not reach the resource, and its `RDN-*` headers do not reach the client; nothing that
//! a client sends gives a 5xx.

pub mod answer;
mod layer;
pub mod price;
pub mod rest;
pub mod service;

pub use layer::{Paywall, PaywallLayer};
pub use price::Pricing;
pub use service::{PaidBy, PaywallService};
