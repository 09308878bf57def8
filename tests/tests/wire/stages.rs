//! A resource that fails, at every stage of a request: what the client gets, and what it costs.

use crate::shop::{Shop, expect};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use url::Url;

/// An upstream that breaks off after these bytes, until it is mended.
struct Fragile {
    url: Url,
    mended: Arc<AtomicBool>,
}

impl Fragile {
    fn start(bytes: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let mended = Arc::new(AtomicBool::new(false));
        let whole = mended.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let answer: &[u8] = if whole.load(Ordering::SeqCst) {
                    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood"
                } else {
                    &bytes
                };
                let _ = stream.write_all(answer);
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        Self { url, mended }
    }
}

/// Until the first byte of a body is passed on, a failure costs nothing, and the same proof buys again.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_breaks_off_before_its_first_byte_costs_nothing() {
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    let stages: [(&str, Vec<u8>); 9] = [
        ("at once", b"".to_vec()),
        ("in the status line", b"HTTP/1.1 20".to_vec()),
        ("in a header", b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
        ("after the head", long.into()),
        (
            "after a chunked head",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        ),
        (
            "in the first chunk's size",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5".to_vec(),
        ),
        // Short answers are passed on whole or not at all.
        (
            "in a short body",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this".to_vec(),
        ),
        (
            "with a failure",
            b"HTTP/1.1 503 No\r\nContent-Length: 6\r\n\r\nsecret".to_vec(),
        ),
        (
            "asking for payment",
            b"HTTP/1.1 402 No\r\nContent-Length: 6\r\n\r\nsecret".to_vec(),
        ),
    ];
    for (stage, bytes) in stages {
        let fragile = Fragile::start(bytes);
        let shop = Shop::open_before(|_| fragile.url.clone()).await;
        let failed = shop.get("/x", shop.pays(5, 5)).await;
        let status = failed.status();
        assert!(matches!(status.as_u16(), 502 | 503), "{stage}: {status}");
        let receipt = [
            ("RDN-Cost", "0"),
            ("RDN-Credit", "5"),
            ("RDN-Sender-Balance", "5"),
        ];
        expect(&failed, status, &receipt);
        let text = failed.text().await.unwrap();
        assert!(
            text.contains("nothing was charged") && !text.contains("secret"),
            "{stage}: {text}"
        );

        fragile.mended.store(true, Ordering::SeqCst);
        let served = shop.get("/x", shop.pays(5, 5)).await;
        let receipt = [
            ("RDN-Cost", "5"),
            ("RDN-Credit", "0"),
            ("RDN-Sender-Balance", "5"),
        ];
        expect(&served, StatusCode::OK, &receipt);
        assert_eq!(served.text().await.unwrap(), "good", "{stage}");
        shop.receiver.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_breaks_off_later_is_charged_and_seen_to_break_off() {
    let begun = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec(),
        vec![7; 1_000],
    ]
    .concat();
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5".to_vec();
    for bytes in [begun, chunked] {
        let fragile = Fragile::start(bytes);
        let shop = Shop::open_before(|_| fragile.url.clone()).await;
        let response = shop.get("/x", shop.pays(5, 5)).await;
        expect(
            &response,
            StatusCode::OK,
            &[("RDN-Cost", "5"), ("RDN-Credit", "0")],
        );
        assert!(response.bytes().await.is_err());
        // An answer that broke off is not one to give again.
        let again = shop.get("/x", shop.pays(5, 5)).await;
        expect(
            &again,
            StatusCode::PAYMENT_REQUIRED,
            &[("RDN-Invalid-Balance-Proof", "1")],
        );
        shop.receiver.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_that_fail_or_panic_cost_nothing() {
    let shop = Shop::open_service(|paywall| {
        let paid = paywall.price(5);
        let lenient = paid.clone().free_when(|status| status == StatusCode::NOT_FOUND);
        let panics = async || -> &'static str { panic!("a resource of the test") };
        let breaks = async || {
            let pieces: [Result<Bytes, std::io::Error>; 2] =
                [Ok(Bytes::new()), Err(std::io::Error::other("no more"))];
            Body::from_stream(stream::iter(pieces))
        };
        let missing = async || (StatusCode::NOT_FOUND, "no such thing");
        Router::new()
            .route("/panics", get(panics).layer(paid.clone()))
            .route(
                "/fails",
                get(async || Err::<(), _>((StatusCode::INSUFFICIENT_STORAGE, "secret"))).layer(paid.clone()),
            )
            .route("/breaks", get(breaks).layer(paid.clone()))
            .route("/missing", get(missing).layer(lenient))
            .route("/missing-charged", get(missing).layer(paid))
    })
    .await;
    for (path, status) in [("/panics", 500), ("/fails", 507), ("/breaks", 502)] {
        let failed = shop.get(path, shop.pays(5, 5)).await;
        let receipt = [("RDN-Cost", "0"), ("RDN-Credit", "5")];
        expect(&failed, StatusCode::from_u16(status).unwrap(), &receipt);
        assert!(!failed.text().await.unwrap().contains("secret"), "{path}");
    }
    let free = shop.get("/missing", shop.pays(5, 5)).await;
    expect(
        &free,
        StatusCode::NOT_FOUND,
        &[("RDN-Cost", "0"), ("RDN-Credit", "5")],
    );
    assert_eq!(free.text().await.unwrap(), "no such thing");
    let charged = shop.get("/missing-charged", shop.pays(5, 5)).await;
    expect(
        &charged,
        StatusCode::NOT_FOUND,
        &[("RDN-Cost", "5"), ("RDN-Credit", "0")],
    );
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_only_gets_failures_is_told_to_wait() {
    let fragile = Fragile::start(Vec::new());
    let shop = Shop::open_before(|_| fragile.url.clone()).await;
    for _ in 0..5 {
        let failed = shop.get("/x", shop.pays(5, 5)).await;
        expect(&failed, StatusCode::BAD_GATEWAY, &[("RDN-Cost", "0")]);
    }
    let waiting = shop.get("/x", shop.pays(5, 5)).await;
    assert_eq!(waiting.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = waiting.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    shop.receiver.stop().await;
}
