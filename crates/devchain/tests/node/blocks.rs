//! Blocks: their headers, their order, what they commit to.

use alloy_consensus::proofs::{calculate_receipt_root, calculate_transaction_root};
use alloy_eips::{BlockId, eip1559::BaseFeeParams};
use alloy_primitives::{Address, B256, Bloom, Bytes, U64};
use alloy_provider::Provider;
use alloy_rpc_types_eth::Block;

use crate::{KEEPER, call, client, create, deploy, deploying, send, start, start_manual, transfer, word};

async fn block(client: &impl Provider, number: u64) -> Block {
    client
        .get_block_by_number(number.into())
        .full()
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn headers_are_linked_by_their_true_hashes() {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    send(&client, call(keeper, word(3))).await;
    node.mine(3);
    assert_eq!(node.block_number(), 5);
    for number in 0..=5 {
        let block = block(&client, number).await;
        assert_eq!(block.header.inner.hash_slow(), block.header.hash);
        assert_eq!(block.header.number, number);
        let by_hash = client
            .get_block_by_hash(block.header.hash)
            .full()
            .await
            .unwrap()
            .unwrap();
        assert_eq!(by_hash, block);
        if number > 0 {
            let parent = self::block(&client, number - 1).await;
            assert_eq!(block.header.parent_hash, parent.header.hash);
            assert!(block.header.timestamp > parent.header.timestamp);
        }
    }
    assert!(client.get_block_by_number(6.into()).await.unwrap().is_none());
    assert!(client.get_block_by_hash(B256::ZERO).await.unwrap().is_none());
}

#[tokio::test]
async fn roots_blooms_and_gas_are_those_of_the_content() {
    let node = start_manual().await;
    let client = client(&node, 0);
    let keeper = node.accounts()[0].address.create(0);
    let gas = |request| alloy_rpc_types_eth::TransactionRequest {
        gas: Some(200_000),
        ..request
    };
    let requests = [
        create(deploying(&KEEPER)),
        call(keeper, word(3)),
        call(keeper, word(4)),
        transfer(Address::ZERO, 1),
    ];
    for request in requests {
        let _waits = client.send_transaction(gas(request)).await.unwrap();
    }
    node.mine(1);
    let block = block(&client, 1).await;
    let receipts = client
        .get_block_receipts(BlockId::number(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(receipts.len(), 4);
    assert_eq!(
        block.header.gas_used,
        receipts.iter().map(|receipt| receipt.gas_used).sum::<u64>()
    );
    assert_eq!(block.header.gas_used, receipts[3].inner.cumulative_gas_used());
    let indices: Vec<_> = receipts
        .iter()
        .flat_map(|receipt| receipt.logs())
        .map(|log| log.log_index.unwrap())
        .collect();
    assert_eq!(indices, [0, 1]);
    let bloom = receipts
        .iter()
        .fold(Bloom::ZERO, |bloom, receipt| bloom | *receipt.inner.logs_bloom());
    assert_ne!(bloom, Bloom::ZERO);
    assert_eq!(block.header.logs_bloom, bloom);
    let receipts: Vec<_> = receipts
        .into_iter()
        .map(|one| one.inner.map_logs(|log| log.inner))
        .collect();
    assert_eq!(block.header.receipts_root, calculate_receipt_root(&receipts));
    assert_eq!(block.header.size.unwrap().to::<usize>(), size(&block));
    let transactions: Vec<_> = block
        .transactions
        .into_transactions()
        .map(|one| one.inner.into_inner())
        .collect();
    assert_eq!(
        block.header.transactions_root,
        calculate_transaction_root(&transactions)
    );
}

/// The length of a block's encoding, as alloy counts it.
fn size(block: &Block) -> usize {
    let consensus = block
        .clone()
        .into_consensus()
        .map_transactions(|transaction| transaction.inner.into_inner());
    alloy_consensus::Block::rlp_length_for(&consensus.header, &consensus.body)
}

#[tokio::test]
async fn the_state_root_changes_with_the_state_only() {
    let node = start().await;
    let client = client(&node, 0);
    let root = async |number| block(&client, number).await.header.state_root;
    node.mine(1);
    assert_eq!(root(0).await, root(1).await);
    send(&client, transfer(Address::ZERO, 1)).await;
    assert_ne!(root(1).await, root(2).await);
}

#[tokio::test]
async fn the_base_fee_follows_eip_1559() {
    let node = start().await;
    let client = client(&node, 0);
    // Init code that burns all its gas: most of a block's.
    let burn = alloy_rpc_types_eth::TransactionRequest {
        gas: Some(25_000_000),
        ..create([0xfe])
    };
    assert!(!send(&client, burn).await.status());
    node.mine(2);
    let history = client.get_fee_history(3, 3.into(), &[50.0]).await.unwrap();
    for number in 1..=3 {
        let (parent, child) = (
            block(&client, number - 1).await.header,
            block(&client, number).await.header,
        );
        let expected = match number {
            1 => 1_000_000_000,
            _ => parent.next_block_base_fee(BaseFeeParams::ethereum()).unwrap(),
        };
        assert_eq!(child.base_fee_per_gas, Some(expected));
        assert_eq!(
            history.base_fee_per_gas[usize::try_from(number - 1).unwrap()],
            u128::from(expected)
        );
    }
    assert!(
        block(&client, 2).await.header.base_fee_per_gas > block(&client, 1).await.header.base_fee_per_gas
    );
    assert_eq!(history.oldest_block, 1);
    assert_eq!(history.base_fee_per_gas.len(), 4);
    assert!(history.gas_used_ratio[0] > 0.8);
    assert!(history.reward.unwrap()[0][0] > 0);
    let price = client.get_gas_price().await.unwrap();
    assert_eq!(
        price,
        history.base_fee_per_gas[3] + client.get_max_priority_fee_per_gas().await.unwrap()
    );
}

#[tokio::test]
async fn a_full_block_leaves_the_rest_for_the_next() {
    let node = start_manual().await;
    let client = client(&node, 0);
    for _ in 0..3 {
        let big = alloy_rpc_types_eth::TransactionRequest {
            gas: Some(14_000_000),
            ..create([0xfe])
        };
        let _waits = client.send_transaction(big).await.unwrap();
    }
    node.mine(2);
    assert_eq!(block(&client, 1).await.transactions.len(), 2);
    assert_eq!(block(&client, 2).await.transactions.len(), 1);
}

#[tokio::test]
async fn time_goes_as_told_and_never_back() {
    let node = start().await;
    let client = client(&node, 0);
    let timestamp = async |number| block(&client, number).await.header.timestamp;
    let genesis = timestamp(0).await;
    let _: i64 = client
        .raw_request("evm_increaseTime".into(), (1_000,))
        .await
        .unwrap();
    node.mine(1);
    let first = timestamp(1).await;
    assert!((genesis + 1_000..genesis + 1_060).contains(&first));
    let set = U64::from(first + 5_000);
    let _: Option<()> = client
        .raw_request("evm_setNextBlockTimestamp".into(), (set,))
        .await
        .unwrap();
    node.mine(2);
    assert_eq!(timestamp(2).await, first + 5_000);
    assert!((first + 5_001..first + 5_060).contains(&timestamp(3).await));
    let past: Result<Option<()>, _> = client
        .raw_request("evm_setNextBlockTimestamp".into(), (U64::from(first),))
        .await;
    assert!(past.is_err());
    let _: Option<()> = client
        .raw_request("anvil_mine".into(), (U64::from(3), U64::from(12)))
        .await
        .unwrap();
    assert_eq!(timestamp(6).await - timestamp(4).await, 24);
    let _: String = client.raw_request("evm_mine".into(), ()).await.unwrap();
    assert_eq!(node.block_number(), 7);
}

#[tokio::test]
async fn old_hashes_are_known_to_contracts() {
    let node = start().await;
    let client = client(&node, 0);
    node.mine(3);
    // Returns the hash of the block before: NUMBER 1 SWAP1 SUB BLOCKHASH.
    let parent_hash = create(alloy_primitives::hex!("43600190034060005260206000f3"));
    let asked: Bytes = client.call(parent_hash).block(BlockId::latest()).await.unwrap();
    assert_eq!(asked, Bytes::from(block(&client, 2).await.header.hash));
}
