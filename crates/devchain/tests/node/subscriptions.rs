//! Subscriptions over WebSocket.

use alloy_primitives::{Address, B256, U256};
use alloy_provider::Provider;
use serde_json::{Value, json};

use crate::{
    KEEPER, ask, call, client, create, deploy, deploying, execute, refusal, send, socket::Socket, start,
    start_manual, transfer, word,
};

/// What a log tells: the second topic, and whether it was taken back.
fn told(log: &Value) -> (u64, bool) {
    let topic: U256 = serde_json::from_value(log["topics"][1].clone()).unwrap();
    (topic.to(), log["removed"].as_bool().unwrap())
}

/// What the next logs of a subscription tell.
async fn next_logs(socket: &mut Socket, subscription: &str, count: usize) -> Vec<(u64, bool)> {
    let mut logs = Vec::new();
    for _ in 0..count {
        logs.push(told(&socket.next(subscription).await));
    }
    logs
}

/// The numbers of the next heads of a subscription; each must be the header that the node then has at that number.
async fn next_heads(
    socket: &mut Socket,
    subscription: &str,
    client: &impl Provider,
    count: usize,
) -> Vec<u64> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        let head = socket.next(subscription).await;
        let number = head["number"].clone();
        assert_eq!(
            head,
            ask(client, "eth_getHeaderByNumber", json!([number])).await,
            "{number}"
        );
        numbers.push(serde_json::from_value::<U256>(number).unwrap().to());
    }
    numbers
}

#[tokio::test]
async fn the_heads_of_many_blocks_come_once_each_and_in_order() {
    let node = start().await;
    let client = client(&node, 0);
    let mut socket = Socket::open(&node).await;
    node.mine(2);
    let heads = socket.subscribe(json!(["newHeads"])).await;
    node.mine(60);
    let expected: Vec<u64> = (3..=62).collect();
    assert_eq!(next_heads(&mut socket, &heads, &client, 60).await, expected);
    node.mine(1);
    assert_eq!(next_heads(&mut socket, &heads, &client, 1).await, [63]);
}

#[tokio::test]
async fn who_reads_slowly_still_reads_all() {
    let node = start().await;
    let mut socket = Socket::open(&node).await;
    let heads = socket.subscribe(json!(["newHeads"])).await;
    // More than is kept for one connection.
    node.mine(3_000);
    assert_eq!(socket.next(&heads).await["number"], "0x1");
    // The subscriber is still being told of the blocks that are gone now.
    node.reorganise(1_000, true).unwrap();
    let expected: Vec<u64> = (2..=3_000).chain(2_001..=3_001).collect();
    assert_eq!(
        next_heads_without_look(&mut socket, &heads, expected.len()).await,
        expected
    );
}

#[tokio::test]
async fn after_a_reorganisation_exactly_the_heads_of_the_new_branch_come() {
    let node = start().await;
    let client = client(&node, 0);
    let mut socket = Socket::open(&node).await;
    let heads = socket.subscribe(json!(["newHeads"])).await;
    node.mine(5);
    assert_eq!(next_heads(&mut socket, &heads, &client, 5).await, [1, 2, 3, 4, 5]);
    node.reorganise(3, true).unwrap();
    assert_eq!(next_heads(&mut socket, &heads, &client, 4).await, [3, 4, 5, 6]);
    ask(&client, "anvil_reorg", json!([2, []])).await;
    assert_eq!(next_heads(&mut socket, &heads, &client, 2).await, [5, 6]);
    ask(&client, "anvil_rollback", json!([4])).await;
    node.mine(1);
    assert_eq!(next_heads(&mut socket, &heads, &client, 1).await, [3]);
}

#[tokio::test]
async fn logs_are_told_to_those_who_asked_for_them() {
    let node = start().await;
    let client = client(&node, 0);
    let first = deploy(&client, &KEEPER).await;
    let second = deploy(&client, &KEEPER).await;
    let mut socket = Socket::open(&node).await;
    let all = socket.subscribe(json!(["logs"])).await;
    let everywhere = socket.subscribe(json!(["logs", {}])).await;
    let of_first = socket.subscribe(json!(["logs", { "address": first }])).await;
    let of_both = socket
        .subscribe(json!(["logs", { "address": [first, second] }]))
        .await;
    let threes = json!({ "topics": [null, [B256::from(U256::from(3)), B256::from(U256::from(4))]] });
    let threes = socket.subscribe(json!(["logs", threes])).await;
    for (keeper, value) in [(first, 1), (second, 2), (first, 3), (second, 4)] {
        send(&client, call(keeper, word(value))).await;
    }
    let both = [(1, false), (2, false), (3, false), (4, false)];
    for subscription in [all, everywhere, of_both] {
        assert_eq!(next_logs(&mut socket, &subscription, 4).await, both);
    }
    assert_eq!(
        next_logs(&mut socket, &of_first, 2).await,
        [(1, false), (3, false)]
    );
    let log = socket.next(&threes).await;
    let filter = json!({ "fromBlock": "0x5", "toBlock": "0x5" });
    assert_eq!(ask(&client, "eth_getLogs", json!([filter])).await[0], log);
    assert_eq!(next_logs(&mut socket, &threes, 1).await, [(4, false)]);
    assert!(!socket.has_unread(|_| true));
}

#[tokio::test]
async fn logs_that_a_reorganisation_took_back_come_first_and_the_newest_of_them_before_the_older() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    let mut socket = Socket::open(&node).await;
    let logs = socket.subscribe(json!(["logs", { "address": keeper }])).await;
    for value in 1..=3 {
        send(&client, call(keeper, word(value))).await;
    }
    let mut before = Vec::new();
    for _ in 1..=3 {
        before.push(socket.next(&logs).await);
    }
    node.reorganise(2, true).unwrap();
    for old in [&before[2], &before[1]] {
        let mut taken_back = old.clone();
        taken_back["removed"] = true.into();
        assert_eq!(socket.next(&logs).await, taken_back);
    }
    for old in &before[1..] {
        let new = socket.next(&logs).await;
        assert_eq!(told(&new), told(old));
        assert_eq!(new["blockNumber"], old["blockNumber"]);
        assert_ne!(new["blockHash"], old["blockHash"]);
    }
    node.reorganise(4, false).unwrap();
    assert_eq!(
        next_logs(&mut socket, &logs, 3).await,
        [(3, true), (2, true), (1, true)]
    );
    // The contract is still there: block 1 was not dropped.
    execute(&client, call(keeper, word(9))).await;
    assert_eq!(next_logs(&mut socket, &logs, 1).await, [(9, false)]);
}

#[tokio::test]
async fn the_logs_of_one_block_are_taken_back_from_the_last_to_the_first() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let keeper = node.accounts()[0].address.create(0);
    let mut socket = Socket::open(&node).await;
    let logs = socket.subscribe(json!(["logs"])).await;
    wait_for_block(&client, keeper, &[1, 2, 3], true).await;
    node.mine(1);
    assert_eq!(
        next_logs(&mut socket, &logs, 3).await,
        [(1, false), (2, false), (3, false)]
    );
    node.reorganise(1, false).unwrap();
    assert_eq!(
        next_logs(&mut socket, &logs, 3).await,
        [(3, true), (2, true), (1, true)]
    );
}

/// Lets calls of a keeper wait for the next block, after its deployment if it is not there yet.
async fn wait_for_block(client: &impl Provider, keeper: Address, values: &[u64], deploy_first: bool) {
    let deployment = deploy_first.then(|| create(deploying(&KEEPER)));
    let calls = values.iter().map(|value| call(keeper, word(*value)));
    for request in deployment.into_iter().chain(calls) {
        let request = alloy_rpc_types_eth::TransactionRequest {
            gas: Some(200_000),
            ..request
        };
        ask(client, "eth_sendTransaction", json!([request])).await;
    }
}

#[tokio::test]
async fn what_came_and_went_unseen_is_not_told() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let keeper = node.accounts()[0].address.create(0);
    let mut socket = Socket::open(&node).await;
    let logs = socket.subscribe(json!(["logs"])).await;
    let heads = socket.subscribe(json!(["newHeads"])).await;
    wait_for_block(&client, keeper, &[1], true).await;
    node.mine(1);
    assert_eq!(next_logs(&mut socket, &logs, 1).await, [(1, false)]);
    assert_eq!(next_heads(&mut socket, &heads, &client, 1).await, [1]);
    wait_for_block(&client, keeper, &[2], false).await;
    // The server has no turn between these two, so that nobody saw block 2.
    node.mine(1);
    node.reorganise(1, false).unwrap();
    wait_for_block(&client, keeper, &[3], false).await;
    // Here too, but now also block 1, which everybody saw, is replaced.
    node.mine(1);
    node.reorganise(4, true).unwrap();
    node.mine(1);
    assert_eq!(
        next_logs(&mut socket, &logs, 3).await,
        [(1, true), (1, false), (3, false)]
    );
    // Those of the first reorganisation came while the call was made, the rest at once.
    assert_eq!(
        next_heads_without_look(&mut socket, &heads, 8).await,
        [2, 3, 1, 2, 3, 4, 5, 6]
    );
    assert!(!socket.has_unread(|_| true));
}

async fn next_heads_without_look(socket: &mut Socket, subscription: &str, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        let head = socket.next(subscription).await;
        numbers.push(
            serde_json::from_value::<U256>(head["number"].clone())
                .unwrap()
                .to(),
        );
    }
    numbers
}

#[tokio::test]
async fn a_subscription_with_a_range_tells_of_blocks_in_it() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    let mut socket = Socket::open(&node).await;
    let range = json!({ "fromBlock": "0x3", "toBlock": "0x4" });
    let logs = socket.subscribe(json!(["logs", range])).await;
    let all = socket.subscribe(json!(["logs", { "fromBlock": "latest" }])).await;
    for value in 2..=5 {
        send(&client, call(keeper, word(value))).await;
    }
    assert_eq!(next_logs(&mut socket, &logs, 2).await, [(3, false), (4, false)]);
    next_logs(&mut socket, &all, 4).await;
    node.reorganise(3, false).unwrap();
    assert_eq!(
        next_logs(&mut socket, &all, 3).await,
        [(5, true), (4, true), (3, true)]
    );
    assert_eq!(next_logs(&mut socket, &logs, 2).await, [(4, true), (3, true)]);
    assert!(!socket.has_unread(|_| true));
}

#[tokio::test]
async fn transactions_are_told_as_they_arrive_by_hash_or_whole() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let mut socket = Socket::open(&node).await;
    let hashes = socket.subscribe(json!(["newPendingTransactions"])).await;
    let also_hashes = socket.subscribe(json!(["newPendingTransactions", false])).await;
    let whole = socket.subscribe(json!(["newPendingTransactions", true])).await;
    let mut sent = Vec::new();
    for value in 1..=3 {
        let waits = client
            .send_transaction(transfer(Address::ZERO, value))
            .await
            .unwrap();
        sent.push(json!(waits.tx_hash()));
    }
    for hash in &sent {
        assert_eq!(socket.next(&hashes).await, *hash);
        assert_eq!(socket.next(&also_hashes).await, *hash);
        let transaction = socket.next(&whole).await;
        assert_eq!(
            transaction,
            ask(&client, "eth_getTransactionByHash", json!([hash])).await
        );
        assert_eq!(transaction["blockHash"], Value::Null);
    }
    // Blocks and reorganisations are no arrivals.
    node.mine(1);
    node.reorganise(1, true).unwrap();
    let last = client.send_transaction(transfer(Address::ZERO, 4)).await.unwrap();
    assert_eq!(socket.next(&hashes).await, json!(last.tx_hash()));
    assert_eq!(socket.next(&whole).await["hash"], json!(last.tx_hash()));
}

#[tokio::test]
async fn only_known_subjects_can_be_subscribed_to() {
    let node = start().await;
    let mut socket = Socket::open(&node).await;
    for params in [
        json!([]),
        json!(["syncing"]),
        json!(["transactionReceipts"]),
        json!(["newheads"]),
        json!(["logs", true]),
        json!(["logs", { "address": 5 }]),
        json!(["logs", { "transactionHashes": [] }]),
        json!([["newHeads"]]),
    ] {
        let (code, _) = socket.refusal("eth_subscribe", params.clone()).await;
        assert_eq!(code, -32602, "{params}");
    }
    // A refused subscription leaves the connection as it was.
    let heads = socket.subscribe(json!(["newHeads"])).await;
    node.mine(1);
    assert_eq!(socket.next(&heads).await["number"], "0x1");
}

#[tokio::test]
async fn subscriptions_need_a_connection_that_stays() {
    let node = start().await;
    let (code, _) = refusal(&client(&node, 0), "eth_subscribe", json!(["newHeads"])).await;
    assert_eq!(code, -32603);
}

#[tokio::test]
async fn subscriptions_have_quantities_as_ids_and_end_one_by_one() {
    let node = start().await;
    let mut socket = Socket::open(&node).await;
    let mut other = Socket::open(&node).await;
    let first = socket.subscribe(json!(["newHeads"])).await;
    let second = socket.subscribe(json!(["newHeads"])).await;
    let theirs = other.subscribe(json!(["newHeads"])).await;
    let ids: Vec<u64> = [&first, &second, &theirs]
        .iter()
        .map(|id| u64::from_str_radix(id.strip_prefix("0x").unwrap(), 16).unwrap())
        .collect();
    assert!(
        ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2],
        "{ids:?}"
    );
    node.mine(1);
    for id in [&first, &second] {
        assert_eq!(socket.next(id).await["number"], "0x1");
    }
    assert_eq!(socket.ask("eth_unsubscribe", json!([first])).await, true);
    assert_eq!(socket.ask("eth_unsubscribe", json!([first])).await, false);
    assert_eq!(socket.ask("eth_unsubscribe", json!([theirs])).await, false);
    node.mine(20);
    for number in 2..=21 {
        assert_eq!(socket.next(&second).await["number"], format!("{number:#x}"));
    }
    for number in 1..=21 {
        assert_eq!(other.next(&theirs).await["number"], format!("{number:#x}"));
    }
    assert!(!socket.has_unread(|_| true));
}

#[tokio::test]
async fn going_back_to_a_snapshot_takes_logs_back() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    send(&client, call(keeper, word(1))).await;
    let mut socket = Socket::open(&node).await;
    let logs = socket.subscribe(json!(["logs"])).await;
    let heads = socket.subscribe(json!(["newHeads"])).await;
    let snapshot = node.snapshot();
    for value in 2..=3 {
        send(&client, call(keeper, word(value))).await;
    }
    assert_eq!(next_logs(&mut socket, &logs, 2).await, [(2, false), (3, false)]);
    assert!(node.revert(snapshot));
    assert_eq!(next_logs(&mut socket, &logs, 2).await, [(3, true), (2, true)]);
    execute(&client, call(keeper, word(4))).await;
    assert_eq!(next_logs(&mut socket, &logs, 1).await, [(4, false)]);
    assert_eq!(next_heads_without_look(&mut socket, &heads, 3).await, [3, 4, 3]);
    assert!(!socket.has_unread(|_| true));
}

#[tokio::test]
async fn a_loaded_chain_comes_like_a_reorganisation() {
    let node = start().await;
    let first = client(&node, 0);
    let keeper = deploy(&first, &KEEPER).await;
    send(&first, call(keeper, word(1))).await;
    let dump = node.dump();
    let mut socket = Socket::open(&node).await;
    let logs = socket.subscribe(json!(["logs"])).await;
    let heads = socket.subscribe(json!(["newHeads"])).await;
    send(&first, call(keeper, word(2))).await;
    assert_eq!(next_logs(&mut socket, &logs, 1).await, [(2, false)]);
    // Blocks 0 to 2 are the same in both.
    node.load(&dump).unwrap();
    assert_eq!(next_logs(&mut socket, &logs, 1).await, [(2, true)]);
    execute(&first, call(keeper, word(3))).await;
    assert_eq!(next_logs(&mut socket, &logs, 1).await, [(3, false)]);
    assert_eq!(next_heads_without_look(&mut socket, &heads, 2).await, [3, 3]);
    // Here nothing is.
    let other = start().await;
    let second = client(&other, 0);
    other.mine(1);
    let keeper = deploy(&second, &KEEPER).await;
    send(&second, call(keeper, word(4))).await;
    node.load(&other.dump()).unwrap();
    assert_eq!(
        next_logs(&mut socket, &logs, 3).await,
        [(3, true), (1, true), (4, false)]
    );
    assert_eq!(next_heads(&mut socket, &heads, &first, 3).await, [1, 2, 3]);
    node.mine(1);
    assert_eq!(next_heads(&mut socket, &heads, &first, 1).await, [4]);
}
