//! How transactions are sent, found and refused.

use alloy_network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder};
use alloy_primitives::{B256, U256, keccak256};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_rpc_types_eth::TransactionRequest;
use std::time::Duration;

use super::{Bench, STRANGER, refusal, signer, transfer};

pub(super) async fn every_kind_of_transaction_is_mined_and_found_again(bench: &Bench) {
    let price = 20_000_000_000;
    let list = vec![alloy_rpc_types_eth::AccessListItem {
        address: STRANGER,
        storage_keys: vec![B256::ZERO],
    }];
    let kinds = [
        transfer(STRANGER, 1).with_gas_price(price),
        transfer(STRANGER, 2)
            .with_gas_price(price)
            .with_access_list(list.into()),
        transfer(STRANGER, 3)
            .with_max_fee_per_gas(price)
            .with_max_priority_fee_per_gas(7),
    ];
    for (kind, request) in (0u8..).zip(kinds) {
        let receipt = bench.send(request).await;
        assert!(receipt.status());
        assert_eq!(u8::from(receipt.transaction_type()), kind);
        let number = receipt.block_number.unwrap();
        let found = bench
            .client
            .get_transaction_by_hash(receipt.transaction_hash)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.block_hash, receipt.block_hash);
        assert_eq!(found.inner.signer(), bench.account(0));
        let raw = bench
            .client
            .get_raw_transaction_by_hash(receipt.transaction_hash)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(keccak256(&raw), receipt.transaction_hash);
        let block = bench
            .client
            .get_block(number.into())
            .full()
            .await
            .unwrap()
            .unwrap();
        assert_eq!(block.transactions.as_transactions().unwrap(), [found]);
        let all = bench.client.get_block_receipts(number.into()).await.unwrap();
        assert_eq!(all.unwrap().len(), 1);
        let base = block.header.base_fee_per_gas.unwrap();
        let paid = if kind == 2 { u128::from(base) + 7 } else { price };
        assert_eq!(receipt.effective_gas_price, paid);
    }
    assert_eq!(bench.client.get_balance(STRANGER).await.unwrap(), U256::from(6));
    assert_eq!(
        bench
            .client
            .get_transaction_count(bench.account(0))
            .await
            .unwrap(),
        3
    );
    let nothing = bench.client.get_transaction_receipt(B256::ZERO).await.unwrap();
    assert_eq!(nothing, None);
}

pub(super) async fn the_node_signs_for_its_accounts(bench: &Bench) {
    let plain = ProviderBuilder::new().connect_http(bench.node.url());
    plain.client().set_poll_interval(Duration::from_millis(20));
    let from = bench.account(3);
    let sent = plain
        .send_transaction(transfer(STRANGER, 5).with_from(from))
        .await
        .unwrap();
    let receipt = sent.get_receipt().await.unwrap();
    assert_eq!((receipt.from, receipt.status()), (from, true));
    let unknown = plain
        .send_transaction(transfer(STRANGER, 5).with_from(STRANGER))
        .await;
    assert!(refusal(unknown.map(|_| ())).0.contains("no signer available"));
}

pub(super) async fn refusals_are_those_that_clients_look_for(bench: &Bench) {
    let signer = signer(1);
    let raw = async |request: TransactionRequest| {
        let wallet = EthereumWallet::from(signer.clone());
        let signed = request
            .with_chain_id(31337)
            .with_gas_price(20_000_000_000)
            .build(&wallet)
            .await
            .unwrap();
        bench.client.send_tx_envelope(signed).await
    };
    let usual = transfer(STRANGER, 1).with_gas_limit(21_000);
    let first = raw(usual.clone().with_nonce(0)).await.unwrap();
    assert!(first.get_receipt().await.unwrap().status());
    let (message, _) = refusal(raw(transfer(STRANGER, 2).with_gas_limit(21_000).with_nonce(0)).await);
    assert!(message.contains("nonce too low"), "{message}");
    let much = usual.clone().with_nonce(1).with_value(U256::MAX >> 1);
    let (message, _) = refusal(raw(much).await);
    assert!(message.contains("insufficient funds"), "{message}");
    let (message, _) = refusal(raw(usual.clone().with_nonce(1).with_gas_limit(20_999)).await);
    assert!(message.contains("intrinsic gas too low"), "{message}");
    let _waits = raw(usual.clone().with_nonce(5)).await.unwrap();
    let (message, _) = refusal(raw(usual.clone().with_nonce(5).with_value(U256::ZERO)).await);
    assert!(
        message.contains("replacement transaction underpriced"),
        "{message}"
    );
    let (message, _) = refusal(raw(usual.with_nonce(5)).await);
    assert!(
        message.contains("already known") || message.contains("already imported"),
        "{message}"
    );
}

pub(super) async fn a_nonce_gap_waits(bench: &Bench) {
    let waiting = bench
        .client
        .send_transaction(transfer(STRANGER, 1).with_nonce(1))
        .await
        .unwrap();
    let hash = *waiting.tx_hash();
    let found = bench.client.get_transaction_by_hash(hash).await.unwrap().unwrap();
    assert_eq!(found.block_number, None);
    assert_eq!(bench.client.get_block_number().await.unwrap(), 0);
    bench.send(transfer(STRANGER, 2).with_nonce(0)).await;
    assert!(waiting.get_receipt().await.unwrap().status());
    assert_eq!(bench.client.get_balance(STRANGER).await.unwrap(), U256::from(3));
}
