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
//! A channel, and two payments on it; [`Session`] makes them for HTTP requests by itself:
//!
//! ```
//! use microraiden_sender::Client;
//! use microraiden_sender::chain::Contract;
//! # use microraiden_protocol::SecretKey;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let devchain = microraiden_devchain::DevChain::start(microraiden_devchain::Config {
//! #     mining: microraiden_devchain::Mining { instant: true, interval: Some(std::time::Duration::from_millis(100)) },
//! #     ..Default::default()
//! # }).await?;
//! # let url: url::Url = devchain.url().parse()?;
//! # let node = microraiden_sender::chain::Node::connect(&url).await?;
//! # let keys = devchain.accounts().iter().map(|account| SecretKey::from_bytes(&account.secret_key.0));
//! # let keys = keys.collect::<Result<Vec<_>, _>>()?;
//! # let wallet = microraiden_sender::chain::Wallet::new(node.clone(), keys[0].clone());
//! # let token = microraiden_sender::chain::deploy::TokenParams::with_whole_supply(1_000, "Example".into(), "XMP".into(), 18);
//! # let (token, _) = microraiden_sender::chain::deploy::token(&wallet, token.ok_or("too many")?).await?;
//! # let (address, _) = microraiden_sender::chain::deploy::channels(&wallet, token, 500).await?;
//! # let (key, receiver) = (keys[0].clone(), keys[1].address());
//! let client = Client::new(Contract::at(node, address).await?, key);
//! let channel = client.open_channel(receiver, 10.into()).await?;
//!
//! channel.create_transfer(3.into()).await?;
//! let proof = channel.create_transfer(4.into()).await?;
//! assert_eq!(proof.balance, 7.into(), "all that is owed until now");
//!
//! // Never more than the deposit.
//! assert!(channel.create_transfer(4.into()).await.is_err());
//! # Ok(())
//! # }
//! ```
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
