//! Ways back: reorganisations and snapshots.

use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, U64, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::Filter;
use microraiden_devchain::ReorganiseError;

use crate::{KEEPER, call, client, deploy, send, start, transfer, word};

async fn hashes(client: &impl Provider) -> Vec<B256> {
    let mut hashes = Vec::new();
    for number in 0..=client.get_block_number().await.unwrap() {
        hashes.push(
            client
                .get_block_by_number(number.into())
                .await
                .unwrap()
                .unwrap()
                .header
                .hash,
        );
    }
    hashes
}

#[tokio::test]
async fn transactions_that_are_kept_move_to_the_new_blocks() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    let first = send(&client, call(keeper, word(1))).await;
    let second = send(&client, call(keeper, word(2))).await;
    let before = hashes(&client).await;
    node.reorganise(2, true).unwrap();
    let after = hashes(&client).await;
    assert_eq!((before.len(), after.len()), (4, 5));
    assert_eq!(before[..2], after[..2]);
    assert!(before[2..].iter().all(|hash| !after.contains(hash)));
    for (old, number) in [(&first, 2), (&second, 3)] {
        let new = client
            .get_transaction_receipt(old.transaction_hash)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(new.block_number, Some(number));
        assert_ne!(new.block_hash, old.block_hash);
        assert_eq!(new.logs()[0].block_hash, new.block_hash);
        assert!(
            client
                .get_block_by_hash(old.block_hash.unwrap())
                .await
                .unwrap()
                .is_none()
        );
    }
    assert_eq!(client.call(call(keeper, [])).await.unwrap(), word(2));
    let new = client.get_block_by_number(2.into()).await.unwrap().unwrap();
    assert_eq!(new.header.inner.hash_slow(), after[2]);
    assert_eq!(new.header.parent_hash, before[1]);
}

#[tokio::test]
async fn transactions_that_are_not_kept_never_happened() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    let first = send(&client, call(keeper, word(1))).await;
    let lost = send(&client, call(keeper, word(2))).await;
    node.reorganise(1, false).unwrap();
    assert_eq!(node.block_number(), 4);
    assert!(
        client
            .get_transaction_receipt(first.transaction_hash)
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        client
            .get_transaction_receipt(lost.transaction_hash)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        client
            .get_transaction_by_hash(lost.transaction_hash)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(client.call(call(keeper, [])).await.unwrap(), word(1));
    let logs = client.get_logs(&Filter::new().from_block(0)).await.unwrap();
    assert_eq!(logs.len(), 1);
    // The lost nonce is free again.
    let sender = node.accounts()[0].address;
    assert_eq!(client.get_transaction_count(sender).await.unwrap(), 2);
}

#[tokio::test]
async fn the_same_blocks_never_come_back() {
    let node = start().await;
    let client = client(&node, 0);
    node.mine(3);
    let mut seen = hashes(&client).await.split_off(1);
    for _ in 0..3 {
        let depth = node.block_number();
        node.reorganise(depth, true).unwrap();
        let new = hashes(&client).await.split_off(1);
        assert!(new.iter().all(|hash| !seen.contains(hash)));
        seen.extend(new);
    }
    let blocks = node.block_number();
    let depth = blocks + 1;
    assert_eq!(
        node.reorganise(depth, true),
        Err(ReorganiseError::TooDeep { depth, blocks })
    );
    let _: Option<()> = client
        .raw_request("anvil_reorg".into(), (U64::from(2), [(); 0]))
        .await
        .unwrap();
    assert_eq!(node.block_number(), blocks);
    node.reorganise(0, true).unwrap();
    assert_eq!(node.block_number(), blocks + 1);
}

#[tokio::test]
async fn a_snapshot_brings_everything_back() {
    let node = start().await;
    let client = client(&node, 0);
    let stranger = Address::repeat_byte(0x77);
    let keeper = deploy(&client, &KEEPER).await;
    send(&client, call(keeper, word(1))).await;
    let before = hashes(&client).await;
    let snapshot = node.snapshot();
    let later = node.snapshot();
    node.set_balance(stranger, U256::from(5));
    send(&client, call(keeper, word(2))).await;
    send(&client, transfer(stranger, 1)).await;
    assert_eq!(client.get_balance(stranger).await.unwrap(), U256::from(6));
    assert!(node.revert(snapshot));
    assert_eq!(hashes(&client).await, before);
    assert_eq!(client.call(call(keeper, [])).await.unwrap(), word(1));
    assert_eq!(client.get_balance(stranger).await.unwrap(), U256::ZERO);
    assert!(!node.revert(snapshot));
    assert!(!node.revert(later));
    let id: U64 = client.raw_request("evm_snapshot".into(), ()).await.unwrap();
    node.mine(1);
    assert!(
        client
            .raw_request::<_, bool>("evm_revert".into(), (id,))
            .await
            .unwrap()
    );
    assert_eq!(hashes(&client).await, before);
    let lost = node.snapshot();
    node.reorganise(1, true).unwrap();
    assert!(!node.revert(lost));
}

#[tokio::test]
async fn a_balance_set_by_hand_belongs_to_its_block() {
    let node = start().await;
    let client = client(&node, 0);
    let rich = Address::repeat_byte(0x55);
    node.mine(1);
    node.set_balance(rich, U256::from(9));
    node.mine(2);
    let at = async |number| {
        client
            .get_balance(rich)
            .block_id(BlockId::number(number))
            .await
            .unwrap()
    };
    assert_eq!(
        (at(0).await, at(1).await, at(3).await),
        (U256::ZERO, U256::from(9), U256::from(9))
    );
    node.reorganise(2, false).unwrap();
    assert_eq!(client.get_balance(rich).await.unwrap(), U256::from(9));
    let _: Option<()> = client
        .raw_request("anvil_setBalance".into(), (rich, U256::from(3)))
        .await
        .unwrap();
    assert_eq!(client.get_balance(rich).await.unwrap(), U256::from(3));
}
