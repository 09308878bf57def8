//! A server behind a receiver's proxy, and `pay-proxy` in front of it.

use crate::place::{Place, said, succeeded};
use crate::process::{PATIENCE, Program};
use crate::state::{proxy, start};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{StreamExt, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use microraiden_devchain::Config;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// What each request costs, in base units.
pub(super) const PRICE: u64 = 5;
/// What the server wants to be shown, besides the payment.
pub(super) const API_KEY: &str = "sk-of-the-tests-alone";
/// What it says, piece by piece.
pub(super) const WORDS: [&str; 3] = ["Grüße", " aus dem", " Netz."];

/// What the server has seen, and its gate.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The headers of the last request for `/mirror`.
    pub(super) headers: Mutex<HeaderMap>,
    /// Each piece of an answer after its beginning takes a permit.
    pub(super) gate: Gate,
    /// How many requests came to where the gate is.
    pub(super) begun: std::sync::atomic::AtomicU64,
}

/// Shut at first.
#[derive(Debug)]
pub(super) struct Gate(Semaphore);

impl Default for Gate {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl Gate {
    /// Lets so many pieces pass.
    pub(super) fn open(&self, pieces: usize) {
        self.0.add_permits(pieces);
    }

    async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

/// A chain, a server, the proxy that sells it, and the sender's files.
pub(super) struct Shop {
    pub(super) place: Place,
    pub(super) seen: Arc<Seen>,
    /// Where it costs nothing.
    pub(super) unpaid: String,
    /// Where it costs [`PRICE`].
    pub(super) paid: String,
    _proxy: Program,
}

impl Shop {
    pub(super) async fn open(config: Config) -> Self {
        let place = Place::new(config).await;
        succeeded(&place.deploy(&[]).await);
        let seen = Arc::new(Seen::default());
        let router = Router::new()
            .route(
                "/echo/{text}",
                get(|path: axum::extract::Path<String>| async { path.0 }),
            )
            .route("/mirror", post(mirror))
            .route("/slow", get(slow))
            .route("/broken", get(broken))
            .route("/asks", get(asks))
            .route("/v1/chat/completions", post(chat))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(seen.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let unpaid = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let options = proxy(
            &place,
            "receiver.key",
            "deployment.json",
            &unpaid,
            Some("state.db"),
        );
        let (program, paid) = start(&options).await;
        Self {
            place,
            seen,
            unpaid,
            paid,
            _proxy: program,
        }
    }

    /// The options of a `pay-proxy`: these, and for what they leave out those of most tests.
    pub(super) fn options(&self, options: &[&str]) -> Vec<String> {
        let path = |name: &str| self.place.path(name).to_str().unwrap().to_owned();
        let (key, deployment) = (path("owner.key"), path("deployment.json"));
        let given = |option: &str| {
            let at = options.iter().position(|given| *given == option)?;
            options.get(at + 1).copied()
        };
        // Each sender has a book for each contract.
        let names = [("--private-key", &key), ("--deployment-file", &deployment)];
        let names = names.map(|(option, usual)| given(option).unwrap_or(usual).rsplit('/').next().unwrap());
        let book = path(&names.join("-"));
        let mut all = vec!["pay-proxy", "--rpc-provider", &self.place.url];
        for (option, value) in [
            ("--private-key", key.as_str()),
            ("--deployment-file", &deployment),
            ("--book", &book),
            ("--listen", "0"),
            ("--max-price", "5"),
            ("--budget", "1000000"),
        ] {
            if !options.contains(&option) {
                all.extend([option, value]);
            }
        }
        all.extend(options);
        all.into_iter().map(str::to_owned).collect()
    }

    /// Starts it; its URL.
    pub(super) fn pay_proxy(&self, options: &[&str]) -> (Program, String) {
        let options = self.options(options);
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        let mut program = Program::start(&options);
        let url = program.wait_for("description", |line| {
            let description: Value = serde_json::from_str(line).ok()?;
            Some(description["url"].as_str().unwrap().to_owned())
        });
        (program, url)
    }

    /// Waits until this much is owed on channels; how many are open.
    pub(super) async fn until_owed(&self, expected: u64) -> u64 {
        let begin = Instant::now();
        loop {
            let stats = reqwest::get(format!("{}/api/1/stats", self.paid)).await.unwrap();
            let stats: Value = serde_json::from_slice(&stats.bytes().await.unwrap()).unwrap();
            let [owed, open] = ["balance_sum", "open_channels"].map(|field| {
                let number = stats[field].as_str().unwrap();
                number.parse::<u64>().unwrap()
            });
            if owed == expected {
                return open;
            }
            let late = begin.elapsed() > PATIENCE;
            assert!(!late, "{owed} is owed on {open} channels, not {expected}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Lets the chain mine a block every so many seconds; 0 for none.
    pub(super) async fn mine_every(&self, seconds: u64) {
        let request =
            json!({"jsonrpc": "2.0", "id": 1, "method": "evm_setIntervalMining", "params": [seconds]});
        let request = reqwest::Client::new()
            .post(&self.place.url)
            .header(CONTENT_TYPE, "application/json")
            .body(request.to_string());
        let answer = request.send().await.unwrap().text().await.unwrap();
        assert!(!answer.contains("error"), "{answer}");
    }
}

async fn mirror(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    *seen.headers.lock().unwrap() = headers;
    // Headers of a payment that is none of the proxies', and of a connection.
    (
        [
            ("x-own", "1"),
            ("rdn-anything", "1"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
        ],
        body,
    )
}

/// An answer that comes in three pieces: one at once, the others through the gate.
async fn slow(State(seen): State<Arc<Seen>>) -> Body {
    seen.begun.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    pieces(seen, ["one", "two", "three"].map(str::to_owned).into())
}

/// An answer that breaks off once the gate is open.
async fn broken(State(seen): State<Arc<Seen>>) -> Body {
    let half = stream::iter([Ok("half")]);
    Body::from_stream(half.chain(stream::once(async move {
        seen.gate.pass().await;
        Err(std::io::Error::other("broken"))
    })))
}

/// Asks to be paid in a way that is not ours, and lies about what was paid.
async fn asks() -> impl IntoResponse {
    (
        StatusCode::PAYMENT_REQUIRED,
        [("rdn-cost", "1000000")],
        "insert a coin",
    )
}

fn pieces(seen: Arc<Seen>, pieces: Vec<String>) -> Body {
    let pieces = pieces.into_iter().enumerate();
    Body::from_stream(stream::unfold((seen, pieces), |(seen, mut pieces)| async {
        let (index, piece) = pieces.next()?;
        if index > 0 {
            seen.gate.pass().await;
        }
        Some((Ok::<_, Infallible>(piece), (seen, pieces)))
    }))
}

/// Chat completions as OpenAI's servers answer them.
async fn chat(
    State(seen): State<Arc<Seen>>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Result<axum::response::Response, StatusCode> {
    if headers
        .get("authorization")
        .is_none_or(|key| key != &format!("Bearer {API_KEY}"))
    {
        return Err(StatusCode::UNAUTHORIZED);
    }
    if request["messages"][0]["content"] != "Sag etwas." {
        return Err(StatusCode::UNPROCESSABLE_ENTITY);
    }
    let object = |object: &str, choice: Value| {
        json!({
            "id": "chatcmpl-1",
            "object": object,
            "created": 1_764_000_000,
            "model": request["model"],
            "choices": [choice],
        })
    };
    if request["stream"] != true {
        let message = json!({"role": "assistant", "content": WORDS.concat(), "refusal": null});
        let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"});
        return Ok(Json(object("chat.completion", choice)).into_response());
    }
    let event = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        format!("data: {}\n\n", object("chat.completion.chunk", choice))
    };
    let mut events = vec![event(json!({"role": "assistant", "content": ""}), Value::Null)];
    events.extend(WORDS.map(|word| event(json!({"content": word}), Value::Null)));
    events.push(event(json!({}), json!("stop")) + "data: [DONE]\n\n");
    Ok(([(CONTENT_TYPE, "text/event-stream")], pieces(seen, events)).into_response())
}

/// Runs curl to its end, without the proxies of the environment.
pub(super) async fn curl(arguments: &[&str]) -> Output {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--max-time", "60"])
        .args(arguments)
        .env("no_proxy", "")
        .env_remove("NO_PROXY")
        .env_remove("http_proxy")
        .env_remove("all_proxy")
        .env_remove("ALL_PROXY")
        .stdin(Stdio::null());
    let run = tokio::task::spawn_blocking(move || command.output());
    run.await.unwrap().unwrap()
}

/// What curl got: status, head in lower case, and body.
pub(super) async fn fetch(arguments: &[&str]) -> (u16, String, Vec<u8>) {
    let output = curl(&[&["--include"], arguments].concat()).await;
    assert!(output.status.success(), "{}", said(&output));
    let mut rest = output.stdout.as_slice();
    loop {
        let end = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(rest[..end].to_vec()).unwrap().to_lowercase();
        rest = &rest[end + 4..];
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        // After 100 Continue comes the answer.
        if status != 100 {
            return (status, head, rest.to_vec());
        }
    }
}

/// Makes sure that curl got an error of ours; its message and its head.
pub(super) async fn refused(arguments: &[&str], status: u16, code: &str, words: &str) -> String {
    let (got, head, body) = fetch(arguments).await;
    let body: Value = serde_json::from_slice(&body).expect("errors are JSON");
    assert_eq!(got, status, "{body}");
    assert_eq!(body["error"]["code"], code, "{body}");
    assert!(
        body["error"]["message"].as_str().unwrap().contains(words),
        "{body}"
    );
    assert!(head.contains("x-should-retry: false"), "{head}");
    body["error"]["type"].as_str().unwrap().to_owned()
}
