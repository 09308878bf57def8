//! Logs by address, topic, range and block, and the filters that are polled.

use alloy_primitives::{Address, B256, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{Filter, Log};
use microraiden_devchain::{Config, DevChain};
use serde_json::{Value, json};

use crate::{KEEPER, ask, call, client, deploy, execute, refusal, send, start, start_manual, transfer, word};

fn topic(value: u64) -> B256 {
    U256::from(value).into()
}

/// The second topics, which tell the logs apart.
fn kept(logs: Vec<Log>) -> Vec<u64> {
    logs.iter()
        .map(|log| U256::from_be_bytes(log.topics()[1].0).to())
        .collect()
}

#[tokio::test]
async fn logs_are_found_by_what_they_are_and_where() {
    let node = start().await;
    let client = client(&node, 0);
    let first = deploy(&client, &KEEPER).await;
    let second = deploy(&client, &KEEPER).await;
    for (keeper, value) in [(first, 1), (second, 2), (first, 3), (second, 4)] {
        send(&client, call(keeper, word(value))).await;
    }
    let find = async |filter: Filter| kept(client.get_logs(&filter).await.unwrap());
    let all = Filter::new().from_block(0);
    assert_eq!(find(all.clone()).await, [1, 2, 3, 4]);
    assert_eq!(find(Filter::new()).await, [4]);
    assert_eq!(find(all.clone().address(first)).await, [1, 3]);
    assert_eq!(find(all.clone().address(vec![first, second])).await, [1, 2, 3, 4]);
    assert_eq!(find(all.clone().address(Address::ZERO)).await, [0; 0]);
    assert_eq!(find(all.clone().event_signature(topic(0xaa))).await, [1, 2, 3, 4]);
    assert_eq!(find(all.clone().event_signature(topic(0xbb))).await, [0; 0]);
    assert_eq!(find(all.clone().topic1(topic(2))).await, [2]);
    assert_eq!(find(all.clone().topic1(vec![topic(2), topic(3)])).await, [2, 3]);
    assert_eq!(
        find(all.clone().address(first).topic1(vec![topic(2), topic(3)])).await,
        [3]
    );
    assert_eq!(find(Filter::new().from_block(4).to_block(5)).await, [2, 3]);
    assert_eq!(find(Filter::new().from_block(4).to_block(500)).await, [2, 3, 4]);
    assert_eq!(find(Filter::new().from_block(500)).await, [0; 0]);
    let hash = client
        .get_block_by_number(5.into())
        .await
        .unwrap()
        .unwrap()
        .header
        .hash;
    assert_eq!(find(Filter::new().at_block_hash(hash)).await, [3]);
    assert!(
        client
            .get_logs(&Filter::new().at_block_hash(B256::ZERO))
            .await
            .is_err()
    );
    assert!(
        client
            .get_logs(&Filter::new().from_block(3).to_block(2))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_log_knows_its_place() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    let receipt = send(&client, call(keeper, word(6))).await;
    let logs = client.get_logs(&Filter::new()).await.unwrap();
    assert_eq!(logs, receipt.logs());
    assert_eq!(logs[0].address(), keeper);
    assert_eq!(logs[0].transaction_hash, Some(receipt.transaction_hash));
    assert_eq!(
        (logs[0].block_hash, logs[0].block_number),
        (receipt.block_hash, receipt.block_number)
    );
    assert_eq!((logs[0].log_index, logs[0].removed), (Some(0), false));
}

#[tokio::test]
async fn filters_tell_what_is_new() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    let blocks = client.new_block_filter().await.unwrap();
    let logs = client.new_filter(&Filter::new().address(keeper)).await.unwrap();
    assert!(
        client
            .get_filter_changes::<B256>(blocks)
            .await
            .unwrap()
            .is_empty()
    );
    let receipt = send(&client, call(keeper, word(6))).await;
    node.mine(1);
    let hashes = client.get_filter_changes::<B256>(blocks).await.unwrap();
    assert_eq!((hashes.len(), Some(hashes[0])), (2, receipt.block_hash));
    assert_eq!(kept(client.get_filter_changes(logs).await.unwrap()), [6]);
    assert!(client.get_filter_changes::<Log>(logs).await.unwrap().is_empty());
    assert!(client.uninstall_filter(logs).await.unwrap());
    assert!(!client.uninstall_filter(logs).await.unwrap());
    assert!(client.get_filter_changes::<Log>(logs).await.is_err());
}

/// The logs that came since the last time: their second topics, and whether they were taken back.
async fn changes(client: &impl Provider, filter: &Value) -> Vec<(u64, bool)> {
    let changes = ask(client, "eth_getFilterChanges", json!([filter])).await;
    let logs: Vec<Log> = serde_json::from_value(changes).unwrap();
    let removed = logs.iter().map(|log| log.removed).collect::<Vec<_>>();
    kept(logs).into_iter().zip(removed).collect()
}

#[tokio::test]
async fn a_filter_takes_logs_back_after_a_reorganisation() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    let filter = ask(&client, "eth_newFilter", json!([{ "address": keeper }])).await;
    let other = ask(&client, "eth_newFilter", json!([{ "address": keeper }])).await;
    assert_eq!(changes(&client, &filter).await, []);
    for value in 1..=3 {
        send(&client, call(keeper, word(value))).await;
    }
    assert_eq!(
        changes(&client, &filter).await,
        [(1, false), (2, false), (3, false)]
    );
    node.reorganise(2, true).unwrap();
    assert_eq!(
        changes(&client, &filter).await,
        [(3, true), (2, true), (2, false), (3, false)]
    );
    assert_eq!(changes(&client, &filter).await, []);
    // Who did not look does not learn of what is gone.
    assert_eq!(
        changes(&client, &other).await,
        [(1, false), (2, false), (3, false)]
    );
    let snapshot = node.snapshot();
    execute(&client, call(keeper, word(4))).await;
    assert_eq!(changes(&client, &filter).await, [(4, false)]);
    assert!(node.revert(snapshot));
    execute(&client, call(keeper, word(5))).await;
    assert_eq!(changes(&client, &filter).await, [(4, true), (5, false)]);
    assert_eq!(changes(&client, &other).await, [(5, false)]);
}

#[tokio::test]
async fn a_block_filter_gives_the_hashes_of_the_new_branch() {
    let node = start().await;
    let client = client(&node, 0);
    node.mine(2);
    let filter = ask(&client, "eth_newBlockFilter", json!([])).await;
    let changes = async || ask(&client, "eth_getFilterChanges", json!([filter])).await;
    let hash = async |number: u64| {
        let number = format!("{number:#x}");
        ask(&client, "eth_getHeaderByNumber", json!([number])).await["hash"].clone()
    };
    node.mine(2);
    assert_eq!(changes().await, json!([hash(3).await, hash(4).await]));
    node.reorganise(3, true).unwrap();
    let new = json!([hash(2).await, hash(3).await, hash(4).await, hash(5).await]);
    assert_eq!(changes().await, new);
    ask(&client, "anvil_rollback", json!([2])).await;
    assert_eq!(changes().await, json!([]));
    node.mine(1);
    assert_eq!(changes().await, json!([hash(4).await]));
}

#[tokio::test]
async fn a_transaction_filter_gives_the_hashes_of_those_that_arrived() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let before = client.send_transaction(transfer(Address::ZERO, 1)).await.unwrap();
    let filter = ask(&client, "eth_newPendingTransactionFilter", json!([])).await;
    let changes = async || ask(&client, "eth_getFilterChanges", json!([filter])).await;
    assert_eq!(changes().await, json!([]), "{}", before.tx_hash());
    let mut sent = Vec::new();
    for value in 2..=4 {
        let waits = client
            .send_transaction(transfer(Address::ZERO, value))
            .await
            .unwrap();
        sent.push(*waits.tx_hash());
    }
    node.mine(1);
    assert_eq!(changes().await, json!(sent));
    node.reorganise(1, true).unwrap();
    assert_eq!(changes().await, json!([]));
}

#[tokio::test]
async fn a_filter_with_a_range_knows_the_logs_in_it_only() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    for value in 2..=3 {
        send(&client, call(keeper, word(value))).await;
    }
    let open = async |filter: Value| ask(&client, "eth_newFilter", json!([filter])).await;
    let inside = open(json!({ "fromBlock": "0x3", "toBlock": "0x4" })).await;
    let from_genesis = open(json!({ "fromBlock": "earliest" })).await;
    let from_now = open(json!({})).await;
    for value in 4..=5 {
        send(&client, call(keeper, word(value))).await;
    }
    // What is new is never from before the filter; all that match may be older.
    assert_eq!(changes(&client, &inside).await, [(4, false)]);
    assert_eq!(changes(&client, &from_genesis).await, [(4, false), (5, false)]);
    assert_eq!(changes(&client, &from_now).await, [(4, false), (5, false)]);
    let all = async |filter: &Value| {
        let logs = ask(&client, "eth_getFilterLogs", json!([filter])).await;
        kept(serde_json::from_value(logs).unwrap())
    };
    assert_eq!(all(&inside).await, [3, 4]);
    assert_eq!(all(&from_genesis).await, [2, 3, 4, 5]);
    assert_eq!(all(&from_now).await, [5]);
    // To ask for all of them does not change what is new.
    assert_eq!(changes(&client, &inside).await, []);
}

#[tokio::test]
async fn a_filter_that_is_not_there_is_refused() {
    let node = start().await;
    let client = client(&node, 0);
    let blocks = ask(&client, "eth_newBlockFilter", json!([])).await;
    let logs = ask(&client, "eth_newFilter", json!([{}])).await;
    assert_ne!(blocks, logs);
    for id in [json!("0x99"), json!(0)] {
        for method in ["eth_getFilterChanges", "eth_getFilterLogs"] {
            assert_eq!(
                refusal(&client, method, json!([id])).await,
                (-32000, "filter not found".to_owned())
            );
        }
        assert_eq!(ask(&client, "eth_uninstallFilter", json!([id])).await, false);
    }
    let (code, _) = refusal(&client, "eth_getFilterLogs", json!([blocks])).await;
    assert_eq!(code, -32000);
    assert_eq!(ask(&client, "eth_uninstallFilter", json!([blocks])).await, true);
    assert_eq!(ask(&client, "eth_uninstallFilter", json!([blocks])).await, false);
    assert_eq!(
        refusal(&client, "eth_getFilterChanges", json!([blocks])).await,
        (-32000, "filter not found".to_owned())
    );
    assert_eq!(
        ask(&client, "eth_getFilterChanges", json!([logs])).await,
        json!([])
    );
}

#[tokio::test]
async fn a_request_for_logs_covers_as_many_blocks_as_the_node_allows() {
    let node = DevChain::start(Config {
        max_log_range_blocks: Some(10),
        ..Config::default()
    })
    .await
    .unwrap();
    let client = client(&node, 0);
    node.mine(30);
    let range =
        |from: u64, to: u64| json!([{ "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}") }]);
    let too_large = async |params: Value| {
        let (code, message) = refusal(&client, "eth_getLogs", params).await;
        assert_eq!(code, -32005);
        message
    };
    assert_eq!(ask(&client, "eth_getLogs", range(5, 14)).await, json!([]));
    assert_eq!(
        too_large(range(5, 15)).await,
        "block range is too large: at most 10 blocks in one request"
    );
    // What is not there yet does not count.
    assert_eq!(ask(&client, "eth_getLogs", range(21, 1_000)).await, json!([]));
    too_large(range(20, 1_000)).await;
    assert_eq!(ask(&client, "eth_getLogs", range(500, 1_000)).await, json!([]));
    too_large(json!([{ "fromBlock": "earliest" }])).await;
    let filter = ask(&client, "eth_newFilter", range(5, 15)).await;
    assert_eq!(
        refusal(&client, "eth_getFilterLogs", json!([filter])).await.0,
        -32005
    );
    assert_eq!(
        ask(&client, "devchain_setMaxLogRange", json!(["0x1"])).await,
        Value::Null
    );
    assert_eq!(ask(&client, "eth_getLogs", range(7, 7)).await, json!([]));
    too_large(range(7, 8)).await;
    let hash = ask(&client, "eth_getHeaderByNumber", json!(["0x7"])).await["hash"].clone();
    assert_eq!(
        ask(&client, "eth_getLogs", json!([{ "blockHash": hash }])).await,
        json!([])
    );
    ask(&client, "devchain_setMaxLogRange", json!([null])).await;
    assert_eq!(ask(&client, "eth_getLogs", range(0, 30)).await, json!([]));
}
