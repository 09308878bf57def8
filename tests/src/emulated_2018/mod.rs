//! An emulation of the receiving proxy of 2018, written from facts about it; not the original program.
//!
//! What senders meet is kept, in the order of the original's checks and with its defects: the
//! balance is read from `RDN-Balance` alone, any `RDN-Payment` is a 409, the increment must be the
//! price, answers that were paid for tell the balance of before, or nothing, a deposit that is not
//! covered is refused without a flag, and a payment that was stored is kept when the resource fails.
//!
//! It follows the real contract by its events, with one confirmation, and disputes. Left out are the
//! operators' side, the rounding of large balances in its database, and the reopening of channels
//! after a dispute.
//!
//! In reading order: `book`, `request`, `paywall`, `rest`.

mod book;
mod paywall;
mod request;
mod rest;

pub use book::Book;

use crate::world::World;
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use microraiden_chain::{Contract, Wallet};
use microraiden_protocol::{Address, Amount, Price, SecretKey};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use url::Url;

/// How often the chain is looked at. The original waits 2 seconds.
const POLL: Duration = Duration::from_millis(20);

/// What goes wrong with a request, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// The payment is stored, and no answer comes.
    LostAnswer,
    /// The payment is stored, and the resource fails.
    HandlerError,
    /// The node does not answer: nothing is looked at.
    NodeOffline,
}

/// A running emulation. `/plain/…` answers a string, which drops all `RDN-*` headers; `/response/…`
/// a response object, which has them; `/free/…` costs nothing.
#[derive(Debug)]
pub struct Emulated2018 {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    contract: Contract,
    key: SecretKey,
    wallet: Wallet,
    /// Locked while the chain is followed as well: the original does one thing at a time.
    book: tokio::sync::Mutex<Book>,
    price: Mutex<Price>,
    mishaps: Mutex<VecDeque<Mishap>>,
    closes_denied: AtomicBool,
    pages: AtomicU64,
    refused: AtomicU64,
}

impl Emulated2018 {
    /// Starts one that sells for `price`; it ends with the runtime.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(world: &World, price: u64) -> Self {
        let shared = Arc::new(Shared {
            contract: world.contract.clone(),
            key: world.receiver.clone(),
            wallet: world.wallet(&world.receiver),
            book: tokio::sync::Mutex::default(),
            price: Mutex::new(price.into()),
            mishaps: Mutex::default(),
            closes_denied: AtomicBool::new(false),
            pages: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let follower = shared.clone();
        tokio::spawn(async move {
            loop {
                let mut book = follower.book.lock().await;
                book.poll(&follower.contract, &follower.key, &follower.wallet)
                    .await;
                drop(book);
                tokio::time::sleep(POLL).await;
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let app = rest::routes(Router::new())
            .fallback(paywall::access)
            .with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, shared }
    }

    /// The URL of a path.
    ///
    /// # Panics
    /// When it is no path.
    pub fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.address)
            .parse()
            .expect("an address and a path make a URL")
    }

    /// Sells for another price from now on.
    pub fn set_price(&self, price: u64) {
        *self.shared.price.lock().unwrap_or_else(PoisonError::into_inner) = price.into();
    }

    /// Has the next requests go wrong.
    pub fn schedule(&self, mishaps: &[Mishap]) {
        self.shared.mishaps().extend(mishaps);
    }

    /// Answers no close any more, as when the REST API is not reachable.
    pub fn deny_closes(&self) {
        self.shared.closes_denied.store(true, Ordering::SeqCst);
    }

    /// What its state file holds.
    pub async fn state(&self) -> Book {
        self.shared.book.lock().await.clone()
    }

    /// Goes on from this state file, as after a restart that lost what came later.
    pub async fn restart_from(&self, state: Book) {
        *self.shared.book.lock().await = state;
    }

    /// What it was paid, on channels that are settled and on those that are not.
    pub async fn owed(&self) -> Amount {
        self.shared.book.lock().await.owed()
    }

    /// How often it found a sender to cheat at a close.
    pub async fn disputes(&self) -> u64 {
        self.shared.book.lock().await.disputes()
    }

    /// How many 402s were pages for browsers.
    pub fn pages(&self) -> u64 {
        self.shared.pages.load(Ordering::SeqCst)
    }

    /// How many payments were answered by a 402 or a 409.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn mishaps(&self) -> std::sync::MutexGuard<'_, VecDeque<Mishap>> {
        self.mishaps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next mishap if it is one of these.
    fn mishap(&self, expected: &[Mishap]) -> Option<Mishap> {
        self.mishaps().pop_front_if(|next| expected.contains(next))
    }

    fn price(&self) -> Price {
        *self.price.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receiver(&self) -> Address {
        self.key.address()
    }
}

/// A JSON text as flask-restful sends it, with a line feed behind it.
fn json(status: StatusCode, text: impl std::fmt::Display) -> Response {
    let mut response = (status, format!("{text}\n")).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// A JSON string.
fn json_string(status: StatusCode, text: &str) -> Response {
    json(status, serde_json::Value::from(text))
}

/// What an exception that nobody has caught gives.
fn internal_error() -> Response {
    let body = r#"{"message": "Internal Server Error"}"#;
    json(StatusCode::INTERNAL_SERVER_ERROR, body)
}

fn html(status: StatusCode, body: impl Into<Body>, content_type: &'static str) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let html = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, html);
    response
}
