//! HTTP/2: what a handler sees of it, and very many requests at once.

use crate::authority::Authority;
use crate::clients::{get, secure_http2, text};
use crate::plain::Plain;
use crate::soon;
use axum::body::Body;
use futures_util::future::join_all;
use http::{Request, StatusCode};
use microraiden_proxy::Limits;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_looks_as_over_http1() {
    let authority = Authority::new();
    let server = Plain::encrypted(&authority, Limits::default()).await;
    let mut client = secure_http2(server.address, &authority).await;
    let request = Request::get("https://localhost:4711//%61bout?q=%61")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(Body::empty())
        .unwrap();
    let seen = text(soon(client.send_request(request)).await.unwrap()).await;
    let expected = "version=2 path=/about?q=%61 peer=true host=localhost:4711 cookie=a=1; b=2 ";
    assert!(seen.starts_with(expected), "{seen}");

    for (path, status) in [
        ("/nothing", StatusCode::NOT_FOUND),
        ("/a/%2e%2e/about", StatusCode::BAD_REQUEST),
        ("/a/%252e%252e%252fabout", StatusCode::BAD_REQUEST),
    ] {
        let answer = soon(client.send_request(get(path))).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
    for (host, status) in [
        ("localhost", StatusCode::OK),
        ("LOCALHOST:443", StatusCode::OK),
        ("elsewhere", StatusCode::BAD_REQUEST),
    ] {
        let mut request = get("/about");
        request.headers_mut().insert("host", host.parse().unwrap());
        let answer = soon(client.send_request(request)).await.unwrap();
        assert_eq!(answer.status(), status, "{host}");
    }
}

/// Two thousand, all of them in flight at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn very_many_requests_at_once() {
    const CONNECTIONS: usize = 20;
    const EACH: usize = 100;
    let authority = Authority::new();
    let server = Plain::encrypted(&authority, Limits::default()).await;
    let begin = Instant::now();
    let mut asking = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = secure_http2(server.address, &authority).await;
        for _ in 0..EACH {
            let mut client = client.clone();
            asking.push(tokio::spawn(async move {
                text(client.send_request(get("/wait")).await.unwrap()).await
            }));
        }
    }
    server.gate.has_come(CONNECTIONS * EACH).await;
    println!(
        "{} requests were in flight after {:?}",
        CONNECTIONS * EACH,
        begin.elapsed()
    );
    let open = Instant::now();
    server.gate.open(CONNECTIONS * EACH);
    for answer in soon(join_all(asking)).await {
        assert_eq!(answer.unwrap(), "at last");
    }
    println!("and answered within {:?}", open.elapsed());
}
