//! The RDN-* headers, the 402 challenge and the REST bodies of µRaiden: parse and print only.
//!
//! In reading order:
//!
//! - [`headers`]: every header's name, which nothing else may know;
//! - [`request`]: what a paying request carries, read by the receiver and written by the sender;
//! - [`cookies`]: the same for browsers; and [`prefers_html`], whether a page is wanted;
//! - [`refusal`]: the one table from a refusal to the flag that tells it;
//! - [`challenge`]: the headers of a 402, written by the receiver and read by the sender;
//! - [`receipt`]: the headers of an answer that was paid for;
//! - [`rest`]: the JSON bodies under `/api/1`.
//!
//! What a receiver asks, a sender reads:
//!
//! ```
//! use microraiden_http::{Challenge, Seller};
//! use microraiden_protocol::{Address, Price};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let [receiver, contract, token] = [1, 2, 3].map(Address::repeat_byte);
//! let seller = Seller::new("/api/1".parse()?, receiver, contract, token);
//!
//! let headers = seller.challenge(Price::from(5));
//! assert_eq!(headers["rdn-price"], "5");
//!
//! let challenge = Challenge::read(&headers)?;
//! assert_eq!((challenge.price, challenge.receiver), (Price::from(5), receiver));
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: reading is total, whatever the bytes; amounts are exact decimals, never floats;
//! what is written is what the documentation says, and reading it back gives the same values.

mod accept;
pub mod challenge;
mod checksum;
pub mod cookies;
pub mod headers;
pub mod receipt;
pub mod refusal;
pub mod request;
pub mod rest;
mod value;

pub use accept::{accepts_gzip, prefers_html};
pub use challenge::{Challenge, Seller, standing_headers};
pub use headers::is_payment_header;
pub use receipt::Receipt;
pub use refusal::{Flag, flag, refusal_headers};
pub use request::{Form, PaymentHeaders, payment_headers};
pub use value::{Defect, MalformedHeader};
