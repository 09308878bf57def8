//! A chain that is dumped, and loaded into another node.

use alloy_consensus::{SignableTransaction, TxEnvelope, TxLegacy, transaction::SignerRecoverable};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::Filter;
use microraiden_devchain::{ACCOUNTS, Config, DevChain, LoadError};
use serde_json::{Value, json};

use crate::{KEEPER, ask, call, client, deploy, execute, refusal, send, start, start_manual, transfer, word};

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

#[tokio::test]
async fn what_waits_is_mined_in_the_old_order_after_a_load() {
    let node = start_manual().await;
    let first = client(&node, 0);
    let mut hashes = Vec::new();
    for account in [7, 1, 9, 3, 0, 5, 2, 8, 4, 6] {
        let request = json!([{ "from": ACCOUNTS[account].address, "to": Address::ZERO }]);
        hashes.push(ask(&first, "eth_sendTransaction", request).await);
    }
    let other = start_manual().await;
    other.load(&node.dump()).unwrap();
    assert_eq!(other.dump(), node.dump());
    for node in [node, other] {
        node.mine(1);
        let block = ask(&client(&node, 0), "eth_getBlockByNumber", json!(["0x1", false])).await;
        assert_eq!(block["transactions"], json!(hashes));
    }
}

#[tokio::test]
async fn what_is_set_for_the_next_blocks_comes_along_and_what_the_node_does_does_not() {
    let node = start().await;
    let first = client(&node, 0);
    let coinbase = Address::repeat_byte(0xc0);
    ask(&first, "anvil_setCoinbase", json!([coinbase])).await;
    ask(&first, "evm_setBlockGasLimit", json!([12_345_678])).await;
    ask(&first, "anvil_setNextBlockBaseFeePerGas", json!([77])).await;
    ask(&first, "anvil_impersonateAccount", json!([coinbase])).await;
    let other = start_manual().await;
    let second = client(&other, 0);
    let snapshot = other.snapshot();
    other.load(&node.dump()).unwrap();
    assert!(!other.revert(snapshot));
    assert_eq!(ask(&second, "anvil_getAutomine", json!([])).await, false);
    let request = json!([{ "from": coinbase, "to": Address::ZERO }]);
    assert_eq!(refusal(&second, "eth_sendTransaction", request).await.0, -32000);
    other.mine(2);
    let header = async |number: &str| ask(&second, "eth_getHeaderByNumber", json!([number])).await;
    let next = header("0x1").await;
    assert_eq!(next["miner"], json!(coinbase));
    assert_eq!(next["gasLimit"], format!("{:#x}", 12_345_678));
    assert_eq!(next["baseFeePerGas"], format!("{:#x}", 77));
    assert_eq!(
        header("0x2").await["baseFeePerGas"],
        format!("{:#x}", 77 - 77 / 8)
    );
}

#[tokio::test]
async fn a_loaded_chain_can_go_back_in_its_own_history() {
    let (node, keeper) = eventful().await;
    let other = start().await;
    let second = client(&other, 0);
    other.load(&node.dump()).unwrap();
    // Before the last call of the contract, which was in block 4.
    other.reorganise(other.block_number() - 3, false).unwrap();
    assert_eq!(second.call(call(keeper, [])).await.unwrap(), word(6));
    assert_eq!(second.get_balance(keeper).await.unwrap(), U256::ZERO);
    execute(&second, call(keeper, word(9))).await;
    assert_eq!(second.call(call(keeper, [])).await.unwrap(), word(9));
    // And it can be dumped again.
    node.load(&other.dump()).unwrap();
    assert_eq!(seen(&node, keeper).await, seen(&other, keeper).await);
}

/// A transaction that nobody can have signed: its signature is no point of the curve.
fn unsigned() -> Bytes {
    let transaction = |r: u64| {
        let signature = Signature::new(U256::from(r), U256::from(2), false);
        TxLegacy::default().into_signed(signature)
    };
    let nobodys = (1..)
        .map(transaction)
        .find(|transaction| transaction.recover_signer().is_err());
    TxEnvelope::from(nobodys.unwrap()).encoded_2718().into()
}

#[tokio::test]
async fn damage_is_found_wherever_it_is() {
    let (node, keeper) = eventful().await;
    let dump: Value = serde_json::from_str(&node.dump()).unwrap();
    let newest = usize::try_from(node.block_number()).unwrap();
    let other = start_manual().await;
    let second = client(&other, 0);
    ask(&second, "eth_sendTransaction", json!([{ "to": keeper }])).await;
    let news = ask(&second, "eth_newBlockFilter", json!([])).await;
    let snapshot = other.snapshot();
    let before = (seen(&other, keeper).await, other.dump());
    let load = |change: &dyn Fn(&mut Value)| {
        let mut changed = dump.clone();
        change(&mut changed);
        assert_ne!(changed, dump);
        other.load(&changed.to_string()).unwrap_err()
    };
    // A header is known by its hash, which the next one has, or the dump for the newest.
    for number in 0..=newest {
        for (field, value) in [
            ("timestamp", json!("0x5")),
            ("stateRoot", json!(B256::ZERO)),
            ("miner", json!(keeper)),
        ] {
            let error = load(&|dump| dump["blocks"][number]["header"][field] = value.clone());
            let found = u64::try_from(newest.min(number + 1)).unwrap();
            assert!(
                matches!(error, LoadError::Block { number } if number == found),
                "{field} of {number}: {error}"
            );
        }
        for (field, value) in [
            ("transactionsRoot", json!(B256::ZERO)),
            ("receiptsRoot", json!(B256::ZERO)),
            ("logsBloom", json!(Bytes::from([1; 256]))),
        ] {
            let error = load(&|dump| dump["blocks"][number]["header"][field] = value.clone());
            assert!(
                matches!(error, LoadError::Block { number: found } if found == number as u64),
                "{field} of {number}: {error}"
            );
        }
    }
    for change in [
        // A block that is missing, twice there, or another's.
        &(|dump: &mut Value| drop(dump["blocks"].as_array_mut().unwrap().remove(2))) as &dyn Fn(&mut Value),
        &|dump| dump["blocks"][3] = dump["blocks"][2].clone(),
        &|dump| dump["blocks"].as_array_mut().unwrap().swap(2, 3),
        &|dump| drop(dump["blocks"].as_array_mut().unwrap().pop()),
        &|dump| drop(dump["blocks"].as_array_mut().unwrap().remove(0)),
        &|dump| dump["head"] = json!(B256::ZERO),
        // A transaction of another block, or one more.
        &|dump| dump["blocks"][2]["transactions"][0] = dump["blocks"][3]["transactions"][0].clone(),
        &|dump| {
            let more = dump["blocks"][2]["transactions"][0].clone();
            dump["blocks"][2]["transactions"]
                .as_array_mut()
                .unwrap()
                .push(more);
        },
        &|dump| dump["blocks"][2]["transactions"][0]["receipt"]["status"] = json!("0x0"),
    ] {
        let error = load(change);
        assert!(matches!(error, LoadError::Block { .. }), "{error}");
    }
    // The value of a transfer: its signature is another's then.
    let changed = load(&|dump| {
        let raw = &mut dump["blocks"][2]["transactions"][0]["transaction"];
        let text = raw
            .as_str()
            .unwrap()
            .replace("05c080a0", "06c080a0")
            .replace("05c001a0", "06c001a0");
        *raw = text.into();
    });
    assert!(
        matches!(changed, LoadError::Block { number: 2 } | LoadError::Signature(_)),
        "{changed}"
    );
    assert!(matches!(
        load(&|dump| dump["waiting"] = json!([unsigned()])),
        LoadError::Signature(_)
    ));
    assert!(matches!(
        load(&|dump| dump["waiting"] = json!([dump["waiting"][0], dump["waiting"][0]])),
        LoadError::Pool
    ));
    for field in ["blocks", "state", "waiting", "coinbase", "format"] {
        let error = load(&|dump| drop(dump.as_object_mut().unwrap().remove(field)));
        assert!(matches!(error, LoadError::Format(_)), "{field}: {error}");
    }
    for text in ["", "{}", "[]", "null", "0x"] {
        assert!(matches!(other.load(text), Err(LoadError::Format(_))), "{text}");
    }
    // Nothing of all this has left a trace.
    assert_eq!((seen(&other, keeper).await, other.dump()), before);
    assert_eq!(
        ask(&second, "eth_getFilterChanges", json!([news])).await,
        json!([])
    );
    assert!(other.revert(snapshot));
}

#[tokio::test]
async fn what_is_no_dump_is_refused_by_request() {
    let node = start().await;
    let client = client(&node, 0);
    let dump = ask(&client, "hardhat_dumpState", json!([])).await;
    node.mine(1);
    for (wrong, code) in [
        (json!("no hexadecimal"), -32602),
        (json!("0xff"), -32602),
        (json!("0x"), -32000),
        (json!("0x7b7d"), -32000),
        (json!({}), -32602),
    ] {
        let (found, message) = refusal(&client, "anvil_loadState", json!([wrong])).await;
        assert_eq!(found, code, "{wrong}: {message}");
    }
    ask(&client, "anvil_setChainId", json!([5])).await;
    assert_eq!(
        refusal(&client, "anvil_loadState", json!([dump])).await,
        (
            -32000,
            "the state is of chain 31337, but this node has the chain id 5".to_owned()
        )
    );
    assert_eq!(node.block_number(), 1);
    ask(&client, "anvil_setChainId", json!([31337])).await;
    assert_eq!(ask(&client, "hardhat_loadState", json!([dump])).await, true);
    assert_eq!(node.block_number(), 0);
}
