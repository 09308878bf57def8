//! µRaiden payment channels: sell or buy HTTP requests for ERC20 micropayments.
//!
//! A *sender* locks tokens into a channel to one *receiver*, once, on chain. From then on it pays by
//! signatures alone: each HTTP request carries a signed balance that is a little higher. At the end
//! the contract pays out both sides by one transaction. Two transactions, any number of payments
//! between them; wire and contract compatible with the µRaiden of 2018.
//!
//! Take what you need; by default there is nothing:
//!
//! | feature | what it is |
//! |---|---|
//! | `sender` | `microraiden::sender`: channels, and `Session`, an HTTP client that pays when it is asked to, within limits |
//! | `paywall` | `microraiden::paywall`: a tower layer that sells the answers of any HTTP service |
//!
//! **The channel contract is unaudited.** Do not put in what you cannot afford to lose.
//!
//! The examples run as tests, on a development chain with real contracts.
//!
//! # Selling and paying
//!
//! Any route of axum, or any other tower service, is sold by a layer around it. A `ChannelManager`
//! follows the chain and keeps what was paid in a state file: back it up, for who loses it cannot
//! show what is owed. A `Session` pays whoever asks for it, within its limits.
//!
//! ```
//! # #[cfg(not(all(feature = "sender", feature = "paywall")))]
//! # fn main() {}
//! # #[cfg(all(feature = "sender", feature = "paywall"))]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, extract::Path, routing::get};
//! use microraiden::paywall::manager::{ChannelManager, Config, Receiver};
//! use microraiden::paywall::{Paywall, rest};
//! use microraiden::sender::chain::{Contract, Node};
//! use microraiden::sender::{Client, Closing, Session, SessionConfig};
//!
//! # use microraiden_tests::{NodeKind, World};
//! # let world = World::start(NodeKind::chosen()).await;
//! # let files = tempfile::tempdir()?;
//! # let state_file = files.path().join("receiver.db");
//! # let (node, contract, key) = (world.node.url(), world.contract.address(), world.receiver.clone());
//! # let rpc = vec![node.clone()];
//! # let config = Config { poll_interval: std::time::Duration::from_millis(30), ..Config::default() };
//! // The receiver: its node, the address of the channel contract, its key and its state file.
//! let receiver = Receiver { rpc, contract, key, store: state_file.into() };
//! let manager = ChannelManager::open(receiver, config).await?;
//! let paywall = Paywall::new(manager.clone());
//!
//! let echo = async |Path(word): Path<String>| word;
//! let app = Router::new()
//!     .route("/echo/{word}", get(echo).layer(paywall.price(5)))
//!     // What clients need to look at their channels, and to close them.
//!     .merge(rest::router(paywall, rest::Settings::default()));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let url = format!("http://{}", listener.local_addr()?);
//! tokio::spawn(async { axum::serve(listener, app).await });
//!
//! # let key = world.sender.clone();
//! // The sender: the same contract, seen through a node of its own, and its key.
//! let contract = Contract::at(Node::connect(&node).await?, contract).await?;
//! let client = Client::new(contract, key);
//!
//! // At most 10 base units for one request, and 1000 in all, whatever a server says.
//! let session = Session::new(client, SessionConfig::new(10.into(), 1000.into()))?;
//!
//! // The first payment opens a channel; the others cost a signature each.
//! for word in ["one", "two", "three"] {
//!     let paid = session.get(format!("{url}/echo/{word}")).await?;
//!     assert_eq!(paid.cost, 5.into());
//!     assert_eq!(paid.response.text().await?, word);
//! }
//!
//! // The contract pays out both sides: what was not spent comes back.
//! let closed = session.close().await?;
//! assert_eq!(closed[0].closing, Closing::Cooperative);
//! assert_eq!(closed[0].balance, 15.into());
//! # assert_eq!(world.tokens(world.receiver.address()).await, 15.into());
//! # assert_eq!(world.tokens(world.contract.address()).await, 0.into());
//! manager.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # The life of a channel
//!
//! A `Client` makes single payments as well, over whatever way they are sent.
//!
//! ```
//! # #[cfg(not(feature = "sender"))]
//! # fn main() {}
//! # #[cfg(feature = "sender")]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use microraiden::sender::{Client, DepositPolicy};
//!
//! # use microraiden_tests::{NodeKind, World};
//! # let world = World::start(NodeKind::chosen()).await;
//! # let (contract, key, receiver) = (world.contract.clone(), world.sender.clone(), world.receiver.address());
//! let client = Client::new(contract, key);
//!
//! // One that is open already, or a new one; here without anything to spare.
//! let policy = DepositPolicy { initial_factor: 1, ..DepositPolicy::default() };
//! let channel = client.get_suitable_channel(receiver, 10.into(), &policy).await?;
//!
//! channel.create_transfer(3.into()).await?;
//! let proof = channel.create_transfer(4.into()).await?;
//!
//! // What the receiver needs to know: the proof is for all that was paid so far.
//! println!(
//!     "from {} to {}, channel opened at block {}, balance {}, signature {}",
//!     channel.sender(), channel.receiver(), channel.block(), proof.balance, proof.signature,
//! );
//! assert_eq!(proof.balance, 7.into());
//!
//! channel.topup(5.into()).await?;
//! assert_eq!(channel.deposit(), 15.into());
//! channel.create_transfer(5.into()).await?;
//! assert_eq!(channel.balance(), 12.into());
//!
//! // On one's own word: the receiver has a challenge period to object.
//! channel.close().await?;
//! # world.node.mine(u64::from(world.contract.challenge_period()) + 1).await;
//! // 500 blocks later:
//! channel.settle().await?;
//! # assert_eq!(world.tokens(receiver).await, 12.into());
//! # assert_eq!(world.tokens(world.contract.address()).await, 0.into());
//!
//! // Or with the receiver's signature for the balance: at once.
//! let channel = client.get_suitable_channel(receiver, 10.into(), &policy).await?;
//! channel.create_transfer(3.into()).await?;
//! # let closing_sig = world.contract.scheme().sign_closing(&world.receiver, &channel.id(), channel.balance());
//! channel.close_cooperatively(&closing_sig).await?;
//! # assert_eq!(world.tokens(receiver).await, 15.into());
//! # assert_eq!(world.tokens(world.contract.address()).await, 0.into());
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "paywall")]
pub use microraiden_paywall as paywall;
#[cfg(feature = "sender")]
pub use microraiden_sender as sender;
