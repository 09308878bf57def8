//! `microraiden devchain`: its options, as a program that starts it uses them.

use crate::process::Program;
use microraiden_devchain::{ACCOUNTS, MNEMONIC};
use serde_json::{Value, json};
use std::time::Duration;

/// A running chain, and what it says of itself.
fn start(options: &[&str]) -> (Program, Value) {
    let mut program = Program::start(&[&["devchain", "--port", "0"], options].concat());
    let description = program.wait_for("description", |line| serde_json::from_str(line).ok());
    (program, description)
}

/// Checks that the program ends with a status and an error that says this.
fn refused(options: &[&str], status: i32, reason: &str) {
    let mut program = Program::start(&[&["devchain", "--port", "0"], options].concat());
    program.wait_for(reason, |line| line.contains(reason).then_some(()));
    assert_eq!(program.end().code(), Some(status), "{options:?}");
}

async fn ask(chain: &Value, method: &str, params: Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let post = reqwest::Client::new()
        .post(chain["url"].as_str().unwrap())
        .header("content-type", "application/json")
        .body(request.to_string());
    let answer = post.send().await.unwrap().bytes().await.unwrap();
    let mut answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["error"], Value::Null, "{method}");
    answer["result"].take()
}

#[tokio::test]
async fn piped_it_describes_itself_as_json_and_in_a_file() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("chain.json");
    let (program, chain) = start(&[
        "--chain-id",
        "7",
        "--accounts",
        "2",
        "--balance",
        "3",
        "--config-out",
        file.to_str().unwrap(),
    ]);
    assert_eq!(chain["chain_id"], 7);
    assert_eq!(
        chain["private_keys"],
        json!([ACCOUNTS[0].secret_key, ACCOUNTS[1].secret_key])
    );
    assert_eq!(chain["wallet"]["mnemonic"], MNEMONIC);
    let written: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(written, chain);
    assert_eq!(ask(&chain, "eth_chainId", json!([])).await, "0x7");
    let accounts = ask(&chain, "eth_accounts", json!([])).await;
    assert_eq!(accounts, json!([ACCOUNTS[0].address, ACCOUNTS[1].address]));
    let balance = ask(&chain, "eth_getBalance", json!([ACCOUNTS[0].address, "latest"])).await;
    assert_eq!(balance, "0x29a2241af62c0000");
    assert!(program.signal("TERM"));
}

#[tokio::test]
async fn a_chain_in_a_file_goes_on_where_it_ended() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("chain.json");
    let file = file.to_str().unwrap();
    let (program, chain) = start(&["--state", file]);
    let sent = json!([{ "from": ACCOUNTS[0].address, "to": ACCOUNTS[1].address, "value": "0x5" }]);
    let hash = ask(&chain, "eth_sendTransaction", sent).await;
    assert!(program.signal("INT"));
    for _ in 0..2 {
        let (program, chain) = start(&["--load-state", file, "--no-mining"]);
        assert_eq!(chain["block_number"], 1);
        let receipt = ask(&chain, "eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!(receipt["status"], "0x1");
        program.kill();
    }
    refused(
        &["--load-state", file, "--chain-id", "5"],
        1,
        "the state is of chain 31337",
    );
    std::fs::write(file, "{").unwrap();
    refused(&["--state", file], 1, "not a state that this node dumped");
    assert_eq!(
        std::fs::read_to_string(file).unwrap(),
        "{",
        "what could not be read is left alone"
    );
}

#[tokio::test]
async fn blocks_come_when_the_options_say() {
    let (_none, unmined) = start(&[
        "--no-mining",
        "--block-base-fee-per-gas",
        "7",
        "--gas-limit",
        "5000000",
        "--timestamp",
        "1000",
    ]);
    let sent = json!([{ "from": ACCOUNTS[0].address, "to": ACCOUNTS[1].address, "value": "0x5" }]);
    ask(&unmined, "eth_sendTransaction", sent.clone()).await;
    let head = ask(&unmined, "eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(
        (&head["number"], &head["timestamp"]),
        (&json!("0x0"), &json!("0x3e8"))
    );
    assert_eq!(
        (&head["gasLimit"], &head["baseFeePerGas"]),
        (&json!("0x4c4b40"), &json!("0x7"))
    );
    assert_eq!(ask(&unmined, "txpool_status", json!([])).await["pending"], "0x1");

    let (_regular, regular) = start(&["--block-time", "0.2"]);
    let hash = ask(&regular, "eth_sendTransaction", sent).await;
    let begin = std::time::Instant::now();
    while ask(&regular, "eth_getTransactionReceipt", json!([hash]))
        .await
        .is_null()
    {
        assert!(begin.elapsed() < Duration::from_secs(20), "no block came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ask(&regular, "anvil_getAutomine", json!([])).await, false);

    let (_both, both) = start(&[
        "--block-time",
        "3600",
        "--mixed-mining",
        "--auto-impersonate",
        "--max-log-range",
        "1",
    ]);
    let from_anyone = json!([{ "from": ACCOUNTS[0].address, "to": ACCOUNTS[1].address, "value": "0x5" }]);
    ask(&both, "eth_sendTransaction", from_anyone).await;
    assert_eq!(ask(&both, "eth_blockNumber", json!([])).await, "0x1");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    for (options, status, reason) in [
        (&["--block-time", "0"][..], 1, "a number of seconds above 0"),
        (&["--mixed-mining"][..], 2, "--block-time"),
        (
            &["--block-time", "1", "--no-mining"][..],
            2,
            "cannot be used with",
        ),
        (&["--mnemonic", "nonsense"][..], 1, "cannot derive accounts"),
        (&["--max-log-range", "0"][..], 2, "--max-log-range"),
        (
            &["--load-state", "/nowhere/chain.json"][..],
            1,
            "cannot read /nowhere/chain.json",
        ),
        (
            &["--state", "a", "--dump-state", "b"][..],
            2,
            "cannot be used with",
        ),
        (&["--allow-origin", "a\nb"][..], 1, "not the origin of a web page"),
    ] {
        refused(options, status, reason);
    }
}
