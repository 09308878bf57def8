//! `init`: a key and a configuration, or nothing.

use crate::place::{Place, failed, said, succeeded, text};
use crate::state::{config, start};
use microraiden_devchain::Config;
use microraiden_tests::Upstream;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// What is in a folder, hidden or not.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_begins_with_a_key_and_a_configuration() {
    let place = Place::new(Config::default()).await;
    succeeded(&place.deploy(&[]).await);
    place.secret("receiver.password", "open sesame\n");
    let options = [
        "init",
        "my shop",
        "--upstream",
        "http://127.0.0.1:8001/a\"b",
        "--price",
        "0.5 TKN",
        "--rpc-provider",
        "http://ann:secret@node.example:1",
        "--rpc-provider",
        "ws://127.0.0.1:2",
        "--deployment-file",
        "deployment.json",
        "--private-key-password-file",
        "receiver.password",
    ];
    let output = place.run(&options).await;
    let made = succeeded(&output);
    let shop = place.path("my shop");
    assert_eq!(names(&shop), ["proxy.toml", "receiver.key"]);
    assert_eq!(made["private_key"], "my shop/receiver.key");
    assert_eq!(made["config"], "my shop/proxy.toml");
    for name in ["proxy.toml", "receiver.key"] {
        assert_eq!(mode(&shop.join(name)), 0o600, "{name}");
    }
    let keystore: Value = serde_json::from_slice(&fs::read(shop.join("receiver.key")).unwrap()).unwrap();
    assert_eq!(keystore["version"], 3);
    let shown = ["account", "show", "--private-key", "my shop/receiver.key"];
    assert_eq!(
        succeeded(&place.run(&shown).await),
        json!({ "address": made["address"] })
    );

    let configuration = fs::read_to_string(shop.join("proxy.toml")).unwrap();
    // Whoever starts the program may do so from anywhere.
    let file = |name: &str| json!(place.path(name).canonicalize().unwrap().to_str().unwrap());
    for line in [
        r#"upstream = "http://127.0.0.1:8001/a%22b""#.to_owned(),
        r#"price = "0.5 TKN""#.to_owned(),
        r#"rpc_provider = ["http://ann:secret@node.example:1/", "ws://127.0.0.1:2/"]"#.to_owned(),
        format!("deployment_file = {}", file("deployment.json")),
        r#"private_key = "receiver.key""#.to_owned(),
        format!("private_key_password_file = {}", file("receiver.password")),
    ] {
        let found = configuration.lines().any(|found| found == line);
        assert!(found, "{line} is not in\n{configuration}");
    }
    let (told, address) = (said(&output), text(&made, "/address"));
    for words in [
        format!("Send some ether to {address}"),
        "microraiden proxy check --config 'my shop/proxy.toml' --online".to_owned(),
        "microraiden proxy --config 'my shop/proxy.toml'".to_owned(),
        "Look at my shop/proxy.toml".to_owned(),
    ] {
        assert!(told.contains(&words), "{words} is not in\n{told}");
    }
    assert!(!told.contains("secret"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_sells() {
    let place = Place::new(config(31337)).await;
    succeeded(&place.deploy(&[]).await);
    let upstream = Upstream::start().await.url();
    let options = [
        "init",
        "shop",
        "--no-password",
        "--upstream",
        upstream.as_str(),
        "--price",
        "0.5 TKN",
        "--rpc-provider",
        &place.url,
        "--deployment-file",
        "deployment.json",
    ];
    let made = succeeded(&place.run(&options).await);
    let file = place.path("shop/proxy.toml");
    let check = ["proxy", "check", "--json", "--config", file.to_str().unwrap()];
    succeeded(&place.run(&check).await);
    let state = place.path("state.db");
    let proxy = [
        "proxy",
        "--port",
        "0",
        "--state-file",
        state.to_str().unwrap(),
        "--config",
        check[4],
    ];
    let (program, address) = start(&proxy.map(str::to_owned)).await;
    let unpaid = reqwest::get(format!("{address}/echo/hello")).await.unwrap();
    assert_eq!(unpaid.status().as_u16(), 402);
    assert_eq!(unpaid.headers()["rdn-price"], "500000000000000000");
    assert_eq!(unpaid.headers()["rdn-receiver-address"], text(&made, "/address"));
    assert!(program.signal("TERM"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_given_stands_there_to_be_filled_in() {
    let place = Place::new(Config::default()).await;
    fs::remove_file(place.path("receiver.key")).unwrap();
    let output = place.run(&["init", "--no-password"]).await;
    let made = succeeded(&output);
    let told = said(&output);
    assert!(told.contains("not encrypted"), "{told}");
    assert!(
        told.contains("the upstream, the price, the node, the contract"),
        "{told}"
    );
    let configuration = fs::read_to_string(place.path("proxy.toml")).unwrap();
    // `@NAME@` stands in the template where something is filled in; the address of a database has an `@` of its own.
    let mut pieces = configuration.split('@');
    assert!(
        pieces.all(|piece| piece.is_empty() || !piece.chars().all(|c| c.is_ascii_uppercase() || c == '_')),
        "{configuration}"
    );
    assert!(configuration.contains("\n#deployment_file = "), "{configuration}");
    let show = ["account", "show", "--private-key", "receiver.key"];
    assert_eq!(succeeded(&place.run(&show).await)["address"], made["address"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_overwritten_and_nothing_is_left_half_done() {
    let place = Place::new(Config::default()).await;
    succeeded(&place.run(&["init", "shop", "--no-password"]).await);
    let shop = place.path("shop");
    let contents = || ["receiver.key", "proxy.toml"].map(|name| fs::read(shop.join(name)).unwrap());
    let before = contents();
    failed(
        &place.run(&["init", "shop", "--no-password"]).await,
        1,
        "shop/receiver.key exists",
    );
    assert_eq!(contents(), before);

    // One of the two is in the way: the other one does not come either.
    fs::remove_file(shop.join("receiver.key")).unwrap();
    failed(
        &place.run(&["init", "shop", "--no-password"]).await,
        1,
        "shop/proxy.toml exists",
    );
    assert_eq!(names(&shop), ["proxy.toml"]);

    let refused: [(&[&str], i32, &str); 6] = [
        (&["init", "other"], 1, "say --no-password"),
        (
            &["init", "other", "--private-key-password-file", "none"],
            1,
            "cannot open none",
        ),
        (
            &["init", "other", "--no-password", "--deployment-file", "none"],
            1,
            "cannot open none",
        ),
        (
            &["init", "other", "--no-password", "--upstream", "ftp://host"],
            2,
            "http:// or https://",
        ),
        (
            &["init", "other/deeper", "--no-password"],
            1,
            "cannot write to other/deeper",
        ),
        // Not even root makes files there.
        (
            &["init", "/proc/self", "--no-password"],
            1,
            "cannot write to /proc/self",
        ),
    ];
    for (arguments, status, words) in refused {
        failed(&place.run(arguments).await, status, words);
        assert!(!place.path("other").exists(), "{arguments:?}");
    }
    place.secret("file", "");
    failed(
        &place.run(&["init", "file", "--no-password"]).await,
        1,
        "cannot write to file",
    );
    assert_eq!(fs::read(place.path("file")).unwrap(), b"");
}
