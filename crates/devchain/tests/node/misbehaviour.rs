//! Faults on request, over HTTP, in batches and over WebSocket.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, U256};
use alloy_provider::{Provider, ProviderBuilder};
use microraiden_devchain::{Config, DevChain, Fault, FaultKind};
use serde_json::{Value, json};

use crate::{ask, client, refusal, send, socket::Socket, start, transfer};

fn fault(methods: &[&str], kind: FaultKind, times: Option<u64>) -> Fault {
    Fault {
        methods: methods.iter().map(|&name| name.to_owned()).collect(),
        kind,
        times,
    }
}

fn busy() -> FaultKind {
    FaultKind::Refuse {
        code: -32005,
        message: "busy".to_owned(),
    }
}

fn plain(node: &DevChain) -> impl Provider + use<> {
    ProviderBuilder::new().connect_http(node.url().parse().unwrap())
}

#[tokio::test]
async fn a_request_can_be_refused_so_many_times() {
    let node = start().await;
    let client = plain(&node);
    node.set_faults(vec![fault(&["eth_get*", "eth_call"], busy(), Some(2))]);
    assert_eq!(client.get_block_number().await.unwrap(), 0);
    let params = json!([Address::ZERO, "latest"]);
    for _ in 0..2 {
        let refused = refusal(&client, "eth_getBalance", params.clone()).await;
        assert_eq!(refused, (-32005, "busy".to_owned()));
    }
    assert_eq!(ask(&client, "eth_getBalance", params).await, "0x0");
}

#[tokio::test]
async fn the_first_fault_that_fits_decides_and_none_hits_the_methods_of_control() {
    let node = start().await;
    let client = plain(&node);
    let first = FaultKind::Refuse {
        code: 1,
        message: "first".to_owned(),
    };
    node.set_faults(vec![
        fault(&["eth_chainId"], first, Some(1)),
        fault(&[], busy(), None),
    ]);
    assert_eq!(refusal(&client, "eth_chainId", json!([])).await.0, 1);
    assert_eq!(refusal(&client, "eth_chainId", json!([])).await.0, -32005);
    assert_eq!(refusal(&client, "eth_blockNumber", json!([])).await.0, -32005);
    ask(&client, "devchain_setFaults", json!([[]])).await;
    assert_eq!(ask(&client, "eth_chainId", json!([])).await, "0x7a69");
}

#[tokio::test]
async fn a_delayed_request_is_carried_out() {
    let node = start().await;
    let client = client(&node, 0);
    let delay = json!([[{ "methods": ["eth_sendRawTransaction"], "kind": { "delayMs": 300 }, "times": 1 }]]);
    ask(&client, "devchain_setFaults", delay).await;
    let begin = Instant::now();
    let payee = Address::repeat_byte(0xbe);
    send(&client, transfer(payee, 5)).await;
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert_eq!(client.get_balance(payee).await.unwrap(), U256::from(5));
}

#[tokio::test]
async fn a_dropped_request_closes_an_http_connection_and_is_not_carried_out() {
    let node = start().await;
    let client = plain(&node);
    node.set_faults(vec![fault(&["anvil_setBalance"], FaultKind::Drop, Some(1))]);
    let params = json!([Address::ZERO, "0x5"]);
    let answer = client
        .raw_request::<_, Value>("anvil_setBalance".into(), params.clone())
        .await;
    // No answer of the node at all, not even an error.
    assert!(answer.unwrap_err().as_error_resp().is_none());
    assert_eq!(client.get_balance(Address::ZERO).await.unwrap(), U256::ZERO);
    ask(&client, "anvil_setBalance", params).await;
    assert_eq!(client.get_balance(Address::ZERO).await.unwrap(), U256::from(5));
}

#[tokio::test]
async fn over_websocket_a_dropped_request_stays_without_an_answer_and_the_others_go_on() {
    let node = start().await;
    let mut socket = Socket::open(&node).await;
    node.set_faults(vec![fault(&["eth_gasPrice"], FaultKind::Drop, None)]);
    let dropped = socket.send("eth_gasPrice", json!([])).await;
    for _ in 0..3 {
        assert_eq!(socket.ask("eth_blockNumber", json!([])).await, "0x0");
    }
    assert!(!socket.has_unread(|message| message["id"] == dropped));
}

#[tokio::test]
async fn faults_hit_single_requests_of_a_batch() {
    let node = start().await;
    let mut socket = Socket::open(&node).await;
    node.set_faults(vec![fault(&["eth_gasPrice"], busy(), None)]);
    let request =
        |id: u64, method: &str| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": [] });
    let batch = json!([
        request(7, "eth_blockNumber"),
        request(8, "eth_gasPrice"),
        request(9, "eth_chainId")
    ]);
    let answers = socket.batch(batch.clone()).await;
    assert_eq!(answers.as_array().unwrap().len(), 3);
    assert_eq!(
        (&answers[0]["id"], &answers[0]["result"]),
        (&json!(7), &json!("0x0"))
    );
    assert_eq!(
        (&answers[1]["id"], &answers[1]["error"]["code"]),
        (&json!(8), &json!(-32005))
    );
    assert_eq!(
        (&answers[2]["id"], &answers[2]["result"]),
        (&json!(9), &json!("0x7a69"))
    );
    node.set_faults(vec![fault(&["eth_gasPrice"], FaultKind::DelayMs(200), Some(1))]);
    let begin = Instant::now();
    let answers = socket.batch(batch).await;
    assert!(begin.elapsed() >= Duration::from_millis(200) && answers[1]["result"].is_string());
}

#[tokio::test]
async fn a_node_can_pretend_to_be_of_another_chain() {
    let node = start().await;
    let client = plain(&node);
    node.set_faults(vec![fault(&[], FaultKind::ChainId(5), None)]);
    assert_eq!(ask(&client, "eth_chainId", json!([])).await, "0x5");
    assert_eq!(ask(&client, "net_version", json!([])).await, "5");
    assert_eq!(ask(&client, "eth_blockNumber", json!([])).await, "0x0");
    assert_eq!(node.chain_id(), 31337);
}

#[tokio::test]
async fn faults_that_make_no_sense_are_refused_and_the_old_ones_stay() {
    let node = start().await;
    let client = plain(&node);
    node.set_faults(vec![fault(&["eth_gasPrice"], busy(), None)]);
    for wrong in [
        json!({ "kind": "explode" }),
        json!({ "kind": "drop", "time": 1 }),
        json!({ "methods": ["eth_call"] }),
        json!({ "kind": { "delayMs": -1 } }),
    ] {
        let (code, _) = refusal(&client, "devchain_setFaults", json!([[wrong]])).await;
        assert_eq!(code, -32602);
    }
    assert_eq!(refusal(&client, "eth_gasPrice", json!([])).await.0, -32005);
}

#[tokio::test]
async fn a_range_of_logs_beyond_the_limit_is_refused() {
    let node = DevChain::start(Config {
        max_log_range_blocks: Some(3),
        ..Config::default()
    })
    .await
    .unwrap();
    node.mine(10);
    let client = plain(&node);
    let range = |from: &str, to: &str| json!([{ "fromBlock": from, "toBlock": to }]);
    assert_eq!(ask(&client, "eth_getLogs", range("0x2", "0x4")).await, json!([]));
    let (code, message) = refusal(&client, "eth_getLogs", range("0x2", "0x5")).await;
    assert_eq!(code, -32005);
    assert!(message.contains("at most 3 blocks"), "{message}");
    ask(&client, "devchain_setMaxLogRange", json!(["0x4"])).await;
    assert_eq!(ask(&client, "eth_getLogs", range("0x2", "0x5")).await, json!([]));
    // What lies beyond the newest block does not count.
    assert_eq!(
        ask(&client, "eth_getLogs", range("0x8", "0x100")).await,
        json!([])
    );
    ask(&client, "devchain_setMaxLogRange", json!([null])).await;
    assert_eq!(ask(&client, "eth_getLogs", range("0x0", "0xa")).await, json!([]));
}
