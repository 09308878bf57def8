//! The OpenAI client for Python, unmodified, buys chat completions through `pay-proxy`.

use super::shop::{API_KEY, PRICE, Shop, WORDS};
use crate::process::Program;
use crate::state::config;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `cargo xtask test` installs it, with the client.
fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = root.join("target/python/bin/python");
    assert!(
        program.exists(),
        "no Python at {}; `cargo xtask test` installs it",
        program.display()
    );
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openai_client_buys_chat_completions_until_the_budget_is_used_up() {
    let shop = Shop::open(config(31337)).await;
    let budget = (2 * PRICE).to_string();
    let target = format!("{}/v1/", shop.paid);
    let (_pay_proxy, url) = shop.pay_proxy(&["--target", &target, "--budget", &budget]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/pay_proxy/openai_client.py");
    let mut command = Command::new(python());
    command
        .arg(script)
        .args([&url, API_KEY])
        .env("no_proxy", "*")
        .env("PYTHONIOENCODING", "utf-8");
    let mut client = Program::start_command(&mut command);
    let mut next = |what: &'static str| {
        client.wait_for(what, move |line| {
            // Whatever else it says comes in the failure's message.
            line.strip_prefix(what).map(str::trim).map(str::to_owned)
        })
    };
    assert_eq!(next("answer"), format!("'{}' stop", WORDS.concat()));
    for word in WORDS {
        // The next piece leaves the server only now.
        shop.seen.gate.open(1);
        assert_eq!(next("chunk"), format!("'{word}'"));
    }
    shop.seen.gate.open(1);
    assert_eq!(next("finished"), "stop");
    for _ in 0..2 {
        let raised = next("raised");
        assert!(raised.starts_with("402 budget_used_up payment_error"), "{raised}");
        assert!(
            raised.contains("the budget of 0.00000000000000001 TKN for http://127.0.0.1:"),
            "{raised}"
        );
        assert!(raised.contains("--budget, to go on"), "{raised}");
    }
    assert!(client.end().success());
    assert_eq!(shop.until_owed(2 * PRICE).await, 1);
}
