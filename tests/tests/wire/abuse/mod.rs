//! Clients and upstreams that want to hold the receiver up: what they get, and that others are
//! served meanwhile. The table of limits is in `docs/abuse.md`.

mod bodies;
mod connections;
mod floods;
mod upstreams;

use crate::shop::Shop;
use http::HeaderMap;
use microraiden_proxy::Limits;
use microraiden_tests::Upstream;
use microraiden_tests::receiver::Patience;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything takes that a test waits for.
const DEADLINE: Duration = Duration::from_secs(20);

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

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

/// A shop with limits for tests that wait for them, and little patience with its upstream.
async fn strict_shop() -> Shop {
    let patience = Patience {
        limits: Limits {
            body_bytes: 100_000,
            ..short()
        },
        upstream_timeout: millis(300),
    };
    Shop::open_patient(Upstream::url, patience).await
}

/// A client's end of a connection.
struct Wire {
    stream: TcpStream,
    begin: Instant,
}

/// An answer with a length.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Wire {
    async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let begin = Instant::now();
        Self { stream, begin }
    }

    async fn to_shop(shop: &Shop) -> Self {
        let address = shop.receiver.url("/").authority().parse().unwrap();
        Self::to(address).await
    }

    /// Sends; false when the other side has gone.
    async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Reads the next answer.
    async fn answer(&mut self) -> Answer {
        let reading = async {
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"\r\n\r\n") {
                bytes.push(self.stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(bytes).unwrap();
            let mut answer = Answer {
                status: head[9..12].parse().unwrap(),
                head,
                body: Vec::new(),
            };
            let length = answer
                .header("content-length")
                .map_or(0, |text| text.parse().unwrap());
            answer.body.resize(length, 0);
            self.stream.read_exact(&mut answer.body).await.unwrap();
            answer
        };
        tokio::time::timeout(DEADLINE, reading).await.expect("an answer")
    }

    /// Waits until the other side ends the connection: how long it has lasted, and what came.
    async fn end(mut self) -> (Duration, Vec<u8>) {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let end = tokio::time::timeout(DEADLINE, self.stream.read_to_end(&mut rest)).await;
        assert!(end.is_ok(), "the connection does not end");
        (self.begin.elapsed(), rest)
    }
}

/// The head of a request, without the empty line at its end.
fn head(first_line: &str, headers: &HeaderMap) -> String {
    let mut head = format!("{first_line} HTTP/1.1\r\nHost: x\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    head
}

/// Checks that something took as long as it should, on a busy machine too.
fn about(taken: Duration, expected: Duration) {
    assert!(
        taken + millis(20) >= expected && taken < expected + millis(2_500),
        "{taken:?}, not {expected:?}"
    );
}
