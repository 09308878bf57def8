//! Blocks: their headers, their order, what they commit to.

use alloy_consensus::proofs::{calculate_receipt_root, calculate_transaction_root};
use alloy_eips::{BlockId, eip1559::BaseFeeParams};
use alloy_primitives::{Address, B256, Bloom, Bytes, U64};
use alloy_provider::Provider;
use alloy_rpc_types_eth::Block;
use microraiden_devchain::ACCOUNTS;
use serde_json::{Value, json};

use crate::{
    KEEPER, ask, call, client, create, deploy, deploying, execute, send, start, start_manual, transfer, word,
};

async fn block(client: &impl Provider, number: u64) -> Block {
    client
        .get_block_by_number(number.into())
        .full()
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn headers_are_linked_by_their_true_hashes() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    send(&client, call(keeper, word(3))).await;
    node.mine(3);
    assert_eq!(node.block_number(), 5);
    for number in 0..=5 {
        let block = block(&client, number).await;
        assert_eq!(block.header.inner.hash_slow(), block.header.hash);
        assert_eq!(block.header.number, number);
        let by_hash = client
            .get_block_by_hash(block.header.hash)
            .full()
            .await
            .unwrap()
            .unwrap();
        assert_eq!(by_hash, block);
        if number > 0 {
            let parent = self::block(&client, number - 1).await;
            assert_eq!(block.header.parent_hash, parent.header.hash);
            assert!(block.header.timestamp > parent.header.timestamp);
        }
    }
    assert!(client.get_block_by_number(6.into()).await.unwrap().is_none());
    assert!(client.get_block_by_hash(B256::ZERO).await.unwrap().is_none());
}

#[tokio::test]
async fn roots_blooms_and_gas_are_those_of_the_content() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let keeper = node.accounts()[0].address.create(0);
    let gas = |request| alloy_rpc_types_eth::TransactionRequest {
        gas: Some(200_000),
        ..request
    };
    let requests = [
        create(deploying(&KEEPER)),
        call(keeper, word(3)),
        call(keeper, word(4)),
        transfer(Address::ZERO, 1),
    ];
    for request in requests {
        let _waits = client.send_transaction(gas(request)).await.unwrap();
    }
    node.mine(1);
    let block = block(&client, 1).await;
    let receipts = client
        .get_block_receipts(BlockId::number(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(receipts.len(), 4);
    assert_eq!(
        block.header.gas_used,
        receipts.iter().map(|receipt| receipt.gas_used).sum::<u64>()
    );
    assert_eq!(block.header.gas_used, receipts[3].inner.cumulative_gas_used());
    let indices: Vec<_> = receipts
        .iter()
        .flat_map(|receipt| receipt.logs())
        .map(|log| log.log_index.unwrap())
        .collect();
    assert_eq!(indices, [0, 1]);
    let bloom = receipts
        .iter()
        .fold(Bloom::ZERO, |bloom, receipt| bloom | *receipt.inner.logs_bloom());
    assert_ne!(bloom, Bloom::ZERO);
    assert_eq!(block.header.logs_bloom, bloom);
    let receipts: Vec<_> = receipts
        .into_iter()
        .map(|one| one.inner.map_logs(|log| log.inner))
        .collect();
    assert_eq!(block.header.receipts_root, calculate_receipt_root(&receipts));
    assert_eq!(block.header.size.unwrap().to::<usize>(), size(&block));
    let transactions: Vec<_> = block
        .transactions
        .into_transactions()
        .map(|one| one.inner.into_inner())
        .collect();
    assert_eq!(
        block.header.transactions_root,
        calculate_transaction_root(&transactions)
    );
}

/// The length of a block's encoding, as alloy counts it.
fn size(block: &Block) -> usize {
    let consensus = block
        .clone()
        .into_consensus()
        .map_transactions(|transaction| transaction.inner.into_inner());
    alloy_consensus::Block::rlp_length_for(&consensus.header, &consensus.body)
}

#[tokio::test]
async fn the_state_root_changes_with_the_state_only() {
    let node = start().await;
    let client = client(&node, 0);
    let root = async |number| block(&client, number).await.header.state_root;
    node.mine(1);
    assert_eq!(root(0).await, root(1).await);
    send(&client, transfer(Address::ZERO, 1)).await;
    assert_ne!(root(1).await, root(2).await);
}

#[tokio::test]
async fn the_base_fee_follows_eip_1559() {
    let node = start().await;
    let client = client(&node, 0);
    // Init code that burns all its gas: most of a block's.
    let burn = alloy_rpc_types_eth::TransactionRequest {
        gas: Some(25_000_000),
        ..create([0xfe])
    };
    assert!(!send(&client, burn).await.status());
    node.mine(2);
    let history = client.get_fee_history(3, 3.into(), &[50.0]).await.unwrap();
    for number in 1..=3 {
        let (parent, child) = (
            block(&client, number - 1).await.header,
            block(&client, number).await.header,
        );
        let expected = match number {
            1 => 1_000_000_000,
            _ => parent.next_block_base_fee(BaseFeeParams::ethereum()).unwrap(),
        };
        assert_eq!(child.base_fee_per_gas, Some(expected));
        assert_eq!(
            history.base_fee_per_gas[usize::try_from(number - 1).unwrap()],
            u128::from(expected)
        );
    }
    assert!(
        block(&client, 2).await.header.base_fee_per_gas > block(&client, 1).await.header.base_fee_per_gas
    );
    assert_eq!(history.oldest_block, 1);
    assert_eq!(history.base_fee_per_gas.len(), 4);
    assert!(history.gas_used_ratio[0] > 0.8);
    assert!(history.reward.unwrap()[0][0] > 0);
    let price = client.get_gas_price().await.unwrap();
    assert_eq!(
        price,
        history.base_fee_per_gas[3] + client.get_max_priority_fee_per_gas().await.unwrap()
    );
}

#[tokio::test]
async fn a_full_block_leaves_the_rest_for_the_next() {
    let node = start_manual().await;
    let client = client(&node, 0);
    for _ in 0..3 {
        let big = alloy_rpc_types_eth::TransactionRequest {
            gas: Some(14_000_000),
            ..create([0xfe])
        };
        let _waits = client.send_transaction(big).await.unwrap();
    }
    node.mine(2);
    assert_eq!(block(&client, 1).await.transactions.len(), 2);
    assert_eq!(block(&client, 2).await.transactions.len(), 1);
}

#[tokio::test]
async fn time_goes_as_told_and_never_back() {
    let node = start().await;
    let client = client(&node, 0);
    let timestamp = async |number| block(&client, number).await.header.timestamp;
    let genesis = timestamp(0).await;
    let _: i64 = client
        .raw_request("evm_increaseTime".into(), (1_000,))
        .await
        .unwrap();
    node.mine(1);
    let first = timestamp(1).await;
    assert!((genesis + 1_000..genesis + 1_060).contains(&first));
    let set = U64::from(first + 5_000);
    let _: Option<()> = client
        .raw_request("evm_setNextBlockTimestamp".into(), (set,))
        .await
        .unwrap();
    node.mine(2);
    assert_eq!(timestamp(2).await, first + 5_000);
    assert!((first + 5_001..first + 5_060).contains(&timestamp(3).await));
    let past: Result<Option<()>, _> = client
        .raw_request("evm_setNextBlockTimestamp".into(), (U64::from(first),))
        .await;
    assert!(past.is_err());
    let _: Option<()> = client
        .raw_request("anvil_mine".into(), (U64::from(3), U64::from(12)))
        .await
        .unwrap();
    assert_eq!(timestamp(6).await - timestamp(4).await, 24);
    let _: String = client.raw_request("evm_mine".into(), ()).await.unwrap();
    assert_eq!(node.block_number(), 7);
}

#[tokio::test]
async fn old_hashes_are_known_to_contracts() {
    let node = start().await;
    let client = client(&node, 0);
    node.mine(3);
    // Returns the hash of the block before: NUMBER 1 SWAP1 SUB BLOCKHASH.
    let parent_hash = create(alloy_primitives::hex!("43600190034060005260206000f3"));
    let asked: Bytes = client.call(parent_hash).block(BlockId::latest()).await.unwrap();
    assert_eq!(asked, Bytes::from(block(&client, 2).await.header.hash));
}

#[tokio::test]
async fn the_pending_block_is_what_would_be_mined_now() {
    let node = start_manual().await;
    let client = client(&node, 0);
    node.mine(2);
    let mut hashes = Vec::new();
    for (account, value) in [(3, 1), (0, 2), (3, 3)] {
        let request = json!({ "from": ACCOUNTS[account].address, "to": Address::ZERO, "value": value });
        hashes.push(ask(&client, "eth_sendTransaction", json!([request])).await);
    }
    // One that cannot be mined yet.
    let early = json!({ "from": ACCOUNTS[1].address, "to": Address::ZERO, "nonce": "0x5" });
    ask(&client, "eth_sendTransaction", json!([early])).await;
    let newest = block(&client, 2).await;
    let timestamp = newest.header.timestamp + 7;
    ask(&client, "evm_setNextBlockTimestamp", json!([timestamp])).await;

    let pending = ask(&client, "eth_getBlockByNumber", json!(["pending", false])).await;
    assert_eq!(pending["transactions"], json!(hashes));
    assert_eq!(pending["number"], "0x3");
    assert_eq!(pending["parentHash"], json!(newest.header.hash));
    assert_eq!(pending["gasUsed"], "0xf618");
    assert_eq!(pending["timestamp"], format!("{timestamp:#x}"));
    let full = ask(&client, "eth_getBlockByNumber", json!(["pending", true])).await;
    assert_eq!(full["transactions"][2]["hash"], hashes[2]);
    let count = ask(
        &client,
        "eth_getBlockTransactionCountByNumber",
        json!(["pending"]),
    )
    .await;
    assert_eq!(count, "0x3");
    let second = json!(["pending", "0x1"]);
    let second = ask(&client, "eth_getTransactionByBlockNumberAndIndex", second).await;
    assert_eq!(second["hash"], hashes[1]);
    // To look at it is not to mine it.
    assert_eq!(node.block_number(), 2);
    assert_eq!(ask(&client, "txpool_status", json!([])).await["pending"], "0x3");

    node.mine(1);
    let mined = ask(&client, "eth_getBlockByNumber", json!(["latest", false])).await;
    for (name, value) in pending.as_object().unwrap() {
        // The root of the state is only known when the state is written.
        if name != "hash" && name != "stateRoot" {
            assert_eq!(mined[name], *value, "{name}");
        }
    }
    let empty = ask(&client, "eth_getBlockByNumber", json!(["pending", false])).await;
    assert_eq!(
        (&empty["number"], &empty["transactions"]),
        (&json!("0x4"), &json!([]))
    );
}

#[tokio::test]
async fn the_pending_state_is_that_after_the_waiting_transactions() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let [sender, payee] = [ACCOUNTS[0].address, Address::repeat_byte(0xbe)];
    let keeper = sender.create(0);
    for request in [
        create(deploying(&KEEPER)),
        call(keeper, word(7)),
        transfer(payee, 5),
    ] {
        let request = alloy_rpc_types_eth::TransactionRequest {
            gas: Some(200_000),
            ..request
        };
        ask(&client, "eth_sendTransaction", json!([request])).await;
    }
    let seen = async |block: &str| {
        [
            ask(&client, "eth_getBalance", json!([payee, block])).await,
            ask(&client, "eth_getTransactionCount", json!([sender, block])).await,
            ask(&client, "eth_getCode", json!([keeper, block])).await,
            ask(&client, "eth_getStorageAt", json!([keeper, "0x0", block])).await,
            ask(&client, "eth_call", json!([call(keeper, []), block])).await,
            ask(&client, "eth_getAccountInfo", json!([payee, block])).await,
        ]
    };
    let zero = json!(B256::ZERO);
    let before = [
        json!("0x0"),
        json!("0x0"),
        json!("0x"),
        zero,
        json!("0x"),
        json!({ "balance": "0x0", "nonce": "0x0", "code": "0x" }),
    ];
    let after = [
        json!("0x5"),
        json!("0x3"),
        json!(Bytes::from(KEEPER)),
        json!(word(7)),
        json!(word(7)),
        json!({ "balance": "0x5", "nonce": "0x0", "code": "0x" }),
    ];
    assert_eq!(seen("latest").await, before);
    assert_eq!(seen("pending").await, after);
    node.mine(1);
    assert_eq!(seen("latest").await, after);
    assert_eq!(seen("pending").await, after);
    assert_eq!(seen("earliest").await, before);
}

#[tokio::test]
async fn blocks_and_transactions_are_found_by_all_their_names() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let mut hashes = Vec::new();
    for value in 1..=2 {
        let request = json!([transfer(Address::ZERO, value)]);
        hashes.push(ask(&client, "eth_sendTransaction", request).await);
    }
    node.mine(1);
    let block = ask(&client, "eth_getBlockByNumber", json!(["0x1", false])).await;
    let names = [
        (block["hash"].clone(), "Hash"),
        (json!("0x1"), "Number"),
        (json!("latest"), "Number"),
    ];
    let unknown = [(json!(B256::repeat_byte(1)), "Hash"), (json!("0x9"), "Number")];
    let by = |kind: &str, by_hash: &'static str, by_number: &'static str| match kind {
        "Hash" => by_hash,
        _ => by_number,
    };
    for (places, exists) in [(&names[..], true), (&unknown[..], false)] {
        for (name, kind) in places {
            let method = by(
                kind,
                "eth_getTransactionByBlockHashAndIndex",
                "eth_getTransactionByBlockNumberAndIndex",
            );
            for (index, hash) in hashes.iter().enumerate() {
                let expected = match exists {
                    true => ask(&client, "eth_getTransactionByHash", json!([hash])).await,
                    false => Value::Null,
                };
                let found = ask(&client, method, json!([name, format!("{index:#x}")])).await;
                assert_eq!(found, expected);
            }
            assert_eq!(ask(&client, method, json!([name, "0x2"])).await, Value::Null);
            assert_eq!(
                ask(&client, method, json!([name, "0xffffffffffffffff"])).await,
                Value::Null
            );

            let count = by(
                kind,
                "eth_getBlockTransactionCountByHash",
                "eth_getBlockTransactionCountByNumber",
            );
            let uncles = by(
                kind,
                "eth_getUncleCountByBlockHash",
                "eth_getUncleCountByBlockNumber",
            );
            let (transactions, none) = match exists {
                true => (json!("0x2"), json!("0x0")),
                false => (Value::Null, Value::Null),
            };
            assert_eq!(ask(&client, count, json!([name])).await, transactions);
            assert_eq!(ask(&client, uncles, json!([name])).await, none);
            let uncle = by(
                kind,
                "eth_getUncleByBlockHashAndIndex",
                "eth_getUncleByBlockNumberAndIndex",
            );
            assert_eq!(ask(&client, uncle, json!([name, "0x0"])).await, Value::Null);

            let header = by(kind, "eth_getHeaderByHash", "eth_getHeaderByNumber");
            let header = ask(&client, header, json!([name])).await;
            assert_eq!(header.is_null(), !exists);
            for (field, value) in header.as_object().into_iter().flatten() {
                assert_eq!(block[field], *value, "{field}");
            }
            assert_eq!(header.get("transactions"), None);
        }
    }
}

#[tokio::test]
async fn a_transaction_is_given_as_it_was_sent_whether_it_waits_or_not() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let sender = ACCOUNTS[0].address;
    let signed = json!([transfer(Address::ZERO, 1)]);
    let signed = ask(&client, "eth_signTransaction", signed).await;
    let hash = ask(&client, "eth_sendRawTransaction", json!([signed])).await;
    for _ in 0..2 {
        assert_eq!(
            ask(&client, "eth_getRawTransactionByHash", json!([hash])).await,
            signed
        );
        let by_nonce = json!([sender, "0x0"]);
        let by_nonce = ask(&client, "eth_getTransactionBySenderAndNonce", by_nonce).await;
        assert_eq!(by_nonce["hash"], hash);
        node.mine(1);
    }
    let unknown = json!([B256::repeat_byte(1)]);
    assert_eq!(
        ask(&client, "eth_getRawTransactionByHash", unknown).await,
        Value::Null
    );
    let later = json!([sender, "0x1"]);
    assert_eq!(
        ask(&client, "eth_getTransactionBySenderAndNonce", later).await,
        Value::Null
    );
}

#[tokio::test]
async fn a_transaction_that_came_twice_is_where_it_was_last() {
    let node = start().await;
    let client = client(&node, 0);
    let receipt = execute(&client, transfer(Address::ZERO, 1)).await;
    let hash = json!([receipt.transaction_hash]);
    let raw = ask(&client, "eth_getRawTransactionByHash", hash.clone()).await;
    let place = async || ask(&client, "eth_getTransactionReceipt", hash.clone()).await["blockNumber"].clone();
    // Only the hand of a developer makes it possible.
    ask(&client, "anvil_setNonce", json!([ACCOUNTS[0].address, "0x0"])).await;
    ask(&client, "eth_sendRawTransaction", json!([raw])).await;
    assert_eq!(place().await, "0x2");
    ask(&client, "anvil_rollback", json!([1])).await;
    assert_eq!(place().await, "0x1");
    ask(&client, "anvil_rollback", json!([1])).await;
    let found = ask(&client, "eth_getTransactionReceipt", hash.clone()).await;
    assert_eq!(found, Value::Null);
}

#[tokio::test]
async fn small_questions_have_answers() {
    let node = start().await;
    let client = client(&node, 0);
    for (method, params, answer) in [
        (
            "web3_sha3",
            json!(["0x616263"]),
            json!("0x4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
        ),
        (
            "web3_sha3",
            json!(["0x"]),
            json!("0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        ),
        ("net_listening", json!([]), json!(true)),
        ("net_peerCount", json!([]), json!("0x0")),
        ("eth_blobBaseFee", json!([]), json!("0x1")),
        ("eth_coinbase", json!([]), json!(Address::ZERO)),
        ("eth_maxPriorityFeePerGas", json!([]), json!("0x3b9aca00")),
        ("eth_gasPrice", json!([]), json!("0x77359400")),
    ] {
        assert_eq!(ask(&client, method, params).await, answer, "{method}");
    }
}
