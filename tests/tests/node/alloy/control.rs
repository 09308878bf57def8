//! What only development nodes do.

use alloy_eips::BlockId;
use alloy_network::TransactionBuilder;
use alloy_primitives::{B256, U256};
use alloy_provider::{
    Provider, ProviderBuilder,
    ext::{AnvilApi, TxPoolApi},
};
use microraiden_tests::{NodeKind, TestNode};
use std::time::Duration;

use super::{Bench, STRANGER, transfer};

pub(super) async fn the_state_can_be_changed_by_hand(bench: &Bench) {
    let probe = bench.deploy(1).await;
    let client = &bench.client;
    client.anvil_set_balance(STRANGER, U256::from(5)).await.unwrap();
    client.anvil_set_nonce(STRANGER, 8).await.unwrap();
    let code = client.get_code_at(probe).await.unwrap();
    client.anvil_set_code(STRANGER, code.clone()).await.unwrap();
    let slot = U256::ZERO;
    client
        .anvil_set_storage_at(STRANGER, slot, B256::from(U256::from(12)))
        .await
        .unwrap();
    assert_eq!(client.get_balance(STRANGER).await.unwrap(), U256::from(5));
    assert_eq!(client.get_transaction_count(STRANGER).await.unwrap(), 8);
    assert_eq!(client.get_code_at(STRANGER).await.unwrap(), code);
    assert_eq!(bench.value(STRANGER, BlockId::latest()).await, 12);
    client.anvil_set_coinbase(bench.account(9)).await.unwrap();
    client
        .anvil_set_next_block_base_fee_per_gas(77_000)
        .await
        .unwrap();
    client.anvil_set_block_gas_limit(5_000_000).await.unwrap();
    client.anvil_mine(Some(1), None).await.unwrap();
    let head = bench.head().await;
    assert_eq!(head.beneficiary, bench.account(9));
    assert_eq!((head.base_fee_per_gas, head.gas_limit), (Some(77_000), 5_000_000));
    let info = client.anvil_node_info().await.unwrap();
    assert_eq!(info.environment.chain_id, 31337);
    assert_eq!(info.environment.gas_limit, 5_000_000);
}

pub(super) async fn time_can_be_moved(bench: &Bench) {
    let client = &bench.client;
    let start = bench.head().await.timestamp;
    client
        .anvil_set_next_block_timestamp(start + 1_000)
        .await
        .unwrap();
    client.anvil_mine(Some(1), None).await.unwrap();
    assert_eq!(bench.head().await.timestamp, start + 1_000);
    client.anvil_increase_time(500).await.unwrap();
    client.anvil_mine(Some(1), None).await.unwrap();
    assert!((start + 1_500..start + 1_520).contains(&bench.head().await.timestamp));
    client.anvil_set_block_timestamp_interval(60).await.unwrap();
    let before = bench.head().await.timestamp;
    client.anvil_mine(Some(2), None).await.unwrap();
    assert_eq!(bench.head().await.timestamp, before + 120);
    assert!(client.anvil_remove_block_timestamp_interval().await.unwrap());
    let past = client.anvil_set_next_block_timestamp(start).await;
    assert!(past.is_err());
}

pub(super) async fn others_can_be_impersonated(bench: &Bench) {
    let probe = bench.deploy(1).await;
    let client = ProviderBuilder::new().connect_http(bench.node.url());
    client.client().set_poll_interval(Duration::from_millis(20));
    client.anvil_set_balance(probe, U256::MAX >> 10).await.unwrap();
    client.anvil_impersonate_account(probe).await.unwrap();
    let request = transfer(STRANGER, 4).with_from(probe);
    let sent = client.send_transaction(request.clone()).await.unwrap();
    let receipt = sent.get_receipt().await.unwrap();
    assert_eq!((receipt.from, receipt.status()), (probe, true));
    client.anvil_stop_impersonating_account(probe).await.unwrap();
    assert!(client.send_transaction(request.clone()).await.is_err());
    client.anvil_auto_impersonate_account(true).await.unwrap();
    assert!(client.send_transaction(request).await.is_ok());
}

pub(super) async fn mining_can_be_stopped_and_the_pool_looked_into(bench: &Bench) {
    let client = &bench.client;
    assert!(client.anvil_get_auto_mine().await.unwrap());
    client.anvil_set_auto_mine(false).await.unwrap();
    assert!(!client.anvil_get_auto_mine().await.unwrap());
    let first = client.send_transaction(transfer(STRANGER, 1)).await.unwrap();
    let second = client.send_transaction(transfer(STRANGER, 2)).await.unwrap();
    let late = client
        .send_transaction(transfer(STRANGER, 3).with_nonce(9))
        .await
        .unwrap();
    let status = client.txpool_status().await.unwrap();
    assert_eq!((status.pending, status.queued), (2, 1));
    let content = client.txpool_content().await.unwrap();
    let mine = &content.pending[&bench.account(0)];
    assert_eq!(mine.keys().collect::<Vec<_>>(), ["0", "1"]);
    let pending = client.get_block(BlockId::pending()).await.unwrap().unwrap();
    assert_eq!((pending.header.number, pending.transactions.len()), (1, 2));
    let nonce = client.get_transaction_count(bench.account(0)).pending();
    assert_eq!(nonce.await.unwrap(), 2);
    let dropped = client.anvil_drop_transaction(*second.tx_hash()).await.unwrap();
    assert_eq!(dropped, Some(*second.tx_hash()));
    client.anvil_mine(Some(1), None).await.unwrap();
    assert!(first.get_receipt().await.unwrap().status());
    client.anvil_drop_all_transactions().await.unwrap();
    let gone = client.get_transaction_by_hash(*late.tx_hash()).await.unwrap();
    assert!(gone.is_none());
}

pub(super) async fn a_snapshot_is_come_back_to(bench: &Bench) {
    let probe = bench.deploy(1).await;
    let client = &bench.client;
    let id = client.anvil_snapshot().await.unwrap();
    let before = bench.head().await.hash;
    let receipt = bench.set(probe, 2).await;
    assert!(client.anvil_revert(id).await.unwrap());
    assert!(!client.anvil_revert(id).await.unwrap());
    assert_eq!(bench.value(probe, BlockId::latest()).await, 1);
    let head = bench.head().await.hash;
    assert_eq!(head, before);
    let gone = client
        .get_transaction_receipt(receipt.transaction_hash)
        .await
        .unwrap();
    assert!(gone.is_none());
}

pub(super) async fn blocks_can_be_replaced(bench: &Bench) {
    let probe = bench.deploy(1).await;
    let client = &bench.client;
    let kept = bench.head().await;
    let receipt = bench.set(probe, 2).await;
    client.anvil_mine(Some(1), None).await.unwrap();
    // As `anvil_reorg` of alloy's provider puts it.
    bench
        .node
        .control(
            "anvil_reorg",
            serde_json::json!({ "depth": 2, "tx_block_pairs": [] }),
        )
        .await;
    let number = client.get_block_number().await.unwrap();
    assert_eq!(number, kept.number + 2);
    let new = client.get_block((kept.number + 1).into()).await.unwrap().unwrap();
    assert_eq!(new.header.parent_hash, kept.hash);
    assert_ne!(Some(new.header.hash), receipt.block_hash);
    assert_eq!(bench.value(probe, BlockId::latest()).await, 1);
    client.anvil_rollback(Some(1)).await.unwrap();
    assert_eq!(client.get_block_number().await.unwrap(), number - 1);
    let deep = bench.node.ask("anvil_reorg", serde_json::json!([99, []])).await;
    assert!(deep.is_err());
}

pub(super) async fn the_state_can_be_dumped_and_loaded(bench: &Bench) {
    let probe = bench.deploy(1).await;
    bench.set(probe, 42).await;
    let dump = bench.client.anvil_dump_state().await.unwrap();
    let kind = match bench.node {
        TestNode::Devchain(_) => NodeKind::Devchain,
        TestNode::Anvil(_) => NodeKind::Anvil,
    };
    let other = Bench::start(kind).await;
    assert!(other.client.anvil_load_state(dump).await.unwrap());
    assert_eq!(other.value(probe, BlockId::latest()).await, 42);
    assert!(other.set(probe, 43).await.status());
}
