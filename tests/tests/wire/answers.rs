//! Answers that were lost on the way: given again for the same request, and for nothing else.

use crate::shop::{Shop, expect};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A shop that counts what it sells: `/count` and `/large`, and `/body`, which answers its body.
async fn counting() -> (Shop, Arc<AtomicU64>) {
    let sold = Arc::new(AtomicU64::new(0));
    let count = {
        let sold = sold.clone();
        move || sold.fetch_add(1, Ordering::SeqCst) + 1
    };
    let shop = Shop::open_service(move |paywall| {
        let (large, body) = (count.clone(), count.clone());
        Router::new()
            .route("/count", get(async move || count().to_string()))
            .route(
                "/large",
                get(async move || {
                    large();
                    Body::from(vec![7; 100_000])
                }),
            )
            .route(
                "/body",
                post(async move |text: Bytes| {
                    body();
                    text
                }),
            )
            .layer(paywall.price(5))
    })
    .await;
    (shop, sold)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_gets_the_same_answer_uncharged() {
    let (shop, sold) = counting().await;
    let first = shop.get("/count?a", shop.pays(5, 5)).await;
    let headers = first.headers().clone();
    assert_eq!(first.text().await.unwrap(), "1");
    for _ in 0..10 {
        let again = shop.get("/count?a", shop.pays(5, 5)).await;
        assert_eq!(again.status(), StatusCode::OK);
        for name in [
            "rdn-cost",
            "rdn-sender-balance",
            "rdn-credit",
            "content-type",
            "vary",
        ] {
            assert_eq!(again.headers().get(name), headers.get(name), "{name}");
        }
        assert_eq!(again.text().await.unwrap(), "1");
    }
    assert_eq!(sold.load(Ordering::SeqCst), 1);
    // Nothing was charged for it.
    let next = shop.get("/count", shop.pays(10, 5)).await;
    expect(
        &next,
        StatusCode::OK,
        &[("RDN-Sender-Balance", "10"), ("RDN-Credit", "0")],
    );
    assert_eq!(next.text().await.unwrap(), "2");

    // Another request, another payment, or none stated: not the same.
    let spent = [("RDN-Invalid-Balance-Proof", "1"), ("RDN-Sender-Balance", "10")];
    for (path, payment) in [("/count?b", 5), ("/count?a", 4), ("/count", 5)] {
        let other = shop.get(path, shop.pays(5, payment)).await;
        expect(&other, StatusCode::PAYMENT_REQUIRED, &spent);
    }
    let mut query = shop.pays(10, 5);
    query.remove("rdn-payment");
    let query = shop.get("/count", query).await;
    expect(
        &query,
        StatusCode::PAYMENT_REQUIRED,
        &[("RDN-Invalid-Balance-Proof", "")],
    );
    let head = shop
        .http
        .head(shop.receiver.url("/count?a"))
        .headers(shop.pays(5, 5));
    expect(&head.send().await.unwrap(), StatusCode::PAYMENT_REQUIRED, &spent);
    assert_eq!(sold.load(Ordering::SeqCst), 2);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_belongs_to_the_request_and_must_be_the_same() {
    let (shop, sold) = counting().await;
    let send = async |body: Vec<u8>, payment: HeaderMap| {
        let request = shop.http.post(shop.receiver.url("/body")).headers(payment);
        request.body(body).send().await.unwrap()
    };
    let first = send(b"one".to_vec(), shop.pays(5, 5)).await;
    assert_eq!(first.text().await.unwrap(), "one");
    let again = send(b"one".to_vec(), shop.pays(5, 5)).await;
    assert_eq!(again.text().await.unwrap(), "one");
    for other in [b"two".to_vec(), Vec::new(), vec![1; 100_000]] {
        let other = send(other, shop.pays(5, 5)).await;
        expect(
            &other,
            StatusCode::PAYMENT_REQUIRED,
            &[("RDN-Sender-Balance", "5")],
        );
    }
    assert_eq!(sold.load(Ordering::SeqCst), 1);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_not_kept() {
    let (shop, sold) = counting().await;
    let first = shop.get("/large", shop.pays(5, 5)).await;
    assert_eq!(first.bytes().await.unwrap().len(), 100_000);
    let again = shop.get("/large", shop.pays(5, 5)).await;
    expect(
        &again,
        StatusCode::PAYMENT_REQUIRED,
        &[("RDN-Sender-Balance", "5")],
    );
    assert_eq!(sold.load(Ordering::SeqCst), 1);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_repeats_what_was_refused_is_told_to_stop() {
    let (shop, _) = counting().await;
    // Twice the price: refused, whenever it is repeated.
    for _ in 0..5 {
        let refused = shop.get("/count", shop.pays(10, 10)).await;
        expect(
            &refused,
            StatusCode::PAYMENT_REQUIRED,
            &[("RDN-Invalid-Amount", "1")],
        );
    }
    let stopped = shop.get("/count", shop.pays(10, 10)).await;
    assert_eq!(stopped.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = stopped.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(stopped.headers()["cache-control"], "no-store");
    // The right payment is accepted all the same.
    let paid = shop.get("/count", shop.pays(5, 5)).await;
    assert_eq!(paid.status(), StatusCode::OK);

    // A client of 2018 waits for an unknown channel by repeating.
    let mut unknown = shop.pays(15, 5);
    unknown.insert("rdn-open-block", "1".parse().unwrap());
    for _ in 0..30 {
        let refused = shop.get("/count", unknown.clone()).await;
        expect(
            &refused,
            StatusCode::PAYMENT_REQUIRED,
            &[("RDN-Nonexisting-Channel", "1")],
        );
    }
    let stopped = shop.get("/count", unknown).await;
    assert_eq!(stopped.status(), StatusCode::TOO_MANY_REQUESTS);
    shop.receiver.stop().await;
}
