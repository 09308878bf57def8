//! How to sell from a program of one's own, step by step. The examples run as tests, each against a
//! development chain with real contracts.
//!
//! # Setting up
//!
//! A [`ChannelManager`](microraiden_manager::ChannelManager) is opened with a node, the channel
//! contract, the receiver's key and a state file. It begins to follow the chain at once. The state
//! file holds what senders owe: back it up, for who loses it cannot show what is owed.
//!
//! # A fixed price
//!
//! A handler is a handler of axum; the paywall is a layer around it. `/echofix/foo` costs 5 base units,
//! and answers `foo` once they are paid.
//!
//! ```
//! # use microraiden_tests::{NodeKind, World, tutorial};
//! use axum::Router;
//! use axum::extract::Path;
//! use axum::response::Html;
//! use axum::routing::get;
//! use microraiden_manager::{ChannelManager, Config, Receiver};
//! use microraiden_paywall::{Paywall, rest};
//! use microraiden_proxy::Server;
//! use tokio::net::TcpListener;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let world = World::start(NodeKind::chosen()).await;
//! # let files = tempfile::tempdir()?;
//! # let state_file = files.path().join("receiver.db");
//! # let (rpc, contract, key) = (vec![world.node.url()], world.contract.address(), world.receiver.clone());
//! # let config = Config { poll_interval: std::time::Duration::from_millis(30), ..Config::default() };
//! let receiver = Receiver { rpc, contract, key, store: state_file.into() };
//! let manager = ChannelManager::open(receiver, config).await?;
//! let paywall = Paywall::new(manager.clone());
//!
//! let echo = async |Path(param): Path<String>| Html(param);
//! let app = Router::new()
//!     .route("/echofix/{param}", get(echo).layer(paywall.price(5)))
//!     // What clients need to look at their channels, and to close them.
//!     .merge(rest::router(paywall, rest::Settings::default()));
//!
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let server = Server::start(listener, app);
//! # let address = server.address().ok_or("no address")?;
//! # assert_eq!(tutorial::price(address, "/echofix/foo").await, Some("5".to_owned()));
//! # assert_eq!(tutorial::buy(&world, address, "/echofix/foo").await, ("foo".to_owned(), 5.into()));
//!
//! // Elsewhere: `server.stop()` ends it, once the requests in flight are answered.
//! # server.stop();
//! server.join().await;
//! manager.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`Server::start`](crate::Server::start) does not block; [`Server::join`](crate::Server::join) waits
//! for the end, and [`Server::stop`](crate::Server::stop) brings it about, from any task.
//!
//! # A price that depends on the request
//!
//! `/echodyn/foo` costs as much as the word is long. The closure sees method, path and its
//! parameters, query, headers and the body's size; it may give an answer instead of a price, and
//! [`price_async`](microraiden_paywall::Paywall::price_async) may wait. 0 is free.
//!
//! ```
//! # use microraiden_tests::{NodeKind, World, tutorial};
//! # use axum::Router;
//! # use axum::extract::Path;
//! # use axum::routing::get;
//! # use microraiden_manager::{ChannelManager, Config, Receiver};
//! # use microraiden_proxy::Server;
//! # use tokio::net::TcpListener;
//! use microraiden_paywall::{PaidBy, Paywall, PriceRequest};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let world = World::start(NodeKind::chosen()).await;
//! # let files = tempfile::tempdir()?;
//! # let state_file = files.path().join("receiver.db");
//! # let (rpc, contract, key) = (vec![world.node.url()], world.contract.address(), world.receiver.clone());
//! # let config = Config { poll_interval: std::time::Duration::from_millis(30), ..Config::default() };
//! # let manager = ChannelManager::open(Receiver { rpc, contract, key, store: state_file.into() }, config).await?;
//! # let paywall = Paywall::new(manager.clone());
//! let length = |request: &PriceRequest| request.param("param").unwrap_or_default().len() as u64;
//! // The handler may know who has paid what.
//! let echo = async |paid: PaidBy, Path(param): Path<String>| format!("{param} for {}", paid.amount);
//! let app = Router::new().route("/echodyn/{param}", get(echo).layer(paywall.price_by(length)));
//! # let server = Server::start(TcpListener::bind("127.0.0.1:0").await?, app);
//! # let address = server.address().ok_or("no address")?;
//! # assert_eq!(tutorial::price(address, "/echodyn/foo").await, Some("3".to_owned()));
//! # assert_eq!(tutorial::buy(&world, address, "/echodyn/foo").await, ("foo for 3".to_owned(), 3.into()));
//! # server.stop();
//! # server.join().await;
//! # manager.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Content of another server
//!
//! An [`Upstream`](crate::Upstream) is a service like any other: here everything below `/cdn/` is
//! sold, and fetched from there when it is paid. When that server fails, nothing is charged.
//!
//! ```
//! # use microraiden_tests::{NodeKind, World, tutorial};
//! # use axum::Router;
//! # use microraiden_manager::{ChannelManager, Config, Receiver};
//! # use microraiden_paywall::Paywall;
//! # use microraiden_proxy::Server;
//! # use tokio::net::TcpListener;
//! use microraiden_proxy::Upstream;
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let world = World::start(NodeKind::chosen()).await;
//! # let files = tempfile::tempdir()?;
//! # let state_file = files.path().join("receiver.db");
//! # let (rpc, contract, key) = (vec![world.node.url()], world.contract.address(), world.receiver.clone());
//! # let config = Config { poll_interval: Duration::from_millis(30), ..Config::default() };
//! # let manager = ChannelManager::open(Receiver { rpc, contract, key, store: state_file.into() }, config).await?;
//! # let paywall = Paywall::new(manager.clone());
//! # let domain = tutorial::content().await;
//! let remote = Upstream::new(domain, Duration::from_secs(10));
//! let sold = ServiceBuilder::new().layer(paywall.price(2)).service(remote);
//! let app = Router::new().route_service("/cdn/{*rest}", sold);
//! # let server = Server::start(TcpListener::bind("127.0.0.1:0").await?, app);
//! # let address = server.address().ok_or("no address")?;
//! # assert_eq!(tutorial::price(address, "/cdn/a/b").await, Some("2".to_owned()));
//! # assert_eq!(tutorial::buy(&world, address, "/cdn/a/b").await, ("remote /cdn/a/b".to_owned(), 2.into()));
//! # server.stop();
//! # server.join().await;
//! # manager.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # A price that is known only afterwards
//!
//! The price is the most; the handler says what it has cost, and the rest is credit for the next
//! request. It may say so while its answer streams.
//!
//! ```
//! # use microraiden_tests::{NodeKind, World, tutorial};
//! # use axum::Router;
//! # use axum::routing::get;
//! # use microraiden_manager::{ChannelManager, Config, Receiver};
//! # use microraiden_proxy::Server;
//! # use tokio::net::TcpListener;
//! use microraiden_paywall::{Meter, Paywall};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let world = World::start(NodeKind::chosen()).await;
//! # let files = tempfile::tempdir()?;
//! # let state_file = files.path().join("receiver.db");
//! # let (rpc, contract, key) = (vec![world.node.url()], world.contract.address(), world.receiver.clone());
//! # let config = Config { poll_interval: std::time::Duration::from_millis(30), ..Config::default() };
//! # let manager = ChannelManager::open(Receiver { rpc, contract, key, store: state_file.into() }, config).await?;
//! # let paywall = Paywall::new(manager.clone());
//! let answer = async |meter: Meter| {
//!     let text = "twelve words";
//!     meter.charge(text.len() as u64);
//!     text
//! };
//! let app = Router::new().route("/metered", get(answer).layer(paywall.price(100).metered()));
//! # let server = Server::start(TcpListener::bind("127.0.0.1:0").await?, app);
//! # let address = server.address().ok_or("no address")?;
//! # assert_eq!(tutorial::price(address, "/metered").await, Some("100".to_owned()));
//! # assert_eq!(tutorial::buy(&world, address, "/metered").await, ("twelve words".to_owned(), 12.into()));
//! # server.stop();
//! # server.join().await;
//! # manager.stop().await;
//! # Ok(())
//! # }
//! ```
