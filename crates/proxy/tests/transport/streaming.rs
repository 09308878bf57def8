//! Bodies that go both ways at once, piece by piece, and what stands behind them.

use crate::authority::Authority;
use crate::clients::{Http1, Http2, get, get1, http1, piece, secure_http2, slow_body};
use crate::plain::{Gate, LARGE, Plain, cleartext_http2, listener, passing_on};
use crate::{millis, soon};
use axum::Router;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use microraiden_proxy::{Limits, Server, UpstreamOptions};
use std::time::Duration;
use tokio::net::TcpStream;

/// One side and the other speak HTTP/1.1.
struct Old {
    client: Http1,
    gate: Gate,
    _servers: (Plain, Server),
}

impl Old {
    async fn start(timeout: Duration) -> Self {
        let upstream = Plain::start(Limits::default()).await;
        let base = format!("http://{}", upstream.address).parse().unwrap();
        let options = UpstreamOptions {
            timeout,
            ..UpstreamOptions::default()
        };
        let proxy = Server::start(listener().await, passing_on(base, options));
        let client = http1(TcpStream::connect(proxy.address().unwrap()).await.unwrap()).await;
        Self {
            client,
            gate: upstream.gate.clone(),
            _servers: (upstream, proxy),
        }
    }
}

/// One side and the other speak HTTP/2.
struct New {
    client: Http2,
    gate: Gate,
    authority: Authority,
    proxy: Server,
}

impl New {
    async fn start(timeout: Duration) -> Self {
        let (authority, gate) = (Authority::new(), Gate::default());
        let options = UpstreamOptions {
            timeout,
            http2: true,
            ..UpstreamOptions::default()
        };
        let router: Router = passing_on(cleartext_http2(&gate).await, options);
        let certificates = authority.certificates();
        let proxy = Server::encrypted(listener().await, router, Limits::default(), certificates);
        Self {
            client: secure_http2(proxy.address().unwrap(), &authority).await,
            gate,
            authority,
            proxy,
        }
    }

    /// Another connection to the same proxy.
    async fn another(&self) -> Http2 {
        secure_http2(self.proxy.address().unwrap(), &self.authority).await
    }
}

const TIMEOUT: Duration = millis(400);

/// Each piece comes back before the next is sent; the waiting for the client is not the upstream's.
async fn talk(
    mut body: http_body_util::channel::Sender<hyper::body::Bytes, std::convert::Infallible>,
    answer: impl Future<Output = hyper::Result<Response<Incoming>>>,
) -> Option<HeaderMap> {
    body.send_data("first".into()).await.unwrap();
    let mut answer = soon(answer).await.unwrap().into_body();
    assert_eq!(piece(&mut answer).await.as_deref(), Some("first"));
    for text in ["second", "third"] {
        tokio::time::sleep(TIMEOUT * 2).await;
        body.send_data(text.into()).await.unwrap();
        assert_eq!(piece(&mut answer).await.as_deref(), Some(text));
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "42".parse().unwrap());
    body.send(Frame::trailers(trailers)).await.unwrap();
    drop(body);
    soon(answer.collect()).await.unwrap().trailers().cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_speak_at_once_over_http1() {
    let mut old = Old::start(TIMEOUT).await;
    let (sender, body) = slow_body();
    let request = Request::post("/echo")
        .header("host", "localhost")
        .header("te", "trailers")
        .header("trailer", "x-sum")
        .body(body)
        .unwrap();
    let trailers = talk(sender, old.client.send_request(request)).await.unwrap();
    assert_eq!(trailers["x-echoed"], "42");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_speak_at_once_over_http2() {
    let mut new = New::start(TIMEOUT).await;
    let (sender, body) = slow_body();
    let request = Request::post("https://localhost/echo")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    let trailers = talk(sender, new.client.send_request(request)).await.unwrap();
    assert_eq!(trailers["x-echoed"], "42");
}

/// The events of an answer, each of which is read before the next is there.
async fn events(gate: &Gate, answer: Response<Incoming>) {
    let mut body = answer.into_body();
    for number in 0..3 {
        let event = piece(&mut body).await.unwrap();
        assert_eq!(event, format!("data: {number}\n\n"));
        if number < 2 {
            gate.open(1);
        }
    }
    assert_eq!(piece(&mut body).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_not_held_back() {
    let mut old = Old::start(TIMEOUT).await;
    let answer = soon(old.client.send_request(get1("/drip"))).await.unwrap();
    events(&old.gate, answer).await;
    let mut new = New::start(TIMEOUT).await;
    let answer = soon(new.client.send_request(get("/drip"))).await.unwrap();
    events(&new.gate, answer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_stops_in_the_middle_is_left_over_http2_too() {
    let mut new = New::start(TIMEOUT).await;
    let answer = soon(new.client.send_request(get("/drip"))).await.unwrap();
    let mut body = answer.into_body();
    assert_eq!(piece(&mut body).await.as_deref(), Some("data: 0\n\n"));
    assert!(
        soon(body.frame()).await.unwrap().is_err(),
        "it must be seen to be cut off"
    );
    // The connection goes on, and so does the upstream's.
    let answer = soon(new.client.send_request(get("/"))).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_take_an_answer_does_not_stop_others_of_the_same_upstream() {
    let new = New::start(Duration::from_secs(20)).await;
    let mut kept = Vec::new();
    for _ in 0..20 {
        let mut client = new.another().await;
        let answer = soon(client.send_request(get("/large"))).await.unwrap();
        assert_eq!(answer.status(), 200);
        kept.push(answer);
    }
    let mut client = new.another().await;
    let answer = soon(client.send_request(get("/large"))).await.unwrap();
    let whole = soon(answer.into_body().collect()).await.unwrap();
    assert_eq!(whole.to_bytes().len(), LARGE);
}
