//! Other routes while requests are in flight.

use crate::authority::Authority;
use crate::clients::{get, get1, http1, secure_http2, text};
use crate::plain::{Gate, Plain, listener, router};
use crate::{millis, soon};
use axum::Router;
use axum::routing::get as on_get;
use microraiden_proxy::{Limits, Server};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::net::TcpStream;

/// Routes whose answer is a number.
fn version(number: usize) -> Router {
    Router::new().route("/version", on_get(move || async move { number.to_string() }))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_when_routes_are_replaced() {
    const ROUNDS: usize = 200;
    let authority = Authority::new();
    let plain = Server::start(listener().await, version(0));
    let certificates = authority.certificates();
    let encrypted = Server::encrypted(listener().await, version(0), Limits::default(), certificates);
    let (ends, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut asking = Vec::new();
    for _ in 0..4 {
        let mut old = http1(TcpStream::connect(plain.address().unwrap()).await.unwrap()).await;
        let mut new = secure_http2(encrypted.address().unwrap(), &authority).await;
        let (ends, answered) = (ends.clone(), answered.clone());
        asking.push(tokio::spawn(async move {
            let mut last = (0, 0);
            while !ends.load(Ordering::SeqCst) {
                old.ready().await.unwrap();
                let (one, other) = tokio::join!(
                    old.send_request(get1("/version")),
                    new.send_request(get("/version"))
                );
                let number = async |answer: Result<http::Response<_>, hyper::Error>| {
                    let answer = answer.unwrap();
                    assert_eq!(answer.status(), 200);
                    text(answer).await.parse::<usize>().unwrap()
                };
                let seen = (number(one).await, number(other).await);
                assert!(seen.0 >= last.0 && seen.1 >= last.1, "{seen:?} after {last:?}");
                last = seen;
                answered.fetch_add(2, Ordering::SeqCst);
            }
        }));
    }
    for round in 1..=ROUNDS {
        plain.replace(version(round));
        encrypted.replace(version(round));
        tokio::time::sleep(millis(3)).await;
    }
    ends.store(true, Ordering::SeqCst);
    for asker in asking {
        soon(asker).await.unwrap();
    }
    println!("{answered:?} answers over {ROUNDS} replacements");
    assert!(answered.load(Ordering::SeqCst) > ROUNDS);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_request_on_an_open_connection_gets_the_new_routes() {
    let server = Plain::start(Limits::default()).await;
    let connect = async || http1(TcpStream::connect(server.address).await.unwrap()).await;
    let (mut waiter, mut asker) = (connect().await, connect().await);
    let mut ask = async |path: &str| {
        asker.ready().await.unwrap();
        soon(asker.send_request(get1(path))).await.unwrap()
    };
    let waiting = tokio::spawn(waiter.send_request(get1("/wait")));
    assert_eq!(text(ask("/").await).await, "ok");
    server.gate.has_come(1).await;
    server.server.replace(version(1));
    let answer = ask("/").await;
    assert_eq!(answer.status(), 404);
    assert_eq!(text(ask("/version").await).await, "1");
    // Who was here before is answered by the old ones.
    server.gate.open(1);
    assert_eq!(text(soon(waiting).await.unwrap().unwrap()).await, "at last");
    server.server.replace(router(&Gate::default()));
    assert_eq!(text(ask("/").await).await, "ok");
}
