//! Requests that no honest client makes: never a 5xx, never something for nothing.

use crate::shop::{Shop, expect};
use http::{HeaderMap, StatusCode};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Writes these bytes on a connection of their own, and reads the status of the first answer;
/// `None` when the connection was closed without any.
async fn raw(shop: &Shop, bytes: impl Into<Vec<u8>>) -> Option<u16> {
    let (url, bytes) = (shop.receiver.url("/"), bytes.into());
    let exchange = move || {
        let mut stream = TcpStream::connect(url.authority()).unwrap();
        // A server that has judged the beginning may hang up before the end.
        let _ = stream.write_all(&bytes);
        let mut answer = [0; 12];
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        if stream.peek(&mut answer).is_err() {
            // It waits for more, perhaps.
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.read_exact(&mut answer).ok()?;
        std::str::from_utf8(&answer[9..]).unwrap().parse().ok()
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

/// The head of a request with a payment.
fn head(first_line: &str, payment: &HeaderMap) -> String {
    let mut head = format!("{first_line}\r\nHost: x\r\n");
    for (name, value) in payment {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    head
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_an_upstream_may_read_differently_buy_nothing_and_cost_nothing() {
    let shop = Shop::open().await;
    let payment = shop.pays(5, 5);
    for path in [
        "/echo/../echo/x",
        "/echo/%2e%2E/echo/x",
        "/echo/..%2fecho%2Fx",
        "/echo/./x",
        "/echo/..",
        "http://elsewhere/echo/../x",
    ] {
        let request = head(&format!("GET {path} HTTP/1.1"), &payment) + "\r\n";
        assert_eq!(raw(&shop, request).await, Some(400), "{path}");
    }
    let tunnel = head("CONNECT 127.0.0.1:1 HTTP/1.1", &payment) + "\r\n";
    assert_eq!(raw(&shop, tunnel).await, Some(405));
    let everything = head("OPTIONS * HTTP/1.1", &payment) + "\r\n";
    assert_eq!(raw(&shop, everything).await, Some(400));
    assert_eq!(shop.upstream.served(), 0);

    let elsewhere = head("GET http://elsewhere/%65cho/x HTTP/1.1", &payment) + "\r\n";
    assert_eq!(raw(&shop, elsewhere).await, Some(200));
    assert_eq!(shop.upstream.served(), 1);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_the_clients_doing() {
    let shop = Shop::open().await;
    let chunked = head("POST /length HTTP/1.1", &shop.pays(5, 5))
        + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n";
    assert_eq!(raw(&shop, chunked).await, Some(400));
    let response = shop.get("/echo/x", shop.pays(5, 5)).await;
    expect(
        &response,
        StatusCode::PAYMENT_REQUIRED,
        &[("RDN-Sender-Balance", "5")],
    );

    let smuggled = head("POST /length HTTP/1.1", &shop.pays(10, 5))
        + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /echo/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let status = raw(&shop, smuggled).await;
    assert!(matches!(status, Some(200 | 400)), "{status:?}");
    let next = shop.get("/echo/x", shop.pays(15, 5)).await;
    assert!(next.status().is_success(), "{:?}", next.headers());
    shop.receiver.stop().await;
}

/// A small generator, so that a failure is found again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<'a>(&mut self, values: &[&'a str]) -> &'a str {
        values[self.roll(values.len())]
    }
}

const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "OPTIONS", "DELETE", "PUT", "TRACE", "X", "get",
];
const PATHS: [&str; 16] = [
    "/",
    "//",
    "/echo/x",
    "/length",
    "/api/1/channels",
    "/api/1/channels/0x12/%ff",
    "/api/1/channels/%ff",
    "/api/1/stats/..",
    "/cm",
    "/%",
    "/%00",
    "/?%zz",
    "*",
    "echo",
    "http://h:99999/",
    "/\u{e9}",
];
const NAMES: [&str; 10] = [
    "RDN-Balance",
    "RDN-Sender-Balance",
    "RDN-Payment",
    "RDN-Open-Block",
    "RDN-Balance-Signature",
    "RDN-Sender-Address",
    "RDN-Price",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
];
const VALUES: [&str; 12] = [
    "",
    "0",
    "5",
    "-1",
    "99999999999999999999999999999999999999999999999999999999999999",
    "0x",
    "abc",
    "\u{7f}",
    "chunked",
    "close, content-length",
    "\u{e9}",
    "0x00000000000000000000000000000000000000000000000000",
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_client_sends_is_a_failure_of_ours() {
    let shop = Shop::open().await;
    let payment = shop.pays(5, 5);
    let mut dice = Dice(1);
    let mut answered = 0;
    for _ in 0..400 {
        let line = format!("{} {} HTTP/1.1", dice.pick(&METHODS), dice.pick(&PATHS));
        let mut request = if dice.roll(2) == 0 {
            head(&line, &payment)
        } else {
            head(&line, &HeaderMap::new())
        };
        for _ in 0..dice.roll(4) {
            request += &format!("{}: {}\r\n", dice.pick(&NAMES), dice.pick(&VALUES));
        }
        request += "\r\n";
        request += dice.pick(&["", "{}", "5\r\nhello\r\n0\r\n\r\n", "{\"balance\": \"5\"}"]);
        let status = raw(&shop, request.clone()).await;
        assert!(
            status.is_none_or(|status| status < 500),
            "{status:?}: {request:?}"
        );
        answered += usize::from(status.is_some());
    }
    assert!(answered > 300, "{answered}");
    for request in [
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000)),
        format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(200)),
        "GET / HTTP/3.0\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
    ] {
        let status = raw(&shop, request).await;
        assert!(
            status.is_none_or(|status| (400..500).contains(&status)),
            "{status:?}"
        );
    }
    let response = shop.get("/cm", HeaderMap::new()).await;
    assert_eq!(response.status(), StatusCode::OK);
    shop.receiver.stop().await;
}
