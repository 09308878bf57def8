//! Sending for accounts whose keys the node does not have.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use alloy_provider::Provider;
use microraiden_devchain::{ACCOUNTS, Config, DevChain};
use serde_json::{Value, json};

use crate::{KEEPER, ask, call, client, deploy, execute, refusal, start, transfer, word};

const STRANGER: Address = Address::repeat_byte(0x77);
const PAYEE: Address = Address::repeat_byte(0xbe);
const ETHER: u64 = 1_000_000_000_000_000_000;

/// The receipt of what an address sends.
async fn execute_from(client: &impl Provider, sender: Address, method: &'static str) -> Value {
    let request = json!([{ "from": sender, "to": PAYEE, "value": "0x5" }]);
    let hash = ask(client, method, request).await;
    ask(client, "eth_getTransactionReceipt", json!([hash])).await
}

#[tokio::test]
async fn who_is_impersonated_can_send_until_it_ends() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    for (sender, begin, end) in [
        (
            STRANGER,
            "anvil_impersonateAccount",
            "anvil_stopImpersonatingAccount",
        ),
        (
            keeper,
            "hardhat_impersonateAccount",
            "hardhat_stopImpersonatingAccount",
        ),
    ] {
        node.set_balance(sender, U256::from(ETHER));
        ask(&client, begin, json!([sender])).await;
        let receipt = execute_from(&client, sender, "eth_sendTransaction").await;
        assert_eq!(receipt["status"], "0x1");
        assert_eq!(receipt["from"], json!(sender));
        let fee = U256::from(21_000 * receipt["effectiveGasPrice"].as_str().map(quantity).unwrap());
        assert_eq!(
            client.get_balance(sender).await.unwrap(),
            U256::from(ETHER - 5) - fee
        );
        ask(&client, end, json!([sender])).await;
        let request = json!([{ "from": sender, "to": PAYEE }]);
        let (code, message) = refusal(&client, "eth_sendTransaction", request).await;
        assert_eq!(code, -32000);
        assert!(
            message.starts_with(&format!("No Signer available for {sender}")),
            "{message}"
        );
    }
    assert_eq!(client.get_balance(PAYEE).await.unwrap(), U256::from(10));
}

fn quantity(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}

#[tokio::test]
async fn everyone_can_be_impersonated_from_the_start_or_later() {
    let node = DevChain::start(Config {
        auto_impersonate: true,
        ..Config::default()
    })
    .await
    .unwrap();
    let client = client(&node, 0);
    node.set_balance(STRANGER, U256::from(ETHER));
    let receipt = execute_from(&client, STRANGER, "eth_sendTransaction").await;
    assert_eq!(receipt["from"], json!(STRANGER));
    // The node's own accounts still sign truly.
    let own = execute(&client, transfer(STRANGER, 1)).await;
    let raw = ask(
        &client,
        "eth_getRawTransactionByHash",
        json!([own.transaction_hash]),
    )
    .await;
    let raw: Bytes = serde_json::from_value(raw).unwrap();
    let transaction = <TxEnvelope as alloy_eips::eip2718::Decodable2718>::decode_2718_exact(&raw).unwrap();
    assert_eq!(
        alloy_consensus::transaction::SignerRecoverable::recover_signer(&transaction).unwrap(),
        ACCOUNTS[0].address
    );
    ask(&client, "anvil_autoImpersonateAccount", json!([false])).await;
    let request = json!([{ "from": STRANGER, "to": PAYEE }]);
    assert_eq!(refusal(&client, "eth_sendTransaction", request).await.0, -32000);
    ask(&client, "hardhat_autoImpersonateAccount", json!([true])).await;
    let receipt = execute_from(&client, STRANGER, "eth_sendTransaction").await;
    assert_eq!(receipt["status"], "0x1");
    // One that was impersonated by name does not stay so.
    ask(&client, "anvil_impersonateAccount", json!([STRANGER])).await;
    ask(&client, "anvil_autoImpersonateAccount", json!([false])).await;
    ask(&client, "anvil_stopImpersonatingAccount", json!([STRANGER])).await;
    let request = json!([{ "from": STRANGER, "to": PAYEE }]);
    assert_eq!(refusal(&client, "eth_sendTransaction", request).await.0, -32000);
}

#[tokio::test]
async fn an_unsigned_transaction_is_sent_for_anyone() {
    let node = start().await;
    let client = client(&node, 0);
    let senders = [STRANGER, Address::repeat_byte(0x78)];
    let mut hashes = Vec::new();
    for sender in senders {
        node.set_balance(sender, U256::from(ETHER));
        let receipt = execute_from(&client, sender, "eth_sendUnsignedTransaction").await;
        assert_eq!(
            (&receipt["status"], &receipt["from"]),
            (&json!("0x1"), &json!(sender))
        );
        hashes.push(receipt["transactionHash"].clone());
        let transaction = ask(&client, "eth_getTransactionByHash", json!([hashes.last()])).await;
        assert_eq!(
            (&transaction["from"], &transaction["nonce"]),
            (&json!(sender), &json!("0x0"))
        );
    }
    // All fields are the same but the sender.
    assert_ne!(hashes[0], hashes[1]);
    let poor = json!([{ "from": Address::repeat_byte(0x79), "to": STRANGER, "gas": "0x5208" }]);
    let (code, message) = refusal(&client, "eth_sendUnsignedTransaction", poor).await;
    assert_eq!(code, -32000);
    assert!(message.starts_with("insufficient funds"), "{message}");
}

#[tokio::test]
async fn a_contract_is_the_sender_that_contracts_see() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    // Keeps its caller: CALLER PUSH0 SSTORE.
    let greeted = deploy(&client, &alloy_primitives::hex!("335f5500")).await;
    node.set_balance(keeper, U256::from(ETHER));
    ask(&client, "anvil_impersonateAccount", json!([keeper])).await;
    let hash = ask(
        &client,
        "eth_sendTransaction",
        json!([{ "from": keeper, "to": greeted }]),
    )
    .await;
    let receipt = ask(&client, "eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(
        client.get_storage_at(greeted, U256::ZERO).await.unwrap(),
        U256::from_be_bytes(keeper.into_word().0)
    );
    // A contract begins with nonce 1.
    assert_eq!(client.get_transaction_count(keeper).await.unwrap(), 2);
    // It stays a contract.
    execute(&client, call(keeper, word(3))).await;
    assert_eq!(client.call(call(keeper, [])).await.unwrap(), word(3));
}

#[tokio::test]
async fn a_signature_that_only_names_its_sender_is_refused_when_it_comes_from_outside() {
    let node = start().await;
    let client = client(&node, 0);
    let mut recoverable = 0;
    for account in ACCOUNTS {
        let transaction = TxEip1559 {
            chain_id: 31337,
            gas_limit: 21_000,
            max_fee_per_gas: 3_000_000_000,
            to: TxKind::Call(STRANGER),
            value: U256::from(5),
            ..TxEip1559::default()
        };
        let named = U256::from_be_bytes(account.address.into_word().0);
        let forged = Signature::new(named, U256::ONE, false);
        // Half of all numbers are such that somebody, though nobody knows whom, could have signed so; he shall be rich.
        if let Ok(somebody) = forged.recover_address_from_prehash(&transaction.signature_hash()) {
            node.set_balance(somebody, U256::from(ETHER));
            recoverable += 1;
        }
        let raw = Bytes::from(TxEnvelope::from(transaction.into_signed(forged)).encoded_2718());
        let (code, message) = refusal(&client, "eth_sendRawTransaction", json!([raw])).await;
        assert_eq!(code, -32000);
        assert!(message.starts_with("invalid sender"), "{message}");
        let (code, _) = refusal(&client, "anvil_reorg", json!([0, [[raw, 0]]])).await;
        assert_ne!(code, 0);
        assert_eq!(client.get_transaction_count(account.address).await.unwrap(), 0);
    }
    assert!(recoverable > 0);
    assert_eq!(
        (node.block_number(), client.get_balance(STRANGER).await.unwrap()),
        (0, U256::ZERO)
    );
}

#[tokio::test]
async fn an_account_with_code_sends_only_if_it_is_impersonated() {
    let node = start().await;
    let client = client(&node, 0);
    let sender = ACCOUNTS[1].address;
    let request = json!([{ "from": sender, "to": PAYEE, "value": "0x5" }]);
    let raw = ask(&client, "eth_signTransaction", request.clone()).await;
    ask(&client, "anvil_setCode", json!([sender, "0x00"])).await;
    for (method, params) in [
        ("eth_sendTransaction", request.clone()),
        ("eth_sendRawTransaction", json!([raw])),
    ] {
        let (code, message) = refusal(&client, method, params).await;
        assert_eq!(code, -32000);
        assert_eq!(message, format!("sender not an eoa: address {sender}"));
    }
    assert_eq!(node.block_number(), 0);
    ask(&client, "eth_sendUnsignedTransaction", request.clone()).await;
    assert_eq!(client.get_balance(PAYEE).await.unwrap(), U256::from(5));
    // A delegation (EIP-7702) is no code of its own.
    let delegation = Bytes::from([&[0xef, 0x01, 0x00][..], PAYEE.as_slice()].concat());
    ask(&client, "anvil_setCode", json!([sender, delegation])).await;
    ask(&client, "eth_sendTransaction", request).await;
    assert_eq!(client.get_balance(PAYEE).await.unwrap(), U256::from(10));
}
