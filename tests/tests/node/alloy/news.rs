//! Logs, filters and subscriptions.

use alloy_primitives::{B256, U256};
use alloy_provider::{Provider, ProviderBuilder, WsConnect};
use alloy_rpc_types_eth::Filter;
use alloy_sol_types::SolEvent;
use futures_util::StreamExt;
use std::time::Duration;

use super::{Bench, Probe, call, refusal};

pub(super) async fn logs_are_found(bench: &Bench) {
    let (first, second) = (bench.deploy(0).await, bench.deploy(0).await);
    let receipt = bench.set(first, 7).await;
    let count = Probe::countCall {
        _count: U256::from(3),
    };
    bench.send(call(second, count)).await;
    let found = async |filter: Filter| bench.client.get_logs(&filter).await.unwrap().len();
    let all = Filter::new().from_block(0);
    assert_eq!(found(all.clone()).await, 4);
    assert_eq!(found(all.clone().address(first)).await, 1);
    assert_eq!(found(all.clone().address(vec![first, second])).await, 4);
    assert_eq!(
        found(all.clone().event_signature(Probe::Counted::SIGNATURE_HASH)).await,
        3
    );
    let indices = [0u64, 2].map(|index| B256::from(U256::from(index)));
    assert_eq!(found(all.clone().topic1(indices.to_vec())).await, 2);
    assert_eq!(
        found(Filter::new().at_block_hash(receipt.block_hash.unwrap())).await,
        1
    );
    assert_eq!(found(all.to_block(1)).await, 0);
    let log = &bench
        .client
        .get_logs(&Filter::new().from_block(0).address(first))
        .await
        .unwrap()[0];
    assert_eq!(log.transaction_hash, Some(receipt.transaction_hash));
    assert_eq!((log.log_index, log.removed), (Some(0), false));
    let event = Probe::ValueSet::decode_log(&log.inner).unwrap();
    assert_eq!((event.by, event.value), (bench.account(0), U256::from(7)));
}

pub(super) async fn polled_filters_tell_what_is_new(bench: &Bench) {
    let probe = bench.deploy(0).await;
    let client = &bench.client;
    let logs = client.new_filter(&Filter::new().address(probe)).await.unwrap();
    let blocks = client.new_block_filter().await.unwrap();
    let arrivals = client.new_pending_transactions_filter(false).await.unwrap();
    let receipt = bench.set(probe, 5).await;
    let changed: Vec<alloy_rpc_types_eth::Log> = client.get_filter_changes(logs).await.unwrap();
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].transaction_hash, Some(receipt.transaction_hash));
    let changed: Vec<B256> = client.get_filter_changes(blocks).await.unwrap();
    assert_eq!(changed, [receipt.block_hash.unwrap()]);
    let changed: Vec<B256> = client.get_filter_changes(arrivals).await.unwrap();
    assert_eq!(changed, [receipt.transaction_hash]);
    let changed: Vec<alloy_rpc_types_eth::Log> = client.get_filter_changes(logs).await.unwrap();
    assert_eq!(changed, []);
    assert!(client.uninstall_filter(logs).await.unwrap());
    assert!(!client.uninstall_filter(logs).await.unwrap());
    let gone = client.get_filter_changes::<B256>(logs).await;
    assert!(refusal(gone).0.contains("filter not found"));
}

pub(super) async fn subscriptions_tell_what_is_new(bench: &Bench) {
    let probe = bench.deploy(0).await;
    let mut url = bench.node.url();
    url.set_scheme("ws").unwrap();
    let socket = ProviderBuilder::new()
        .connect_ws(WsConnect::new(url))
        .await
        .unwrap();
    let heads = socket.subscribe_blocks().await.unwrap();
    let logs = socket
        .subscribe_logs(&Filter::new().address(probe))
        .await
        .unwrap();
    let arrivals = socket.subscribe_pending_transactions().await.unwrap();
    let receipt = bench.set(probe, 5).await;
    let patience = Duration::from_secs(20);
    let (mut heads, mut logs, mut arrivals) =
        (heads.into_stream(), logs.into_stream(), arrivals.into_stream());
    let head = tokio::time::timeout(patience, heads.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(Some(head.hash), receipt.block_hash);
    let log = tokio::time::timeout(patience, logs.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(log.transaction_hash, Some(receipt.transaction_hash));
    let arrival = tokio::time::timeout(patience, arrivals.next()).await.unwrap();
    assert_eq!(arrival, Some(receipt.transaction_hash));
    assert_eq!(socket.get_block_number().await.unwrap(), head.number);
}
