//! Every question here is put to the development chain and to anvil. Where the answers differ, `docs/devchain.md` says so.

use microraiden_tests::{NodeKind, TestNode};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What differs in every run, or only because state roots do.
const MASKED: &[&str] = &[
    "hash",
    "parentHash",
    "blockHash",
    "stateRoot",
    "timestamp",
    "blockTimestamp",
    "currentBlockHash",
    "currentBlockTimestamp",
    "mixHash",
    "size",
];

const FROM: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
const SECOND: &str = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
const THIRD: &str = "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc";
const NOBODY: &str = "0x00000000000000000000000000000000000a11ce";
/// Returns the base fee that it sees.
const BASE_FEE_CODE: &str = "0x4860005260206000f3";
const ZERO_HASH: &str = "0x0000000000000000000000000000000000000000000000000000000000000000";

/// A node under examination, and what it answered so far.
struct Examined {
    node: TestNode,
    answers: Vec<(String, Value)>,
}

impl Examined {
    /// Asks, and keeps the answer under a name.
    async fn ask(&mut self, name: &str, method: &str, params: Value) {
        let answer = match self.node.ask(method, params).await {
            Ok(result) => json!({ "result": masked(result) }),
            Err(error) => json!({ "error": shape(&error) }),
        };
        self.answers.push((name.to_owned(), answer));
    }

    /// As [`Self::ask`] for a method whose name says enough.
    async fn method(&mut self, method: &str, params: Value) {
        self.ask(&format!("`{method}`"), method, params).await;
    }

    async fn control(&self, method: &str, params: Value) -> Value {
        self.node.control(method, params).await
    }
}

/// An error without what no client relies on: all that matters is whether the method exists and what a revert says.
fn shape(error: &Value) -> Value {
    match error["code"].as_i64() {
        Some(-32601) => json!("no such method"),
        Some(3) => json!({ "message": error["message"], "data": error["data"] }),
        _ => json!("refused"),
    }
}

fn masked(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| match MASKED.contains(&name.as_str()) {
                true => (name, json!("masked")),
                false => (name, masked(value)),
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.into_iter().map(masked).collect(),
        other => other,
    }
}

/// Adds a line for each place where two answers differ.
fn show(text: &mut String, place: &str, ours: &Value, theirs: &Value) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
            for name in names {
                let part = |fields: &Map<_, _>| fields.get(name).cloned().unwrap_or(json!("absent"));
                show(text, &format!("{place}/{name}"), &part(ours), &part(theirs));
            }
        }
        _ if ours == theirs => {}
        _ => *text += &format!("  {place}: devchain {ours}, anvil {theirs}\n"),
    }
}

/// The examination: the same on both nodes, one step after the other.
async fn examine(kind: NodeKind) -> Vec<(String, Value)> {
    let node = TestNode::start_quiet(kind).await;
    let mut node = Examined {
        node,
        answers: Vec::new(),
    };
    ask_a_new_chain(&mut node).await;
    ask_about_transactions(&mut node).await;
    ask_for_calls(&mut node).await;
    ask_for_control(&mut node).await;
    ask_for_the_rest(&mut node).await;
    node.answers
}

async fn ask_a_new_chain(node: &mut Examined) {
    for method in [
        "web3_clientVersion",
        "net_version",
        "net_listening",
        "net_peerCount",
        "eth_chainId",
        "eth_syncing",
        "eth_accounts",
        "eth_requestAccounts",
        "eth_coinbase",
        "eth_mining",
        "eth_hashrate",
        "eth_protocolVersion",
        "eth_blockNumber",
        "eth_gasPrice",
        "eth_maxPriorityFeePerGas",
        "eth_blobBaseFee",
        "anvil_nodeInfo",
        "anvil_metadata",
        "anvil_getAutomine",
        "anvil_getIntervalMining",
        "txpool_status",
        "txpool_content",
    ] {
        node.method(method, json!([])).await;
    }
    node.method("web3_sha3", json!(["0x616263"])).await;
    node.ask("the genesis block", "eth_getBlockByNumber", json!(["0x0", true]))
        .await;
    node.ask(
        "the pending block",
        "eth_getBlockByNumber",
        json!(["pending", true]),
    )
    .await;
    for tag in ["earliest", "safe", "finalized"] {
        let name = format!("the {tag} block");
        node.ask(&name, "eth_getBlockByNumber", json!([tag, false])).await;
    }
    node.ask("a future block", "eth_getBlockByNumber", json!(["0x63", false]))
        .await;
    node.ask(
        "a block that never was",
        "eth_getBlockByHash",
        json!([ZERO_HASH, false]),
    )
    .await;
    node.ask(
        "a balance in a future block",
        "eth_getBalance",
        json!([FROM, "0x63"]),
    )
    .await;
    node.ask(
        "a balance at an unknown hash",
        "eth_getBalance",
        json!([FROM, { "blockHash": ZERO_HASH }]),
    )
    .await;
    node.ask(
        "a receipt that is not there",
        "eth_getTransactionReceipt",
        json!([ZERO_HASH]),
    )
    .await;
    node.ask(
        "a transaction that is not there",
        "eth_getTransactionByHash",
        json!([ZERO_HASH]),
    )
    .await;
}

async fn ask_about_transactions(node: &mut Examined) {
    let transfer =
        json!({ "from": FROM, "to": NOBODY, "value": "0x7", "gas": "0x5208", "gasPrice": "0x4a817c800" });
    let receipt = node.control("eth_sendTransactionSync", json!([transfer])).await;
    let hash = &receipt["transactionHash"];
    let is_mined = async || {
        let found = node.control("eth_getTransactionByHash", json!([hash])).await;
        !found["blockNumber"].is_null()
    };
    node.node.catch_up(is_mined).await;
    node.ask("a mined transaction", "eth_getTransactionByHash", json!([hash]))
        .await;
    node.ask("a receipt", "eth_getTransactionReceipt", json!([hash]))
        .await;
    node.method("eth_getBlockReceipts", json!(["0x1"])).await;
    node.method("eth_getRawTransactionByHash", json!([hash])).await;
    node.ask(
        "a block with a transaction",
        "eth_getBlockByNumber",
        json!(["0x1", true]),
    )
    .await;
    node.method("eth_getHeaderByNumber", json!(["0x1"])).await;
    node.method("eth_getBlockTransactionCountByNumber", json!(["0x1"]))
        .await;
    node.method("eth_getTransactionByBlockNumberAndIndex", json!(["0x1", "0x0"]))
        .await;
    node.ask(
        "an index beyond the block",
        "eth_getTransactionByBlockNumberAndIndex",
        json!(["0x1", "0x9"]),
    )
    .await;
    node.method("eth_getUncleCountByBlockNumber", json!(["0x1"]))
        .await;
    node.method("eth_getUncleByBlockNumberAndIndex", json!(["0x1", "0x0"]))
        .await;
    node.method("eth_getTransactionBySenderAndNonce", json!([FROM, "0x0"]))
        .await;
    node.method("eth_getAccountInfo", json!([NOBODY, "latest"])).await;
    node.method("eth_feeHistory", json!(["0x2", "latest", [50]]))
        .await;
    node.method("eth_getLogs", json!([{ "fromBlock": "0x0" }])).await;
    node.ask(
        "logs of a future range",
        "eth_getLogs",
        json!([{ "fromBlock": "0x63", "toBlock": "0x64" }]),
    )
    .await;
    node.ask(
        "logs of a backward range",
        "eth_getLogs",
        json!([{ "fromBlock": "0x1", "toBlock": "0x0" }]),
    )
    .await;
    node.ask(
        "logs of an unknown block",
        "eth_getLogs",
        json!([{ "blockHash": ZERO_HASH }]),
    )
    .await;
    let signed = node
        .control(
            "eth_signTransaction",
            json!([{
                "from": SECOND, "to": NOBODY, "value": "0x1", "gas": "0x5208", "gasPrice": "0x4a817c800",
                "nonce": "0x0", "chainId": "0x7a69",
            }]),
        )
        .await;
    node.method("eth_sendRawTransactionSync", json!([signed])).await;
    node.ask(
        "a transaction from an unknown account",
        "eth_sendTransaction",
        json!([{ "from": NOBODY, "to": FROM }]),
    )
    .await;
    let failing = json!({ "from": THIRD, "data": "0x60006000fd" });
    node.ask(
        "the sending of what will revert, without a gas limit",
        "eth_sendTransaction",
        json!([failing]),
    )
    .await;
    node.method("eth_fillTransaction", json!([transfer])).await;
}

async fn ask_for_calls(node: &mut Examined) {
    node.ask(
        "the base fee in a call",
        "eth_call",
        json!([{ "data": BASE_FEE_CODE }, "latest"]),
    )
    .await;
    node.ask(
        "a call that reverts",
        "eth_call",
        json!([{ "data": "0x60006000fd" }, "latest"]),
    )
    .await;
    node.ask(
        "a call of more value than there is",
        "eth_call",
        json!([{ "from": NOBODY, "to": FROM, "value": "0xffffff" }]),
    )
    .await;
    node.ask(
        "a call in a future block",
        "eth_call",
        json!([{ "to": FROM }, "0x63"]),
    )
    .await;
    let state = json!({ NOBODY: { "state": {}, "stateDiff": {} } });
    node.ask(
        "a state and a state difference at once",
        "eth_call",
        json!([{ "to": NOBODY }, "latest", state]),
    )
    .await;
    let block = json!({ "number": "0x4d2", "time": "0x5" });
    node.ask(
        "a call in another block",
        "eth_call",
        json!([{ "data": "0x434201600052 60206000f3".replace(' ', "") }, "latest", {}, block]),
    )
    .await;
    node.method(
        "eth_estimateGas",
        json!([{ "from": FROM, "to": NOBODY, "value": "0x1" }]),
    )
    .await;
    node.ask(
        "an estimate for a sender without funds",
        "eth_estimateGas",
        json!([{ "from": "0x00000000000000000000000000000000000b0b00", "to": FROM, "value": "0x1" }]),
    )
    .await;
    node.method(
        "eth_createAccessList",
        json!([{ "from": FROM, "to": NOBODY }, "latest"]),
    )
    .await;
    node.method("eth_sign", json!([FROM, "0x616263"])).await;
    node.method("personal_sign", json!(["0x616263", FROM])).await;
    let typed = json!({
        "types": { "EIP712Domain": [{ "name": "name", "type": "string" }], "Mail": [{ "name": "text", "type": "string" }] },
        "primaryType": "Mail", "domain": { "name": "Post" }, "message": { "text": "hello" },
    });
    node.method("eth_signTypedData_v3", json!([FROM, typed])).await;
    node.method("eth_signTypedData_v4", json!([FROM, typed])).await;
    let values = json!([{ "type": "string", "name": "text", "value": "hello" }]);
    node.method("eth_signTypedData", json!([values, FROM])).await;
}

async fn ask_for_control(node: &mut Examined) {
    let balance = json!([NOBODY, "0x10"]);
    for method in ["anvil_setBalance", "hardhat_setBalance"] {
        node.method(method, balance.clone()).await;
    }
    node.method("anvil_setNonce", json!([NOBODY, "0x5"])).await;
    node.method("evm_setAccountNonce", json!([NOBODY, "0x6"])).await;
    node.method("anvil_setCode", json!([NOBODY, "0x6001"])).await;
    node.method("anvil_setStorageAt", json!([NOBODY, "0x0", ZERO_HASH]))
        .await;
    node.method("anvil_setCoinbase", json!([FROM])).await;
    node.method("anvil_setNextBlockBaseFeePerGas", json!(["0x3b9aca00"]))
        .await;
    node.method("evm_setBlockGasLimit", json!(["0x1c9c380"])).await;
    node.method("evm_mine", json!([])).await;
    node.method("anvil_mine", json!(["0x2"])).await;
    node.method("evm_increaseTime", json!(["0x0"])).await;
    node.method("evm_setNextBlockTimestamp", json!(["0xffffffff"]))
        .await;
    node.ask(
        "a timestamp of the past",
        "evm_setNextBlockTimestamp",
        json!(["0x1"]),
    )
    .await;
    node.method("anvil_setBlockTimestampInterval", json!([1])).await;
    node.method("anvil_removeBlockTimestampInterval", json!([])).await;
    node.method("evm_setAutomine", json!([false])).await;
    let waiting =
        json!({ "from": FROM, "to": SECOND, "value": "0x7", "gas": "0x5208", "gasPrice": "0x4a817c800" });
    let hash = node.control("eth_sendTransaction", json!([waiting])).await;
    node.ask("a waiting transaction", "eth_getTransactionByHash", json!([hash]))
        .await;
    node.method("txpool_inspect", json!([])).await;
    let replacement =
        json!({ "from": FROM, "to": SECOND, "nonce": "0x1", "gas": "0x5208", "gasPrice": "0x4e3b29200" });
    node.ask(
        "a replacement that pays a twentieth more",
        "eth_sendTransaction",
        json!([replacement]),
    )
    .await;
    let late =
        json!({ "from": FROM, "to": SECOND, "nonce": "0x9", "gas": "0x5208", "gasPrice": "0x4a817c800" });
    let late = node.control("eth_sendTransaction", json!([late])).await;
    node.ask(
        "the dropping of what has a nonce too high",
        "anvil_dropTransaction",
        json!([late]),
    )
    .await;
    node.control("anvil_removePoolTransactions", json!([FROM])).await;
    let hash = node.control("eth_sendTransaction", json!([waiting])).await;
    node.method("anvil_dropTransaction", json!([hash])).await;
    node.ask(
        "the dropping of what is not there",
        "anvil_dropTransaction",
        json!([ZERO_HASH]),
    )
    .await;
    node.method("anvil_dropAllTransactions", json!([])).await;
    node.method("anvil_removePoolTransactions", json!([FROM])).await;
    node.method("evm_setIntervalMining", json!([0])).await;
    node.ask("automine after intervals", "anvil_getAutomine", json!([]))
        .await;
    node.control("evm_setAutomine", json!([true])).await;
    let snapshot = node.control("evm_snapshot", json!([])).await;
    node.method("evm_revert", json!([snapshot])).await;
    node.ask("the return to an unknown snapshot", "evm_revert", json!(["0x63"]))
        .await;
    node.method("anvil_impersonateAccount", json!([NOBODY])).await;
    node.method("anvil_stopImpersonatingAccount", json!([NOBODY]))
        .await;
    node.method("anvil_autoImpersonateAccount", json!([false])).await;
    node.method("anvil_reorg", json!([1, []])).await;
    node.ask("a reorganisation below genesis", "anvil_reorg", json!([1000, []]))
        .await;
    node.method("anvil_rollback", json!([1])).await;
    node.ask(
        "changes of an unknown filter",
        "eth_getFilterChanges",
        json!(["0x63636363"]),
    )
    .await;
    node.ask(
        "logs of an unknown filter",
        "eth_getFilterLogs",
        json!(["0x63636363"]),
    )
    .await;
    node.ask(
        "the removal of an unknown filter",
        "eth_uninstallFilter",
        json!(["0x63636363"]),
    )
    .await;
}

/// What only one of them has.
async fn ask_for_the_rest(node: &mut Examined) {
    node.method("eth_getProof", json!([FROM, [], "latest"])).await;
    node.method(
        "eth_simulateV1",
        json!([{ "blockStateCalls": [{ "calls": [] }] }, "latest"]),
    )
    .await;
    node.method("debug_traceTransaction", json!([ZERO_HASH])).await;
    node.method("debug_traceCall", json!([{ "to": FROM }, "latest", {}]))
        .await;
    node.method("trace_block", json!(["latest"])).await;
    node.method("ots_getApiLevel", json!([])).await;
    node.method("erigon_getHeaderByNumber", json!(["0x1"])).await;
    node.method("anvil_setMinGasPrice", json!(["0x1"])).await;
    node.method("anvil_setLoggingEnabled", json!([true])).await;
    node.method("anvil_setRpcUrl", json!(["http://127.0.0.1:1"]))
        .await;
    node.method("anvil_dealERC20", json!([FROM, NOBODY, "0x1"])).await;
    node.method("evm_mine_detailed", json!([])).await;
    node.method("devchain_reorganise", json!([0, true])).await;
    node.method("devchain_setMaxLogRange", json!([100])).await;
    node.method("devchain_setFaults", json!([[]])).await;
    node.method("anvil_setChainId", json!([5])).await;
    node.ask("the chain id afterwards", "eth_chainId", json!([]))
        .await;
    node.method("anvil_reset", json!([])).await;
}

/// The first column of the table of differences.
fn documented() -> BTreeSet<String> {
    let document = include_str!("../../../docs/devchain.md");
    let (_, section) = document
        .split_once("<!-- differences: held against both nodes by the tests -->")
        .expect("the table has a mark before it");
    let (table, _) = section
        .split_once("<!-- differences end -->")
        .expect("and one after it");
    table
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .skip(1)
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_differ_where_the_documentation_says_and_nowhere_else() {
    let (ours, theirs) = (examine(NodeKind::Devchain).await, examine(NodeKind::Anvil).await);
    let mut differ = BTreeSet::new();
    let mut shown = String::new();
    for ((name, ours), (also, theirs)) in ours.iter().zip(&theirs) {
        assert_eq!(name, also, "both are asked the same");
        if ours != theirs {
            shown += &format!("{name}\n");
            show(&mut shown, "", ours, theirs);
            differ.insert(name.clone());
        }
    }
    assert!(ours.len() > 110 && differ.len() < ours.len() / 2);
    let documented = documented();
    let missing: Vec<_> = differ.difference(&documented).collect();
    let obsolete: Vec<_> = documented.difference(&differ).collect();
    assert!(
        missing.is_empty() && obsolete.is_empty(),
        "docs/devchain.md lacks {missing:#?}\nand wrongly has {obsolete:#?}\nall differences:\n{shown}"
    );
}
