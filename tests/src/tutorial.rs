//! The client's side of the tutorial in `microraiden-proxy`, and a server with remote content.

use crate::world::World;
use axum::Router;
use http::{StatusCode, Uri};
use microraiden_protocol::Amount;
use microraiden_sender::{Client, Session, SessionConfig};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use url::Url;

/// What a request would cost; `None` when it is not asked to pay.
///
/// # Panics
/// When there is no answer.
pub async fn price(address: SocketAddr, path: &str) -> Option<String> {
    let answer = reqwest::get(format!("http://{address}{path}"))
        .await
        .expect("an answer");
    (answer.status() == StatusCode::PAYMENT_REQUIRED).then(|| {
        answer.headers()["rdn-price"]
            .to_str()
            .expect("a number")
            .to_owned()
    })
}

/// Pays for a request from a new channel; gives the content and what it has cost.
///
/// # Panics
/// When it cannot be had for 100.
pub async fn buy(world: &World, address: SocketAddr, path: &str) -> (String, Amount) {
    let client = Client::new(world.contract.clone(), world.sender.clone());
    let config = SessionConfig {
        retry_pause: Duration::from_millis(50),
        ..SessionConfig::new(100.into(), 1_000.into())
    };
    let session = Session::new(client, config).expect("a session");
    let paid = session
        .get(format!("http://{address}{path}"))
        .await
        .expect("it is served");
    (paid.response.text().await.expect("a text"), paid.cost)
}

/// Starts a server that answers every path with its name.
///
/// # Panics
/// When there is no free port.
pub async fn content() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let app = Router::new().fallback(async |uri: Uri| format!("remote {}", uri.path()));
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
        .parse()
        .expect("an address makes a URL")
}
