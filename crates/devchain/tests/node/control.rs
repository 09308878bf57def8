//! Changes by hand: accounts, blocks, time and mining.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::Header;
use microraiden_devchain::{ACCOUNTS, Config, DevChain, Mining};
use serde_json::{Value, json};

use crate::{ask, client, execute, refusal, start, start_manual, transfer};

const STRANGER: Address = Address::repeat_byte(0x77);
const GWEI: u64 = 1_000_000_000;

async fn header(client: &impl Provider, number: impl Into<Value>) -> Header {
    let header = ask(client, "eth_getHeaderByNumber", json!([number.into()])).await;
    serde_json::from_value(header).unwrap()
}

/// The timestamps of the newest blocks, the oldest first.
async fn timestamps(client: &impl Provider, count: u64) -> Vec<u64> {
    let newest = client.get_block_number().await.unwrap();
    let mut timestamps = Vec::new();
    for number in newest + 1 - count..=newest {
        timestamps.push(header(client, format!("{number:#x}")).await.timestamp);
    }
    timestamps
}

#[tokio::test]
async fn an_account_is_changed_as_of_the_newest_block_and_not_before() {
    let node = start().await;
    let client = client(&node, 0);
    node.mine(1);
    let slot = B256::from(U256::from(9));
    let names = [
        [
            "anvil_setBalance",
            "anvil_setNonce",
            "anvil_setCode",
            "anvil_setStorageAt",
        ],
        [
            "hardhat_setBalance",
            "hardhat_setNonce",
            "hardhat_setCode",
            "hardhat_setStorageAt",
        ],
    ];
    for (methods, value) in names.into_iter().zip([5_u8, 6]) {
        let quantity = U256::from(value);
        ask(&client, methods[0], json!([STRANGER, quantity])).await;
        ask(&client, methods[1], json!([STRANGER, quantity])).await;
        ask(&client, methods[2], json!([STRANGER, format!("0x60{value:02x}")])).await;
        let stored = json!([STRANGER, slot, B256::from(quantity)]);
        assert_eq!(ask(&client, methods[3], stored).await, true);
        node.mine(2);
    }
    ask(&client, "evm_setAccountBalance", json!([STRANGER, "0x7"])).await;
    ask(&client, "evm_setAccountNonce", json!([STRANGER, "0x7"])).await;
    node.mine(1);
    let seen = async |block: u64| {
        let block = format!("{block:#x}");
        let info = ask(&client, "eth_getAccountInfo", json!([STRANGER, block])).await;
        let stored = ask(&client, "eth_getStorageAt", json!([STRANGER, slot, block])).await;
        let stored: B256 = serde_json::from_value(stored).unwrap();
        (info, U256::from_be_bytes(stored.0).to::<u64>())
    };
    let info =
        |balance: &str, nonce: &str, code: &str| json!({ "balance": balance, "nonce": nonce, "code": code });
    assert_eq!(seen(0).await, (info("0x0", "0x0", "0x"), 0));
    for block in 1..=2 {
        assert_eq!(seen(block).await, (info("0x5", "0x5", "0x6005"), 5), "{block}");
    }
    for block in 3..=4 {
        assert_eq!(seen(block).await, (info("0x6", "0x6", "0x6006"), 6), "{block}");
    }
    for block in 5..=6 {
        assert_eq!(seen(block).await, (info("0x7", "0x7", "0x6006"), 6), "{block}");
    }
}

#[tokio::test]
async fn what_was_changed_by_hand_goes_back_with_a_snapshot() {
    let node = start().await;
    let client = client(&node, 0);
    ask(&client, "anvil_setCode", json!([STRANGER, "0x6001"])).await;
    ask(
        &client,
        "anvil_setStorageAt",
        json!([STRANGER, "0x0", B256::repeat_byte(1)]),
    )
    .await;
    let snapshot = ask(&client, "evm_snapshot", json!([])).await;
    ask(&client, "anvil_setCode", json!([STRANGER, "0x"])).await;
    ask(
        &client,
        "anvil_setStorageAt",
        json!([STRANGER, "0x0", B256::ZERO]),
    )
    .await;
    ask(
        &client,
        "anvil_setStorageAt",
        json!([STRANGER, "0x1", B256::repeat_byte(2)]),
    )
    .await;
    ask(&client, "anvil_setNonce", json!([STRANGER, "0x3"])).await;
    ask(&client, "anvil_setBalance", json!([STRANGER, "0x4"])).await;
    assert_eq!(client.get_code_at(STRANGER).await.unwrap().len(), 0);
    assert_eq!(ask(&client, "evm_revert", json!([snapshot])).await, true);
    let info = ask(&client, "eth_getAccountInfo", json!([STRANGER])).await;
    assert_eq!(
        info,
        json!({ "balance": "0x0", "nonce": "0x0", "code": "0x6001" })
    );
    for (slot, value) in [("0x0", B256::repeat_byte(1)), ("0x1", B256::ZERO)] {
        let stored = ask(&client, "eth_getStorageAt", json!([STRANGER, slot])).await;
        assert_eq!(stored, json!(value));
    }
}

#[tokio::test]
async fn what_cannot_be_code_is_refused() {
    let node = start().await;
    let client = client(&node, 0);
    ask(&client, "anvil_setCode", json!([STRANGER, "0x6001"])).await;
    // The beginning of a delegation, without its address.
    let (code, message) = refusal(&client, "anvil_setCode", json!([STRANGER, "0xef0100"])).await;
    assert_eq!(code, -32000);
    assert!(
        message.starts_with("this cannot be the code of a contract"),
        "{message}"
    );
    assert_eq!(client.get_code_at(STRANGER).await.unwrap()[..], [0x60, 0x01]);
}

#[tokio::test]
async fn the_priority_fee_goes_to_the_coinbase() {
    let node = start().await;
    let client = client(&node, 0);
    for (method, coinbase) in [
        ("anvil_setCoinbase", Address::repeat_byte(0xc0)),
        ("hardhat_setCoinbase", Address::repeat_byte(0xc1)),
    ] {
        ask(&client, method, json!([coinbase])).await;
        assert_eq!(ask(&client, "eth_coinbase", json!([])).await, json!(coinbase));
        let request = alloy_rpc_types_eth::TransactionRequest {
            gas_price: Some(u128::from(3 * GWEI)),
            ..transfer(STRANGER, 1)
        };
        let receipt = execute(&client, request).await;
        let header = header(&client, "latest").await;
        assert_eq!((header.beneficiary, header.gas_used), (coinbase, 21_000));
        let tip = 3 * GWEI - header.base_fee_per_gas.unwrap();
        assert_eq!(receipt.effective_gas_price, u128::from(3 * GWEI));
        assert_eq!(
            client.get_balance(coinbase).await.unwrap(),
            U256::from(21_000 * tip)
        );
    }
    assert_eq!(header(&client, "0x0").await.beneficiary, Address::ZERO);
}

#[tokio::test]
async fn the_base_fee_is_set_for_one_block_and_the_next_follow_from_it() {
    let node = start_manual().await;
    let client = client(&node, 0);
    node.mine(1);
    let base_fee = async || header(&client, "latest").await.base_fee_per_gas.unwrap();
    for (method, fee, then) in [
        ("anvil_setNextBlockBaseFeePerGas", 16 * GWEI, 14 * GWEI),
        ("hardhat_setNextBlockBaseFeePerGas", 8, 8),
    ] {
        ask(&client, method, json!([format!("{fee:#x}")])).await;
        assert_eq!(
            ask(&client, "eth_gasPrice", json!([])).await,
            format!("{:#x}", fee + GWEI)
        );
        let pending = header(&client, "pending").await;
        assert_eq!(pending.base_fee_per_gas, Some(fee));
        // The block is there, but what pays less waits.
        let cheap =
            json!({ "from": ACCOUNTS[1].address, "to": STRANGER, "gasPrice": format!("{:#x}", 10 * GWEI) });
        let hash = ask(&client, "eth_sendTransaction", json!([cheap])).await;
        node.mine(1);
        assert_eq!(base_fee().await, fee);
        let receipt = ask(&client, "eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!(receipt.is_null(), fee > 10 * GWEI);
        ask(&client, "anvil_dropAllTransactions", json!([])).await;
        node.mine(1);
        // An eighth less after an empty block, and less than one after one with a transfer.
        assert_eq!(base_fee().await, then);
    }
}

#[tokio::test]
async fn the_gas_limit_of_blocks_can_be_changed() {
    let node = start().await;
    let client = client(&node, 0);
    for (method, limit) in [
        ("evm_setBlockGasLimit", 50_000),
        ("anvil_setBlockGasLimit", 60_000),
    ] {
        assert_eq!(ask(&client, method, json!([limit])).await, true);
        assert_eq!(header(&client, "pending").await.gas_limit, limit);
        let request = |gas: u64| json!([{ "to": STRANGER, "gas": gas }]);
        assert_eq!(
            refusal(&client, "eth_sendTransaction", request(limit + 1)).await,
            (-32000, "exceeds block gas limit".to_owned())
        );
        // Calls in old blocks have the gas of those.
        ask(&client, "eth_call", request(limit + 1)).await;
        ask(&client, "eth_sendTransaction", request(limit)).await;
        assert_eq!(header(&client, "latest").await.gas_limit, limit);
    }
    assert_eq!(node.block_number(), 2);
    assert_eq!(header(&client, "0x0").await.gas_limit, 30_000_000);
}

#[tokio::test]
async fn the_chain_id_can_be_changed() {
    let node = start().await;
    let client = client(&node, 0);
    let request = json!([{ "to": STRANGER, "value": "0x1" }]);
    let for_the_old = ask(&client, "eth_signTransaction", request.clone()).await;
    ask(&client, "anvil_setChainId", json!(["0x5"])).await;
    assert_eq!(ask(&client, "eth_chainId", json!([])).await, "0x5");
    assert_eq!(ask(&client, "net_version", json!([])).await, "5");
    assert_eq!(node.chain_id(), 5);
    assert_eq!(
        refusal(&client, "eth_sendRawTransaction", json!([for_the_old])).await,
        (
            -32000,
            "invalid chain id for signer: have 31337 want 5".to_owned()
        )
    );
    let hash = ask(&client, "eth_sendTransaction", request).await;
    let transaction = ask(&client, "eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(transaction["chainId"], "0x5");
    // Contracts see it, too: CHAINID PUSH0 MSTORE and return the word.
    let seen = json!([{ "data": "0x465f5260205ff3" }]);
    assert_eq!(
        ask(&client, "eth_call", seen).await,
        json!(B256::from(U256::from(5)))
    );
}

#[tokio::test]
async fn the_node_tells_how_it_is_set() {
    let node = start().await;
    let client = client(&node, 0);
    node.mine(2);
    ask(&client, "anvil_setNextBlockBaseFeePerGas", json!(["0x9"])).await;
    let newest = header(&client, "latest").await;
    let info = ask(&client, "anvil_nodeInfo", json!([])).await;
    assert_eq!(info["currentBlockNumber"], "0x2");
    assert_eq!(info["currentBlockHash"], json!(newest.hash));
    assert_eq!(info["currentBlockTimestamp"], newest.timestamp);
    assert_eq!(info["hardFork"], "Prague");
    assert_eq!(
        info["environment"],
        json!({ "baseFee": "0x9", "chainId": 31337, "gasLimit": "0x1c9c380", "gasPrice": "0x3b9aca09" })
    );
}

#[tokio::test]
async fn time_can_be_moved_ahead_and_set() {
    let node = start().await;
    let client = client(&node, 0);
    let genesis = header(&client, "0x0").await.timestamp;
    assert_eq!(ask(&client, "evm_increaseTime", json!([1_000])).await, 1_000);
    assert_eq!(ask(&client, "anvil_increaseTime", json!(["0x1f4"])).await, 1_500);
    node.mine(1);
    let [first] = timestamps(&client, 1).await[..] else {
        panic!()
    };
    assert!((genesis + 1_500..genesis + 1_560).contains(&first));
    for (method, time) in [
        ("evm_setTime", 3_000_000_000_u64),
        ("anvil_setTime", 4_000_000_000),
    ] {
        let ahead = ask(&client, method, json!([time])).await.as_u64().unwrap();
        assert!((time - genesis - 60..=time - genesis).contains(&ahead), "{ahead}");
        node.mine(1);
        let [set] = timestamps(&client, 1).await[..] else {
            panic!()
        };
        assert!((time..time + 60).contains(&set));
    }
    // In the past it stands still, but for the second that each block takes.
    let behind = ask(&client, "evm_setTime", json!([1])).await.as_i64().unwrap();
    assert!(behind < -1_000_000_000, "{behind}");
    node.mine(3);
    let last = timestamps(&client, 4).await;
    assert_eq!(last, [last[0], last[0] + 1, last[0] + 2, last[0] + 3]);
}

#[tokio::test]
async fn the_time_of_the_next_block_is_exact_and_never_in_the_past() {
    let node = start().await;
    let client = client(&node, 0);
    let genesis = header(&client, "0x0").await.timestamp;
    for past in [0, genesis - 1, genesis] {
        let params = json!([past]);
        let (code, message) = refusal(&client, "evm_setNextBlockTimestamp", params.clone()).await;
        assert_eq!(code, -32000);
        assert!(
            message.contains("is not after that of the newest block"),
            "{message}"
        );
        assert_eq!(refusal(&client, "evm_mine", params).await.0, -32000);
    }
    assert_eq!(node.block_number(), 0);
    ask(&client, "evm_setNextBlockTimestamp", json!([genesis + 1])).await;
    assert_eq!(header(&client, "pending").await.timestamp, genesis + 1);
    node.mine(1);
    ask(
        &client,
        "anvil_setNextBlockTimestamp",
        json!([format!("{:#x}", genesis + 5_000)]),
    )
    .await;
    node.mine(1);
    assert_eq!(
        timestamps(&client, 3).await,
        [genesis, genesis + 1, genesis + 5_000]
    );
    node.mine(1);
    let [_, next] = timestamps(&client, 2).await[..] else {
        panic!()
    };
    assert!((genesis + 5_001..genesis + 5_060).contains(&next));
}

#[tokio::test]
async fn time_goes_back_with_a_snapshot() {
    let node = start().await;
    let client = client(&node, 0);
    node.mine(1);
    let [before] = timestamps(&client, 1).await[..] else {
        panic!()
    };
    let snapshot = node.snapshot();
    ask(&client, "evm_increaseTime", json!([100_000])).await;
    node.mine(1);
    ask(&client, "evm_setNextBlockTimestamp", json!([before + 200_000])).await;
    ask(&client, "anvil_setBlockTimestampInterval", json!([500])).await;
    assert!(node.revert(snapshot));
    node.mine(2);
    let last = timestamps(&client, 2).await;
    assert!(
        before < last[0] && last[0] < last[1] && last[1] < before + 60,
        "{last:?}"
    );
}

#[tokio::test]
async fn blocks_can_be_a_fixed_time_apart() {
    let node = start().await;
    let client = client(&node, 0);
    let genesis = header(&client, "0x0").await.timestamp;
    ask(&client, "anvil_setBlockTimestampInterval", json!([1_000])).await;
    node.mine(2);
    execute(&client, transfer(STRANGER, 1)).await;
    assert_eq!(
        timestamps(&client, 4).await,
        [genesis, genesis + 1_000, genesis + 2_000, genesis + 3_000]
    );
    // A time that was set comes first, and the others follow it.
    ask(&client, "evm_setNextBlockTimestamp", json!([genesis + 3_005])).await;
    node.mine(2);
    assert_eq!(timestamps(&client, 2).await, [genesis + 3_005, genesis + 4_005]);
    assert_eq!(
        ask(&client, "anvil_removeBlockTimestampInterval", json!([])).await,
        true
    );
    node.mine(1);
    let [last] = timestamps(&client, 1).await[..] else {
        panic!()
    };
    assert!(
        (genesis + 4_006..genesis + 4_060).contains(&last),
        "{}",
        last - genesis
    );
    // Not even zero lets two blocks have the same time.
    ask(&client, "anvil_setBlockTimestampInterval", json!([0])).await;
    node.mine(2);
    assert_eq!(timestamps(&client, 3).await, [last, last + 1, last + 2]);
}

#[tokio::test]
async fn a_chain_can_begin_at_the_beginning_of_time() {
    let node = DevChain::start(Config {
        genesis_timestamp_s: Some(0),
        ..Config::default()
    })
    .await
    .unwrap();
    let client = client(&node, 0);
    node.mine(1);
    let [genesis, first] = timestamps(&client, 2).await[..] else {
        panic!()
    };
    assert_eq!(genesis, 0);
    assert!((1..60).contains(&first), "{first}");
}

#[tokio::test]
async fn blocks_are_mined_on_request_as_many_and_as_late_as_told() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let genesis = header(&client, "0x0").await.timestamp;
    for (params, mined) in [
        (json!([]), 1),
        (json!([null]), 2),
        (json!([{}]), 3),
        (json!([{ "blocks": 0 }]), 3),
        (json!([{ "blocks": "0x4" }]), 7),
    ] {
        assert_eq!(ask(&client, "evm_mine", params).await, "0x0");
        assert_eq!(node.block_number(), mined);
    }
    ask(&client, "evm_mine", json!([genesis + 1_000])).await;
    assert_eq!(timestamps(&client, 1).await, [genesis + 1_000]);
    ask(
        &client,
        "evm_mine",
        json!([{ "timestamp": genesis + 2_000, "blocks": 3 }]),
    )
    .await;
    let [first, second, third] = timestamps(&client, 3).await[..] else {
        panic!()
    };
    assert_eq!(first, genesis + 2_000);
    assert!(first < second && second < third && third < first + 60);
    for (method, params, mined) in [
        ("anvil_mine", json!([]), 1),
        ("anvil_mine", json!(["0x3", "0x64"]), 3),
        ("hardhat_mine", json!(["0x2", "0x64"]), 2),
    ] {
        let before = node.block_number();
        ask(&client, method, params).await;
        assert_eq!(node.block_number(), before + mined);
        let times = timestamps(&client, mined).await;
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 100), "{times:?}");
    }
    let [before] = timestamps(&client, 1).await[..] else {
        panic!()
    };
    for (method, params) in [
        (
            "evm_mine",
            json!([{ "timestamp": genesis + 1_000_000, "blocks": 1_000_001 }]),
        ),
        ("anvil_mine", json!([1_000_001])),
    ] {
        assert_eq!(refusal(&client, method, params).await.0, -32602);
    }
    node.mine(1);
    let [after] = timestamps(&client, 1).await[..] else {
        panic!()
    };
    assert!(
        (before + 1..before + 60).contains(&after),
        "what is refused does not move time"
    );
}

#[tokio::test]
async fn the_node_tells_whether_it_mines_at_once_and_can_be_told_to() {
    let node = start().await;
    let client = client(&node, 0);
    let is_instant = async || {
        let answer = ask(&client, "anvil_getAutomine", json!([])).await;
        assert_eq!(ask(&client, "hardhat_getAutomine", json!([])).await, answer);
        answer
    };
    assert_eq!(is_instant().await, true);
    ask(&client, "evm_setAutomine", json!([false])).await;
    assert_eq!(is_instant().await, false);
    for _ in 0..3 {
        ask(&client, "eth_sendTransaction", json!([{ "to": STRANGER }])).await;
    }
    assert_eq!(node.block_number(), 0);
    ask(&client, "anvil_setAutomine", json!([true])).await;
    assert_eq!(is_instant().await, true);
    assert_eq!(node.block_number(), 1);
    let count = ask(&client, "eth_getBlockTransactionCountByNumber", json!(["0x1"])).await;
    assert_eq!(count, "0x3");
}

/// Waits until there are so many blocks.
async fn reached(node: &DevChain, number: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while node.block_number() < number {
        assert!(Instant::now() < deadline, "block {number} never came");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn mining_in_intervals_is_switched_on_and_off() {
    let node = DevChain::start(Config {
        mining: Mining {
            instant: false,
            interval: Some(Duration::from_millis(3)),
        },
        ..Config::default()
    })
    .await
    .unwrap();
    let client = client(&node, 0);
    reached(&node, 3).await;
    ask(&client, "evm_setIntervalMining", json!([0])).await;
    let stopped_at = node.block_number();
    let interval = async || ask(&client, "anvil_getIntervalMining", json!([])).await;
    assert_eq!(interval().await, Value::Null);
    // Ten blocks would have come by now.
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(node.block_number(), stopped_at);
    ask(&client, "anvil_setIntervalMining", json!(["0x1"])).await;
    assert_eq!(interval().await, 1);
    // Who mines in intervals does not mine at once.
    ask(&client, "eth_sendTransaction", json!([{ "to": STRANGER }])).await;
    assert_eq!(node.block_number(), stopped_at);
    assert_eq!(ask(&client, "anvil_getAutomine", json!([])).await, false);
    reached(&node, stopped_at + 1).await;
    let count = ask(
        &client,
        "eth_getBlockTransactionCountByNumber",
        json!([format!("{:#x}", stopped_at + 1)]),
    )
    .await;
    assert_eq!(count, "0x1");
}

#[tokio::test]
async fn an_interval_without_end_can_be_ended() {
    let node = start_manual().await;
    let client = client(&node, 0);
    ask(&client, "evm_setIntervalMining", json!([u64::MAX])).await;
    tokio::task::yield_now().await;
    ask(&client, "evm_setIntervalMining", json!([1])).await;
    reached(&node, 1).await;
}
