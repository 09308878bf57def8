//! Clients of TLS and HTTP/2 that hold on: what they get, each limit once. The table is in
//! `docs/abuse.md`.

use crate::authority::Authority;
use crate::clients::{Http2, get, http2, http2_with, secure_http2, slow_body, text, tls};
use crate::plain::{LARGE, Plain, listener, passing_on};
use crate::{about, millis, soon};
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use microraiden_proxy::{Limits, Server, UpstreamOptions};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Limits for tests that wait for them.
fn short() -> Limits {
    Limits {
        head: millis(400),
        idle: millis(900),
        body_stall: millis(500),
        answer_stall: millis(500),
        ..Limits::default()
    }
}

/// Waits until the other side ends the connection.
async fn end(mut stream: impl AsyncRead + Unpin) -> Duration {
    let begin = Instant::now();
    // A reset is an end as well.
    let _ = soon(stream.read_to_end(&mut Vec::new())).await;
    begin.elapsed()
}

/// Waits until a client's connection has ended.
async fn closed(client: &mut Http2) -> Duration {
    let begin = Instant::now();
    soon(async {
        while !client.is_closed() {
            tokio::time::sleep(millis(5)).await;
        }
    })
    .await;
    begin.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_waited_for_who_does_not_begin() {
    let authority = Authority::new();
    let limits = short();
    let server = Plain::encrypted(&authority, limits.clone()).await;
    let no_handshake = end(TcpStream::connect(server.address).await.unwrap());
    let no_preface = end(tls(server.address, &authority, &["h2"]).await);
    let no_head = end(tls(server.address, &authority, &["http/1.1"]).await);
    for taken in <[Duration; 3]>::from(tokio::join!(no_handshake, no_preface, no_head)) {
        about(taken, limits.head);
    }
    let mut no_request = secure_http2(server.address, &authority).await;
    about(closed(&mut no_request).await, limits.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_requests_has_its_time() {
    let authority = Authority::new();
    let limits = short();
    let server = Plain::encrypted(&authority, limits.clone()).await;
    let mut client = secure_http2(server.address, &authority).await;
    // Longer than it may idle.
    let waiting = tokio::spawn(client.send_request(get("/wait")));
    tokio::time::sleep(limits.idle * 2).await;
    server.gate.open(1);
    assert_eq!(text(soon(waiting).await.unwrap().unwrap()).await, "at last");
    about(closed(&mut client).await, limits.idle);

    // Also when the last request was taken back.
    let mut client = secure_http2(server.address, &authority).await;
    let waiting = tokio::spawn(client.send_request(get("/wait")));
    server.gate.has_come(2).await;
    waiting.abort();
    server.gate.has_left(2).await;
    about(closed(&mut client).await, limits.idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_requests_at_once_on_a_connection() {
    let authority = Authority::new();
    let limits = Limits {
        streams: 3,
        ..Limits::default()
    };
    let server = Plain::encrypted(&authority, limits).await;
    let mut client = secure_http2(server.address, &authority).await;
    // Once answered, it has read how many the server allows.
    soon(client.send_request(get("/"))).await.unwrap();
    let asking: Vec<_> = (0..5)
        .map(|_| tokio::spawn(client.clone().send_request(get("/wait"))))
        .collect();
    server.gate.has_come(3).await;
    tokio::time::sleep(millis(200)).await;
    assert_eq!(server.gate.come(), 3);
    server.gate.open(5);
    for answer in asking {
        assert_eq!(soon(answer).await.unwrap().unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_connections_have_a_turn() {
    let authority = Authority::new();
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let server = Plain::encrypted(&authority, limits).await;
    let mut greedy = secure_http2(server.address, &authority).await;
    soon(greedy.send_request(get("/"))).await.unwrap();
    let asking: Vec<_> = (0..10)
        .map(|_| tokio::spawn(greedy.clone().send_request(get("/wait"))))
        .collect();
    // Its own, and as many as there may be connections.
    server.gate.has_come(3).await;
    tokio::time::sleep(millis(200)).await;
    assert_eq!(server.gate.come(), 3);
    let mut modest = secure_http2(server.address, &authority).await;
    assert_eq!(
        text(soon(modest.send_request(get("/"))).await.unwrap()).await,
        "ok"
    );
    server.gate.open(10);
    for answer in asking {
        assert_eq!(soon(answer).await.unwrap().unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_too_large_are_431() {
    let authority = Authority::new();
    let server = Plain::encrypted(&authority, Limits::default()).await;
    for (count, size, status) in [
        (90, 300, 200),
        (1, 50_000, 200),
        (120, 1, 431),
        (1, 80_000, 431),
        (90, 1_000, 431),
    ] {
        let mut client = secure_http2(server.address, &authority).await;
        let mut request = Request::get("https://localhost/");
        for number in 0..count {
            request = request.header(format!("x-{number}"), "y".repeat(size));
        }
        let request = request.body(Body::empty()).unwrap();
        let answer = soon(client.send_request(request)).await.unwrap();
        assert_eq!(answer.status(), status, "{count} of {size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_requests_back_all_the_time_is_cut_off() {
    let authority = Authority::new();
    let limits = Limits {
        abandoned: 10,
        ..Limits::default()
    };
    let server = Plain::encrypted(&authority, limits).await;
    let mut client = secure_http2(server.address, &authority).await;
    let take_back = async |client: &mut Http2, so_far: usize| {
        let asking = tokio::spawn(client.send_request(get("/wait")));
        server.gate.has_come(so_far + 1).await;
        asking.abort();
        server.gate.has_left(so_far + 1).await;
    };
    // Who mostly waits for the answers may go on.
    for round in 0..15 {
        take_back(&mut client, round).await;
        let answer = soon(client.send_request(get("/"))).await.unwrap();
        assert_eq!(text(answer).await, "ok");
    }
    for round in 15..26 {
        assert!(!client.is_closed(), "after {round}");
        take_back(&mut client, round).await;
    }
    closed(&mut client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_their_size_and_their_time() {
    let authority = Authority::new();
    let limits = Limits {
        body_bytes: 1_000,
        ..short()
    };
    let upstream = Plain::start(Limits::default()).await;
    let base = format!("http://{}", upstream.address).parse().unwrap();
    let router = passing_on(base, UpstreamOptions::default());
    let certificates = authority.certificates();
    let server = Server::encrypted(listener().await, router, limits.clone(), certificates);
    let mut client = secure_http2(server.address().unwrap(), &authority).await;
    let post = |body: Body| Request::post("https://localhost/length").body(body).unwrap();

    for (length, status) in [(1_000, 200), (1_001, 413)] {
        let answer = soon(client.send_request(post(vec![1; length].into())))
            .await
            .unwrap();
        assert_eq!(answer.status(), status, "as announced: {length}");
        let (mut sender, body) = slow_body();
        let asking = tokio::spawn(client.send_request(post(body)));
        sender.send_data(vec![1; length].into()).await.unwrap();
        drop(sender);
        assert_eq!(
            soon(asking).await.unwrap().unwrap().status(),
            status,
            "as it comes: {length}"
        );
    }
    let begin = Instant::now();
    let (_sender, body) = slow_body();
    let answer = soon(client.send_request(post(body))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    about(begin.elapsed(), limits.body_stall);
    let answer = soon(client.send_request(post(Body::empty()))).await.unwrap();
    assert_eq!(answer.status(), 200, "the connection goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_taken_is_cut_off_alone() {
    let authority = Authority::new();
    let limits = short();
    let server = Plain::encrypted(&authority, limits.clone()).await;
    let stream = tls(server.address, &authority, &["h2"]).await;
    let mut client = http2(stream).await;
    let mut deaf = soon(client.send_request(get("/large")))
        .await
        .unwrap()
        .into_body();
    let mut reader = soon(client.send_request(get("/large")))
        .await
        .unwrap()
        .into_body();
    let mut taken = 0;
    while let Some(frame) = soon(reader.frame()).await {
        taken += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(taken, LARGE);
    // Some more time than the limit, during which the connection is not idle.
    for _ in 0..6 {
        tokio::time::sleep(limits.answer_stall / 4).await;
        assert_eq!(soon(client.send_request(get("/"))).await.unwrap().status(), 200);
    }
    let mut taken = 0;
    let cut = loop {
        match soon(deaf.frame()).await {
            Some(Ok(frame)) => taken += frame.into_data().unwrap().len(),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(cut && taken < LARGE, "{taken}");

    // Small answers too, for which no window is opened.
    let stream = tls(server.address, &authority, &["h2"]).await;
    let mut shut = http2_with(stream, |builder| {
        builder.initial_stream_window_size(0);
    })
    .await;
    let begin = Instant::now();
    let mut body = soon(shut.send_request(get("/"))).await.unwrap().into_body();
    assert!(soon(body.frame()).await.unwrap().is_err());
    about(begin.elapsed(), limits.answer_stall);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_nothing_from_the_socket_is_cut_off() {
    let authority = Authority::new();
    let limits = short();
    let server = Plain::encrypted(&authority, limits.clone()).await;
    // The client would take anything, but what lies between stops for a while.
    let (mut near, far) = tokio::io::duplex(64 << 10);
    let mut stream = tls(server.address, &authority, &["h2"]).await;
    let pause = Arc::new(Notify::new());
    let pauses = pause.clone();
    tokio::spawn(async move {
        let mut copying = pin!(tokio::io::copy_bidirectional(&mut near, &mut stream));
        tokio::select! {
            _ = copying.as_mut() => {}
            () = pauses.notified() => {}
        }
        tokio::time::sleep(limits.answer_stall + millis(1_000)).await;
        let _ = copying.await;
    });
    let mut client = http2_with(far, |builder| {
        builder
            .initial_stream_window_size(1 << 30)
            .initial_connection_window_size(1 << 30);
    })
    .await;
    let answer = soon(client.send_request(get("/large"))).await.unwrap();
    pause.notify_one();
    let whole = soon(answer.into_body().collect()).await;
    assert!(whole.is_err(), "it must be seen to be cut off");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_make_room_and_busy_ones_stay() {
    let authority = Authority::new();
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let server = Plain::encrypted(&authority, limits).await;
    let mut busy = secure_http2(server.address, &authority).await;
    let waiting = tokio::spawn(busy.send_request(get("/wait")));
    server.gate.has_come(1).await;
    let mut idle = secure_http2(server.address, &authority).await;
    assert_eq!(soon(idle.send_request(get("/"))).await.unwrap().status(), 200);
    // One that does not even shake hands, and another for which it goes.
    let mute = TcpStream::connect(server.address).await.unwrap();
    closed(&mut idle).await;
    let mut last = secure_http2(server.address, &authority).await;
    assert_eq!(soon(last.send_request(get("/"))).await.unwrap().status(), 200);
    end(mute).await;
    server.gate.open(1);
    assert_eq!(text(soon(waiting).await.unwrap().unwrap()).await, "at last");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_ends_the_connection() {
    let authority = Authority::new();
    let server = Plain::encrypted(&authority, Limits::default()).await;
    let mut stream = tls(server.address, &authority, &["h2"]).await;
    let garbage = b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, garbage)
        .await
        .unwrap();
    assert!(end(stream).await < Limits::default().head);
    assert_eq!(server.gate.come(), 0);
}
