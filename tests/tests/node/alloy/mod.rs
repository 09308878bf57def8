//! What alloy's provider does with a node, on each node.

mod control;
mod news;
mod questions;
mod transactions;

use alloy_eips::BlockId;
use alloy_network::{EthereumWallet, TransactionBuilder};
use alloy_primitives::{Address, Bytes, U256, address};
use alloy_provider::{DynProvider, Provider, ProviderBuilder};
use alloy_rpc_types_eth::{Header, TransactionReceipt, TransactionRequest};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolConstructor, sol};
use microraiden_devchain::ACCOUNTS;
use microraiden_tests::{NodeKind, TestNode};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

sol!("clients/Probe.sol");

/// Each of these is a test on the development chain and one on anvil.
macro_rules! on_both_nodes {
    ($($module:ident::$name:ident)*) => {
        mod devchain {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$module::$name(&super::Bench::start(super::NodeKind::Devchain).await).await;
            })*
        }
        mod anvil {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$module::$name(&super::Bench::start(super::NodeKind::Anvil).await).await;
            })*
        }
    };
}

on_both_nodes! {
    questions::blocks_are_what_their_hashes_say
    questions::old_blocks_keep_their_state
    questions::calls_explain_their_failures
    questions::calls_can_be_made_in_another_state
    questions::an_estimate_is_enough_and_exact
    questions::fees_follow_the_blocks
    questions::an_access_list_saves_what_it_says
    questions::it_says_who_it_is
    transactions::every_kind_of_transaction_is_mined_and_found_again
    transactions::the_node_signs_for_its_accounts
    transactions::refusals_are_those_that_clients_look_for
    transactions::a_nonce_gap_waits
    news::logs_are_found
    news::polled_filters_tell_what_is_new
    news::subscriptions_tell_what_is_new
    control::the_state_can_be_changed_by_hand
    control::time_can_be_moved
    control::others_can_be_impersonated
    control::mining_can_be_stopped_and_the_pool_looked_into
    control::a_snapshot_is_come_back_to
    control::blocks_can_be_replaced
    control::the_state_can_be_dumped_and_loaded
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

    /// The header of the newest block.
    async fn head(&self) -> Header {
        let head = self.client.get_block(BlockId::latest()).await;
        head.unwrap().unwrap().header
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
