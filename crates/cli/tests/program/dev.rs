//! `proxy --dev`: something to sell on, without anything at hand.

use crate::process::Program;
use http::StatusCode;
use microraiden_devchain::ACCOUNTS;
use microraiden_tests::Upstream;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A proxy on a development chain; its address, and the command that it prints to pay by.
fn start(upstream: &Upstream) -> (Program, String, String) {
    // The order in which it prints them: first what needs nothing but a browser.
    let mut program = Program::start(&[
        "proxy",
        "--dev",
        "--upstream",
        upstream.url().as_str(),
        "--price",
        "9 TKN",
        "--port",
        "0",
    ]);
    program.wait_for("warning", |line| {
        line.contains("everybody knows its keys").then_some(())
    });
    program.wait_for("page", |line| line.contains("in a browser").then_some(()));
    let page = program.wait_for("URL", |line| {
        let url = line.trim();
        (url.starts_with("http://") && url.ends_with('/')).then(|| url.to_owned())
    });
    let unpaid = program.wait_for("curl command", |line| {
        line.trim().strip_prefix("curl -i ").map(str::to_owned)
    });
    assert_eq!(page, unpaid);
    let command = program.wait_for_get_command();
    (program, unpaid, command)
}

fn argument<'a>(command: &'a str, option: &str) -> &'a str {
    let mut words = command.split_whitespace();
    words.find(|word| *word == option).expect(option);
    words.next().expect(option)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_try_needs_nothing_and_leaves_nothing() {
    let upstream = Upstream::start().await;
    let (program, url, command) = start(&upstream);
    let unpaid = reqwest::get(format!("{url}echo/hello")).await.unwrap();
    assert_eq!(unpaid.status().as_u16(), 402);
    assert_eq!(unpaid.headers()["rdn-price"], "9000000000000000000");
    let folder = PathBuf::from(argument(&command, "--private-key"));
    let folder = folder.parent().unwrap();
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o7777, 0o700);

    // At once, from a channel that it opens; and once more from the same channel.
    let command = command.replacen(&url, &format!("{url}echo/hello"), 1);
    for left in ["81 TKN left", "72 TKN left"] {
        let paid = Command::new("sh").args(["-c", &command]).output().unwrap();
        let told = String::from_utf8_lossy(&paid.stderr);
        assert!(paid.status.success(), "{command}: {told}");
        assert_eq!(String::from_utf8_lossy(&paid.stdout), "hello");
        assert!(told.contains("paid 9 TKN") && told.contains(left), "{told}");
    }
    assert_eq!(upstream.served(), 2);
    assert!(program.signal("TERM"));
    assert!(!folder.exists(), "{} stays", folder.display());
}

/// What a browser gets: the page, and beside it the chain to pay on.
async fn browse(url: &str) -> (Value, StatusCode, Value) {
    let client = reqwest::Client::new();
    let page = client
        .get(url)
        .header("accept", "text/html")
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), StatusCode::PAYMENT_REQUIRED);
    let page = page.text().await.unwrap();
    let (_, rest) = page.split_once(r#"id="offer">"#).unwrap();
    let offer: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
    let chain = format!("{url}js/microraiden/chain");
    let call = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "eth_getBalance",
        "params": [ACCOUNTS[9].address, "latest"],
    });
    let asked = client.post(chain).header("content-type", "application/json");
    let answer = asked.body(call.to_string()).send().await.unwrap();
    let status = answer.status();
    let answer = serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default();
    (offer, status, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_can_pay_on_the_chain_also_after_a_reload() {
    let upstream = Upstream::start().await;
    let (mut program, url, _) = start(&upstream);
    for round in 0..2 {
        let (offer, status, answer) = browse(&url).await;
        assert_eq!(offer["price"], "9000000000000000000");
        assert_eq!(offer["devChain"]["url"], "/js/microraiden/chain");
        let key = ACCOUNTS[9].secret_key.to_string();
        assert_eq!(offer["devChain"]["funder"], key);
        assert_eq!(status, StatusCode::OK, "{answer}");
        let ether = answer["result"].as_str().unwrap();
        assert!(
            ether.len() > "0xde0b6b3a7640000".len(),
            "less than 16 ether: {ether}"
        );
        if round == 0 {
            program.send("HUP");
            program.wait_for("reload", |line| line.contains("were read again").then_some(()));
        }
    }
    assert!(program.signal("TERM"));
}

/// The second one finds the usual port taken, by the first or by somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn two_can_run_side_by_side() {
    let upstream = Upstream::start().await;
    let (first, second) = (start(&upstream), start(&upstream));
    let node = |(_, _, command): &(Program, String, String)| argument(command, "--rpc-provider").to_owned();
    assert_ne!(node(&first), node(&second));
    for node in [node(&first), node(&second)] {
        assert!(node.starts_with("http://127.0.0.1:"), "{node}");
    }
    for (program, ..) in [first, second] {
        assert!(program.signal("INT"));
    }
}

#[test]
fn what_comes_with_the_chain_cannot_be_given() {
    for (option, value) in [
        ("--rpc-provider", "http://127.0.0.1:1"),
        ("--private-key", "receiver.key"),
        ("--state-file", "receiver.db"),
        ("--deployment-file", "deployment.json"),
        (
            "--channel-manager-address",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_microraiden"))
            .args([
                "proxy",
                "--dev",
                "--upstream",
                "http://127.0.0.1:1",
                "--price",
                "5",
                option,
                value,
            ])
            .current_dir(Path::new("/"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--dev") && said.contains(option), "{said}");
    }
}
