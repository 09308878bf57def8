//! The paywall: a tower layer that sells HTTP resources for balance proofs, and the public REST
//! interface of the receiver.
//!
//! ```text
//! request → price → payment headers → permit or 402 → resource → receipt headers
//! ```
//!
//! In reading order:
//!
//! - [`Paywall`] and [`PaywallLayer`]: what is shared, and how a route sells;
//! - [`price`]: what a request costs;
//! - [`PaywallService`]: the life of a request up to its permit;
//! - `deliver`, `stream` and `upload`: from the permit to the end of the answer;
//! - [`PaidBy`] and [`Meter`]: what a resource may know and say of its payment;
//! - `answers`: lost answers are given again; `patience`: what is repeated too often is not;
//! - `answer` and [`page`]: what the client gets instead of content;
//! - [`rest`]: the public REST interface.
//!
//! Invariants: the resource is called only with a permit in hand, or when it costs nothing; payment
//! headers and cookies do not reach the resource, and its `RDN-*` headers do not reach the client;
//! nothing that a client sends gives a 5xx; a payment is released only when nothing of the body was
//! passed on, or the route itself says what it has cost.

mod answer;
mod answers;
mod deliver;
mod extract;
mod layer;
pub mod page;
mod patience;
pub mod price;
pub mod rest;
mod service;
mod stream;
mod upload;

pub use extract::{Meter, NotThere, PaidBy};
pub use layer::{Paywall, PaywallLayer};
pub use page::{Page, PageRequest, Template};
pub use price::{AsyncPrice, IntoQuote, MethodPrices, PriceRequest, Pricing, Quote};
pub use service::{BoxError, PaywallService};

pub use microraiden_manager as manager;
