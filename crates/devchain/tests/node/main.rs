//! The node as a client sees it, mostly through alloy's provider.

#![allow(clippy::unwrap_used, reason = "the functions that tests share are tests, too")]

mod accounts;
mod blocks;
mod calls;
mod control;
mod dump;
mod history;
mod impersonation;
mod logs;
mod misbehaviour;
mod options;
mod pool;
mod reorganise;
mod server;
mod socket;
mod subscriptions;
mod transactions;

use std::time::Duration;

use alloy_network::EthereumWallet;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_rpc_types_eth::{TransactionReceipt, TransactionRequest};
use alloy_signer_local::PrivateKeySigner;
use microraiden_devchain::{Config, DevChain, Mining};
use serde_json::{Value, json};

/// A node that mines as soon as a transaction arrives.
async fn start() -> DevChain {
    DevChain::start(Config::default()).await.unwrap()
}

/// A node that mines only when told to.
async fn start_manual() -> DevChain {
    let mining = Mining {
        instant: false,
        interval: None,
    };
    DevChain::start(Config {
        mining,
        ..Config::default()
    })
    .await
    .unwrap()
}

fn signer(node: &DevChain, account: usize) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&node.accounts()[account].secret_key).unwrap()
}

/// A client that signs for one of the accounts, and polls fast.
fn client(node: &DevChain, account: usize) -> impl Provider + Clone + 'static {
    let wallet = EthereumWallet::from(signer(node, account));
    let provider = ProviderBuilder::new()
        .wallet(wallet)
        .connect_http(node.url().parse().unwrap());
    provider.client().set_poll_interval(Duration::from_millis(5));
    provider
}

fn transfer(to: Address, value: u64) -> TransactionRequest {
    TransactionRequest {
        to: Some(TxKind::Call(to)),
        value: Some(U256::from(value)),
        ..TransactionRequest::default()
    }
}

fn call(to: Address, input: impl Into<Bytes>) -> TransactionRequest {
    TransactionRequest {
        to: Some(TxKind::Call(to)),
        input: input.into().into(),
        ..TransactionRequest::default()
    }
}

fn create(init_code: impl Into<Bytes>) -> TransactionRequest {
    TransactionRequest {
        to: Some(TxKind::Create),
        input: init_code.into().into(),
        ..TransactionRequest::default()
    }
}

async fn send(client: &impl Provider, request: TransactionRequest) -> TransactionReceipt {
    client
        .send_transaction(request)
        .await
        .unwrap()
        .get_receipt()
        .await
        .unwrap()
}

/// What the node answers to a request as it stands.
async fn ask(client: &impl Provider, method: &'static str, params: Value) -> Value {
    client.raw_request(method.into(), params).await.unwrap()
}

/// The receipt of a transaction that the node signs, sends and mines at once.
///
/// Unlike [`send`] it does not depend on blocks whose numbers grow, so that it works after ways back, too.
async fn execute(client: &impl Provider, request: TransactionRequest) -> TransactionReceipt {
    let hash = ask(client, "eth_sendTransaction", json!([request])).await;
    let receipt = ask(client, "eth_getTransactionReceipt", json!([hash])).await;
    serde_json::from_value(receipt).unwrap()
}

/// The code and text of the error with which the node refuses a request.
async fn refusal(client: &impl Provider, method: &'static str, params: Value) -> (i64, String) {
    let asked = format!("{method} {params}");
    let error = client
        .raw_request::<_, Value>(method.into(), params)
        .await
        .expect_err(&asked);
    let error = error.as_error_resp().unwrap();
    (error.code, error.message.to_string())
}

/// Init code that deploys `runtime`: copies it to memory and returns it.
fn deploying(runtime: &[u8]) -> Vec<u8> {
    let length = u8::try_from(runtime.len()).unwrap();
    [
        &[0x60, length, 0x80, 0x60, 0x0b, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3],
        runtime,
    ]
    .concat()
}

/// A contract that keeps the first word of its input and logs it with the topics 0xaa and the word; without input it
/// returns the word it keeps.
const KEEPER: [u8; 31] = hex!("36600f5760005460005260206000f35b6000358060005560aa60006000a200");

/// A contract that always reverts with `Error("no")`.
const REVERTER: [u8; 40] =
    hex!("6308c379a060e01b6000526020600452600260245261" "6e6f60f01b60445260646000fd0000000000");

/// Init code that returns the number of its block.
const BLOCK_NUMBER: [u8; 9] = hex!("4360005260206000f3");

fn word(value: u64) -> Bytes {
    U256::from(value).to_be_bytes::<32>().into()
}

async fn deploy(client: &impl Provider, runtime: &[u8]) -> Address {
    let receipt = send(client, create(deploying(runtime))).await;
    assert!(receipt.status());
    receipt.contract_address.unwrap()
}
