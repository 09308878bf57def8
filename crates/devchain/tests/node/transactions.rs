//! Transactions, from the pool to the receipt.

use alloy_consensus::{SignableTransaction, Transaction, TxEip1559, TxEip2930, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_network::TxSignerSync;
use alloy_primitives::{Address, TxKind, U256};
use alloy_provider::Provider;
use alloy_signer_local::PrivateKeySigner;
use microraiden_devchain::DevChain;
use serde_json::json;

use crate::{ask, client, send, signer, start, start_manual, transfer};

const GWEI: u128 = 1_000_000_000;
const STRANGER: Address = Address::repeat_byte(0x77);

fn dynamic(nonce: u64, max_fee_per_gas: u128) -> TxEip1559 {
    TxEip1559 {
        chain_id: 31337,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas,
        max_priority_fee_per_gas: GWEI,
        to: TxKind::Call(STRANGER),
        value: U256::from(5),
        ..TxEip1559::default()
    }
}

fn signed<T>(mut transaction: T, signer: &PrivateKeySigner) -> Vec<u8>
where
    T: SignableTransaction<alloy_primitives::Signature>,
    TxEnvelope: From<alloy_consensus::Signed<T>>,
{
    let signature = signer.sign_transaction_sync(&mut transaction).unwrap();
    TxEnvelope::from(transaction.into_signed(signature)).encoded_2718()
}

async fn refusal(node: &DevChain, encoded: &[u8]) -> String {
    client(node, 0)
        .send_raw_transaction(encoded)
        .await
        .unwrap_err()
        .as_error_resp()
        .unwrap()
        .message
        .to_string()
}

#[tokio::test]
async fn a_transfer_pays_and_has_a_receipt() {
    let node = start().await;
    let client = client(&node, 0);
    let sender = node.accounts()[0].address;
    let before = client.get_balance(sender).await.unwrap();
    let receipt = send(&client, transfer(STRANGER, 5)).await;
    assert!(receipt.status());
    assert_eq!(receipt.gas_used, 21_000);
    assert_eq!(receipt.block_number, Some(1));
    assert_eq!(receipt.from, sender);
    let fee = U256::from(receipt.effective_gas_price * 21_000);
    assert_eq!(
        client.get_balance(sender).await.unwrap(),
        before - fee - U256::from(5)
    );
    assert_eq!(client.get_balance(STRANGER).await.unwrap(), U256::from(5));
    assert_eq!(client.get_balance(STRANGER).number(0).await.unwrap(), U256::ZERO);
    assert_eq!(client.get_transaction_count(sender).await.unwrap(), 1);
    let transaction = client
        .get_transaction_by_hash(receipt.transaction_hash)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(transaction.block_hash, receipt.block_hash);
    assert_eq!(transaction.inner.value(), U256::from(5));
}

#[tokio::test]
async fn every_usual_type_is_accepted() {
    let node = start().await;
    let signer = signer(&node, 1);
    let to = TxKind::Call(STRANGER);
    let legacy = |nonce, chain_id| TxLegacy {
        chain_id,
        nonce,
        gas_price: 3 * GWEI,
        gas_limit: 21_000,
        to,
        ..TxLegacy::default()
    };
    let listed = TxEip2930 {
        chain_id: 31337,
        nonce: 2,
        gas_price: 3 * GWEI,
        gas_limit: 21_000,
        to,
        ..TxEip2930::default()
    };
    let encoded = [
        signed(legacy(0, None), &signer),
        signed(legacy(1, Some(31337)), &signer),
        signed(listed, &signer),
        signed(dynamic(3, 3 * GWEI), &signer),
    ];
    for (transaction, kind) in encoded.iter().zip([0, 0, 1, 2]) {
        let receipt = client(&node, 1)
            .send_raw_transaction(transaction)
            .await
            .unwrap()
            .get_receipt()
            .await
            .unwrap();
        assert!(receipt.status());
        assert_eq!(receipt.inner.tx_type() as u8, kind);
    }
}

#[tokio::test]
async fn refusals_are_worded_as_usual() {
    let node = start().await;
    let signer = signer(&node, 0);
    send(&client(&node, 0), transfer(STRANGER, 1)).await;
    let check = async |transaction: TxEip1559, message: &str| {
        let refusal = refusal(&node, &signed(transaction, &signer)).await;
        assert!(refusal.starts_with(message), "{refusal}");
    };
    check(dynamic(0, 3 * GWEI), "nonce too low: next nonce 1, tx nonce 0").await;
    check(
        TxEip1559 {
            chain_id: 1,
            ..dynamic(1, 3 * GWEI)
        },
        "invalid chain id for signer: have 1 want 31337",
    )
    .await;
    check(
        TxEip1559 {
            gas_limit: 20_999,
            ..dynamic(1, 3 * GWEI)
        },
        "intrinsic gas too low",
    )
    .await;
    check(
        TxEip1559 {
            gas_limit: 30_000_001,
            ..dynamic(1, 3 * GWEI)
        },
        "exceeds block gas limit",
    )
    .await;
    check(
        TxEip1559 {
            value: U256::MAX,
            ..dynamic(1, 3 * GWEI)
        },
        "insufficient funds for gas * price + value",
    )
    .await;
    check(
        dynamic(1, GWEI / 2),
        "max priority fee per gas higher than max fee per gas",
    )
    .await;
    assert!(
        refusal(&node, &[2, 1, 0])
            .await
            .starts_with("failed to decode transaction")
    );
    assert_eq!(node.block_number(), 1);
}

#[tokio::test]
async fn a_nonce_gap_waits_until_it_is_filled() {
    let node = start().await;
    let signer = signer(&node, 0);
    let client = client(&node, 0);
    let later = *client
        .send_raw_transaction(&signed(dynamic(1, 3 * GWEI), &signer))
        .await
        .unwrap()
        .tx_hash();
    assert_eq!(node.block_number(), 0);
    assert!(client.get_transaction_receipt(later).await.unwrap().is_none());
    assert!(
        client
            .get_transaction_by_hash(later)
            .await
            .unwrap()
            .unwrap()
            .block_hash
            .is_none()
    );
    let first = *client
        .send_raw_transaction(&signed(dynamic(0, 3 * GWEI), &signer))
        .await
        .unwrap()
        .tx_hash();
    let first = client.get_transaction_receipt(first).await.unwrap().unwrap();
    let later = client.get_transaction_receipt(later).await.unwrap().unwrap();
    assert_eq!((first.block_number, first.transaction_index), (Some(1), Some(0)));
    assert_eq!((later.block_number, later.transaction_index), (Some(1), Some(1)));
    assert_eq!(later.inner.cumulative_gas_used(), 42_000);
}

#[tokio::test]
async fn a_replacement_must_pay_a_tenth_more() {
    let node = start_manual().await;
    let signer = signer(&node, 0);
    let client = client(&node, 0);
    let priced = |fee, tip| {
        signed(
            TxEip1559 {
                max_priority_fee_per_gas: tip,
                ..dynamic(0, fee)
            },
            &signer,
        )
    };
    let first = *client
        .send_raw_transaction(&priced(30 * GWEI, 10 * GWEI))
        .await
        .unwrap()
        .tx_hash();
    assert_eq!(
        refusal(&node, &priced(30 * GWEI, 10 * GWEI)).await,
        "already known"
    );
    for (fee, tip) in [(32 * GWEI, 12 * GWEI), (40 * GWEI, 10 * GWEI)] {
        assert_eq!(
            refusal(&node, &priced(fee, tip)).await,
            "replacement transaction underpriced"
        );
    }
    let second = *client
        .send_raw_transaction(&priced(33 * GWEI, 11 * GWEI))
        .await
        .unwrap()
        .tx_hash();
    node.mine(1);
    assert!(client.get_transaction_by_hash(first).await.unwrap().is_none());
    assert!(
        client
            .get_transaction_receipt(second)
            .await
            .unwrap()
            .unwrap()
            .status()
    );
}

#[tokio::test]
async fn one_that_pays_less_than_the_base_fee_waits_and_holds_up_the_next() {
    let node = start().await;
    let signer = signer(&node, 0);
    let client = client(&node, 0);
    let cheap = TxEip1559 {
        max_priority_fee_per_gas: 0,
        ..dynamic(0, GWEI * 9 / 10)
    };
    for transaction in [signed(cheap, &signer), signed(dynamic(1, 3 * GWEI), &signer)] {
        let _waits = client.send_raw_transaction(&transaction).await.unwrap();
    }
    assert_eq!(node.block_number(), 0);
    assert_eq!(
        client
            .get_transaction_count(signer.address())
            .pending()
            .await
            .unwrap(),
        2
    );
    // An empty block lowers the base fee by an eighth.
    node.mine(2);
    node.mine(1);
    assert_eq!(client.get_transaction_count(signer.address()).await.unwrap(), 2);
}

#[tokio::test]
async fn what_is_sent_waits_for_its_block_if_asked_to() {
    let node = start().await;
    let client = client(&node, 0);
    let request =
        json!({ "from": node.accounts()[1].address, "to": Address::repeat_byte(0xbe), "value": "0x1" });
    let receipt = ask(&client, "eth_sendTransactionSync", json!([request])).await;
    assert_eq!(
        (&receipt["status"], &receipt["blockNumber"]),
        (&json!("0x1"), &json!("0x1"))
    );
    ask(&client, "evm_setAutomine", json!([false])).await;
    let (code, message) = crate::refusal(&client, "eth_sendTransactionSync", json!([request, "0x32"])).await;
    assert_eq!(code, 4);
    assert!(message.contains("not in a block yet"), "{message}");
    assert_eq!(ask(&client, "txpool_status", json!([])).await["pending"], "0x1");
}
