//! Many requests at once on one channel.

use crate::shop::{Shop, expect, header};
use http::StatusCode;
use microraiden_protocol::Balance;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Sends payments to a path, each on its own connection.
fn send(
    shop: &Arc<Shop>,
    path: &'static str,
    balances: impl IntoIterator<Item = u64>,
) -> JoinSet<StatusCode> {
    let mut requests = JoinSet::new();
    for balance in balances {
        let shop = shop.clone();
        requests.spawn(async move { shop.get(path, shop.pays(balance, 5)).await.status() });
    }
    requests
}

/// Waits until as many paid requests wait at the upstream.
async fn waiting(shop: &Shop, count: u64) {
    let begin = Instant::now();
    while shop.upstream.waiting() != count {
        let waiting = shop.upstream.waiting();
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{waiting}, not {count}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_proof_many_times_at_once_buys_once() {
    let shop = Arc::new(Shop::open().await);
    let answers = send(&shop, "/echo/x", [5; 50]).join_all().await;
    let count = |status| answers.iter().filter(|answer| **answer == status).count();
    // Sold once; who comes later gets that answer again, or is told to stop.
    let refused = count(StatusCode::PAYMENT_REQUIRED) + count(StatusCode::TOO_MANY_REQUESTS);
    assert!(count(StatusCode::OK) > 0, "{answers:?}");
    assert_eq!(count(StatusCode::OK) + refused, 50, "{answers:?}");
    assert_eq!(shop.upstream.served(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_requests_are_in_flight_in_any_order() {
    let shop = Arc::new(Shop::open().await);
    shop.upstream.set_gate(false);
    // 27 and 64 have no common divisor: every balance once, none in order.
    let balances = (0..64).map(|request| (request * 27 % 64 + 1) * 5);
    let requests = send(&shop, "/wait/x", balances);
    waiting(&shop, 64).await;
    shop.upstream.set_gate(true);
    let answers = requests.join_all().await;
    assert!(
        answers.iter().all(|status| *status == StatusCode::OK),
        "{answers:?}"
    );
    let next = shop.get("/echo/x", shop.pays(325, 5)).await;
    let receipt = [("RDN-Sender-Balance", "325"), ("RDN-Credit", "0")];
    expect(&next, StatusCode::OK, &receipt);
    assert_eq!(shop.upstream.served(), 65);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_is_owed_at_a_close_and_nothing_is_sold_after_it() {
    let shop = Arc::new(Shop::open().await);
    shop.upstream.set_gate(false);
    let requests = send(&shop, "/wait/x", (1..=10).map(|request| request * 5));
    waiting(&shop, 10).await;
    let body = |balance: u64| json!({"balance": balance.to_string(), "balance_signature": shop.proof(balance).signature.to_string()});
    let (early, why) = shop.close(body(45)).await;
    assert_eq!(early, StatusCode::BAD_REQUEST, "{why}");
    let (status, answer) = shop.close(body(50)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let closing = answer["close_signature"].as_str().unwrap().parse().unwrap();
    let scheme = shop.world.contract.scheme();
    assert!(scheme.is_closing_signature(&closing, &shop.channel, Balance::from(50)));

    let late = send(&shop, "/echo/x", [55, 60, 50]).join_all().await;
    assert_eq!(late, [StatusCode::PAYMENT_REQUIRED; 3]);
    shop.upstream.set_gate(true);
    assert_eq!(requests.join_all().await, [StatusCode::OK; 10]);
    assert_eq!(shop.upstream.served(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_has_paid_and_leaves_nothing_in_flight() {
    let shop = Arc::new(Shop::open().await);
    shop.upstream.set_gate(false);
    let mut requests = send(&shop, "/wait/x", (1..=20).map(|request| request * 5));
    waiting(&shop, 20).await;
    requests.shutdown().await;
    waiting(&shop, 0).await;
    shop.upstream.set_gate(true);

    let again = shop.get("/echo/x", shop.pays(50, 5)).await;
    assert_eq!(again.status(), StatusCode::PAYMENT_REQUIRED);
    assert!(header(&again, "RDN-Error").is_some_and(|error| error.starts_with("already-spent")));
    let next = shop.get("/echo/x", shop.pays(105, 5)).await;
    expect(&next, StatusCode::OK, &[("RDN-Sender-Balance", "105")]);
    assert_eq!(shop.upstream.served(), 1);
}
