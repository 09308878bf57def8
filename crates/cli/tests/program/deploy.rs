//! Deploying, on real chains: what it writes, what others read of it, what it refuses, and what it costs to know.

use crate::place::{Place, failed, said, succeeded, text};
use crate::process::Program;
use crate::relay::relay;
use microraiden_chain::Node;
use microraiden_devchain::{Config, Mining};
use microraiden_protocol::Address;
use microraiden_tests::Upstream;
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

/// The keystore of the Web3 Secret Storage specification, whose password is `testpassword`.
const KEYSTORE: &str = r#"{
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144, "dklen": 32, "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3
}"#;
const KEYSTORE_OWNER: &str = "0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b";

/// Blocks come by themselves, so that transactions are confirmed.
fn with_idle_blocks() -> Config {
    let mining = Mining {
        instant: true,
        interval: Some(Duration::from_millis(100)),
    };
    Config {
        mining,
        ..Config::default()
    }
}

#[tokio::test]
async fn what_was_deployed_is_printed_written_and_found_by_check() {
    let place = Place::new(Config::default()).await;
    let printed = succeeded(
        &place
            .deploy(&[
                "--challenge-period",
                "777",
                "--token-decimals",
                "6",
                "--supply",
                "5",
            ])
            .await,
    );
    assert_eq!(printed, place.deployment());
    let owner = place.chain.accounts()[0].address.to_string();
    assert_eq!(printed["chain_id"], 31337);
    assert_eq!(printed["challenge_period"], 777);
    assert_eq!(printed["owner"], owner);
    assert_eq!(printed.pointer("/token/block"), Some(&json!(1)));
    assert_eq!(printed.pointer("/contract/block"), Some(&json!(2)));
    let contract = text(&printed, "/contract/address");

    let found = succeeded(&place.check(contract).await);
    for (pointer, value) in [
        ("/is_channel_contract", json!(true)),
        ("/code", json!("ours")),
        ("/artifact", json!("RaidenMicroTransferChannels")),
        ("/chain_id", json!(31337)),
        ("/code_hash", printed["contract"]["code_hash"].clone()),
        ("/version", json!("0.2.0")),
        ("/owner", json!(owner)),
        ("/token/address", printed["token"]["address"].clone()),
        ("/token/name", json!("CustomToken")),
        ("/token/symbol", json!("TKN")),
        ("/token/decimals", json!(6)),
        ("/trusted_contracts", json!([])),
        ("/challenge_period/blocks", json!(777)),
        // The development chain counts a second for each block.
        ("/challenge_period/minutes", json!(13.0)),
    ] {
        assert_eq!(found.pointer(pointer), Some(&value), "{pointer}");
    }

    let node = Node::connect(&place.url.parse().unwrap()).await.unwrap();
    let token: Address = text(&printed, "/token/address").parse().unwrap();
    let supply = microraiden_chain::token::balance(&node, token, owner.parse().unwrap()).await;
    assert_eq!(supply.unwrap().to_string(), "5000000");
}

#[tokio::test]
async fn an_existing_token_is_used_and_waited_for() {
    let place = Place::new(with_idle_blocks()).await;
    let first = succeeded(
        &place
            .deploy(&["--token-name", "Once", "--token-symbol", "ONE"])
            .await,
    );
    let token = text(&first, "/token/address");
    let output = place
        .deploy(&["--token-address", token, "--confirmations", "5", "--force"])
        .await;
    let head = place.chain.block_number();
    let second = succeeded(&output);
    assert!(second["contract"]["block"].as_u64().unwrap() + 5 <= head);
    assert_eq!(second["token"]["address"], first["token"]["address"]);
    assert_eq!(second["token"]["code_hash"], first["token"]["code_hash"]);
    assert!(second["token"].get("block").is_none(), "it was there before");
    assert_ne!(second["contract"]["address"], first["contract"]["address"]);
    assert_eq!(place.deployment(), second);
    let found = succeeded(&place.check(text(&second, "/contract/address")).await);
    assert_eq!(found["token"]["symbol"], "ONE");
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_and_get_read_the_deployment_file() {
    let place = Place::new(with_idle_blocks()).await;
    let deployment = succeeded(&place.deploy(&[]).await);
    let (upstream, file) = (Upstream::start().await, place.path("deployment.json"));
    let file = file.to_str().unwrap();
    let mut proxy = Program::start(&[
        "proxy",
        "--private-key",
        place.path("receiver.key").to_str().unwrap(),
        "--rpc-provider",
        &place.url,
        "--deployment-file",
        file,
        "--upstream",
        upstream.url().as_str(),
        "--price",
        "0.002 TKN",
        "--state-file",
        place.path("receiver.db").to_str().unwrap(),
        "--port",
        "0",
    ]);
    let address = proxy.wait_for("address", |line| {
        line.starts_with("http://").then(|| line.to_owned())
    });
    let get = [
        "get",
        &format!("{address}/echo/paid"),
        "--private-key",
        "owner.key",
        "--rpc-provider",
        &place.url,
        "--max-price",
        "0.01 TKN",
    ];
    let paid = place
        .run(&[&get[..], &["--deployment-file", file]].concat())
        .await;
    assert!(paid.status.success(), "{}", said(&paid));
    assert_eq!(String::from_utf8_lossy(&paid.stdout), "paid");
    let stats = reqwest::get(format!("{address}/api/1/stats")).await.unwrap();
    let stats: Value = serde_json::from_str(&stats.text().await.unwrap()).unwrap();
    assert_eq!(
        stats["sync_block"],
        deployment["contract"]["block"].as_u64().unwrap().to_string()
    );
    assert_eq!(stats["contract_address"], deployment["contract"]["address"]);

    failed(&place.run(&get).await, 2, "--deployment-file <FILE>");
    let both = [
        "--deployment-file",
        file,
        "--channel-manager-address",
        KEYSTORE_OWNER,
    ];
    failed(
        &place.run(&[&get[..], &both].concat()).await,
        2,
        "cannot be used with",
    );
    let mut foreign = place.deployment();
    foreign["chain_id"] = json!(1);
    fs::write(file, foreign.to_string()).unwrap();
    let output = place
        .run(&[&get[..], &["--deployment-file", file]].concat())
        .await;
    failed(&output, 1, "is of chain 1, but the node is on chain 31337");
    fs::write(file, "{}").unwrap();
    let output = place
        .run(&[&get[..], &["--deployment-file", file]].concat())
        .await;
    failed(&output, 1, "is no deployment file");
    let output = place
        .run(&[&get[..], &["--deployment-file", "none.json"]].concat())
        .await;
    failed(&output, 1, "cannot open none.json");
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_tells_the_cost() {
    let place = Place::new(Config::default()).await;
    let estimate = succeeded(&place.deploy(&["--dry-run"]).await);
    assert_eq!(place.chain.block_number(), 0);
    assert!(!place.path("deployment.json").exists());
    let gas = |name: &str| estimate["gas"][name].as_u64().unwrap();
    assert_eq!(gas("token") + gas("contract"), gas("all"));
    assert_eq!(estimate["missing_ether"], "0");
    assert_eq!(estimate["balance_ether"], "10000");
    let cost: f64 = text(&estimate, "/cost_ether").parse().unwrap();

    // What it then costs is what was told, and never much less.
    let deployed = place.deploy(&[]).await;
    succeeded(&deployed);
    let used: Vec<u64> = said(&deployed)
        .lines()
        .filter_map(|line| line.split_once(" gas, ")?.0.rsplit_once('(')?.1.parse().ok())
        .collect();
    assert_eq!(used.len(), 2, "{}", said(&deployed));
    for (used, estimated) in used.iter().zip([gas("token"), gas("contract")]) {
        assert!(
            *used <= estimated && estimated <= used + used / 50,
            "{estimated} for {used}"
        );
    }
    assert!((0.001..0.1).contains(&cost), "{cost}");

    let existing = place.deployment();
    let token = text(&existing, "/token/address");
    let (block, options) = (
        place.chain.block_number(),
        ["--dry-run", "--token-address", token],
    );
    let estimate = succeeded(&place.deploy(&options).await);
    assert_eq!(estimate["gas"]["token"], Value::Null);
    assert_eq!(place.chain.block_number(), block);
    assert_eq!(place.deployment(), existing);
}

#[tokio::test]
async fn a_deployment_file_is_replaced_only_by_force() {
    let place = Place::new(Config::default()).await;
    fs::write(place.path("deployment.json"), "precious").unwrap();
    failed(&place.deploy(&[]).await, 1, "deployment.json exists; add --force");
    assert_eq!(
        fs::read_to_string(place.path("deployment.json")).unwrap(),
        "precious"
    );
    let nowhere = ["--deployment-file", "nowhere/deployment.json"];
    failed(
        &place.deploy(&nowhere).await,
        1,
        "cannot open nowhere/deployment.json",
    );
    assert_eq!(place.chain.block_number(), 0, "nothing was paid for");
    let other = succeeded(&place.deploy(&["--deployment-file", "other.json"]).await);
    let written = fs::read_to_string(place.path("other.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), other);
    let forced = succeeded(&place.deploy(&["--force"]).await);
    assert_eq!(place.deployment(), forced);
    let left = fs::read_dir(&place.folder).unwrap().count();
    assert_eq!(left, 4, "two keys, two deployments, and no temporary file");
}

#[tokio::test]
async fn a_keystore_owner_needs_its_password_and_ether() {
    let place = Place::new(Config::default()).await;
    place.secret("keystore.json", KEYSTORE);
    place.secret("wrong.txt", "guess\n");
    place.secret("right.txt", "testpassword\n");
    let deploy = async |password| {
        let arguments = [
            "deploy",
            "--rpc-provider",
            &place.url,
            "--private-key",
            "keystore.json",
        ];
        place
            .run(&[&arguments[..], &["--private-key-password-file", password]].concat())
            .await
    };
    failed(
        &deploy("wrong.txt").await,
        1,
        "the password does not open keystore.json",
    );
    let poor = deploy("right.txt").await;
    failed(&poor, 1, &format!("{KEYSTORE_OWNER} holds 0 ether"));
    let missing = said(&poor);
    let missing = missing
        .split_once(" ether: ")
        .unwrap()
        .1
        .split_once(" ether is missing")
        .unwrap()
        .0;
    assert!(
        (0.001..1.0).contains(&missing.parse::<f64>().unwrap()),
        "{missing}"
    );

    // So much, and it works.
    let wallet = place.wallet().await;
    let wei = format!("{:.0}", missing.parse::<f64>().unwrap() * 1.01e18)
        .parse()
        .unwrap();
    let owner: Address = KEYSTORE_OWNER.parse().unwrap();
    wallet
        .send(Some(owner), Default::default(), wei, None)
        .await
        .unwrap();
    assert_eq!(succeeded(&deploy("right.txt").await)["owner"], KEYSTORE_OWNER);
}

#[tokio::test]
async fn what_cannot_become_a_channel_contract_is_refused_before_it_costs() {
    let place = Place::new(Config::default()).await;
    // Returns 32 zeros, whatever it is asked; and one that returns nothing.
    let zero_supply = place.create("0x6460206000f36000526005601bf3").await;
    let no_token = place.create("0x6001601ff3").await;
    let before = place.chain.block_number();
    for (options, status, words) in [
        (
            &["--challenge-period", "499"][..],
            2,
            "499 is not in 500..=4294967295",
        ),
        (
            &["--token-address", KEYSTORE_OWNER],
            1,
            "there is no contract at 0x008AeE",
        ),
        (&["--token-address", &zero_supply], 1, "has no supply"),
        (
            &["--token-address", &no_token],
            1,
            "is no token: it does not tell its total supply",
        ),
        (
            &["--token-address", &no_token, "--supply", "1"],
            2,
            "cannot be used with",
        ),
        (&["--supply", "0"], 1, "a token without a supply"),
        (
            &["--token-decimals", "77"],
            1,
            "with 77 decimals is more than any token can count",
        ),
        (&["--token-decimals", "78", "--supply", "0"], 1, "more than any"),
        (&["--private-key-password-file"], 2, "a value is required"),
    ] {
        failed(&place.deploy(options).await, status, words);
        let dry_run = place.deploy(&[&["--dry-run"], options].concat()).await;
        failed(&dry_run, status, words);
    }
    failed(&place.run(&["deploy"]).await, 2, "--private-key <FILE>");
    assert_eq!(place.chain.block_number(), before);
    assert!(!place.path("deployment.json").exists());
}

#[tokio::test]
async fn real_money_needs_consent_but_a_dry_run_does_not() {
    let config = Config {
        chain_id: 1,
        ..Config::default()
    };
    let place = Place::new(config).await;
    failed(&place.deploy(&[]).await, 1, "add --unaudited-real-money");
    assert_eq!(succeeded(&place.deploy(&["--dry-run"]).await)["chain_id"], 1);
    assert_eq!(place.chain.block_number(), 0);
    let deployed = succeeded(&place.deploy(&["--unaudited-real-money"]).await);
    assert_eq!(deployed["chain_id"], 1);
}

#[tokio::test]
async fn a_chain_that_numbers_blocks_in_two_ways_is_refused() {
    let mut place = Place::new(Config::default()).await;
    place.url = relay(place.url.clone(), |request, answer| {
        if request.pointer("/params/0/data") == Some(&json!("0x4360005260206000f3")) {
            answer["result"] = json!(format!("0x{:064x}", 255));
        }
    })
    .await;
    failed(
        &place.deploy(&[]).await,
        1,
        "see block number 255 in block 0, so that channels would be named wrongly",
    );
    assert_eq!(place.chain.block_number(), 0);
}

#[tokio::test]
async fn code_and_values_that_are_not_what_was_sent_are_found_out() {
    let mut place = Place::new(Config::default()).await;
    let chain = place.url.clone();
    place.url = relay(chain.clone(), |request, answer| {
        let code = answer["result"].as_str().unwrap_or_default();
        if request["method"] == "eth_getCode" && code.len() > 28_000 {
            answer["result"] = json!(code.replacen("6080", "6081", 1));
        }
    })
    .await;
    failed(
        &place.deploy(&[]).await,
        1,
        "is not that of the channel contract: do not use it",
    );
    place.url = relay(chain, |request, answer| {
        // challenge_period()
        if request.pointer("/params/0/data") == Some(&json!("0x0a00840c")) {
            answer["result"] = json!(format!("0x{:064x}", 1));
        }
    })
    .await;
    failed(
        &place.deploy(&[]).await,
        1,
        "challenge_period() of the contract at",
    );
    assert!(
        !place.path("deployment.json").exists(),
        "no file names what cannot be trusted"
    );
}
