//! A server whose answers say in many ways what was used.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Response, StatusCode, Uri};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use url::Url;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// A running server, and what it was asked with.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) url: Url,
    seen: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new().fallback(answer).with_state(seen.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    /// The headers of all requests so far.
    pub(crate) fn seen(&self) -> Vec<HeaderMap> {
        self.seen.lock().unwrap().clone()
    }
}

/// What a chat says in its last event, in pieces that are cut anywhere.
pub(crate) fn events() -> String {
    let words: String = (0..20)
        .map(|word| format!("data: {{\"choices\":[{{\"delta\":\"word {word}\"}}],\"usage\":null}}\n\n"))
        .collect();
    let usage = "data: {\"choices\":[],\"usage\":{\"total_tokens\":120}}\r\n\r\n";
    format!(": hello\n\n{words}event: message\n{usage}data: [DONE]\n\n")
}

/// The same, without the event that says that this was all.
fn unfinished() -> String {
    events().replace("data: [DONE]\n\n", "")
}

/// Lines as Ollama has them.
pub(crate) fn lines() -> String {
    let words: String = (0..20)
        .map(|word| format!("{{\"response\":\"{word}\",\"done\":false}}\n"))
        .collect();
    format!("{words}{{\"done\":true,\"usage\":{{\"total_tokens\":70}}}}\n")
}

pub(crate) fn used(tokens: &str) -> String {
    format!("{{\"id\":\"x\",\"usage\":{{\"total_tokens\":{tokens}}}}}")
}

/// A JSON text of this many bytes and some more.
pub(crate) fn long(bytes: usize) -> String {
    format!(
        "{{\"text\":\"{}\",\"usage\":{{\"total_tokens\":200}}}}",
        "x".repeat(bytes)
    )
}

fn typed(content_type: &str, body: impl Into<Body>) -> Response<Body> {
    ([(CONTENT_TYPE, content_type)], body.into()).into_response()
}

/// In pieces of some bytes, without a length.
fn pieces(text: String) -> Body {
    let pieces: Vec<_> = text.into_bytes().chunks(7).map(Bytes::copy_from_slice).collect();
    Body::from_stream(stream::iter(pieces).then(async |piece| {
        tokio::task::yield_now().await;
        Ok::<_, io::Error>(piece)
    }))
}

/// These pieces, and then the connection breaks.
fn broken(text: String) -> Body {
    let pieces = stream::iter([Ok(Bytes::from(text))]);
    let break_off = stream::once(async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(io::Error::other("broken on purpose"))
    });
    Body::from_stream(pieces.chain(break_off))
}

/// These pieces, and then one more now and then, without an end.
fn endless(text: String) -> Body {
    let pieces = stream::iter([Ok::<_, io::Error>(Bytes::from(text))]);
    let more = stream::repeat(()).then(async |()| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(Bytes::from_static(b": more\n\n"))
    });
    Body::from_stream(pieces.chain(more))
}

async fn answer(
    State(seen): State<Arc<Mutex<Vec<HeaderMap>>>>,
    headers: HeaderMap,
    uri: Uri,
) -> Response<Body> {
    seen.lock().unwrap().push(headers);
    let case = uri.path().rsplit('/').next().unwrap_or_default();
    match case {
        "json" => typed("application/json; charset=utf-8", used("30")),
        "problem" => typed("application/vnd.x+json", used("30")),
        "pieces" => typed(JSON, pieces(used("31"))),
        "long" => typed(JSON, long(100_000)),
        "too-long" => typed(JSON, long(5 << 20)),
        "events" => typed(EVENTS, pieces(events())),
        "lines" => typed("application/x-ndjson", pieces(lines())),
        "zero" => typed(JSON, used("0")),
        "above" => typed(JSON, used("1000000000")),
        "missing" => typed(JSON, "{\"id\":\"x\"}"),
        "float" => typed(JSON, used("12.0")),
        "negative" => typed(JSON, used("-1")),
        "text" => typed(JSON, used("\"12\"")),
        "half" => typed(JSON, "{\"usage\":{\"total_tokens\":1}"),
        "plain" => typed("text/plain", used("1")),
        "empty" => StatusCode::NO_CONTENT.into_response(),
        "silent-events" => typed(EVENTS, pieces("data: {\"x\":1}\n\ndata: [DONE]\n\n".to_owned())),
        "encoded" => {
            let mut answer = typed(JSON, used("1"));
            answer
                .headers_mut()
                .insert(CONTENT_ENCODING, "gzip".parse().unwrap());
            answer
        }
        "refused" => (
            StatusCode::BAD_REQUEST,
            typed(JSON, "{\"error\":\"no such model\"}"),
        )
            .into_response(),
        "failed" => (StatusCode::BAD_GATEWAY, typed(JSON, used("1"))).into_response(),
        "cut" => typed(EVENTS, broken(unfinished())),
        "cut-json" => typed(JSON, broken(used("30"))),
        "cut-early" => {
            let mut answer = typed(JSON, broken(used("30")));
            answer
                .headers_mut()
                .insert("content-length", "1000".parse().unwrap());
            answer
        }
        "done" => typed(EVENTS, endless(events())),
        "endless" => typed(EVENTS, endless(unfinished())),
        _ => tokens(case),
    }
}

/// `tokens=7,8` says so in a header, once for each.
fn tokens(case: &str) -> Response<Body> {
    let mut answer = typed(JSON, used("30"));
    let values = case.strip_prefix("tokens=").unwrap_or_default();
    for value in values.split(',').filter(|value| !value.is_empty()) {
        let name = HeaderName::from_static("x-tokens");
        answer.headers_mut().append(name, value.parse().unwrap());
    }
    answer
}
