//! Ways back: reorganisations and snapshots.

use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, U64, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::Filter;
use microraiden_devchain::{ACCOUNTS, ReorganiseError};
use serde_json::{Value, json};

use crate::{KEEPER, ask, call, client, deploy, execute, refusal, send, start, start_manual, transfer, word};

async fn hashes(client: &impl Provider) -> Vec<B256> {
    let mut hashes = Vec::new();
    for number in 0..=client.get_block_number().await.unwrap() {
        hashes.push(
            client
                .get_block_by_number(number.into())
                .await
                .unwrap()
                .unwrap()
                .header
                .hash,
        );
    }
    hashes
}

#[tokio::test]
async fn transactions_that_are_kept_move_to_the_new_blocks() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    let first = send(&client, call(keeper, word(1))).await;
    let second = send(&client, call(keeper, word(2))).await;
    let before = hashes(&client).await;
    node.reorganise(2, true).unwrap();
    let after = hashes(&client).await;
    assert_eq!((before.len(), after.len()), (4, 5));
    assert_eq!(before[..2], after[..2]);
    assert!(before[2..].iter().all(|hash| !after.contains(hash)));
    for (old, number) in [(&first, 2), (&second, 3)] {
        let new = client
            .get_transaction_receipt(old.transaction_hash)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(new.block_number, Some(number));
        assert_ne!(new.block_hash, old.block_hash);
        assert_eq!(new.logs()[0].block_hash, new.block_hash);
        assert!(
            client
                .get_block_by_hash(old.block_hash.unwrap())
                .await
                .unwrap()
                .is_none()
        );
    }
    assert_eq!(client.call(call(keeper, [])).await.unwrap(), word(2));
    let new = client.get_block_by_number(2.into()).await.unwrap().unwrap();
    assert_eq!(new.header.inner.hash_slow(), after[2]);
    assert_eq!(new.header.parent_hash, before[1]);
}

#[tokio::test]
async fn transactions_that_are_not_kept_never_happened() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    let first = send(&client, call(keeper, word(1))).await;
    let lost = send(&client, call(keeper, word(2))).await;
    node.reorganise(1, false).unwrap();
    assert_eq!(node.block_number(), 4);
    assert!(
        client
            .get_transaction_receipt(first.transaction_hash)
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        client
            .get_transaction_receipt(lost.transaction_hash)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        client
            .get_transaction_by_hash(lost.transaction_hash)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(client.call(call(keeper, [])).await.unwrap(), word(1));
    let logs = client.get_logs(&Filter::new().from_block(0)).await.unwrap();
    assert_eq!(logs.len(), 1);
    // The lost nonce is free again.
    let sender = node.accounts()[0].address;
    assert_eq!(client.get_transaction_count(sender).await.unwrap(), 2);
}

#[tokio::test]
async fn the_same_blocks_never_come_back() {
    let node = start().await;
    let client = client(&node, 0);
    node.mine(3);
    let mut seen = hashes(&client).await.split_off(1);
    for _ in 0..3 {
        let depth = node.block_number();
        node.reorganise(depth, true).unwrap();
        let new = hashes(&client).await.split_off(1);
        assert!(new.iter().all(|hash| !seen.contains(hash)));
        seen.extend(new);
    }
    let blocks = node.block_number();
    let depth = blocks + 1;
    assert_eq!(
        node.reorganise(depth, true),
        Err(ReorganiseError::TooDeep { depth, blocks })
    );
    let _: Option<()> = client
        .raw_request("anvil_reorg".into(), (U64::from(2), [(); 0]))
        .await
        .unwrap();
    assert_eq!(node.block_number(), blocks);
    node.reorganise(0, true).unwrap();
    assert_eq!(node.block_number(), blocks + 1);
}

#[tokio::test]
async fn a_snapshot_brings_everything_back() {
    let node = start().await;
    let client = client(&node, 0);
    let stranger = Address::repeat_byte(0x77);
    let keeper = deploy(&client, &KEEPER).await;
    send(&client, call(keeper, word(1))).await;
    let before = hashes(&client).await;
    let snapshot = node.snapshot();
    let later = node.snapshot();
    node.set_balance(stranger, U256::from(5));
    send(&client, call(keeper, word(2))).await;
    send(&client, transfer(stranger, 1)).await;
    assert_eq!(client.get_balance(stranger).await.unwrap(), U256::from(6));
    assert!(node.revert(snapshot));
    assert_eq!(hashes(&client).await, before);
    assert_eq!(client.call(call(keeper, [])).await.unwrap(), word(1));
    assert_eq!(client.get_balance(stranger).await.unwrap(), U256::ZERO);
    assert!(!node.revert(snapshot));
    assert!(!node.revert(later));
    let id: U64 = client.raw_request("evm_snapshot".into(), ()).await.unwrap();
    node.mine(1);
    assert!(
        client
            .raw_request::<_, bool>("evm_revert".into(), (id,))
            .await
            .unwrap()
    );
    assert_eq!(hashes(&client).await, before);
    let lost = node.snapshot();
    node.reorganise(1, true).unwrap();
    assert!(!node.revert(lost));
}

#[tokio::test]
async fn a_balance_set_by_hand_belongs_to_its_block() {
    let node = start().await;
    let client = client(&node, 0);
    let rich = Address::repeat_byte(0x55);
    node.mine(1);
    node.set_balance(rich, U256::from(9));
    node.mine(2);
    let at = async |number| {
        client
            .get_balance(rich)
            .block_id(BlockId::number(number))
            .await
            .unwrap()
    };
    assert_eq!(
        (at(0).await, at(1).await, at(3).await),
        (U256::ZERO, U256::from(9), U256::from(9))
    );
    node.reorganise(2, false).unwrap();
    assert_eq!(client.get_balance(rich).await.unwrap(), U256::from(9));
    let _: Option<()> = client
        .raw_request("anvil_setBalance".into(), (rich, U256::from(3)))
        .await
        .unwrap();
    assert_eq!(client.get_balance(rich).await.unwrap(), U256::from(3));
}

const PAYEE: Address = Address::repeat_byte(0xbe);

/// A transfer of so much that the node signs.
fn unsigned(account: usize, value: u64) -> Value {
    json!({ "from": ACCOUNTS[account].address, "to": PAYEE, "value": value })
}

/// The senders' indices and the values of a block's transactions.
async fn transfers(client: &impl Provider, number: u64) -> Vec<(usize, u64)> {
    let block = ask(
        client,
        "eth_getBlockByNumber",
        json!([format!("{number:#x}"), true]),
    )
    .await;
    let transactions = block["transactions"].as_array().unwrap();
    transactions
        .iter()
        .map(|transaction| {
            let value: U256 = serde_json::from_value(transaction["value"].clone()).unwrap();
            let sender = ACCOUNTS
                .iter()
                .position(|account| json!(account.address) == transaction["from"])
                .unwrap();
            (sender, value.to())
        })
        .collect()
}

#[tokio::test]
async fn the_new_branch_can_have_transactions_of_ones_own() {
    let node = start().await;
    let client = client(&node, 0);
    for (account, value) in [(0, 1), (1, 2), (0, 3), (2, 4)] {
        ask(&client, "eth_sendTransaction", json!([unsigned(account, value)])).await;
    }
    let raw = |account, value, nonce| {
        let mut request = unsigned(account, value);
        request["nonce"] = json!(nonce);
        json!([request])
    };
    let signed = ask(&client, "eth_signTransaction", raw(0, 30, 1)).await;
    let before = hashes(&client).await;
    // Blocks 2 to 4 are replaced, and in any order; the nonces are those of the new branch.
    let own = json!([
        [unsigned(0, 40), "0x2"],
        [signed, "0x0"],
        [unsigned(1, 10), "0x0"],
        [unsigned(1, 20), "0x2"],
        [unsigned(1, 11), "0x0"],
    ]);
    ask(&client, "anvil_reorg", json!([3, own])).await;
    let after = hashes(&client).await;
    assert_eq!(after.len(), before.len());
    assert_eq!(after[..2], before[..2]);
    assert!(before[2..].iter().all(|hash| !after.contains(hash)));
    assert_eq!(transfers(&client, 1).await, [(0, 1)]);
    assert_eq!(transfers(&client, 2).await, [(0, 30), (1, 10), (1, 11)]);
    assert_eq!(transfers(&client, 3).await, []);
    assert_eq!(transfers(&client, 4).await, [(0, 40), (1, 20)]);
    let balance = client.get_balance(PAYEE).await.unwrap();
    assert_eq!(balance, U256::from(1 + 30 + 10 + 11 + 40 + 20));
    for (account, nonce) in [(0, 3), (1, 3), (2, 0)] {
        let count = client.get_transaction_count(ACCOUNTS[account].address).await;
        assert_eq!(count.unwrap(), nonce);
    }
}

#[tokio::test]
async fn a_reorganisation_that_is_refused_changes_nothing() {
    let node = start().await;
    let client = client(&node, 0);
    for value in 1..=3 {
        execute(&client, transfer(PAYEE, value)).await;
    }
    let filter = ask(&client, "eth_newBlockFilter", json!([])).await;
    let snapshot = node.snapshot();
    let before = hashes(&client).await;
    let stranger = json!({ "from": PAYEE, "to": PAYEE });
    for (method, params, code) in [
        ("anvil_reorg", json!([4, []]), -32000),
        ("anvil_reorg", json!([u64::MAX, []]), -32000),
        (
            "anvil_reorg",
            json!([2, [[unsigned(0, 1), 0], [unsigned(0, 1), 2]]]),
            -32602,
        ),
        ("anvil_reorg", json!([2, [[unsigned(0, 1), u64::MAX]]]), -32602),
        ("anvil_reorg", json!([0, [[unsigned(0, 1), 0]]]), -32602),
        ("anvil_reorg", json!([2, [["0x1234", 0]]]), -32000),
        ("anvil_reorg", json!([2, [[stranger, 0]]]), -32000),
        ("anvil_reorg", json!([2, [5]]), -32602),
        ("anvil_rollback", json!([4]), -32000),
        ("devchain_reorganise", json!([4, true]), -32000),
        ("devchain_reorganise", json!([2]), -32602),
    ] {
        let (found, message) = refusal(&client, method, params.clone()).await;
        assert_eq!(found, code, "{method} {params}: {message}");
    }
    assert_eq!(
        refusal(&client, "devchain_reorganise", json!([4, false])).await.1,
        "cannot drop 4 blocks of a chain with 3 blocks after genesis"
    );
    assert_eq!(hashes(&client).await, before);
    assert_eq!(
        ask(&client, "eth_getFilterChanges", json!([filter])).await,
        json!([])
    );
    assert!(node.revert(snapshot));
}

#[tokio::test]
async fn blocks_can_be_rolled_back_and_mined_anew() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    for value in 1..=3 {
        execute(&client, call(keeper, word(value))).await;
    }
    let before = hashes(&client).await;
    ask(&client, "anvil_rollback", json!([])).await;
    assert_eq!(hashes(&client).await, before[..4]);
    assert_eq!(client.call(call(keeper, [])).await.unwrap(), word(2));
    ask(&client, "anvil_rollback", json!(["0x0"])).await;
    ask(&client, "anvil_rollback", json!(["0x1"])).await;
    assert_eq!(hashes(&client).await, before[..3]);
    let gone = ask(&client, "eth_getBlockByHash", json!([before[3], false])).await;
    assert_eq!(gone, Value::Null);
    let logs = client.get_logs(&Filter::new().from_block(0)).await.unwrap();
    assert_eq!(logs.len(), 1);
    execute(&client, call(keeper, word(9))).await;
    assert_eq!(client.call(call(keeper, [])).await.unwrap(), word(9));
    assert_ne!(hashes(&client).await[3], before[3]);
    ask(&client, "anvil_rollback", json!([4 - 1])).await;
    assert_eq!((node.block_number(), hashes(&client).await[0]), (0, before[0]));
}

#[tokio::test]
async fn snapshots_of_blocks_that_stay_outlive_a_reorganisation() {
    let node = start().await;
    let client = client(&node, 0);
    execute(&client, transfer(PAYEE, 1)).await;
    let kept = node.snapshot();
    node.set_balance(PAYEE, U256::from(50));
    let kept_too = node.snapshot();
    execute(&client, transfer(PAYEE, 2)).await;
    let dropped = node.snapshot();
    node.reorganise(1, false).unwrap();
    assert_eq!(client.get_balance(PAYEE).await.unwrap(), U256::from(50));
    assert!(!node.revert(dropped));
    assert!(node.revert(kept_too));
    assert_eq!(client.get_balance(PAYEE).await.unwrap(), U256::from(50));
    assert!(node.revert(kept));
    assert_eq!(client.get_balance(PAYEE).await.unwrap(), U256::from(1));
    assert_eq!(node.block_number(), 1);
}

#[tokio::test]
async fn transactions_can_be_kept_or_not_by_request() {
    let node = start().await;
    let client = client(&node, 0);
    execute(&client, transfer(PAYEE, 1)).await;
    execute(&client, transfer(PAYEE, 2)).await;
    ask(&client, "devchain_reorganise", json!(["0x2", true])).await;
    assert_eq!(node.block_number(), 3);
    assert_eq!(transfers(&client, 1).await, [(0, 1)]);
    assert_eq!(transfers(&client, 2).await, [(0, 2)]);
    assert_eq!(transfers(&client, 3).await, []);
    ask(&client, "devchain_reorganise", json!([2, false])).await;
    assert_eq!(node.block_number(), 4);
    assert_eq!(client.get_balance(PAYEE).await.unwrap(), U256::from(1));
}

#[tokio::test]
async fn what_waits_goes_on_waiting_though_others_of_its_place_are_invalid() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let sender = ACCOUNTS[0].address;
    ask(&client, "eth_sendTransaction", json!([unsigned(0, 1)])).await;
    node.mine(1);
    let waits = ask(&client, "eth_sendTransaction", json!([unsigned(0, 2)])).await;
    // Without the first transaction the second nonce is too high for a block, whoever has it.
    let mut other = unsigned(0, 3);
    other["nonce"] = json!("0x1");
    ask(&client, "anvil_reorg", json!([1, [[other, 0]]])).await;
    assert_eq!(transfers(&client, 1).await, []);
    let pool = ask(&client, "txpool_content", json!([])).await;
    let place = &pool["queued"].as_object().unwrap().values().next().unwrap()["1"];
    assert_eq!(place["hash"], waits);
    assert_eq!(client.get_transaction_count(sender).await.unwrap(), 0);
    ask(&client, "eth_sendTransaction", json!([unsigned(0, 4)])).await;
    node.mine(1);
    assert_eq!(transfers(&client, 2).await, [(0, 4), (0, 2)]);
}
