//! The receiver's channel manager: the sole writer of receiver state.
//!
//! It follows the chain, confirms channels, decides payments and keeps them durably, agrees to
//! closes and disputes stale ones. In reading order:
//!
//! - [`ChannelManager`]: open (from a [`Receiver`]) or start, stop, and what one may ask of it;
//! - [`payment`]: an offer becomes a [`Permit`] or is denied;
//! - [`closing`]: a close that the sender asks for;
//! - [`force_close`]: a close that the operator wants, whatever the sender does;
//! - [`bulk`]: closing all channels, or withdrawing from them;
//! - [`overview`]: what anybody may see, page by page;
//! - `accounts`, `plain` and `events`: what is in memory of each channel, in little room;
//! - `decide` and `turn`: a decision is durable before anybody relies on it, also where several instances decide;
//! - `lead`: one of several instances follows the chain for all;
//! - `loss`: what a database has lost of what it had confirmed is noticed, and not sold again;
//! - `follow`: the chain's events become transitions, in one durable batch with the new head;
//! - `dispute`: stale closes are answered, forced ones and withdrawals carried out, at their own pace;
//! - [`meters`]: what it counts and shows to operators;
//! - `worth`: what a transaction brings in, and what its gas may cost;
//! - `gas`: selling stops while what is owed could not be brought on chain;
//! - `halts`: selling stops until the operator says that it may go on.
//!
//! A receiver that follows its chain; `microraiden-paywall` sells with it:
//!
//! ```
//! use microraiden_manager::{ChannelManager, Config, Receiver};
//! # use microraiden_protocol::SecretKey;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let devchain = microraiden_devchain::DevChain::start(microraiden_devchain::Config {
//! #     mining: microraiden_devchain::Mining { instant: true, interval: Some(std::time::Duration::from_millis(100)) },
//! #     ..Default::default()
//! # }).await?;
//! # let url: url::Url = devchain.url().parse()?;
//! # let node = microraiden_chain::Node::connect(&url).await?;
//! # let keys = devchain.accounts().iter().map(|account| SecretKey::from_bytes(&account.secret_key.0));
//! # let keys = keys.collect::<Result<Vec<_>, _>>()?;
//! # let wallet = microraiden_chain::Wallet::new(node.clone(), keys[0].clone());
//! # let token = microraiden_chain::deploy::TokenParams::with_whole_supply(1_000, "Example".into(), "XMP".into(), 18);
//! # let (token, _) = microraiden_chain::deploy::token(&wallet, token.ok_or("too many")?).await?;
//! # let (address, _) = microraiden_chain::deploy::channels(&wallet, token, 500).await?;
//! # let folder = tempfile::tempdir()?;
//! # let state_file = folder.path().join("receiver.db");
//! # let (rpc, contract, key) = (vec![url], address, keys[1].clone());
//! // Its nodes, the channel contract's address, its key, and what must be backed up.
//! let receiver = Receiver { rpc, contract, key, store: state_file.into() };
//! let manager = ChannelManager::open(receiver, Config::default()).await?;
//! assert_eq!(manager.totals().open_channels, 0);
//! manager.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: content needs a [`Permit`], and a permit is made only after the payment is durable;
//! a closing signature leaves only after its promise is durable; an account in memory changes only
//! by a transition that the store has taken or by what is read from it, under the account's own lock; only the
//! follower holds more than one such lock at a time. Where several instances share a store, an account in memory is
//! what is stored and what was handed in since, or behind that, or doubtful.

mod accounts;
pub mod bulk;
pub mod closing;
mod config;
mod decide;
mod dispute;
mod doubts;
mod events;
mod follow;
pub mod force_close;
mod gas;
mod halts;
mod lead;
mod loss;
mod manager;
pub mod meters;
mod open;
pub mod overview;
pub mod payment;
mod plain;
#[cfg(feature = "planted")]
pub mod planted;
mod progress;
#[cfg(feature = "shuttle")]
pub mod schedules;
mod sync;
mod turn;
mod undo;
mod worth;

pub use bulk::{Begun, Withdrawing};
pub use closing::{Asker, CloseError, CloseRequest};
pub use config::Config;
pub use force_close::ForceCloseError;
pub use manager::{ChannelManager, DEVELOPMENT_CHAINS, StartError};
pub use meters::Meters;
pub use microraiden_chain::ChainError;
pub use microraiden_store::{DatabaseUrl, HaltKind};
pub use open::{OpenError, Receiver, StoreLocation};
pub use overview::{ChannelOverview, ChannelState, Filter, Page, PageQuery, Totals};
pub use payment::{Denied, Offer, Permit, Receipt, Unavailable};
