//! The channels of a sender, through their whole lives, with the real contract and a real receiver.

use crate::place::{Place, failed, json_of, said, succeeded, text};
use crate::shop::Shop;
use crate::state::config;
use microraiden_chain::{Contract, Node};
use microraiden_protocol::{Address, SecretKey};
use microraiden_sender::{Client, ClientOptions};
use serde_json::{Value, json};
use std::process::Output;

/// Nobody has a server by this name.
const NOBODY: &str = "0x00000000000000000000000000000000DeaDBeef";

/// Runs a command of `channels` for the owner.
async fn channels(place: &Place, arguments: &[&str]) -> Output {
    place
        .run(&[&["channels"], arguments, &sender(place)[..]].concat())
        .await
}

fn sender(place: &Place) -> [&str; 8] {
    [
        "--private-key",
        "owner.key",
        "--rpc-provider",
        &place.url,
        "--deployment-file",
        "deployment.json",
        "--book",
        "sender.book",
    ]
}

/// Checks some of what a program is told.
fn check(told: &Value, expected: &[(&str, Value)]) {
    for (pointer, value) in expected {
        assert_eq!(told.pointer(pointer), Some(value), "{pointer} of {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_opened_paid_with_topped_up_closed_and_forgotten() {
    let Shop { place, address, .. } = &Shop::open().await;
    let receiver = place.chain.accounts()[1].address.to_string();

    assert_eq!(succeeded(&channels(place, &["list"]).await), json!([]));
    let opened = channels(place, &["open", &receiver, "0.00000000000000005 TKN"]).await;
    let opened = succeeded(&opened);
    let unused = [
        ("/deposit", json!("50")),
        ("/signed", json!("0")),
        ("/state", json!("open")),
        ("/server", Value::Null),
    ];
    check(&opened, &unused);
    assert!(opened["gas"].as_u64().unwrap() > 21_000, "{opened}");

    let url = format!("{address}/echo/x");
    let get = [&["get", &url, "--max-price", "5"], &sender(place)[..]].concat();
    let paid = place.run(&get).await;
    assert!(
        paid.status.success() && !said(&paid).contains("opened the channel"),
        "{}",
        said(&paid)
    );
    let listed = succeeded(&channels(place, &["list"]).await);
    let used = [
        ("/0/receiver", json!(receiver)),
        ("/0/open_block", opened["open_block"].clone()),
        ("/0/signed", json!("5")),
        ("/0/owed", json!("5")),
        ("/0/remaining", json!("45")),
        ("/0/server", json!(format!("{address}/"))),
    ];
    check(&listed, &used);

    assert_eq!(
        text(
            &succeeded(&channels(place, &["topup", &receiver, "10"]).await),
            "/deposit"
        ),
        "60"
    );
    let shown = succeeded(&channels(place, &["show", &receiver]).await);
    check(
        &shown,
        &[
            ("/on_chain/deposit", json!("60")),
            ("/on_chain/settle_block", Value::Null),
        ],
    );

    let elsewhere = channels(place, &["close", &receiver, "--url", "http://127.0.0.1:1/x"]).await;
    failed(&elsewhere, 5, "with --uncooperative");
    // Where the server is, the book knows.
    let closed = succeeded(&channels(place, &["close", &receiver]).await);
    check(
        &closed,
        &[("/state", json!("closed")), ("/agreed_close", json!("5"))],
    );
    failed(
        &channels(place, &["topup", &receiver, "10"]).await,
        1,
        "closing or closed",
    );
    let shown = succeeded(&channels(place, &["show", &receiver]).await);
    check(&shown, &[("/on_chain", Value::Null)]);
    succeeded(&channels(place, &["forget", &receiver]).await);
    assert_eq!(succeeded(&channels(place, &["sync"]).await), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_receiver_a_channel_is_closed_by_the_contract_and_settled_later() {
    let place = Place::new(config(31337)).await;
    succeeded(&place.deploy(&[]).await);
    let opened = succeeded(&channels(&place, &["open", NOBODY, "50"]).await);
    let named = format!("{NOBODY}:{}", opened["open_block"]);
    failed(&channels(&place, &["close", &named]).await, 2, "--url");
    failed(&channels(&place, &["settle", &named]).await, 1, "close it first");
    let closing = succeeded(&channels(&place, &["close", &named, "--uncooperative"]).await);
    assert_eq!(closing["state"], "settling");
    failed(
        &channels(&place, &["settle", &named]).await,
        1,
        "the challenge period",
    );
    let shown = succeeded(&channels(&place, &["show", &named]).await);
    let settle_block = shown
        .pointer("/on_chain/settle_block")
        .and_then(Value::as_u64)
        .unwrap();
    assert!(settle_block > place.chain.block_number(), "{shown}");
    place.chain.mine(500);
    assert_eq!(
        succeeded(&channels(&place, &["settle", &named]).await)["state"],
        "closed"
    );

    // A channel that is forgotten before its end is found again, without what was paid.
    let opened = succeeded(&channels(&place, &["open", NOBODY, "7"]).await);
    let named = format!("{NOBODY}:{}", opened["open_block"]);
    failed(&channels(&place, &["forget", &named]).await, 1, "add --force");
    let forced = channels(&place, &["forget", &named, "--force"]).await;
    assert!(
        forced.status.success() && said(&forced).contains("warning"),
        "{}",
        said(&forced)
    );
    let left = succeeded(&channels(&place, &["list"]).await);
    assert_eq!(left.as_array().unwrap().len(), 1, "{left}");
    std::fs::remove_file(place.path("sender.book")).unwrap();
    let found = succeeded(&channels(&place, &["sync"]).await);
    check(
        &found,
        &[("/0/deposit", json!("7")), ("/0/balance_known", json!(false))],
    );
    let unknown = channels(&place, &["close", NOBODY, "--url", "http://127.0.0.1:1"]).await;
    failed(&unknown, 1, "only to the receiver");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_and_a_book_in_use_can_be_read() {
    let place = Place::new(config(31337)).await;
    let deployed = succeeded(&place.deploy(&[]).await);
    for (arguments, status, words) in [
        (&["open", "0x12", "5"][..], 2, "0x12"),
        (&["open", NOBODY, "0"], 2, "an amount of nothing"),
        (&["open", NOBODY, "5 RDN"], 2, "its symbol is TKN"),
        (&["open", NOBODY, "900000000 TKN"], 1, "insufficient tokens"),
        (&["show", "receiver:1"], 2, "the receiver's address"),
        (&["show", NOBODY], 1, "there is no channel"),
        (&["topup", NOBODY, "5"], 1, "there is no channel"),
        (
            &["close", NOBODY, "--uncooperative", "--url", "http://127.0.0.1:1"],
            2,
            "--url",
        ),
    ] {
        failed(&channels(&place, arguments).await, status, words);
    }
    for _ in 0..2 {
        succeeded(&channels(&place, &["open", NOBODY, "5"]).await);
    }
    let listed = succeeded(&channels(&place, &["list"]).await);
    let several = channels(&place, &["show", NOBODY]).await;
    failed(&several, 1, &format!("{NOBODY}:{}", listed[0]["open_block"]));
    failed(&several, 1, &format!("{NOBODY}:{}", listed[1]["open_block"]));
    let owned = [&["account", "show"], &sender(&place)[..6]].concat();
    let owned = json_of(&place.run(&owned).await);
    assert_eq!(
        (&owned["locked"], &owned["open_channels"]),
        (&json!("10"), &json!(2))
    );

    let node = Node::connect(&place.url.parse().unwrap()).await.unwrap();
    let contract: Address = text(&deployed, "/contract/address").parse().unwrap();
    let contract = Contract::at(node, contract).await.unwrap();
    let key = SecretKey::from_bytes(place.chain.accounts()[0].secret_key.as_slice()).unwrap();
    let options = ClientOptions {
        book: Some(place.path("sender.book")),
        ..ClientOptions::default()
    };
    let holder = Client::open(contract, key, options).await.unwrap();
    assert_eq!(succeeded(&channels(&place, &["list"]).await), listed);
    failed(
        &channels(&place, &["open", NOBODY, "5"]).await,
        1,
        "used by another process",
    );
    drop(holder);
    succeeded(&channels(&place, &["open", NOBODY, "5"]).await);
}
