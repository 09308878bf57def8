//! The README of the example `llm-proxy`, command by command, before a server that answers as OpenAI's do.

use crate::examples::{root, tour};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A chat completion as OpenAI's servers answer it, with its usage.
async fn chat(Json(request): Json<Value>) -> Response {
    const WORDS: [&str; 5] = ["A", " snail", " carries", " its", " house."];
    let usage = json!({"prompt_tokens": 17, "completion_tokens": WORDS.len(), "total_tokens": 22});
    let object = |kind: &str, choices: Value, usage: Value| {
        json!({
            "id": "chatcmpl-1",
            "object": kind,
            "created": 1_764_000_000,
            "model": request["model"],
            "choices": choices,
            "usage": usage,
        })
    };
    if request["stream"] != true {
        let message = json!({"role": "assistant", "content": WORDS.concat()});
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        return Json(object("chat.completion", json!([choice]), usage)).into_response();
    }
    assert_eq!(request["stream_options"]["include_usage"], true);
    let event = |choices: Value, usage: Value| {
        let chunk = object("chat.completion.chunk", choices, usage);
        format!("data: {chunk}\n\n")
    };
    let word = |word: &str| {
        let choice = json!({"index": 0, "delta": {"content": word}, "finish_reason": null});
        event(json!([choice]), Value::Null)
    };
    let words: String = WORDS.into_iter().map(word).collect();
    let end = json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]);
    let rest = event(end, Value::Null) + &event(json!([]), usage) + "data: [DONE]\n\n";
    ([(CONTENT_TYPE, "text/event-stream")], words + &rest).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_llm_proxy_works_as_it_is_written() {
    let mut tour = tour(include_str!("../../../../examples/llm-proxy/README.md")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tour.name("127.0.0.1:11434", listener.local_addr().unwrap().to_string());
    let model = Router::new().route("/v1/chat/completions", post(chat));
    tokio::spawn(async move { axum::serve(listener, model).await });

    tour.run().await;
    tour.adapt("llm-proxy.toml");
    let proxy = tour.start("127.0.0.1:5000").await;
    let pay_proxy = tour.start("127.0.0.1:4021").await;
    // The client is where `cargo xtask test` installs it; what it asks stands in a copy, with the addresses of here.
    std::fs::copy(root().join("examples/llm-proxy/ask.py"), tour.file("ask.py")).unwrap();
    tour.adapt("ask.py");
    let python = root().join("target/python/bin/python");
    assert!(
        python.exists(),
        "no Python at {}; `cargo xtask test` installs it",
        python.display()
    );
    tour.name(
        "python3 ../../examples/llm-proxy/ask.py",
        format!("{} ask.py", python.display()),
    );
    tour.run().await;

    // Twice 17 tokens at 0.001 TKN a thousand, and 5 at 0.003; it closes the channel when it ends.
    pay_proxy.stop().await;
    let paid = tour.world.tokens(tour.world.receiver.address()).await;
    assert_eq!(paid, 64_000_000_000_000.into());
    assert_eq!(tour.world.tokens(tour.world.contract.address()).await, 0.into());
    proxy.stop().await;
    tour.end();
}
