//! What the proxy makes of upstreams that misbehave, and what passes between them and the client.

use crate::shop::{Shop, expect};
use http::StatusCode;
use std::io::{Read, Write};
use std::net::TcpListener;
use url::Url;

/// An upstream that reads a little of each request, answers these bytes, and hangs up.
fn answers(bytes: &'static [u8]) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // What a proxy makes of a connection that fails is what the tests look at.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(bytes);
        }
    });
    url.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_the_upstream_is_charged_unless_it_is_a_failure() {
    let shop = Shop::open().await;
    let mut balance = 0;
    for (code, status, cost) in [
        (200, 200, "5"),
        (204, 204, "5"),
        (304, 304, "5"),
        (404, 404, "5"),
        (402, 502, "0"),
        (500, 500, "0"),
        (599, 599, "0"),
    ] {
        if cost == "5" || code == 402 {
            balance += 5;
        }
        let response = shop.get(&format!("/status/{code}"), shop.pays(balance, 5)).await;
        let passed = if status < 500 { "1" } else { "" };
        expect(
            &response,
            StatusCode::from_u16(status).unwrap(),
            &[
                ("RDN-Cost", cost),
                ("RDN-Price", "5"),
                ("RDN-Anything", ""),
                ("Keep-Alive", ""),
                ("X-Hop", ""),
                ("X-Own", passed),
            ],
        );
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_breaks_off_before_its_answer_costs_nothing() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ] {
        let shop = Shop::open_before(|_| answers(bytes)).await;
        let failed = shop.get("/x", shop.pays(5, 5)).await;
        let receipt = [("RDN-Cost", "0"), ("RDN-Credit", "5")];
        expect(&failed, StatusCode::BAD_GATEWAY, &receipt);
        shop.receiver.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_before_the_answer_is_no_answer() {
    let hinted =
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let shop = Shop::open_before(|_| answers(hinted)).await;
    let response = shop.get("/x", shop.pays(5, 5)).await;
    expect(&response, StatusCode::OK, &[("RDN-Cost", "5")]);
    assert_eq!(response.text().await.unwrap(), "ok");
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_one_connection_end_at_the_proxy() {
    let shop = Shop::open().await;
    let mut headers = shop.pays(5, 5);
    for (name, value) in [
        ("connection", "x-hop, x-other"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
        ("upgrade", "websocket"),
        ("host", "elsewhere"),
        ("x-own", "1"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    let paid = shop.get("/echo/x", headers).await;
    assert_eq!(paid.status(), StatusCode::OK);
    let seen = shop.upstream.last_headers();
    for name in ["x-hop", "keep-alive", "proxy-connection", "upgrade"] {
        assert!(!seen.contains_key(name), "{name}: {seen:?}");
    }
    // The proxy's own connection has trailers as well.
    assert_eq!(
        (&seen["te"], &seen["connection"]),
        (&"trailers".parse().unwrap(), &"te".parse().unwrap())
    );
    let upstream = shop.upstream.url();
    assert_eq!(seen["host"], upstream.authority());
    assert_eq!(seen["x-own"], "1");
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_any_form_pass() {
    let shop = Shop::open().await;
    let large = vec![7u8; 1 << 20];
    for (balance, body) in [(5, Vec::new()), (10, vec![1]), (15, large)] {
        let expected = body.len().to_string();
        let request = shop.http.post(shop.receiver.url("/length"));
        let response = request
            .headers(shop.pays(balance, 5))
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.text().await.unwrap(), expected);
    }
    shop.receiver.stop().await;
}
