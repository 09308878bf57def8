//! Keys: new ones, imported ones, what they own, and development tokens for them.

use crate::place::{Place, failed, json_of, said, succeeded, text};
use microraiden_devchain::Config;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// The first account of the development chain, whose key everyone knows.
const OWNER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

/// The options that name node and contract.
fn chain(place: &Place) -> [String; 4] {
    [
        "--rpc-provider",
        &place.url,
        "--deployment-file",
        "deployment.json",
    ]
    .map(str::to_owned)
}

/// Runs `account` with these and the options that name node and contract.
async fn account(place: &Place, arguments: &[&str]) -> std::process::Output {
    let chain = chain(place);
    let chain: Vec<_> = chain.iter().map(String::as_str).collect();
    place.run(&[&["account"], arguments, &chain].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_encrypted_found_by_default_and_never_overwritten() {
    let place = Place::new(Config::default()).await;
    place.secret("password", "open sesame\n");
    let missing = place.run(&["account", "show"]).await;
    failed(&missing, 1, "microraiden account new");
    let made = place
        .run(&["account", "new", "--password-file", "password"])
        .await;
    let made = succeeded(&made);
    let file = place.path("data/microraiden/key");
    assert_eq!(made["file"], file.to_str().unwrap());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    let before = fs::read(&file).unwrap();
    let keystore: Value = serde_json::from_slice(&before).unwrap();
    assert_eq!(keystore["version"], 3);
    // The keystore tells the address, so nobody asks for the password.
    let shown = succeeded(&place.run(&["account", "show"]).await);
    assert_eq!(shown, json!({ "address": made["address"] }));

    let again = place
        .run(&["account", "new", "--password-file", "password"])
        .await;
    failed(&again, 1, "never overwritten");
    assert_eq!(fs::read(&file).unwrap(), before);
    let other = place
        .run(&["account", "new", "other.key", "--password-file", "password"])
        .await;
    assert_ne!(succeeded(&other)["address"], made["address"]);
    assert!(!place.path("data/microraiden/other.key").exists());

    // What it owns is told without the password; only the password opens it.
    succeeded(&place.deploy(&[]).await);
    place.secret("wrong", "open barley");
    let owns = succeeded(&account(&place, &["show"]).await);
    assert_eq!(
        (text(&owns, "/address"), text(&owns, "/tokens")),
        (text(&made, "/address"), "0")
    );
    let with = async |password| account(&place, &["fund", "--private-key-password-file", password]).await;
    failed(&with("wrong").await, 1, "the password does not open");
    failed(&with("password").await, 1, "has 0 ether");
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_that_protect_nothing_are_refused() {
    let place = Place::new(Config::default()).await;
    place.secret("empty", "\nsecond line");
    let empty = place
        .run(&["account", "new", "a.key", "--password-file", "empty"])
        .await;
    failed(&empty, 1, "the password is empty");
    fs::write(place.path("public"), "secret").unwrap();
    fs::set_permissions(place.path("public"), fs::Permissions::from_mode(0o644)).unwrap();
    let public = place
        .run(&["account", "new", "a.key", "--password-file", "public"])
        .await;
    failed(&public, 1, "chmod 600");
    let folder = place
        .run(&["account", "new", "none/a.key", "--password-file", "empty"])
        .await;
    failed(&folder, 1, "the password is empty");
    assert!(!place.path("a.key").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_imported_from_a_file_or_standard_input_but_not_from_an_argument() {
    let place = Place::new(Config::default()).await;
    place.secret("password", "open sesame");
    let import = ["account", "import", "--password-file", "password", "--from"];
    let from_file = place.run(&[&import[..], &["owner.key", "a.key"]].concat()).await;
    assert_eq!(text(&succeeded(&from_file), "/address"), OWNER);
    let key = fs::read_to_string(place.path("owner.key")).unwrap();
    let written = fs::read_to_string(place.path("a.key")).unwrap();
    assert!(
        !written.contains(key.trim().trim_start_matches("0x")),
        "{written}"
    );

    let piped = place
        .run_with(&[&import[..], &["-", "b.key"]].concat(), &key)
        .await;
    assert_eq!(text(&succeeded(&piped), "/address"), OWNER);
    let bad = place
        .run_with(&[&import[..], &["-", "c.key"]].concat(), "0x1234\n")
        .await;
    failed(&bad, 1, "64 hexadecimal digits");
    assert!(!said(&bad).contains("1234"), "{}", said(&bad));
    let argument = place.run(&["account", "import", key.trim()]).await;
    failed(&argument, 2, "other users can see it");
    assert!(!said(&argument).contains(key.trim()), "{}", said(&argument));
    assert!(!place.path("c.key").exists() && !place.path(key.trim()).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_owns_is_shown_and_development_tokens_are_bought() {
    let place = Place::new(Config::default()).await;
    succeeded(&place.deploy(&["--supply", "7"]).await);
    let before = succeeded(&account(&place, &["show", "--private-key", "owner.key"]).await);
    assert_eq!(before["address"], OWNER);
    assert_eq!(
        (&before["tokens"], &before["locked"]),
        (&json!("7000000000000000000"), &json!("0"))
    );
    assert_eq!(
        (&before["open_channels"], &before["token"]["symbol"]),
        (&json!(0), &json!("TKN"))
    );
    assert!(text(&before, "/ether").starts_with("9999."), "{before}");

    let funded = account(&place, &["fund", "--private-key", "receiver.key", "--times", "2"]).await;
    assert_eq!(succeeded(&funded)["tokens"], "100000000000000000000");
    let never = account(&place, &["fund", "--private-key", "receiver.key", "--times", "0"]).await;
    failed(&never, 2, "--times");

    place.secret("poor.key", &format!("{:064x}", 77));
    let poor = account(&place, &["fund", "--private-key", "poor.key"]).await;
    failed(&poor, 1, "has 0 ether; 0.1 and the gas are needed");
    let shown = account(&place, &["show", "--private-key", "poor.key"]).await;
    assert_eq!(json_of(&shown)["ether"], "0");

    // It answers 1 to every call, and would keep the ether without giving any tokens.
    let token = place.create("0x6760015f5260205ff35f5260086018f3").await;
    succeeded(&place.deploy(&["--token-address", &token, "--force"]).await);
    let other = account(&place, &["fund", "--private-key", "receiver.key"]).await;
    failed(&other, 1, "does not sell itself");
}
