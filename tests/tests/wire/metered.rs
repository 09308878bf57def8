//! Metered routes: authorised at the price, settled at the cost, at once or after the body.

use crate::shop::{Shop, expect};
use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, StatusCode};
use microraiden_paywall::Meter;
use microraiden_sender::{Client, Closing, Session, SessionConfig};
use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const MOST: u64 = 100;

/// Pieces a little apart, each of which costs 10.
fn pieces(meter: Meter, count: usize) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    stream::iter(0..count).then(move |number| {
        let meter = meter.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            meter.add(10);
            Ok(Bytes::from(format!("data: {number}\n\n")))
        }
    })
}

/// Content that costs less than its price.
async fn open() -> Shop {
    Shop::open_service(|paywall| {
        let metered = paywall.price(MOST).metered();
        let stated = metered.clone().unmetered_cost(30);
        let events = async |meter: Meter| {
            let body = Body::from_stream(pieces(meter, 3));
            ([("content-type", "text/event-stream")], body).into_response()
        };
        let plain = async |meter: Meter| Body::from_stream(pieces(meter, 4));
        // Never ends by itself.
        let endless = async |meter: Meter| Body::from_stream(pieces(meter, 10_000));
        Router::new()
            .route(
                "/at-once",
                get(async |meter: Meter| {
                    meter.charge(7);
                    "seven"
                })
                .layer(metered.clone()),
            )
            .route(
                "/nothing",
                get(async |meter: Meter| {
                    meter.charge(0);
                    "free"
                })
                .layer(metered.clone()),
            )
            .route(
                "/too-much",
                get(async |meter: Meter| {
                    meter.charge(1_000);
                    "dear"
                })
                .layer(metered.clone()),
            )
            .route("/silent", get(async || "no word").layer(metered.clone()))
            .route("/stated", get(async || "no word").layer(stated.clone()))
            .route(
                "/broken",
                get(async |meter: Meter| {
                    meter.charge(7);
                    StatusCode::BAD_GATEWAY
                })
                .layer(metered.clone()),
            )
            .route("/events", get(events).layer(metered.clone()))
            .route("/plain", get(plain).layer(metered.clone()))
            .route("/endless", get(endless).layer(metered))
            .route("/endless-stated", get(endless).layer(stated))
            .route(
                "/unmetered",
                get(async |_: Meter| "never").layer(paywall.price(1)),
            )
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_what_was_authorised_is_credit() {
    let shop = open().await;
    let mut balance = 0;
    let mut credit = 0;
    for (path, cost) in [
        ("/at-once", 7),
        ("/nothing", 0),
        ("/at-once", 7),
        ("/too-much", 100),
        ("/silent", 100),
        ("/stated", 30),
    ] {
        // The credit pays first.
        balance += MOST - credit;
        let paid = shop.get(path, shop.pays(balance, MOST)).await;
        credit = MOST - cost;
        let (cost, left, at) = (cost.to_string(), credit.to_string(), balance.to_string());
        expect(
            &paid,
            StatusCode::OK,
            &[
                ("RDN-Cost", &cost),
                ("RDN-Credit", &left),
                ("RDN-Sender-Balance", &at),
                ("RDN-Price", "100"),
            ],
        );
    }
    balance += MOST - credit;
    let broken = shop.get("/broken", shop.pays(balance, MOST)).await;
    expect(
        &broken,
        StatusCode::BAD_GATEWAY,
        &[("RDN-Cost", "0"), ("RDN-Credit", "100")],
    );
    // A handler that asks for a meter where there is none is our mistake: nothing is charged.
    let wrong = shop.get("/unmetered", shop.pays(balance, 1)).await;
    expect(&wrong, StatusCode::INTERNAL_SERVER_ERROR, &[("RDN-Cost", "0")]);
    shop.receiver.stop().await;
}

/// A chunked answer as it comes over the wire: head, body, trailers.
fn exchange(shop: &Shop, path: &str, payment: &HeaderMap) -> (String, String, String) {
    let url = shop.receiver.url("/");
    let host = url.authority();
    let mut stream = TcpStream::connect(host).unwrap();
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nTE: trailers\r\nConnection: close\r\n");
    for (name, value) in payment {
        request += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let section = |reader: &mut BufReader<TcpStream>| {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") && text != "\r\n" {
            assert!(reader.read_line(&mut text).unwrap() > 0, "{text}");
        }
        text.to_ascii_lowercase()
    };
    let head = section(&mut reader);
    let mut body = String::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        let mut piece = vec![0; size + 2];
        reader.read_exact(&mut piece).unwrap();
        body += std::str::from_utf8(&piece[..size]).unwrap();
    }
    let trailers = section(&mut reader);
    (head, body, trailers)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_settled_at_its_end_and_tells_it_in_trailers() {
    let shop = std::sync::Arc::new(open().await);
    let fetch = async |path: &'static str, payment: HeaderMap| {
        let shop = shop.clone();
        tokio::task::spawn_blocking(move || exchange(&shop, path, &payment))
            .await
            .unwrap()
    };
    let (head, body, trailers) = fetch("/plain", shop.pays(100, MOST)).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(
        head.contains("rdn-cost: 100\r\n") && head.contains("trailer: rdn-cost"),
        "{head}"
    );
    assert_eq!(body, "data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\n");
    assert!(
        trailers.contains("rdn-cost: 40\r\n") && trailers.contains("rdn-credit: 60\r\n"),
        "{trailers}"
    );

    // Server-sent events tell it in a comment, too.
    let (head, body, trailers) = fetch("/events", shop.pays(140, MOST)).await;
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
    assert!(
        body.ends_with("data: 2\n\n: RDN-Cost=30 RDN-Credit=70\n"),
        "{body}"
    );
    assert!(trailers.contains("rdn-cost: 30\r\n"), "{trailers}");

    // The next answer has it anyway; and the answer is kept, with what it has cost.
    let again = shop.get("/plain", shop.pays(100, MOST)).await;
    expect(
        &again,
        StatusCode::OK,
        &[("RDN-Cost", "40"), ("RDN-Credit", "60"), ("Trailer", "")],
    );
    assert!(again.text().await.unwrap().ends_with("data: 3\n\n"));
    let next = shop.get("/at-once", shop.pays(170, MOST)).await;
    expect(&next, StatusCode::OK, &[("RDN-Cost", "7"), ("RDN-Credit", "93")]);
}

/// Reads a little, hangs up, and gives what the channel has as credit afterwards.
async fn leave(shop: &Shop, path: &str, balance: u64) -> String {
    let mut answer = shop.get(path, shop.pays(balance, MOST)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.chunk().await.unwrap().is_some());
    drop(answer);
    let begin = Instant::now();
    loop {
        // The balance query: it pays nothing, and tells the credit.
        let standing = shop.get("/at-once", shop.pays(balance, 0)).await;
        let credit = standing.headers()["rdn-credit"].to_str().unwrap().to_owned();
        if credit != "0" || begin.elapsed() > Duration::from_secs(2) {
            return credit;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_a_stream_has_paid_the_most_unless_the_route_states_a_cost() {
    let shop = open().await;
    assert_eq!(leave(&shop, "/endless-stated", 100).await, "70");
    let shop = open().await;
    assert_eq!(leave(&shop, "/endless", 100).await, "0");
}

/// The head of a stream says the most, and the sender's book counts that: the close is at what was really used.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_closes_at_what_its_stream_has_cost() {
    let shop = open().await;
    let client = Client::new(shop.world.contract.clone(), shop.world.sender.clone());
    let limits = SessionConfig::new(MOST.into(), MOST.into());
    let session = Session::new(client, limits).unwrap();
    let paid = session.get(shop.receiver.url("/events")).await.unwrap();
    assert_eq!(paid.cost, MOST.into());
    let text = paid.response.text().await.unwrap();
    assert!(text.ends_with(": RDN-Cost=30 RDN-Credit=70\n"), "{text}");
    let closed = session.close().await.unwrap();
    assert_eq!(
        (&closed[0].closing, closed[0].balance),
        (&Closing::Cooperative, 30.into())
    );
    shop.receiver.stop().await;
}
