//! Bodies of requests that do not come as they should.

use super::{Wire, about, head, millis, short, strict_shop};
use crate::shop::{Shop, expect};
use http::StatusCode;
use std::time::{Duration, Instant};

/// Checks that nothing is owed beyond this balance, and that it is spent.
async fn is_spent(shop: &Shop, balance: u64) {
    let again = shop.get("/echo/x", shop.pays(balance, 5)).await;
    let told = balance.to_string();
    let standing = [("RDN-Sender-Balance", told.as_str()), ("RDN-Credit", "0")];
    expect(&again, StatusCode::PAYMENT_REQUIRED, &standing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stalls_is_408_and_stays_spent() {
    let shop = strict_shop().await;
    for (balance, rest) in [
        (5, "Content-Length: 10\r\n\r\n012"),
        (10, "Transfer-Encoding: chunked\r\n\r\n3\r\n012\r\n"),
        (15, "Content-Length: 10\r\n\r\n"),
    ] {
        let mut wire = Wire::to_shop(&shop).await;
        let begin = Instant::now();
        wire.send(head("POST /length", &shop.pays(balance, 5)) + rest)
            .await;
        let answer = wire.answer().await;
        about(begin.elapsed(), short().body_stall);
        assert_eq!(answer.status, 408, "{answer:?}");
        assert_eq!(answer.header("RDN-Cost"), Some("5"), "{answer:?}");
        is_spent(&shop, balance).await;
    }
    assert_eq!(shop.upstream.served(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_byte_by_byte_is_408_however_regular() {
    let shop = strict_shop().await;
    let mut wire = Wire::to_shop(&shop).await;
    let begin = Instant::now();
    wire.send(head("POST /length", &shop.pays(5, 5)) + "Content-Length: 1000\r\n\r\n")
        .await;
    while begin.elapsed() < Duration::from_secs(5) {
        if tokio::time::timeout(millis(20), wire.stream.readable())
            .await
            .is_ok()
        {
            break;
        }
        wire.send("x").await;
    }
    assert_eq!(wire.answer().await.status, 408);
    about(begin.elapsed(), short().body_stall);
    is_spent(&shop, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_413() {
    let shop = strict_shop().await;
    // Announced: nothing is paid.
    let mut wire = Wire::to_shop(&shop).await;
    wire.send(head("POST /length", &shop.pays(5, 5)) + "Content-Length: 100001\r\n\r\nx")
        .await;
    let answer = wire.answer().await;
    assert_eq!((answer.status, answer.header("RDN-Cost")), (413, None));

    // Found out while it comes: the upstream has been asked, and the client has paid for that.
    let mut wire = Wire::to_shop(&shop).await;
    wire.send(head("POST /length", &shop.pays(5, 5)) + "Transfer-Encoding: chunked\r\n\r\n")
        .await;
    for _ in 0..11 {
        wire.send(format!("2710\r\n{}\r\n", "x".repeat(10_000))).await;
    }
    let answer = wire.answer().await;
    assert_eq!((answer.status, answer.header("RDN-Cost")), (413, Some("5")));
    is_spent(&shop, 5).await;

    // One byte less passes, and both ways.
    let chunked = "Transfer-Encoding: chunked\r\n\r\n".to_owned()
        + &format!("186A0\r\n{}\r\n0\r\n\r\n", "x".repeat(100_000));
    let counted = format!("Content-Length: 100000\r\n\r\n{}", "x".repeat(100_000));
    for (balance, rest) in [(10, chunked), (15, counted)] {
        let mut wire = Wire::to_shop(&shop).await;
        wire.send(head("POST /length", &shop.pays(balance, 5)) + &rest)
            .await;
        assert_eq!(wire.answer().await.body, b"100000");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_upload_is_not_the_upstreams_fault() {
    let shop = strict_shop().await;
    let mut wire = Wire::to_shop(&shop).await;
    let begin = Instant::now();
    wire.send(head("POST /length", &shop.pays(5, 5)) + "Content-Length: 50000\r\n\r\n")
        .await;
    for _ in 0..10 {
        wire.send("x".repeat(5_000)).await;
        tokio::time::sleep(millis(120)).await;
    }
    let answer = wire.answer().await;
    assert!(begin.elapsed() > millis(900), "longer than the upstream may take");
    assert_eq!((answer.status, &*answer.body), (200, &b"50000"[..]));
    assert_eq!(answer.header("RDN-Cost"), Some("5"));
}
