//! A wallet that is alone with its key uses the nonces again that nobody waits for.

use crate::stage::{connect, secret_key};
use alloy_primitives::{Address, Bytes, U256};
use microraiden_chain::{Node, Receipt, TransactionError, Wallet, WalletOptions};
use microraiden_devchain::{Config, DevChain, Mining};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const STUCK: Address = Address::repeat_byte(5);
const NEXT: Address = Address::repeat_byte(6);

async fn by_hand() -> (DevChain, Node) {
    let mining = Mining {
        instant: false,
        interval: None,
    };
    let config = Config {
        mining,
        ..Config::default()
    };
    let chain = DevChain::start(config).await.unwrap();
    let node = connect(&chain).await;
    (chain, node)
}

/// A wallet as a program has it after its start.
fn started(chain: &DevChain, node: &Node) -> Wallet {
    let options = WalletOptions {
        raise_fees_after: Duration::from_secs(30),
        receipt_timeout: Duration::from_secs(30),
        is_exclusive: true,
        ..WalletOptions::default()
    };
    Wallet::with_options(node.clone(), secret_key(chain, 0), options)
}

fn send(wallet: &Wallet, to: Address) -> JoinHandle<Result<Receipt, TransactionError>> {
    let wallet = wallet.clone();
    tokio::spawn(async move { wallet.send(Some(to), Bytes::new(), U256::from(3), None).await })
}

/// How many transactions to an address wait for a block.
async fn waiting(chain: &DevChain, to: Address) -> usize {
    let request =
        json!({"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["pending", true]});
    let post = reqwest::Client::new()
        .post(chain.url())
        .header("content-type", "application/json")
        .body(request.to_string());
    let answer = post.send().await.unwrap().bytes().await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let transactions = answer["result"]["transactions"].as_array().unwrap();
    let to = json!(to);
    transactions
        .iter()
        .filter(|transaction| transaction["to"] == to)
        .count()
}

async fn until_waiting(chain: &DevChain, to: Address, count: usize) {
    let started = Instant::now();
    while waiting(chain, to).await != count {
        assert!(started.elapsed() < Duration::from_secs(20), "{count} to {to}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_was_sent_before_a_restart_holds_nothing_up() {
    let (chain, node) = by_hand().await;
    let before = started(&chain, &node);
    let (first, second) = (send(&before, STUCK), send(&before, STUCK));
    until_waiting(&chain, STUCK, 2).await;
    for sending in [first, second] {
        sending.abort();
        assert!(sending.await.is_err());
    }

    let sent = send(&started(&chain, &node), NEXT);
    until_waiting(&chain, NEXT, 1).await;
    assert_eq!(waiting(&chain, STUCK).await, 1, "one was replaced");
    chain.mine(1);
    let receipt = sent.await.unwrap().unwrap();
    assert_eq!(node.eth_balance(STUCK).await.unwrap(), U256::from(3));
    assert_eq!(node.eth_balance(NEXT).await.unwrap(), U256::from(3));
    let base_fee = node.header(receipt.block.number).await.unwrap().unwrap();
    let tip = receipt.effective_gas_price - base_fee.base_fee_wei.unwrap();
    assert!(tip > 1_000_000_000, "replaced by a higher fee: {tip}");
}

#[tokio::test]
async fn a_transaction_that_another_one_replaced_is_not_waited_for() {
    let (chain, node) = by_hand().await;
    let stuck = send(&started(&chain, &node), STUCK);
    until_waiting(&chain, STUCK, 1).await;
    // A second process, which there should not be.
    let next = send(&started(&chain, &node), NEXT);
    until_waiting(&chain, NEXT, 1).await;
    chain.mine(1);
    next.await.unwrap().unwrap();
    let error = stuck.await.unwrap().unwrap_err();
    assert!(
        matches!(error, TransactionError::Superseded { .. }) && error.is_transient(),
        "{error:?}"
    );
    assert_eq!(node.eth_balance(STUCK).await.unwrap(), U256::ZERO);
}

#[tokio::test]
async fn gas_costs_no_more_than_one_transaction_is_worth() {
    let (chain, node) = by_hand().await;
    let wallet = started(&chain, &node);
    let gas = U256::from(21_000);
    let base_fee = node.latest_header().await.unwrap().base_fee_wei.unwrap();
    let poor = wallet.with_max_cost(gas * U256::from(base_fee - 1));
    let refused = poor
        .send(Some(NEXT), Bytes::new(), U256::from(3), Some(21_000))
        .await;
    assert!(
        matches!(refused, Err(TransactionError::FeeAboveCeiling { ceiling, .. }) if ceiling == base_fee - 1),
        "{refused:?}"
    );
    // The others of the wallet are not affected, and nothing was sent.
    let cost = gas * U256::from(2 * base_fee);
    let sent = send(&wallet.with_max_cost(cost), NEXT);
    until_waiting(&chain, NEXT, 1).await;
    chain.mine(1);
    let receipt = sent.await.unwrap().unwrap();
    assert!(receipt.cost_wei() <= cost, "{receipt:?}");
}
