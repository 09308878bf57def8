//! Upstreams that begin an answer and do not go on.

use super::{DEADLINE, about, millis, short};
use crate::shop::{Shop, expect};
use http::StatusCode;
use microraiden_tests::receiver::Patience;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use url::Url;

const TIMEOUT: Duration = Duration::from_millis(400);

/// An upstream that answers each request with these pieces, with a pause before each, and then
/// waits for the end of the connection, or hangs up.
fn pieces(pieces: &'static [&'static str], pause: Duration, hangs_up: bool) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A connection that fails is what the tests look at.
            let _ = stream.read(&mut [0; 4096]);
            for piece in pieces {
                std::thread::sleep(pause);
                let _ = stream.write_all(piece.as_bytes());
            }
            if !hangs_up {
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                let _ = stream.read(&mut [0; 4096]);
            }
        }
    });
    url.parse().unwrap()
}

async fn shop(upstream: Url) -> Shop {
    let patience = Patience {
        limits: short(),
        upstream_timeout: TIMEOUT,
    };
    Shop::open_patient(|_| upstream, patience).await
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
/// Too long to be passed on whole or not at all.
const LONG: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_byte_nothing_is_charged() {
    for (upstream, status) in [
        (pieces(&[], Duration::ZERO, false), 504),
        (pieces(&["HTTP/1.1 200 OK\r\n"], Duration::ZERO, false), 504),
        (pieces(&[HEAD], Duration::ZERO, false), 504),
        (pieces(&[CHUNKED], Duration::ZERO, false), 504),
        (pieces(&[HEAD], Duration::ZERO, true), 502),
        (pieces(&[CHUNKED, "x"], Duration::ZERO, true), 502),
        // Head and first byte together.
        (pieces(&[HEAD, "01"], millis(300), false), 504),
    ] {
        let shop = shop(upstream).await;
        let begin = Instant::now();
        let failed = shop.get("/x", shop.pays(5, 5)).await;
        let receipt = [("RDN-Cost", "0"), ("RDN-Credit", "5")];
        expect(&failed, StatusCode::from_u16(status).unwrap(), &receipt);
        if status == 504 {
            about(begin.elapsed(), TIMEOUT);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_first_byte_each_piece_has_its_time() {
    // Longer than the time for one piece, as a whole.
    let slow = pieces(&[HEAD, "01", "23", "45", "67", "89"], millis(150), false);
    let slow = shop(slow).await;
    let answer = slow.get("/x", slow.pays(5, 5)).await;
    expect(
        &answer,
        StatusCode::OK,
        &[("RDN-Cost", "5"), ("Content-Length", "10")],
    );
    assert_eq!(answer.text().await.unwrap(), "0123456789");

    for (begun, hangs_up) in [
        (&[LONG, "01"], false),
        (&[CHUNKED, "2\r\n01\r\n"], false),
        (&[CHUNKED, "2\r\n01\r\n"], true),
    ] {
        let shop = shop(pieces(begun, Duration::ZERO, hangs_up)).await;
        let answer = shop.get("/x", shop.pays(5, 5)).await;
        expect(&answer, StatusCode::OK, &[("RDN-Cost", "5")]);
        let begin = Instant::now();
        assert!(
            answer.bytes().await.is_err(),
            "the client must see that it is cut off"
        );
        assert!(begin.elapsed() < TIMEOUT + millis(2_500));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_body_are_answers() {
    let shop = shop(pieces(
        &["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
        Duration::ZERO,
        true,
    ))
    .await;
    let answer = shop.get("/x", shop.pays(5, 5)).await;
    expect(
        &answer,
        StatusCode::OK,
        &[("RDN-Cost", "5"), ("Content-Length", "0")],
    );

    let empty = pieces(&[CHUNKED, "0\r\n\r\n"], Duration::ZERO, true);
    let shop = self::shop(empty).await;
    let answer = shop.get("/x", shop.pays(5, 5)).await;
    expect(&answer, StatusCode::OK, &[("RDN-Cost", "5")]);
    assert_eq!(answer.text().await.unwrap(), "");
}
