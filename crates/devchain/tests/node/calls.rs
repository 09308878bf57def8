//! Calls, estimates and what they say when they fail.

use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_provider::Provider;
use alloy_rpc_types_eth::TransactionRequest;
use microraiden_devchain::ACCOUNTS;
use serde_json::{Value, json};

use crate::{
    BLOCK_NUMBER, KEEPER, REVERTER, ask, call, client, create, deploy, execute, refusal, send, start,
    start_manual, transfer, word,
};

const STRANGER: Address = Address::repeat_byte(0x77);

#[tokio::test]
async fn a_contract_is_deployed_and_called() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    assert_eq!(client.get_code_at(keeper).await.unwrap(), Bytes::from(KEEPER));
    assert_eq!(client.call(call(keeper, [])).await.unwrap(), word(0));
    send(&client, call(keeper, word(7))).await;
    assert_eq!(client.call(call(keeper, [])).await.unwrap(), word(7));
    assert_eq!(
        client.get_storage_at(keeper, U256::ZERO).await.unwrap(),
        U256::from(7)
    );
}

#[tokio::test]
async fn old_blocks_answer_with_the_state_of_then() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    for value in 1..=20 {
        send(&client, call(keeper, word(value))).await;
    }
    for value in 1..=20 {
        let asked = client
            .call(call(keeper, []))
            .block(BlockId::number(value + 1))
            .await
            .unwrap();
        assert_eq!(asked, word(value));
    }
    let hash = client
        .get_block_by_number(4.into())
        .await
        .unwrap()
        .unwrap()
        .header
        .hash;
    assert_eq!(
        client
            .call(call(keeper, []))
            .block(BlockId::hash(hash))
            .await
            .unwrap(),
        word(3)
    );
    assert_eq!(
        client
            .get_code_at(keeper)
            .block_id(BlockId::number(0))
            .await
            .unwrap(),
        Bytes::new()
    );
    let unknown = client
        .call(call(keeper, []))
        .block(BlockId::number(1_000))
        .await
        .unwrap_err();
    assert_eq!(unknown.as_error_resp().unwrap().message, "unknown block");
}

#[tokio::test]
async fn the_block_number_is_that_of_the_block_asked() {
    let node = start().await;
    let client = client(&node, 0);
    node.mine(5);
    let ask = async |block: BlockId| client.call(create(BLOCK_NUMBER)).block(block).await.unwrap();
    assert_eq!(ask(BlockId::number(3)).await, word(3));
    assert_eq!(ask(BlockId::latest()).await, word(5));
    assert_eq!(ask(BlockId::pending()).await, word(6));
    let hash = client
        .get_block_by_number(2.into())
        .await
        .unwrap()
        .unwrap()
        .header
        .hash;
    assert_eq!(ask(BlockId::hash(hash)).await, word(2));
}

#[tokio::test]
async fn a_call_is_free_and_takes_input_or_data() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    send(&client, call(keeper, word(9))).await;
    for (name, answer) in [("input", Bytes::new()), ("data", Bytes::new())] {
        let request = serde_json::json!({ "from": Address::repeat_byte(0x12), "to": keeper, name: "0x" });
        let asked: Bytes = client
            .raw_request("eth_call".into(), (request, "latest"))
            .await
            .unwrap();
        assert_eq!(asked, word(9), "{name}");
        let request = serde_json::json!({ "to": keeper, "gasPrice": "0x77359400", name: word(1) });
        let asked: Bytes = client.raw_request("eth_call".into(), (request,)).await.unwrap();
        assert_eq!(asked, answer, "{name}");
    }
    // A contract can be the caller, too.
    let from_contract = TransactionRequest {
        from: Some(keeper),
        ..call(keeper, [])
    };
    assert_eq!(client.call(from_contract).await.unwrap(), word(9));
}

#[tokio::test]
async fn a_revert_tells_its_reason() {
    let node = start().await;
    let client = client(&node, 0);
    let reverter = deploy(&client, &REVERTER).await;
    let errors = [
        client.call(call(reverter, [])).await.unwrap_err(),
        client.estimate_gas(call(reverter, [])).await.unwrap_err(),
    ];
    for error in errors {
        let error = error.as_error_resp().unwrap();
        assert_eq!(error.code, 3);
        assert_eq!(error.message, "execution reverted: no");
        let data = error.as_revert_data().unwrap();
        assert_eq!(data.len(), 100);
        assert_eq!(data[..4], [0x08, 0xc3, 0x79, 0xa0]);
    }
    let receipt = send(
        &client,
        TransactionRequest {
            gas: Some(100_000),
            ..call(reverter, [])
        },
    )
    .await;
    assert!(!receipt.status());
    assert!(receipt.gas_used < 22_000);
    let silent = client.call(create([0x5f, 0x5f, 0xfd])).await.unwrap_err();
    assert_eq!(silent.as_error_resp().unwrap().message, "execution reverted");
}

#[tokio::test]
async fn an_estimate_is_exact() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    assert_eq!(
        client
            .estimate_gas(transfer(Address::repeat_byte(1), 1))
            .await
            .unwrap(),
        21_000
    );
    let request = TransactionRequest {
        from: Some(node.accounts()[0].address),
        ..call(keeper, word(1))
    };
    let estimate = client.estimate_gas(request.clone()).await.unwrap();
    let short = send(
        &client,
        TransactionRequest {
            gas: Some(estimate - 1),
            ..request.clone()
        },
    )
    .await;
    assert!(!short.status());
    let enough = send(
        &client,
        TransactionRequest {
            gas: Some(estimate),
            ..request
        },
    )
    .await;
    assert!(enough.status());
    assert_eq!(enough.gas_used, estimate);
}

#[tokio::test]
async fn an_estimate_counts_the_waiting_transactions() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let deployment = client
        .send_transaction(create(crate::deploying(&KEEPER)))
        .await
        .unwrap();
    let keeper = node.accounts()[0].address.create(0);
    assert_eq!(
        client
            .call(call(keeper, []))
            .block(BlockId::latest())
            .await
            .unwrap(),
        Bytes::new()
    );
    assert_eq!(
        client
            .call(call(keeper, []))
            .block(BlockId::pending())
            .await
            .unwrap(),
        word(0)
    );
    let storing = client.estimate_gas(call(keeper, word(1))).await.unwrap();
    assert!(storing > 40_000, "{storing}");
    node.mine(1);
    assert_eq!(
        deployment.get_receipt().await.unwrap().contract_address,
        Some(keeper)
    );
}

#[tokio::test]
async fn a_call_without_funds_says_so() {
    let node = start().await;
    let poor = TransactionRequest {
        from: Some(Address::repeat_byte(0x12)),
        ..transfer(Address::ZERO, 1)
    };
    for error in [
        client(&node, 0).call(poor.clone()).await.unwrap_err(),
        client(&node, 0).estimate_gas(poor).await.unwrap_err(),
    ] {
        assert_eq!(
            error.as_error_resp().unwrap().message,
            "insufficient funds for gas * price + value"
        );
    }
    let stuck = client(&node, 0).call(create([0xfe])).await.unwrap_err();
    assert_eq!(stuck.as_error_resp().unwrap().code, -32000);
}

fn slot(value: u64) -> B256 {
    U256::from(value).into()
}

/// Code that returns its own balance.
const OWN_BALANCE: &str = "0x475f5260205ff3";
/// Code that creates an empty contract and returns its address.
const CREATOR: &str = "0x5f5f5ff05f5260205ff3";
/// Code that returns the sum of the slots 0 and 1.
const SUM: &str = "0x5f546001540160005260206000f3";

#[tokio::test]
async fn a_call_can_be_made_in_a_state_that_never_was() {
    let node = start().await;
    let client = client(&node, 0);
    ask(&client, "anvil_setCode", json!([STRANGER, SUM])).await;
    for (number, value) in [(0, 7), (1, 5)] {
        let stored = json!([STRANGER, slot(number), slot(value)]);
        ask(&client, "anvil_setStorageAt", stored).await;
    }
    node.mine(1);
    let answer = async |account: Value| {
        let overrides = json!({ STRANGER.to_string(): account });
        let answer = json!([{ "to": STRANGER }, "latest", overrides]);
        let answer: Bytes = serde_json::from_value(ask(&client, "eth_call", answer).await).unwrap();
        U256::from_be_slice(&answer)
    };
    for (account, sum) in [
        (json!({}), 12),
        (json!({ "stateDiff": { slot(0).to_string(): slot(1) } }), 6),
        (
            json!({ "stateDiff": { slot(0).to_string(): slot(1), slot(1).to_string(): slot(2) } }),
            3,
        ),
        (json!({ "state": { slot(0).to_string(): slot(1) } }), 1),
        (json!({ "state": {} }), 0),
        (json!({ "code": OWN_BALANCE, "balance": "0x9" }), 9),
        (json!({ "code": OWN_BALANCE }), 0),
        (json!({ "code": "0x" }), 0),
    ] {
        assert_eq!(answer(account.clone()).await, U256::from(sum), "{account}");
    }
    for nonce in [1, 5] {
        let created = answer(json!({ "code": CREATOR, "nonce": format!("{nonce:#x}") })).await;
        assert_eq!(created, U256::from_be_bytes(STRANGER.create(nonce).into_word().0));
    }
    // Nothing of it stays.
    assert_eq!(answer(json!({})).await, U256::from(12));
    assert_eq!(client.get_balance(STRANGER).await.unwrap(), U256::ZERO);
}

#[tokio::test]
async fn who_is_rich_for_a_call_can_pay_in_it() {
    let node = start().await;
    let client = client(&node, 0);
    let poor = Address::repeat_byte(0x12);
    let payment = json!({ "from": poor, "to": STRANGER, "value": "0x5" });
    for method in ["eth_call", "eth_estimateGas"] {
        let params = json!([payment, "latest"]);
        assert_eq!(
            refusal(&client, method, params).await.1,
            "insufficient funds for gas * price + value"
        );
    }
    let overrides = json!({
        poor.to_string(): { "balance": "0x5" },
        STRANGER.to_string(): { "code": OWN_BALANCE },
    });
    assert_eq!(
        ask(&client, "eth_call", json!([payment, "latest", overrides])).await,
        json!(word(5))
    );
    // 21,000 and 18: SELFBALANCE for 5, pushes of 2, 3 and 2, MSTORE and its memory for 6.
    assert_eq!(
        ask(&client, "eth_estimateGas", json!([payment, "latest", overrides])).await,
        "0x521a"
    );
}

#[tokio::test]
async fn an_estimate_counts_what_is_overridden() {
    let node = start().await;
    let client = client(&node, 0);
    // Stores 1 in slot 0.
    let account =
        |storage: Value| json!({ STRANGER.to_string(): { "code": "0x60015f5500", "stateDiff": storage } });
    let estimate = async |overrides: Value| {
        let params = json!([{ "to": STRANGER }, "latest", overrides]);
        ask(&client, "eth_estimateGas", params).await
    };
    assert_eq!(estimate(json!({})).await, "0x5208");
    // 21,000, two pushes of 3 and 2, and 22,100 for the first value of a cold slot.
    assert_eq!(estimate(account(json!({}))).await, format!("{:#x}", 43_105));
    // A store needs more than 2,300, though it takes but 2,200 if nothing changes.
    let same = account(json!({ slot(0).to_string(): slot(1) }));
    assert_eq!(estimate(same).await, format!("{:#x}", 21_005 + 2_301));
}

#[tokio::test]
async fn overrides_that_make_no_sense_are_refused() {
    let node = start().await;
    let client = client(&node, 0);
    let huge = "0x10000000000000000";
    for (account, block, reason) in [
        (
            json!({ "state": {}, "stateDiff": {} }),
            json!({}),
            "either state or stateDiff, not both",
        ),
        (
            json!({ "code": "0xef0100" }),
            json!({}),
            "the code is not that of a contract",
        ),
        (
            json!({ "movePrecompileToAddress": STRANGER }),
            json!({}),
            "precompiles cannot be moved here",
        ),
        (
            json!({}),
            json!({ "number": huge }),
            "the block number is too large",
        ),
        (json!({}), json!({ "baseFee": huge }), "the base fee is too large"),
    ] {
        let params = json!([{ "to": STRANGER }, "latest", { STRANGER.to_string(): account }, block]);
        for method in ["eth_call", "eth_estimateGas"] {
            let (code, message) = refusal(&client, method, params.clone()).await;
            assert_eq!(code, -32000);
            assert_eq!(message, format!("this override is not possible: {reason}"));
        }
    }
    let unknown = json!([{ "to": STRANGER }, "latest", { STRANGER.to_string(): { "colour": "red" } }]);
    assert_eq!(refusal(&client, "eth_call", unknown).await.0, -32602);
}

#[tokio::test]
async fn a_call_can_be_made_in_a_block_that_never_was() {
    let node = start().await;
    let client = client(&node, 0);
    node.mine(3);
    // NUMBER, TIMESTAMP, COINBASE, PREVRANDAO, GASLIMIT, BASEFEE and BLOCKHASH of 254, each in a word of its own.
    let code =
        hex!("435f52" "42602052" "41604052" "44606052" "45608052" "4860a052" "60fe4060c052" "60e05ff3");
    let words = async |block: Value| {
        let params = json!([{ "data": Bytes::from(code) }, "latest", null, block]);
        let answer: Bytes = serde_json::from_value(ask(&client, "eth_call", params).await).unwrap();
        answer.chunks(32).map(B256::from_slice).collect::<Vec<_>>()
    };
    let coinbase = Address::repeat_byte(0xc0);
    let [random, hash] = [B256::repeat_byte(1), B256::repeat_byte(2)];
    let all = json!({
        "number": "0xff",
        "time": "0x63",
        "coinbase": coinbase,
        "random": random,
        "gasLimit": "0x989680",
        "baseFee": "0x7",
        "blockHash": { "254": hash },
    });
    let expected = [
        slot(255),
        slot(99),
        coinbase.into_word(),
        random,
        slot(10_000_000),
        slot(7),
        hash,
    ];
    assert_eq!(words(all).await, expected);
    // Each of them alone, the others as they are.
    let newest = ask(&client, "eth_getHeaderByNumber", json!(["latest"])).await;
    let plain = words(json!({})).await;
    let timestamp: U256 = serde_json::from_value(newest["timestamp"].clone()).unwrap();
    assert_eq!(plain[..2], [slot(3), timestamp.into()]);
    assert_eq!(json!(plain[3]), newest["mixHash"]);
    assert_eq!(plain[4..], [slot(30_000_000), slot(0), slot(0)]);
    for (block, index, value) in [
        (json!({ "number": "0x9" }), 0, slot(9)),
        (json!({ "time": "0x9" }), 1, slot(9)),
        (json!({ "coinbase": coinbase }), 2, coinbase.into_word()),
        (json!({ "baseFeePerGas": "0x9" }), 5, slot(9)),
    ] {
        let mut expected = plain.clone();
        expected[index] = value;
        assert_eq!(words(block.clone()).await, expected, "{block}");
    }
}

#[tokio::test]
async fn an_access_list_has_what_a_call_touches_and_costs_what_it_says() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    // Balances of a stranger, of the coinbase, of the sender and of a precompile, and slot 3 of itself.
    let other = Address::repeat_byte(0x99);
    let code = [
        &[0x73][..],
        other.as_slice(),
        &hex!("3150" "413150" "333150" "6001" "3150" "60035450")[..],
    ]
    .concat();
    let curious = deploy(&client, &code).await;
    let sender = ACCOUNTS[0].address;
    let request = json!({ "from": sender, "to": keeper, "data": word(5) });
    let answer = ask(&client, "eth_createAccessList", json!([request])).await;
    let list = json!([{ "address": keeper, "storageKeys": [slot(0)] }]);
    assert_eq!(answer["accessList"], list);
    assert_eq!(answer.get("error"), None);
    let with_list = TransactionRequest {
        access_list: Some(serde_json::from_value(list).unwrap()),
        ..call(keeper, word(5))
    };
    let receipt = execute(&client, with_list).await;
    assert_eq!(answer["gasUsed"], format!("{:#x}", receipt.gas_used));
    let answer = ask(
        &client,
        "eth_createAccessList",
        json!([{ "from": sender, "to": curious }]),
    )
    .await;
    let mut expected = [
        json!({ "address": curious, "storageKeys": [slot(3)] }),
        json!({ "address": other, "storageKeys": [] }),
    ];
    expected.sort_by_key(|item| item["address"].as_str().unwrap().to_lowercase());
    assert_eq!(answer["accessList"], json!(expected));
    // A mere transfer touches nothing that is not free for it.
    let transfer = json!([{ "from": sender, "to": STRANGER, "value": "0x1" }]);
    assert_eq!(
        ask(&client, "eth_createAccessList", transfer).await,
        json!({ "accessList": [], "gasUsed": "0x5208" })
    );
    // Nor does a deployment.
    let deployment = json!([{ "from": sender, "data": "0x00" }]);
    assert_eq!(
        ask(&client, "eth_createAccessList", deployment).await["accessList"],
        json!([])
    );
}

#[tokio::test]
async fn an_access_list_tells_why_its_call_fails() {
    let node = start().await;
    let client = client(&node, 0);
    let reverter = deploy(&client, &REVERTER).await;
    let answer = ask(&client, "eth_createAccessList", json!([{ "to": reverter }])).await;
    assert_eq!(answer["accessList"], json!([]));
    assert_eq!(answer["error"], "execution reverted: no");
    // What is touched before the end is touched nevertheless: SLOAD of slot 4, then a revert.
    let late = deploy(&client, &hex!("6004545f5ffd")).await;
    let answer = ask(&client, "eth_createAccessList", json!([{ "to": late }])).await;
    assert_eq!(
        answer["accessList"],
        json!([{ "address": late, "storageKeys": [slot(4)] }])
    );
    assert_eq!(answer["error"], "execution reverted");
    let gas: U256 = serde_json::from_value(answer["gasUsed"].clone()).unwrap();
    // 21,000, the list with 2,400 and 1,900, three pushes of 3, 2 and 2, and a warm load of 100.
    assert_eq!(gas, U256::from(25_407));
    let poor = json!([{ "from": STRANGER, "to": reverter, "value": "0x1" }]);
    assert_eq!(refusal(&client, "eth_createAccessList", poor).await.0, -32000);
}

#[tokio::test]
async fn an_access_list_makes_a_call_cheaper_inside() {
    let node = start().await;
    let client = client(&node, 0);
    // Returns the gas that lies between two looks at it, with a load of slot 0 in between.
    let meter = deploy(&client, &hex!("5a5f54505a90035f5260205ff3")).await;
    let used = async |list: Value| {
        let params = json!([{ "to": meter, "accessList": list }]);
        ask(&client, "eth_call", params).await
    };
    assert_eq!(used(json!([])).await, json!(word(2_106)));
    let listed = json!([{ "address": meter, "storageKeys": [slot(0)] }]);
    assert_eq!(used(listed).await, json!(word(106)));
    let another = json!([{ "address": meter, "storageKeys": [slot(1)] }]);
    assert_eq!(used(another).await, json!(word(2_106)));
}
