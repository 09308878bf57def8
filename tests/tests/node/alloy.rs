//! What alloy's provider does with a node, on each node.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder};
use alloy_primitives::{Address, B256, Bloom, BloomInput, Bytes, U256, address, keccak256};
use alloy_provider::{
    DynProvider, Provider, ProviderBuilder, WsConnect,
    ext::{AnvilApi, TxPoolApi},
};
use alloy_rpc_types_eth::{
    Filter, TransactionReceipt, TransactionRequest,
    state::{AccountOverride, StateOverridesBuilder},
};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolConstructor, SolError, SolEvent, sol};
use futures_util::StreamExt;
use microraiden_devchain::ACCOUNTS;
use microraiden_tests::{NodeKind, TestNode};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

sol!("clients/Probe.sol");

/// Each of these is a test on the development chain and one on anvil.
macro_rules! on_both_nodes {
    ($($name:ident)*) => {
        mod devchain {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(&super::Bench::start(super::NodeKind::Devchain).await).await;
            })*
        }
        mod anvil {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(&super::Bench::start(super::NodeKind::Anvil).await).await;
            })*
        }
    };
}

on_both_nodes! {
    it_says_who_it_is
    every_kind_of_transaction_is_mined_and_found_again
    the_node_signs_for_its_accounts
    blocks_are_what_their_hashes_say
    old_blocks_keep_their_state
    calls_explain_their_failures
    calls_can_be_made_in_another_state
    an_estimate_is_enough_and_exact
    logs_are_found
    polled_filters_tell_what_is_new
    subscriptions_tell_what_is_new
    refusals_are_those_that_clients_look_for
    a_nonce_gap_waits
    fees_follow_the_blocks
    an_access_list_saves_what_it_says
    the_state_can_be_changed_by_hand
    time_can_be_moved
    others_can_be_impersonated
    mining_can_be_stopped_and_the_pool_looked_into
    a_snapshot_is_come_back_to
    blocks_can_be_replaced
    the_state_can_be_dumped_and_loaded
}

/// A node and a client that signs for its first account.
struct Bench {
    node: TestNode,
    client: DynProvider,
}

/// Somebody without an account at the beginning.
const STRANGER: Address = address!("0x00000000000000000000000000000000000a11ce");

impl Bench {
    async fn start(kind: NodeKind) -> Self {
        let node = TestNode::start_quiet(kind).await;
        let wallet = EthereumWallet::from(signer(0));
        let client = ProviderBuilder::new().wallet(wallet).connect_http(node.url());
        client.client().set_poll_interval(Duration::from_millis(20));
        let client = client.erased();
        Self { node, client }
    }

    fn account(&self, index: usize) -> Address {
        signer(index).address()
    }

    async fn send(&self, request: TransactionRequest) -> TransactionReceipt {
        let sent = self.client.send_transaction(request).await.unwrap();
        sent.get_receipt().await.unwrap()
    }

    async fn deploy(&self, value: u64) -> Address {
        let arguments = Probe::constructorCall::new((U256::from(value),)).abi_encode();
        let code = [probe_code(), &arguments].concat();
        let receipt = self
            .send(TransactionRequest::default().with_deploy_code(code))
            .await;
        assert!(receipt.status());
        receipt.contract_address.unwrap()
    }

    async fn set(&self, probe: Address, value: u64) -> TransactionReceipt {
        self.send(call(probe, setting(value))).await
    }

    async fn value(&self, probe: Address, at: BlockId) -> u64 {
        let request = call(probe, Probe::valueCall {});
        let answer = self.client.call(request).block(at).await.unwrap();
        Probe::valueCall::abi_decode_returns(&answer).unwrap().to()
    }
}

/// The key of one of the accounts, which are the same on both nodes.
fn signer(index: usize) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&ACCOUNTS[index].secret_key).unwrap()
}

/// The creation code of the probe, compiled once.
fn probe_code() -> &'static [u8] {
    static CODE: OnceLock<Bytes> = OnceLock::new();
    CODE.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/probe.mjs");
        let run = Command::new("node").arg(script).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let compiled: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
        compiled["bytecode"].as_str().unwrap().parse().unwrap()
    })
}

fn call(to: Address, call: impl SolCall) -> TransactionRequest {
    TransactionRequest::default().with_to(to).with_call(&call)
}

fn setting(value: u64) -> Probe::setCall {
    Probe::setCall {
        _value: U256::from(value),
    }
}

fn transfer(to: Address, value: u64) -> TransactionRequest {
    TransactionRequest::default()
        .with_to(to)
        .with_value(U256::from(value))
}

/// What a refused request says.
fn refusal<T: std::fmt::Debug>(
    answer: Result<T, alloy_provider::transport::TransportError>,
) -> (String, Option<Bytes>) {
    let error = answer.unwrap_err();
    let error = error.as_error_resp().expect("an answer of the node");
    (error.message.to_lowercase(), error.as_revert_data())
}

async fn it_says_who_it_is(bench: &Bench) {
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

async fn every_kind_of_transaction_is_mined_and_found_again(bench: &Bench) {
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

async fn the_node_signs_for_its_accounts(bench: &Bench) {
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

async fn blocks_are_what_their_hashes_say(bench: &Bench) {
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

async fn old_blocks_keep_their_state(bench: &Bench) {
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

async fn calls_explain_their_failures(bench: &Bench) {
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

async fn calls_can_be_made_in_another_state(bench: &Bench) {
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

async fn an_estimate_is_enough_and_exact(bench: &Bench) {
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

async fn logs_are_found(bench: &Bench) {
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

async fn polled_filters_tell_what_is_new(bench: &Bench) {
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

async fn subscriptions_tell_what_is_new(bench: &Bench) {
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

async fn refusals_are_those_that_clients_look_for(bench: &Bench) {
    let signer = signer(1);
    let raw = async |request: TransactionRequest| {
        let wallet = EthereumWallet::from(signer.clone());
        let signed = request
            .with_chain_id(31337)
            .with_gas_price(20_000_000_000)
            .build(&wallet)
            .await
            .unwrap();
        bench.client.send_tx_envelope(signed).await.map(|_| ())
    };
    let usual = transfer(STRANGER, 1).with_gas_limit(21_000);
    raw(usual.clone().with_nonce(0)).await.unwrap();
    let (message, _) = refusal(raw(transfer(STRANGER, 2).with_gas_limit(21_000).with_nonce(0)).await);
    assert!(message.contains("nonce too low"), "{message}");
    let much = usual.clone().with_nonce(1).with_value(U256::MAX >> 1);
    let (message, _) = refusal(raw(much).await);
    assert!(message.contains("insufficient funds"), "{message}");
    let (message, _) = refusal(raw(usual.clone().with_nonce(1).with_gas_limit(20_999)).await);
    assert!(message.contains("intrinsic gas too low"), "{message}");
    raw(usual.clone().with_nonce(5)).await.unwrap();
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

async fn a_nonce_gap_waits(bench: &Bench) {
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

async fn fees_follow_the_blocks(bench: &Bench) {
    bench.client.anvil_mine(Some(5), None).await.unwrap();
    let history = bench
        .client
        .get_fee_history(3, BlockNumberOrTag::Latest, &[50.0])
        .await
        .unwrap();
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

async fn an_access_list_saves_what_it_says(bench: &Bench) {
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

async fn the_state_can_be_changed_by_hand(bench: &Bench) {
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
    let head = client.get_block(BlockId::latest()).await.unwrap().unwrap().header;
    assert_eq!(head.beneficiary, bench.account(9));
    assert_eq!((head.base_fee_per_gas, head.gas_limit), (Some(77_000), 5_000_000));
    let info = client.anvil_node_info().await.unwrap();
    assert_eq!(info.environment.chain_id, 31337);
    assert_eq!(info.environment.gas_limit, 5_000_000);
}

async fn time_can_be_moved(bench: &Bench) {
    let client = &bench.client;
    let head = async || client.get_block(BlockId::latest()).await.unwrap().unwrap().header;
    let start = head().await.timestamp;
    client
        .anvil_set_next_block_timestamp(start + 1_000)
        .await
        .unwrap();
    client.anvil_mine(Some(1), None).await.unwrap();
    assert_eq!(head().await.timestamp, start + 1_000);
    client.anvil_increase_time(500).await.unwrap();
    client.anvil_mine(Some(1), None).await.unwrap();
    assert!((start + 1_500..start + 1_520).contains(&head().await.timestamp));
    client.anvil_set_block_timestamp_interval(60).await.unwrap();
    let before = head().await.timestamp;
    client.anvil_mine(Some(2), None).await.unwrap();
    assert_eq!(head().await.timestamp, before + 120);
    assert!(client.anvil_remove_block_timestamp_interval().await.unwrap());
    let past = client.anvil_set_next_block_timestamp(start).await;
    assert!(past.is_err());
}

async fn others_can_be_impersonated(bench: &Bench) {
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

async fn mining_can_be_stopped_and_the_pool_looked_into(bench: &Bench) {
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

async fn a_snapshot_is_come_back_to(bench: &Bench) {
    let probe = bench.deploy(1).await;
    let client = &bench.client;
    let id = client.anvil_snapshot().await.unwrap();
    let before = client
        .get_block(BlockId::latest())
        .await
        .unwrap()
        .unwrap()
        .header
        .hash;
    let receipt = bench.set(probe, 2).await;
    assert!(client.anvil_revert(id).await.unwrap());
    assert!(!client.anvil_revert(id).await.unwrap());
    assert_eq!(bench.value(probe, BlockId::latest()).await, 1);
    let head = client
        .get_block(BlockId::latest())
        .await
        .unwrap()
        .unwrap()
        .header
        .hash;
    assert_eq!(head, before);
    let gone = client
        .get_transaction_receipt(receipt.transaction_hash)
        .await
        .unwrap();
    assert!(gone.is_none());
}

async fn blocks_can_be_replaced(bench: &Bench) {
    let probe = bench.deploy(1).await;
    let client = &bench.client;
    let kept = client.get_block(BlockId::latest()).await.unwrap().unwrap().header;
    let receipt = bench.set(probe, 2).await;
    client.anvil_mine(Some(1), None).await.unwrap();
    bench
        .node
        .control("anvil_reorg", serde_json::json!([2, []]))
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

async fn the_state_can_be_dumped_and_loaded(bench: &Bench) {
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
