//! Connections that are held on to, and heads of requests.

use super::{DEADLINE, Wire, about, head, millis, short};
use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use http::HeaderMap;
use microraiden_proxy::{Limits, Server};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// More than the system keeps for a connection.
const LARGE: usize = 24 << 20;

/// A server without a paywall. `/wait` answers when the gate gives a permit.
struct Plain {
    address: SocketAddr,
    gate: Arc<Semaphore>,
    /// How many requests have come to the gate.
    waited: Arc<AtomicUsize>,
    _server: Server,
}

impl Plain {
    async fn start(limits: Limits) -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let waited = Arc::new(AtomicUsize::new(0));
        let (wait, count) = (gate.clone(), waited.clone());
        let router = Router::new()
            .route("/", get(|| async { "ok" }))
            .route(
                "/body",
                post(|body: String| async move { body.len().to_string() }),
            )
            .route("/blind", post(|| async { "seen nothing" }))
            .route(
                "/peer",
                get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }),
            )
            .route("/large", get(|| async { vec![7; LARGE] }))
            .route(
                "/wait",
                get(move || async move {
                    count.fetch_add(1, Ordering::SeqCst);
                    wait.acquire_owned().await.unwrap().forget();
                    "at last"
                }),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::with_limits(listener, router, limits);
        let address = server.address().unwrap();
        Self {
            address,
            gate,
            waited,
            _server: server,
        }
    }

    async fn wire(&self) -> Wire {
        Wire::to(self.address).await
    }

    /// Waits until so many requests have come to the gate.
    async fn has_waited(&self, count: usize) {
        let begin = Instant::now();
        while self.waited.load(Ordering::SeqCst) < count {
            assert!(begin.elapsed() < DEADLINE, "{:?}, not {count}", self.waited);
            tokio::time::sleep(millis(2)).await;
        }
    }
}

fn get_head(path: &str) -> String {
    head(&format!("GET {path}"), &HeaderMap::new()) + "\r\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_its_time_and_so_has_a_pause() {
    let limits = short();
    let server = Plain::start(limits.clone()).await;
    let silent = server.wire().await;
    let mut answered = server.wire().await;
    assert!(answered.send(get_head("/")).await);
    assert_eq!(answered.answer().await.body, b"ok");
    answered.begin = Instant::now();
    let mut again = server.wire().await;
    assert!(again.send(get_head("/")).await);
    again.answer().await;
    tokio::time::sleep(limits.head + millis(200)).await;
    // Longer than a head may take, and still there.
    assert!(again.send(get_head("/")).await);
    assert_eq!(again.answer().await.status, 200);

    // A head that has begun does not have the time of a pause.
    let patient = Plain::start(Limits {
        idle: DEADLINE * 2,
        ..limits.clone()
    })
    .await;
    let mut begun = patient.wire().await;
    assert!(begun.send(get_head("/")).await);
    begun.answer().await;
    begun.begin = Instant::now();
    assert!(begun.send("GET / HT").await);

    let mut slow = server.wire().await;
    for byte in get_head("/").repeat(3).into_bytes() {
        if !slow.send([byte]).await || slow.begin.elapsed() > DEADLINE {
            break;
        }
        tokio::time::sleep(millis(30)).await;
    }
    let ((silent, _), (slow, rest)) = tokio::join!(silent.end(), slow.end());
    about(silent, limits.head);
    about(slow, limits.head);
    assert_eq!(rest, b"");
    about(begun.end().await.0, limits.head);
    about(answered.end().await.0, limits.idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_too_large_are_431() {
    let server = Plain::start(Limits::default()).await;
    let headers = |count: usize, size: usize| {
        let many: String = (0..count)
            .map(|n| format!("X-{n}: {}\r\n", "y".repeat(size)))
            .collect();
        head("GET /", &HeaderMap::new()) + &many + "\r\n"
    };
    for (request, status) in [
        (headers(90, 300), 200),
        (headers(1, 50_000), 200),
        (headers(120, 1), 431),
        (headers(1, 80_000), 431),
        (headers(90, 1_000), 431),
        (get_head(&format!("/{}", "a".repeat(60_000))), 404),
        (get_head(&format!("/{}", "a".repeat(80_000))), 414),
    ] {
        let mut wire = server.wire().await;
        wire.send(&request).await;
        let answer = wire.answer().await;
        let is_too_large = |status| matches!(status, 414 | 431);
        let agrees = answer.status == status || is_too_large(answer.status) && is_too_large(status);
        assert!(agrees, "{}, not {status}: {}", answer.status, request.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_behind_a_request_ends_the_connection_and_an_answer_is_seen_by_who_still_sends() {
    let server = Plain::start(Limits::default()).await;
    let mut wire = server.wire().await;
    assert!(
        wire.send(get_head("/").repeat(3) + "\0\x16\x03\x01nonsense\r\n\r\n")
            .await
    );
    for _ in 0..3 {
        assert_eq!(wire.answer().await.body, b"ok");
    }
    assert_eq!(wire.answer().await.status, 400);
    wire.end().await;

    // Two megabytes that nobody reads: they are not answered with a reset, in which some systems
    // lose the answer.
    let mut wire = server.wire().await;
    let length = "Content-Length: 2000000\r\n\r\n";
    wire.send(head("POST /blind", &HeaderMap::new()) + length).await;
    assert_eq!(wire.answer().await.body, b"seen nothing");
    let answered = Instant::now();
    while wire.send([b'x'; 1_000]).await && answered.elapsed() < DEADLINE {
        tokio::time::sleep(millis(20)).await;
    }
    // But not for ever.
    about(answered.elapsed(), Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_above_the_limit_is_refused_before_it_is_sent() {
    let limits = Limits {
        body_bytes: 10,
        ..Limits::default()
    };
    let server = Plain::start(limits).await;
    for (length, status) in [(10, 200), (11, 413), (u64::MAX - 10, 413)] {
        let mut wire = server.wire().await;
        let length = format!("Content-Length: {length}\r\n\r\n0123456789");
        wire.send(head("POST /body", &HeaderMap::new()) + &length).await;
        assert_eq!(wire.answer().await.status, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_knows_its_client() {
    let server = Plain::start(Limits::default()).await;
    let mut wire = server.wire().await;
    let own = wire.stream.local_addr().unwrap().to_string();
    wire.send(get_head("/peer")).await;
    assert_eq!(String::from_utf8(wire.answer().await.body).unwrap(), own);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_its_answer_is_cut_off() {
    let limits = Limits {
        slowest: 8 << 20,
        ..short()
    };
    let server = Plain::start(limits.clone()).await;
    let mut deaf = server.wire().await;
    deaf.send(get_head("/large")).await;
    // Always taking something is not enough: it must come to the lowest rate on the whole.
    let mut slow = server.wire().await;
    slow.send(get_head("/large")).await;
    let mut taken = 0;
    while slow.begin.elapsed() < DEADLINE {
        match slow.stream.read(&mut [0; 16 << 10]).await {
            Ok(bytes) if bytes > 0 => taken += bytes,
            _ => break,
        }
        tokio::time::sleep(millis(20)).await;
    }
    println!(
        "who took {taken} bytes at 0.8 MB/s was cut off after {:?}",
        slow.begin.elapsed()
    );
    assert!(taken < LARGE && slow.begin.elapsed() < DEADLINE);
    let (_, received) = deaf.end().await;
    assert!(received.len() < LARGE, "{}", received.len());
    // Who reads gets all of it, however long it takes as a whole.
    let mut reader = server.wire().await;
    reader.send(get_head("/large")).await;
    assert_eq!(reader.answer().await.body.len(), LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_keep_their_places_and_idlers_make_room() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let server = Plain::start(limits).await;
    let mut first = server.wire().await;
    first.send(get_head("/wait")).await;
    server.has_waited(1).await;
    let idle = server.wire().await;
    let mut second = server.wire().await;
    second.send(get_head("/wait")).await;
    server.has_waited(2).await;
    // Only the one without a request has to go.
    idle.end().await;
    let mut third = server.wire().await;
    third.send(get_head("/")).await;
    let early = tokio::time::timeout(millis(300), third.stream.readable()).await;
    assert!(early.is_err(), "both places are taken");
    server.gate.add_permits(1);
    // One of the two is answered, and then makes room.
    assert_eq!(third.answer().await.body, b"ok");
    server.gate.add_permits(1);
    assert_eq!(first.answer().await.body, b"at last");
    assert_eq!(second.answer().await.body, b"at last");
}

/// What this process has in memory, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_connections_stop_nobody() {
    let capped = Limits {
        connections: 1_000,
        ..Limits::default()
    };
    let server = Plain::start(capped).await;
    let mut idlers = Vec::new();
    let begin = Instant::now();
    for round in 0..3_000 {
        let mut idler = server.wire().await;
        if round % 2 == 0 {
            idler.send("GET / HTTP/1.1\r\nX: ").await;
        }
        idlers.push(idler);
    }
    println!(
        "3,000 idle connections at a cap of 1,000 came in {:?}",
        begin.elapsed()
    );
    let mut worst = Duration::ZERO;
    for _ in 0..50 {
        let mut wire = server.wire().await;
        wire.send(get_head("/")).await;
        assert_eq!(wire.answer().await.body, b"ok");
        worst = worst.max(wire.begin.elapsed());
    }
    println!("50 others were served between them, each within {worst:?}");
    assert!(worst < Duration::from_secs(2), "{worst:?}");
    // The newest are still there, the oldest are not.
    let newest = idlers.pop().unwrap();
    assert!(
        tokio::time::timeout(millis(200), newest.stream.readable())
            .await
            .is_err()
    );
    idlers.swap_remove(0).end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_takes_little_memory() {
    const COUNT: usize = 1_000;
    let server = Plain::start(Limits::default()).await;
    let mut idlers: Vec<TcpStream> = Vec::new();
    let mut rounds = Vec::new();
    for request in ["", &get_head("/"), "", &get_head("/")] {
        let before = resident();
        for _ in 0..COUNT {
            let mut idler = server.wire().await;
            if !request.is_empty() {
                idler.send(request).await;
                assert_eq!(idler.answer().await.status, 200);
            }
            idlers.push(idler.stream);
        }
        rounds.push(resident().saturating_sub(before) * 1024 / COUNT);
    }
    println!("bytes for an idle connection, both ends: {rounds:?}, every second round answered once");
    // Other tests run in this process too, but not in every round.
    assert!(rounds.iter().any(|each| *each < 64 << 10), "{rounds:?}");
}
