//! Logs by address, topic, range and block, and the filters that are polled.

use alloy_primitives::{Address, B256, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{Filter, Log};

use crate::{KEEPER, call, client, deploy, send, start, word};

fn topic(value: u64) -> B256 {
    U256::from(value).into()
}

/// The second topics, which tell the logs apart.
fn kept(logs: Vec<Log>) -> Vec<u64> {
    logs.iter()
        .map(|log| U256::from_be_bytes(log.topics()[1].0).to())
        .collect()
}

#[tokio::test]
async fn logs_are_found_by_what_they_are_and_where() {
    let node = start().await;
    let client = client(&node, 0);
    let first = deploy(&client, &KEEPER).await;
    let second = deploy(&client, &KEEPER).await;
    for (keeper, value) in [(first, 1), (second, 2), (first, 3), (second, 4)] {
        send(&client, call(keeper, word(value))).await;
    }
    let find = async |filter: Filter| kept(client.get_logs(&filter).await.unwrap());
    let all = Filter::new().from_block(0);
    assert_eq!(find(all.clone()).await, [1, 2, 3, 4]);
    assert_eq!(find(Filter::new()).await, [4]);
    assert_eq!(find(all.clone().address(first)).await, [1, 3]);
    assert_eq!(find(all.clone().address(vec![first, second])).await, [1, 2, 3, 4]);
    assert_eq!(find(all.clone().address(Address::ZERO)).await, [0; 0]);
    assert_eq!(find(all.clone().event_signature(topic(0xaa))).await, [1, 2, 3, 4]);
    assert_eq!(find(all.clone().event_signature(topic(0xbb))).await, [0; 0]);
    assert_eq!(find(all.clone().topic1(topic(2))).await, [2]);
    assert_eq!(find(all.clone().topic1(vec![topic(2), topic(3)])).await, [2, 3]);
    assert_eq!(
        find(all.clone().address(first).topic1(vec![topic(2), topic(3)])).await,
        [3]
    );
    assert_eq!(find(Filter::new().from_block(4).to_block(5)).await, [2, 3]);
    assert_eq!(find(Filter::new().from_block(4).to_block(500)).await, [2, 3, 4]);
    assert_eq!(find(Filter::new().from_block(500)).await, [0; 0]);
    let hash = client
        .get_block_by_number(5.into())
        .await
        .unwrap()
        .unwrap()
        .header
        .hash;
    assert_eq!(find(Filter::new().at_block_hash(hash)).await, [3]);
    assert!(
        client
            .get_logs(&Filter::new().at_block_hash(B256::ZERO))
            .await
            .is_err()
    );
    assert!(
        client
            .get_logs(&Filter::new().from_block(3).to_block(2))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_log_knows_its_place() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    let receipt = send(&client, call(keeper, word(6))).await;
    let logs = client.get_logs(&Filter::new()).await.unwrap();
    assert_eq!(logs, receipt.logs());
    assert_eq!(logs[0].address(), keeper);
    assert_eq!(logs[0].transaction_hash, Some(receipt.transaction_hash));
    assert_eq!(
        (logs[0].block_hash, logs[0].block_number),
        (receipt.block_hash, receipt.block_number)
    );
    assert_eq!((logs[0].log_index, logs[0].removed), (Some(0), false));
}

#[tokio::test]
async fn filters_tell_what_is_new() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    let blocks = client.new_block_filter().await.unwrap();
    let logs = client.new_filter(&Filter::new().address(keeper)).await.unwrap();
    assert!(
        client
            .get_filter_changes::<B256>(blocks)
            .await
            .unwrap()
            .is_empty()
    );
    let receipt = send(&client, call(keeper, word(6))).await;
    node.mine(1);
    let hashes = client.get_filter_changes::<B256>(blocks).await.unwrap();
    assert_eq!((hashes.len(), Some(hashes[0])), (2, receipt.block_hash));
    assert_eq!(kept(client.get_filter_changes(logs).await.unwrap()), [6]);
    assert!(client.get_filter_changes::<Log>(logs).await.unwrap().is_empty());
    assert!(client.uninstall_filter(logs).await.unwrap());
    assert!(!client.uninstall_filter(logs).await.unwrap());
    assert!(client.get_filter_changes::<Log>(logs).await.is_err());
}
