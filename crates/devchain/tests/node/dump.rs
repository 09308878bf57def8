//! A chain that is dumped, and loaded into another node.

use alloy_primitives::{Address, B256, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::Filter;
use microraiden_devchain::{Config, DevChain, LoadError};
use serde_json::{Value, json};

use crate::{KEEPER, ask, call, client, deploy, send, start, transfer, word};

/// A chain with a contract, old states, changes by hand, an impersonated sender, a reorganisation and waiting transactions.
async fn eventful() -> (DevChain, Address) {
    let node = start().await;
    let client = client(&node, 0);
    let keeper = deploy(&client, &KEEPER).await;
    for value in [5, 6, 7] {
        send(&client, call(keeper, word(value))).await;
    }
    node.set_balance(keeper, U256::MAX >> 8);
    ask(&client, "anvil_impersonateAccount", json!([keeper])).await;
    let sent = json!([{ "from": keeper, "to": Address::ZERO, "value": "0x9" }]);
    ask(&client, "eth_sendTransaction", sent).await;
    ask(&client, "evm_increaseTime", json!(["0x1000"])).await;
    node.mine(2);
    node.reorganise(1, true).unwrap();
    let distant = transfer(Address::ZERO, 1).nonce(99);
    let _ = client.send_transaction(distant).await.unwrap();
    (node, keeper)
}

/// All that can be seen of a chain.
async fn seen(node: &DevChain, keeper: Address) -> Vec<Value> {
    let client = client(node, 0);
    let mut seen = vec![
        ask(&client, "eth_getLogs", json!([Filter::new().from_block(0)])).await,
        ask(&client, "txpool_content", json!([])).await,
    ];
    for number in 0..=node.block_number() {
        let block = format!("{number:#x}");
        seen.push(ask(&client, "eth_getBlockByNumber", json!([block, true])).await);
        seen.push(ask(&client, "eth_getBlockReceipts", json!([block])).await);
        seen.push(ask(&client, "eth_getStorageAt", json!([keeper, "0x0", block])).await);
        seen.push(ask(&client, "eth_getCode", json!([keeper, block])).await);
        for account in [keeper, Address::ZERO, node.accounts()[0].address] {
            seen.push(ask(&client, "eth_getAccountInfo", json!([account, block])).await);
        }
    }
    seen
}

#[tokio::test]
async fn a_loaded_chain_is_the_dumped_one_and_goes_on() {
    let (node, keeper) = eventful().await;
    let dump = node.dump();
    let other = start().await;
    other.mine(20);
    other.load(&dump).unwrap();
    assert_eq!(seen(&other, keeper).await, seen(&node, keeper).await);
    assert_eq!(other.dump(), dump);
    let client = client(&other, 0);
    send(&client, call(keeper, word(8))).await;
    let value = client.call(call(keeper, [])).await.unwrap();
    assert_eq!(value, word(8));
    // Time goes on where it was.
    let time = async |number: u64| {
        let block = client.get_block(number.into()).await.unwrap().unwrap();
        block.header.timestamp
    };
    assert!(time(other.block_number()).await >= time(2).await + 0x1000);
}

#[tokio::test]
async fn a_chain_can_be_dumped_and_loaded_by_request() {
    let (node, keeper) = eventful().await;
    let dump = ask(&client(&node, 0), "anvil_dumpState", json!([])).await;
    let other = start().await;
    let loaded = ask(&client(&other, 0), "anvil_loadState", json!([dump])).await;
    assert_eq!(loaded, true);
    assert_eq!(seen(&other, keeper).await, seen(&node, keeper).await);
}

#[tokio::test]
async fn what_is_damaged_or_of_another_chain_is_not_loaded() {
    let (node, keeper) = eventful().await;
    let dump: Value = serde_json::from_str(&node.dump()).unwrap();
    let other = start().await;
    other.mine(3);
    let before = seen(&other, keeper).await;
    let load = |change: &dyn Fn(&mut Value)| {
        let mut changed = dump.clone();
        change(&mut changed);
        other.load(&changed.to_string()).unwrap_err()
    };
    let text = node.dump();
    assert!(matches!(
        other.load(&text[..text.len() / 2]),
        Err(LoadError::Format(_))
    ));
    assert!(matches!(
        load(&|dump| dump["format"] = json!(2)),
        LoadError::Version { found: 2 }
    ));
    assert!(matches!(
        load(&|dump| dump["chainId"] = json!(5)),
        LoadError::ChainId {
            found: 5,
            expected: 31337
        }
    ));
    assert!(matches!(
        load(&|dump| dump["blocks"] = json!([])),
        LoadError::NoBlocks
    ));
    assert!(matches!(
        load(&|dump| dump["blocks"][3]["header"]["gasUsed"] = json!("0x1")),
        LoadError::Block { number: 4 }
    ));
    assert!(matches!(
        load(&|dump| dump["blocks"][3]["transactions"] = json!([])),
        LoadError::Block { number: 3 }
    ));
    assert!(matches!(
        load(&|dump| dump["blocks"][2]["transactions"][0]["receipt"]["logs"] = json!([])),
        LoadError::Block { number: 2 }
    ));
    assert!(matches!(
        load(&|dump| dump["waiting"] = json!(["0x1234"])),
        LoadError::Transaction(_)
    ));
    assert!(matches!(
        load(&|dump| dump["state"]["code"][B256::ZERO.to_string()] = json!("0xef0100")),
        LoadError::Code(_)
    ));
    assert!(matches!(
        load(&|dump| dump["surprise"] = json!(1)),
        LoadError::Format(_)
    ));
    assert_eq!(seen(&other, keeper).await, before);
}

#[tokio::test]
async fn a_chain_begins_when_it_is_told_to() {
    let config = Config {
        genesis_timestamp_s: Some(1_000_000),
        ..Config::default()
    };
    let node = DevChain::start(config).await.unwrap();
    node.mine(1);
    let client = client(&node, 0);
    let time = async |number: u64| {
        let block = client.get_block(number.into()).await.unwrap().unwrap();
        block.header.timestamp
    };
    assert_eq!(time(0).await, 1_000_000);
    assert!((1_000_001..1_000_060).contains(&time(1).await));
}
