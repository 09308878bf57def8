//! µRaiden payment channels: sell or buy HTTP requests for ERC20 micropayments.
//!
//! A sender locks tokens into a channel to one receiver, once, on chain. From then on it pays by
//! signatures alone: each HTTP request carries a signed balance that is a little higher. At the end
//! the contract pays out both sides, by one transaction.
//!
//! Take what you need:
//!
//! - feature `sender`: [`Session`](sender::Session), an HTTP client that pays when it is asked to;
//! - feature `paywall`: a tower layer that sells the answers of any HTTP service.
//!
//! # Paying
//!
//! ```no_run
//! # #[cfg(feature = "sender")]
//! # async fn pay(key: microraiden::sender::protocol::SecretKey) -> Result<(), Box<dyn std::error::Error>> {
//! use microraiden::sender::chain::{Contract, Node};
//! use microraiden::sender::protocol::Address;
//! use microraiden::sender::{Client, Session, SessionConfig};
//!
//! let node = Node::connect(&"http://127.0.0.1:8545".parse()?).await?;
//! let contract: Address = "0x74434527b8E6C8296506D61d0faF3D18c9e4649A".parse()?;
//! let client = Client::new(Contract::at(node, contract).await?, key);
//!
//! // At most 10 base units for one request, and 1000 in all, whatever a server says.
//! let session = Session::new(client, SessionConfig::new(10.into(), 1000.into()))?;
//!
//! // The first payment opens a channel; the others cost a signature each.
//! for word in ["one", "two", "three"] {
//!     let paid = session.get(format!("http://127.0.0.1:5000/echofix/{word}")).await?;
//!     println!("{} for {}", paid.response.text().await?, paid.cost);
//! }
//!
//! // What was not spent comes back.
//! for closed in session.close().await? {
//!     println!("closed at {}: {:?}", closed.balance, closed.closing);
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "paywall")]
pub use microraiden_paywall as paywall;
#[cfg(feature = "sender")]
pub use microraiden_sender as sender;
