//! Calls, estimates and what they say when they fail.

use alloy_eips::BlockId;
use alloy_primitives::{Address, Bytes, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::TransactionRequest;

use crate::{
    BLOCK_NUMBER, KEEPER, REVERTER, call, client, create, deploy, send, start, start_manual, transfer, word,
};

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
