//! Transactions that wait: which of them are seen where, and how they are dropped.

use alloy_primitives::{Address, B256, U256};
use alloy_provider::Provider;
use microraiden_devchain::ACCOUNTS;
use serde_json::{Value, json};

use crate::{ask, client, refusal, start, start_manual};

const STRANGER: Address = Address::repeat_byte(0x77);
const GWEI: u64 = 1_000_000_000;

/// Sends a transfer of one wei; its hash.
async fn sent(client: &impl Provider, account: usize, nonce: u64, gas_price_wei: u64) -> Value {
    let request = json!({
        "from": ACCOUNTS[account].address,
        "to": STRANGER,
        "value": "0x1",
        "gas": "0x5208",
        "nonce": format!("{nonce:#x}"),
        "gasPrice": format!("{gas_price_wei:#x}"),
    });
    ask(client, "eth_sendTransaction", json!([request])).await
}

/// How many transactions the next block can have, and how many have to wait for longer.
async fn status(client: &impl Provider) -> (Value, Value) {
    let status = ask(client, "txpool_status", json!([])).await;
    (status["pending"].clone(), status["queued"].clone())
}

async fn receipt(client: &impl Provider, hash: &Value) -> Value {
    ask(client, "eth_getTransactionReceipt", json!([hash])).await
}

#[tokio::test]
async fn the_pool_tells_what_is_ready_and_what_is_not() {
    let node = start_manual().await;
    let client = client(&node, 0);
    assert_eq!(status(&client).await, (json!("0x0"), json!("0x0")));
    let [first, second, third] = [0, 1, 2].map(|index| ACCOUNTS[index].address);
    let ready = sent(&client, 0, 0, 2 * GWEI).await;
    let next = sent(&client, 0, 1, 3 * GWEI).await;
    let after_gap = sent(&client, 0, 5, 2 * GWEI).await;
    let cheap = sent(&client, 1, 0, GWEI / 2).await;
    let behind_cheap = sent(&client, 1, 1, 2 * GWEI).await;
    let early = sent(&client, 2, 7, 2 * GWEI).await;
    assert_eq!(status(&client).await, (json!("0x2"), json!("0x4")));

    let content = ask(&client, "txpool_content", json!([])).await;
    let whole = async |hash: &Value| ask(&client, "eth_getTransactionByHash", json!([hash])).await;
    let expected = json!({
        "pending": { first.to_string(): { "0": whole(&ready).await, "1": whole(&next).await } },
        "queued": {
            first.to_string(): { "5": whole(&after_gap).await },
            second.to_string(): { "0": whole(&cheap).await, "1": whole(&behind_cheap).await },
            third.to_string(): { "7": whole(&early).await },
        },
    });
    assert_eq!(lowercase(&content), lowercase(&expected));

    let inspected = ask(&client, "txpool_inspect", json!([])).await;
    let line = |price: u64| format!("{STRANGER:#x}: 1 wei + 21000 gas × {price} wei");
    let expected = json!({
        "pending": { first.to_string(): { "0": line(2 * GWEI), "1": line(3 * GWEI) } },
        "queued": {
            first.to_string(): { "5": line(2 * GWEI) },
            second.to_string(): { "0": line(GWEI / 2), "1": line(2 * GWEI) },
            third.to_string(): { "7": line(2 * GWEI) },
        },
    });
    assert_eq!(lowercase(&inspected), lowercase(&expected));

    node.mine(1);
    assert_eq!(status(&client).await, (json!("0x0"), json!("0x4")));
    assert_eq!(receipt(&client, &next).await["transactionIndex"], "0x1");
}

/// Addresses as keys may have their checksum or not.
fn lowercase(value: &Value) -> Value {
    serde_json::from_str(&value.to_string().to_lowercase()).unwrap()
}

#[tokio::test]
async fn a_dropped_transaction_never_happened() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let first = sent(&client, 0, 0, 2 * GWEI).await;
    let second = sent(&client, 0, 1, 2 * GWEI).await;
    let other = sent(&client, 1, 0, 2 * GWEI).await;
    let drop = async |hash: &Value| ask(&client, "anvil_dropTransaction", json!([hash])).await;
    assert_eq!(drop(&first).await, first);
    assert_eq!(drop(&first).await, Value::Null);
    assert_eq!(drop(&json!(B256::repeat_byte(1))).await, Value::Null);
    assert_eq!(
        ask(&client, "eth_getTransactionByHash", json!([first])).await,
        Value::Null
    );
    // What comes after it waits for its place to be taken.
    assert_eq!(status(&client).await, (json!("0x1"), json!("0x1")));
    node.mine(1);
    assert_eq!(receipt(&client, &other).await["blockNumber"], "0x1");
    assert_eq!(drop(&other).await, Value::Null);
    assert_eq!(receipt(&client, &second).await, Value::Null);
    let again = sent(&client, 0, 0, 2 * GWEI).await;
    assert_eq!(again, first);
    node.mine(1);
    for hash in [first, second] {
        assert_eq!(receipt(&client, &hash).await["blockNumber"], "0x2");
    }
}

#[tokio::test]
async fn all_transactions_or_all_of_a_sender_can_be_dropped() {
    let node = start_manual().await;
    let client = client(&node, 0);
    for account in 0..2 {
        for nonce in [0, 1, 4] {
            sent(&client, account, nonce, 2 * GWEI).await;
        }
    }
    assert_eq!(status(&client).await, (json!("0x4"), json!("0x2")));
    ask(&client, "anvil_removePoolTransactions", json!([STRANGER])).await;
    assert_eq!(status(&client).await, (json!("0x4"), json!("0x2")));
    ask(
        &client,
        "anvil_removePoolTransactions",
        json!([ACCOUNTS[0].address]),
    )
    .await;
    assert_eq!(status(&client).await, (json!("0x2"), json!("0x1")));
    ask(&client, "anvil_dropAllTransactions", json!([])).await;
    assert_eq!(status(&client).await, (json!("0x0"), json!("0x0")));
    node.mine(1);
    assert_eq!(
        ask(&client, "eth_getBlockTransactionCountByNumber", json!(["latest"])).await,
        "0x0"
    );
    let nonce = json!([ACCOUNTS[1].address, "pending"]);
    assert_eq!(ask(&client, "eth_getTransactionCount", nonce).await, "0x0");
}

#[tokio::test]
async fn a_replaced_transaction_is_gone_and_cannot_come_back() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let old = sent(&client, 0, 0, 10 * GWEI).await;
    let raw = ask(&client, "eth_getRawTransactionByHash", json!([old])).await;
    let new = sent(&client, 0, 0, 11 * GWEI).await;
    assert_eq!(status(&client).await, (json!("0x1"), json!("0x0")));
    assert_eq!(
        ask(&client, "eth_getTransactionByHash", json!([old])).await,
        Value::Null
    );
    assert_eq!(
        refusal(&client, "eth_sendRawTransaction", json!([raw])).await,
        (-32000, "replacement transaction underpriced".to_owned())
    );
    node.mine(1);
    assert_eq!(receipt(&client, &new).await["status"], "0x1");
    let (_, message) = refusal(&client, "eth_sendRawTransaction", json!([raw])).await;
    assert!(message.starts_with("nonce too low"), "{message}");
    assert_eq!(client.get_balance(STRANGER).await.unwrap(), U256::ONE);
}

#[tokio::test]
async fn transactions_are_mined_in_the_order_in_which_they_came() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let mut sent_first = Vec::new();
    for account in [5, 2, 9, 0, 7, 1] {
        // The later, the more they pay; it buys nothing.
        sent_first.push(sent(&client, account, 0, (3 + sent_first.len() as u64) * GWEI).await);
    }
    // A replacement comes when it comes.
    let replacement = sent(&client, 2, 0, 30 * GWEI).await;
    sent_first.remove(1);
    sent_first.push(replacement);
    node.mine(1);
    let block = ask(&client, "eth_getBlockByNumber", json!(["0x1", false])).await;
    assert_eq!(block["transactions"], json!(sent_first));
}

#[tokio::test]
async fn what_wants_more_gas_than_a_block_has_waits_for_larger_blocks() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let large = json!({ "to": STRANGER, "gas": "0x4c4b40" });
    let large = ask(&client, "eth_sendTransaction", json!([large])).await;
    let behind = sent(&client, 0, 1, 2 * GWEI).await;
    let other = sent(&client, 1, 0, 2 * GWEI).await;
    ask(&client, "evm_setBlockGasLimit", json!(["0xf4240"])).await;
    assert_eq!(status(&client).await, (json!("0x1"), json!("0x2")));
    // Instant mining mines what there is, and then rests.
    ask(&client, "evm_setAutomine", json!([true])).await;
    assert_eq!(node.block_number(), 1);
    assert_eq!(receipt(&client, &other).await["blockNumber"], "0x1");
    node.mine(1);
    assert_eq!(receipt(&client, &large).await, Value::Null);
    ask(&client, "evm_setBlockGasLimit", json!(["0x4c4b40"])).await;
    node.mine(1);
    for hash in [large, behind] {
        assert_eq!(receipt(&client, &hash).await["blockNumber"], "0x3");
    }
}

#[tokio::test]
async fn what_can_no_longer_be_paid_is_dropped_when_its_turn_comes() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let sender = ACCOUNTS[0].address;
    let first = sent(&client, 0, 0, 2 * GWEI).await;
    let second = sent(&client, 0, 1, 2 * GWEI).await;
    let third = sent(&client, 0, 2, 2 * GWEI).await;
    // Enough for one of them.
    node.set_balance(sender, U256::from(30_000 * 2 * GWEI));
    node.mine(1);
    assert_eq!(receipt(&client, &first).await["blockNumber"], "0x1");
    assert_eq!(
        ask(&client, "eth_getTransactionByHash", json!([second])).await,
        Value::Null
    );
    assert_ne!(
        ask(&client, "eth_getTransactionByHash", json!([third])).await,
        Value::Null
    );
    assert_eq!(status(&client).await, (json!("0x0"), json!("0x1")));
    assert_eq!(client.get_transaction_count(sender).await.unwrap(), 1);
}

#[tokio::test]
async fn what_was_signed_for_another_chain_id_is_dropped_when_its_turn_comes() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let old = sent(&client, 0, 0, 2 * GWEI).await;
    ask(&client, "anvil_setChainId", json!(["0x5"])).await;
    node.mine(1);
    assert_eq!(receipt(&client, &old).await, Value::Null);
    let new = sent(&client, 0, 0, 2 * GWEI).await;
    assert_ne!(new, old);
    node.mine(1);
    assert_eq!(receipt(&client, &new).await["status"], "0x1");
}

#[tokio::test]
async fn a_nonce_that_fills_a_gap_by_hand_makes_the_rest_ready() {
    let node = start().await;
    let client = client(&node, 0);
    let sender = ACCOUNTS[0].address;
    for nonce in [1, 2, 4] {
        sent(&client, 0, nonce, 2 * GWEI).await;
    }
    assert_eq!(status(&client).await, (json!("0x0"), json!("0x3")));
    ask(&client, "anvil_setNonce", json!([sender, "0x2"])).await;
    // The one with nonce 1 can never be mined.
    assert_eq!(status(&client).await, (json!("0x1"), json!("0x1")));
    let nonce = json!([sender, "pending"]);
    assert_eq!(ask(&client, "eth_getTransactionCount", nonce).await, "0x3");
    node.mine(1);
    assert_eq!(client.get_transaction_count(sender).await.unwrap(), 3);
}

#[tokio::test]
async fn the_largest_nonce_of_all_is_no_trouble() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let sender = ACCOUNTS[0].address;
    sent(&client, 0, u64::MAX, 2 * GWEI).await;
    ask(&client, "anvil_setNonce", json!([sender, "0xffffffffffffffff"])).await;
    let nonce = json!([sender, "pending"]);
    assert_eq!(
        ask(&client, "eth_getTransactionCount", nonce).await,
        "0xffffffffffffffff"
    );
    // EIP-2681: it is no valid nonce of a transaction.
    node.mine(1);
    assert_eq!(
        ask(&client, "eth_getBlockTransactionCountByNumber", json!(["latest"])).await,
        "0x0"
    );
}
