//! Faults on request, over HTTP, in batches and over WebSocket.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, U256};
use alloy_provider::{Provider, ProviderBuilder};
use microraiden_devchain::{DevChain, Fault, FaultKind};
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

/// A request as it goes over a connection of its own.
fn http(body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn request(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

#[tokio::test]
async fn not_a_byte_answers_a_dropped_request_or_the_batch_it_is_in() {
    let node = start().await;
    let client = plain(&node);
    node.set_faults(vec![fault(&["eth_gasPrice"], FaultKind::Drop, None)]);
    let change = request(1, "anvil_setBalance", json!([Address::ZERO, "0x5"]));
    let dropped = request(2, "eth_gasPrice", json!([]));
    for body in [
        dropped.clone(),
        json!([dropped, change]),
        json!([change, dropped]),
    ] {
        let answer = crate::server::exchange(node.address(), http(&body)).await;
        assert_eq!(answer, "", "{body}");
    }
    assert_eq!(client.get_balance(Address::ZERO).await.unwrap(), U256::ZERO);
    // Over WebSocket the others go on, and nothing of the batch is done either.
    let mut socket = Socket::open(&node).await;
    socket.send_text(&json!([change, dropped])).await;
    for _ in 0..3 {
        assert_eq!(socket.ask("eth_getBalance", json!([Address::ZERO])).await, "0x0");
    }
    node.set_faults(Vec::new());
    socket.ask("eth_gasPrice", json!([])).await;
    assert!(!socket.has_unread(|_| true));
}

#[tokio::test]
async fn over_websocket_others_overtake_a_delayed_request() {
    let node = start().await;
    let mut socket = Socket::open(&node).await;
    node.set_faults(vec![fault(&["eth_gasPrice"], FaultKind::DelayMs(150), Some(1))]);
    let begin = Instant::now();
    let late = socket.send("eth_gasPrice", json!([])).await;
    assert_eq!(socket.ask("eth_blockNumber", json!([])).await, "0x0");
    assert!(!socket.has_unread(|message| message["id"] == late));
    assert_eq!(socket.answer(late).await["result"], "0x77359400");
    assert!(begin.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_delayed_request_is_carried_out_though_its_client_gives_up() {
    use std::io::Write;
    let node = start().await;
    let hour = FaultKind::DelayMs(3_600_000);
    node.set_faults(vec![fault(&["anvil_setBalance"], hour, None)]);
    let body = request(1, "anvil_setBalance", json!([Address::ZERO, "0x5"]));
    let mut connection = std::net::TcpStream::connect(node.address()).unwrap();
    connection.write_all(http(&body).as_bytes()).unwrap();
    drop(connection);
    let client = plain(&node);
    let deadline = Instant::now() + Duration::from_secs(20);
    while client.get_balance(Address::ZERO).await.unwrap().is_zero() {
        assert!(Instant::now() < deadline, "it was never carried out");
    }
}

#[tokio::test]
async fn a_node_stops_though_it_owes_answers() {
    let node = start().await;
    let mut socket = Socket::open(&node).await;
    socket.subscribe(json!(["newHeads"])).await;
    let hour = FaultKind::DelayMs(3_600_000);
    node.set_faults(vec![
        fault(&["eth_gasPrice"], FaultKind::Drop, None),
        fault(&["eth_chainId"], hour, None),
    ]);
    let late = request(1, "eth_chainId", json!([]));
    let over_http = tokio::spawn(crate::server::exchange(node.address(), http(&late)));
    socket.send("eth_gasPrice", json!([])).await;
    socket.send("eth_chainId", json!([])).await;
    socket
        .send_text(&json!([request(7, "eth_chainId", json!([]))]))
        .await;
    socket.ask("evm_setAutomine", json!([false])).await;
    let waiting = json!([{ "to": Address::ZERO }, "0xffffff"]);
    socket.send("eth_sendTransactionSync", waiting).await;
    // All have arrived: a later one is answered.
    socket.ask("eth_blockNumber", json!([])).await;
    tokio::time::timeout(Duration::from_secs(10), node.stop())
        .await
        .expect("the node never stopped");
    drop(over_http.await);
}

#[tokio::test]
async fn another_chain_id_is_one_fault_among_others() {
    let node = start().await;
    let client = plain(&node);
    let chain_id = async || ask(&client, "eth_chainId", json!([])).await;
    let first = fault(&[], FaultKind::ChainId(5), Some(2));
    node.set_faults(vec![first, fault(&[], busy(), None)]);
    // It does not hit these, and they do not use it up.
    for method in ["eth_blockNumber", "eth_gasPrice", "eth_syncing"] {
        assert_eq!(refusal(&client, method, json!([])).await.0, -32005);
    }
    assert_eq!(chain_id().await, "0x5");
    assert_eq!(ask(&client, "net_version", json!([])).await, "5");
    assert_eq!(refusal(&client, "eth_chainId", json!([])).await.0, -32005);
    node.set_faults(vec![
        fault(&["eth_*"], busy(), Some(1)),
        fault(&["eth_chainId"], FaultKind::ChainId(7), None),
    ]);
    assert_eq!(refusal(&client, "eth_chainId", json!([])).await.0, -32005);
    assert_eq!(chain_id().await, "0x7");
    assert_eq!(ask(&client, "net_version", json!([])).await, "31337");
    let mut socket = Socket::open(&node).await;
    let batch = json!([
        request(1, "eth_chainId", json!([])),
        request(2, "net_version", json!([])),
        request(3, "eth_chainId", json!([])),
    ]);
    let answers = socket.batch(batch).await;
    let answers: Vec<&Value> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["result"])
        .collect();
    assert_eq!(answers, ["0x7", "31337", "0x7"]);
    // Transactions are still signed for the real one.
    let hash = ask(&client, "eth_sendTransaction", json!([{ "to": Address::ZERO }])).await;
    let sent = ask(&client, "eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(sent["chainId"], "0x7a69");
}

#[tokio::test]
async fn faults_name_methods_whole_or_by_how_they_begin() {
    let node = start().await;
    let client = plain(&node);
    let is_hit = async |patterns: &[&str], method: &'static str| {
        node.set_faults(vec![fault(patterns, busy(), None)]);
        client
            .raw_request::<_, Value>(method.into(), json!([]))
            .await
            .is_err()
    };
    for (patterns, method, hits) in [
        (&["eth_gasPrice"][..], "eth_gasPrice", true),
        (&["eth_gas"], "eth_gasPrice", false),
        (&["eth_gas*"], "eth_gasPrice", true),
        (&["eth_gasPrice*"], "eth_gasPrice", true),
        (&["gasPrice*"], "eth_gasPrice", false),
        (&["*Price"], "eth_gasPrice", false),
        (&["*"], "eth_gasPrice", true),
        (&["net_*", "eth_gasPrice"], "eth_gasPrice", true),
        (&["net_*", "eth_gasPrice"], "net_version", true),
        (&["net_*", "eth_gasPrice"], "eth_blockNumber", false),
        (&[], "web3_clientVersion", true),
    ] {
        assert_eq!(is_hit(patterns, method).await, hits, "{patterns:?} {method}");
    }
    // What puts an end to faults never fails.
    node.set_faults(vec![fault(&["*", "devchain_setFaults"], FaultKind::Drop, None)]);
    ask(&client, "devchain_reorganise", json!([0, true])).await;
    ask(&client, "devchain_setMaxLogRange", json!([5])).await;
    ask(&client, "devchain_setFaults", json!([[]])).await;
    assert_eq!(ask(&client, "eth_blockNumber", json!([])).await, "0x1");
}

#[tokio::test]
async fn a_fault_counts_each_request_of_a_batch() {
    let node = start().await;
    let mut socket = Socket::open(&node).await;
    node.set_faults(vec![
        fault(&[], busy(), Some(0)),
        fault(&["eth_blockNumber"], busy(), Some(2)),
    ]);
    let batch: Vec<Value> = (1..=4)
        .map(|id| request(id, "eth_blockNumber", json!([])))
        .collect();
    let answers = socket.batch(json!(batch)).await;
    let codes: Vec<Option<i64>> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| answer["error"]["code"].as_i64())
        .collect();
    assert_eq!(codes, [Some(-32005), Some(-32005), None, None]);
}

#[tokio::test]
async fn subscriptions_can_be_refused_and_those_that_are_open_go_on() {
    let node = start().await;
    let mut socket = Socket::open(&node).await;
    let heads = socket.subscribe(json!(["newHeads"])).await;
    node.set_faults(vec![
        fault(&["eth_subscribe"], busy(), Some(1)),
        fault(&["eth_subscribe"], FaultKind::DelayMs(100), Some(1)),
        fault(&[], FaultKind::Drop, None),
    ]);
    assert_eq!(
        socket.refusal("eth_subscribe", json!(["newHeads"])).await,
        (-32005, "busy".to_owned())
    );
    let begin = Instant::now();
    let late = socket.subscribe(json!(["newHeads"])).await;
    assert!(begin.elapsed() >= Duration::from_millis(100));
    socket.send("eth_blockNumber", json!([])).await;
    node.mine(2);
    for number in ["0x1", "0x2"] {
        assert_eq!(socket.next(&heads).await["number"], number);
        assert_eq!(socket.next(&late).await["number"], number);
    }
    assert!(!socket.has_unread(|_| true));
}

#[tokio::test]
async fn faults_come_as_json_as_they_are_documented() {
    let node = start().await;
    let client = plain(&node);
    let faults = json!([
        { "methods": ["eth_getLogs"], "kind": { "delayMs": 1 }, "times": 2 },
        { "methods": ["eth_send*"], "kind": "drop" },
        { "methods": ["eth_call"], "kind": { "refuse": { "code": -32005, "message": "rate limit" } } },
        { "kind": { "chainId": 1 } },
    ]);
    ask(&client, "devchain_setFaults", json!([faults])).await;
    assert_eq!(ask(&client, "eth_getLogs", json!([{}])).await, json!([]));
    assert_eq!(
        refusal(&client, "eth_call", json!([])).await,
        (-32005, "rate limit".to_owned())
    );
    assert_eq!(ask(&client, "eth_chainId", json!([])).await, "0x1");
    let parsed: Vec<Fault> = serde_json::from_value(faults.clone()).unwrap();
    assert_eq!(serde_json::to_value(&parsed).unwrap(), faults);
    assert_eq!(parsed[0], fault(&["eth_getLogs"], FaultKind::DelayMs(1), Some(2)));
}
