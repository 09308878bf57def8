//! Both ends of the proxy as bytes. Each byte is one `char` in what they return.

use crate::shop::Shop;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use url::Url;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An upstream that writes down what it gets, and answers each request with the same bytes.
pub(super) struct Recorder {
    url: Url,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    requests: Vec<String>,
    answer: Vec<u8>,
    hangs_up: bool,
}

impl Recorder {
    /// Answers `ok`, as a server that keeps its connections.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Mutex::new(Shared {
            requests: Vec::new(),
            answer: OK.into(),
            hangs_up: false,
        }));
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = serving.clone();
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self {
            url: url.parse().unwrap(),
            shared,
        }
    }

    pub(super) fn url(&self) -> Url {
        self.url.clone()
    }

    /// From now on answers this, and ends the connection.
    pub(super) fn says(&self, answer: impl Into<Vec<u8>>) {
        let mut shared = self.shared.lock().unwrap();
        (shared.answer, shared.hangs_up) = (answer.into(), true);
    }

    /// From now on answers this, and keeps the connection.
    pub(super) fn goes_on_saying(&self, answer: impl Into<Vec<u8>>) {
        self.says(answer);
        self.shared.lock().unwrap().hangs_up = false;
    }

    /// What it has got since the last time, request by request.
    pub(super) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().unwrap().requests)
    }

    /// The only thing that it has got.
    pub(super) fn only(&self) -> String {
        let mut taken = self.taken();
        assert_eq!(taken.len(), 1, "{taken:?}");
        taken.remove(0)
    }
}

fn serve(mut stream: TcpStream, shared: &Mutex<Shared>) {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = end_of_request(&bytes) {
                break end;
            }
            let mut more = [0; 4096];
            match stream.read(&mut more) {
                Ok(length @ 1..) => bytes.extend_from_slice(&more[..length]),
                Ok(0) | Err(_) => {
                    if !bytes.is_empty() {
                        shared.lock().unwrap().requests.push(text(&bytes));
                    }
                    return;
                }
            }
        };
        let request: Vec<u8> = bytes.drain(..end).collect();
        let (answer, hangs_up) = {
            let mut shared = shared.lock().unwrap();
            shared.requests.push(text(&request));
            (shared.answer.clone(), shared.hangs_up)
        };
        // What a proxy makes of a connection that fails is what the tests look at.
        let _ = stream.write_all(&answer);
        if hangs_up {
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read(&mut [0; 4096]);
            return;
        }
    }
}

/// Where a request ends that is here as a whole, by the letter of HTTP/1.1.
fn end_of_request(bytes: &[u8]) -> Option<usize> {
    // As long as the bytes are.
    let all = text(bytes).replace(|char: char| !char.is_ascii(), "?");
    let head = all.find("\r\n\r\n")? + 4;
    let lower = all[..head].to_ascii_lowercase();
    let value = |name: &str| lower.lines().find_map(|line| line.strip_prefix(name));
    if value("transfer-encoding: chunked").is_some() {
        let last = all[head..]
            .find("0\r\n")
            .filter(|at| *at == 0 || all[..head + at].ends_with('\n'))?;
        let rest = &all[head + last..];
        return Some(head + last + rest.find("\r\n\r\n")? + 4);
    }
    let length: usize = value("content-length: ").map_or(0, |length| length.parse().unwrap());
    (bytes.len() >= head + length).then_some(head + length)
}

/// Sends bytes on a connection of their own: all that comes back until it ends.
pub(super) async fn exchange(shop: &Shop, bytes: impl Into<Vec<u8>>) -> String {
    let (url, bytes) = (shop.receiver.url("/"), bytes.into());
    let exchange = move || {
        let mut stream = TcpStream::connect(url.authority()).unwrap();
        // A server that has judged the beginning may hang up before the end.
        let _ = stream.write_all(&bytes);
        let mut answer = Vec::new();
        stream.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
        if stream.read_to_end(&mut answer).is_err() {
            // It waits for more, perhaps.
            let _ = stream.shutdown(Shutdown::Write);
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let _ = stream.read_to_end(&mut answer);
        }
        text(&answer)
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The bytes of a text that was made so.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|char| u8::try_from(u32::from(char)).unwrap())
        .collect()
}

/// The status of the first answer; 0 when there is none.
pub(super) fn status(answer: &str) -> u16 {
    answer.get(9..12).map_or(0, |status| status.parse().unwrap())
}

/// The values of a header.
pub(super) fn values<'a>(message: &'a str, name: &str) -> Vec<&'a str> {
    let head = message.split("\r\n\r\n").next().unwrap();
    let lines = head.split("\r\n").skip(1);
    lines
        .filter_map(|line| line.split_once(": "))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}
