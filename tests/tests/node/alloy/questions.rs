//! What can be asked: blocks, state, calls, fees.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_network::TransactionBuilder;
use alloy_primitives::{B256, Bloom, BloomInput, Bytes, U256, address, keccak256};
use alloy_provider::{Provider, ext::AnvilApi};
use alloy_rpc_types_eth::{
    TransactionRequest,
    state::{AccountOverride, StateOverridesBuilder},
};
use alloy_sol_types::{SolError, SolEvent};

use super::{Bench, Probe, STRANGER, call, refusal, setting, transfer};

pub(super) async fn blocks_are_what_their_hashes_say(bench: &Bench) {
    let probe = bench.deploy(1).await;
    bench.set(probe, 2).await;
    bench.client.anvil_mine(Some(3), None).await.unwrap();
    let mut parent = None;
    for number in 0..=bench.client.get_block_number().await.unwrap() {
        let block = bench.client.get_block(number.into()).await.unwrap().unwrap();
        assert_eq!(block.header.inner.hash_slow(), block.header.hash);
        if let Some(parent) = parent {
            assert_eq!(block.header.parent_hash, parent);
        }
        parent = Some(block.header.hash);
        let by_hash = bench.client.get_block(block.header.hash.into()).await.unwrap();
        assert_eq!(by_hash.unwrap().header.number, number);
    }
    let second = bench.client.get_block(2.into()).await.unwrap().unwrap();
    let bloom: Bloom = second.header.logs_bloom;
    assert!(bloom.contains_input(BloomInput::Raw(probe.as_slice())));
    assert!(bloom.contains_input(BloomInput::Raw(Probe::ValueSet::SIGNATURE_HASH.as_slice())));
    let future = bench.client.get_block(99.into()).await.unwrap();
    assert!(future.is_none());
}

pub(super) async fn old_blocks_keep_their_state(bench: &Bench) {
    let probe = bench.deploy(1).await;
    let first = bench.client.get_block_number().await.unwrap();
    bench.set(probe, 2).await;
    bench.send(transfer(STRANGER, 9)).await;
    assert_eq!(bench.value(probe, first.into()).await, 1);
    assert_eq!(bench.value(probe, BlockId::latest()).await, 2);
    let hash = bench
        .client
        .get_block(first.into())
        .await
        .unwrap()
        .unwrap()
        .header
        .hash;
    assert_eq!(bench.value(probe, hash.into()).await, 1);
    let slot = |block: u64| {
        bench
            .client
            .get_storage_at(probe, U256::ZERO)
            .block_id(block.into())
    };
    assert_eq!(slot(first).await.unwrap(), U256::from(1));
    assert_eq!(slot(first + 1).await.unwrap(), U256::from(2));
    let code = |block: u64| bench.client.get_code_at(probe).block_id(block.into());
    assert!(code(first - 1).await.unwrap().is_empty());
    assert!(!code(first).await.unwrap().is_empty());
    let before = bench.client.get_balance(STRANGER).block_id(first.into());
    assert_eq!(before.await.unwrap(), U256::ZERO);
    let count = bench
        .client
        .get_transaction_count(bench.account(0))
        .block_id(first.into());
    assert_eq!(count.await.unwrap(), 1);
}

pub(super) async fn calls_explain_their_failures(bench: &Bench) {
    let probe = bench.deploy(1).await;
    let fails = async |request: TransactionRequest| refusal(bench.client.call(request).await);
    let (message, data) = fails(call(probe, Probe::failWithStringCall {})).await;
    assert!(
        message.contains("execution reverted: the probe refuses"),
        "{message}"
    );
    assert_eq!(&data.unwrap()[..4], alloy_sol_types::Revert::SELECTOR);
    let (_, data) = fails(call(
        probe,
        Probe::failWithErrorCall {
            _value: U256::from(5),
            _limit: U256::from(4),
        },
    ))
    .await;
    let error = Probe::TooHigh::abi_decode(&data.unwrap()).unwrap();
    assert_eq!((error.value, error.limit), (U256::from(5), U256::from(4)));
    let (_, data) = fails(call(probe, Probe::failWithAssertionCall {})).await;
    assert_eq!(
        alloy_sol_types::Panic::abi_decode(&data.unwrap()).unwrap().code,
        U256::from(1)
    );
    let (message, data) = fails(call(probe, Probe::failWithoutDataCall {})).await;
    assert!(message.contains("execution reverted"), "{message}");
    assert_eq!(data.unwrap_or_default(), Bytes::new());
    // What was sent fails in its block, without an explanation but with a price.
    let failing = call(probe, Probe::failWithStringCall {}).with_gas_limit(100_000);
    let receipt = bench.send(failing).await;
    assert!(!receipt.status() && receipt.gas_used < 100_000 && receipt.logs().is_empty());
}

pub(super) async fn calls_can_be_made_in_another_state(bench: &Bench) {
    let probe = bench.deploy(1).await;
    let value = B256::from(U256::from(77));
    let overrides = StateOverridesBuilder::default()
        .with_state_diff(probe, [(B256::ZERO, value)])
        .build();
    let answer = bench
        .client
        .call(call(probe, Probe::valueCall {}))
        .overrides(overrides);
    assert_eq!(answer.await.unwrap(), Bytes::from(value));
    let code = bench.client.get_code_at(probe).await.unwrap();
    let copy = AccountOverride::default()
        .with_code(code)
        .with_state([(B256::ZERO, value)]);
    let overrides = StateOverridesBuilder::default().append(STRANGER, copy).build();
    let answer = bench
        .client
        .call(call(STRANGER, Probe::valueCall {}))
        .overrides(overrides);
    assert_eq!(answer.await.unwrap(), Bytes::from(value));
    assert_eq!(bench.value(probe, BlockId::latest()).await, 1);
}

pub(super) async fn an_estimate_is_enough_and_exact(bench: &Bench) {
    let probe = bench.deploy(1).await;
    let request = call(probe, setting(5)).with_from(bench.account(0));
    let estimate = bench.client.estimate_gas(request.clone()).await.unwrap();
    let receipt = bench.send(request.clone().with_gas_limit(estimate)).await;
    assert!(receipt.status());
    assert!(receipt.gas_used <= estimate && estimate - receipt.gas_used < estimate / 50);
    let estimate = bench.client.estimate_gas(transfer(STRANGER, 1)).await.unwrap();
    assert_eq!(estimate, 21_000);
    let failing = bench
        .client
        .estimate_gas(call(probe, Probe::failWithStringCall {}));
    assert!(refusal(failing.await).0.contains("the probe refuses"));
}

pub(super) async fn fees_follow_the_blocks(bench: &Bench) {
    bench.client.anvil_mine(Some(5), None).await.unwrap();
    let history = async || {
        let asked = bench.client.get_fee_history(3, BlockNumberOrTag::Latest, &[50.0]);
        asked.await.unwrap()
    };
    let is_whole = async || history().await.base_fee_per_gas.len() == 4;
    bench.node.catch_up(is_whole).await;
    let history = history().await;
    assert_eq!(history.oldest_block, 3);
    assert_eq!(history.base_fee_per_gas.len(), 4);
    assert_eq!(history.reward.unwrap().len(), 3);
    for (number, fee) in (3..6).zip(&history.base_fee_per_gas) {
        let block = bench.client.get_block(number.into()).await.unwrap().unwrap();
        assert_eq!(block.header.base_fee_per_gas.map(u128::from), Some(*fee));
    }
    let fees = bench.client.estimate_eip1559_fees().await.unwrap();
    assert!(fees.max_fee_per_gas > history.base_fee_per_gas[3]);
    assert!(bench.client.get_gas_price().await.unwrap() >= history.base_fee_per_gas[3]);
    assert!(bench.client.get_max_priority_fee_per_gas().await.unwrap() > 0);
}

pub(super) async fn an_access_list_saves_what_it_says(bench: &Bench) {
    let probe = bench.deploy(1).await;
    let request = call(probe, setting(5)).with_from(bench.account(0));
    let answer = bench.client.create_access_list(&request).await.unwrap();
    let items = &answer.access_list.0;
    assert_eq!(items.len(), 1);
    assert_eq!(
        (items[0].address, &items[0].storage_keys[..]),
        (probe, &[B256::ZERO][..])
    );
    let receipt = bench
        .send(
            request
                .with_access_list(answer.access_list)
                .with_gas_limit(100_000),
        )
        .await;
    assert_eq!(U256::from(receipt.gas_used), answer.gas_used);
}

pub(super) async fn it_says_who_it_is(bench: &Bench) {
    assert_eq!(bench.client.get_chain_id().await.unwrap(), 31337);
    assert_eq!(bench.client.get_net_version().await.unwrap(), 31337);
    assert!(bench.client.get_client_version().await.unwrap().contains('/'));
    assert_eq!(bench.client.get_block_number().await.unwrap(), 0);
    let accounts = bench.client.get_accounts().await.unwrap();
    assert_eq!(accounts.len(), 10);
    assert_eq!(
        accounts[0],
        address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
    );
    assert_eq!(bench.client.get_sha3(b"abc").await.unwrap(), keccak256("abc"));
    let rich = bench.client.get_balance(accounts[9]).await.unwrap();
    assert_eq!(rich, U256::from(10_000) * U256::from(10).pow(U256::from(18)));
}
