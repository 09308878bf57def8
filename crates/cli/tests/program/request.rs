//! Requests that are paid for, with all methods, within limits, and what they say of it.

use crate::place::{failed, said, succeeded, text};
use crate::shop::Shop;
use serde_json::{Value, json};
use std::fs;
use std::process::Output;

const SECRET: &str = "s3cr3t-of-the-user";
/// Nobody is paid by this name.
const STRANGER: &str = "0x00000000000000000000000000000000DeaDBeef";

impl Shop {
    /// Requests a path, with a limit that suffices unless there is another.
    async fn request(&self, method: &str, path: &str, options: &[&str]) -> Output {
        self.request_with(method, path, options, "").await
    }

    async fn request_with(&self, method: &str, path: &str, options: &[&str], input: &str) -> Output {
        let url = format!("{}{path}", self.address);
        let mut arguments = vec![
            method,
            &url,
            "--private-key",
            "owner.key",
            "--rpc-provider",
            &self.place.url,
            "--deployment-file",
            "deployment.json",
        ];
        if !options.contains(&"--max-price") && !options.contains(&"--dry-run") {
            arguments.extend(["--max-price", "5"]);
        }
        arguments.extend(options);
        self.place.run_with(&arguments, input).await
    }

    async fn open_channels(&self) -> u64 {
        let stats = self.place.run(&["stats", &self.address]).await;
        succeeded(&stats)["open_channels"].as_u64().unwrap()
    }
}

/// The body of a run that succeeded.
fn body(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The line of JSON that says what was paid.
fn paid(output: &Output) -> Value {
    let said = said(output);
    let line = said.lines().find(|line| line.starts_with('{'));
    serde_json::from_str(line.expect("a line of JSON")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_is_paid_for_with_its_headers_and_body() {
    let shop = Shop::open().await;
    let Shop { place, upstream, .. } = &shop;
    fs::write(place.path("body"), [0, b'\n', 255, b'&']).unwrap();
    for (options, length) in [
        (&["-d", "abc"][..], "3"),
        (&["-d", "a=1", "--data", "b=2"], "7"),
        (&["-d", "@body"], "4"),
        (&["-d", "@-"], "5"),
        (&["--data-json", "{}"], "2"),
    ] {
        let answer = shop.request_with("post", "/length", options, "12345").await;
        assert_eq!(body(&answer), length, "{options:?}");
    }
    for method in ["put", "patch", "delete"] {
        let answer = shop.request(method, "/echo/x", &[]).await;
        failed(&answer, 4, "405");
    }
    // A browser asks by OPTIONS before it pays, so that is free.
    let answer = shop.request("options", "/echo/x", &["-i"]).await;
    assert!(body(&answer).starts_with("HTTP/1.1 2"), "{answer:?}");

    let header = format!("Authorization: {SECRET}");
    fs::write(place.path("headers"), format!("X-One: 1\n\nx-two:2\n{header}\n")).unwrap();
    let answer = shop
        .request("get", "/echo/h", &["-H", "@headers", "-H", "X-One: one", "-v"])
        .await;
    assert_eq!(body(&answer), "h");
    let sent = upstream.last_headers();
    let ones: Vec<_> = sent.get_all("x-one").iter().collect();
    assert_eq!(
        (ones.len(), &sent["x-two"], &sent["authorization"]),
        (2, &"2".parse().unwrap(), &SECRET.parse().unwrap())
    );
    assert!(
        said(&answer).contains("paid") && !said(&answer).contains(SECRET),
        "{}",
        said(&answer)
    );
    assert_eq!(body(&shop.request("head", "/echo/h", &[]).await), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_goes_where_it_is_wanted_and_what_was_paid_is_said() {
    let shop = Shop::open().await;
    let place = &shop.place;
    let first = shop.request("get", "/echo/a", &[]).await;
    assert_eq!(body(&first), "a");
    for words in [
        "paid 0.000000000000000005 TKN",
        "opened the channel (",
        "left of 0.00000000000000005 TKN",
    ] {
        assert!(said(&first).contains(words), "{words}: {}", said(&first));
    }
    let second = shop.request("get", "/echo/b", &["--base-units", "-i"]).await;
    let shown = body(&second);
    assert!(
        shown.starts_with("HTTP/1.1 200 OK\r\n") && shown.ends_with("\r\n\r\nb"),
        "{shown}"
    );
    assert!(shown.contains("\r\nrdn-cost: 5\r\n"), "{shown}");
    assert!(
        said(&second).starts_with("paid 5\n") && !said(&second).contains("opened the channel"),
        "{}",
        said(&second)
    );

    fs::write(place.path("out"), "much more than there will be").unwrap();
    let third = shop.request("get", "/echo/c", &["-o", "out", "--json"]).await;
    assert_eq!(
        (body(&third), fs::read_to_string(place.path("out")).unwrap()),
        (String::new(), "c".to_owned())
    );
    let told = paid(&third);
    for (pointer, value) in [
        ("/status", json!(200)),
        ("/paid", json!("5")),
        ("/lost", json!("0")),
        ("/token/symbol", json!("TKN")),
        ("/token/decimals", json!(18)),
        ("/channels/0/deposit", json!("50")),
        ("/channels/0/signed", json!("15")),
        ("/channels/0/remaining", json!("35")),
        ("/closed", json!([])),
    ] {
        assert_eq!(told.pointer(pointer), Some(&value), "{pointer} of {told}");
    }

    let failing = shop.request("get", "/status/404", &[]).await;
    failed(&failing, 4, "the answer is 404");
    let failing = shop
        .request("get", "/status/500", &["--fail", "-i", "-o", "new"])
        .await;
    failed(&failing, 4, "the answer is 500");
    assert!(failing.stdout.is_empty() && !place.path("new").exists());

    let closing = shop.request("get", "/echo/d", &["--close", "--json"]).await;
    assert_eq!(body(&closing), "d");
    assert_eq!(
        paid(&closing).pointer("/closed/0/cooperative"),
        Some(&json!(true))
    );
    assert_eq!(shop.open_channels().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_mistakes_end_with_their_status_and_nothing_is_paid() {
    let shop = Shop::open().await;
    for (options, status, words) in [
        (
            &["--max-price", "4"][..],
            3,
            "more than the 0.000000000000000004 TKN of --max-price",
        ),
        (&["--budget", "4"], 3, "--budget"),
        (&["--max-deposit", "4"], 3, "--max-deposit"),
        (&["--dry-run", "--max-price", "4"], 3, "--max-price"),
        (&["--max-price", "5 RDN"], 2, "its symbol is TKN"),
        (&["--max-price", "much"], 2, "much"),
        (&["--timeout", "0"], 2, "--timeout"),
        (&["-d", "a", "--data-json", "b"], 2, "--data-json"),
        (&["-H", "s3cr3t-of-the-user"], 2, "--header number 1"),
        (&["-H", "RDN-Balance: 1"], 2, "leave it out"),
        (&["-H", "@none"], 1, "cannot read none"),
        (&["-d", "@none"], 1, "cannot read none"),
        (&["-o", "none/file"], 1, "nothing was paid"),
        (&["--receiver", STRANGER], 5, "but only"),
        (&["--dry-run", "--receiver", STRANGER], 5, "but only"),
        (&["--private-key", "none.key"], 2, "--private-key"),
    ] {
        let output = shop.request("get", "/echo/x", options).await;
        failed(&output, status, words);
        assert!(!said(&output).contains(SECRET), "{}", said(&output));
        assert!(output.stdout.is_empty(), "{options:?}");
    }
    let url = format!("{}/echo/x", shop.address);
    failed(
        &shop
            .place
            .run(&["get", &url, "--deployment-file", "deployment.json"])
            .await,
        2,
        "--max-price",
    );
    let other = [
        "get",
        "ftp://127.0.0.1/x",
        "--max-price",
        "5",
        "--private-key",
        "owner.key",
    ];
    let place = [
        "--rpc-provider",
        &shop.place.url,
        "--deployment-file",
        "deployment.json",
    ];
    failed(&shop.place.run(&[&other[..], &place].concat()).await, 2, "URL");
    let nobody = [
        "get",
        "http://127.0.0.1:1/x",
        "--max-price",
        "5",
        "--private-key",
        "owner.key",
        "-o",
        "left",
    ];
    failed(
        &shop.place.run(&[&nobody[..], &place].concat()).await,
        1,
        "does not answer",
    );
    assert!(!shop.place.path("left").exists());
    assert_eq!((shop.upstream.served(), shop.open_channels().await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_the_price_and_what_would_pay_it() {
    let shop = Shop::open().await;
    let first = succeeded(&shop.request("get", "/echo/x", &["--dry-run"]).await);
    for (pointer, value) in [
        ("/price", json!("5")),
        ("/deposit", json!("50")),
        ("/channel", Value::Null),
        (
            "/receiver",
            json!(shop.place.chain.accounts()[1].address.to_string()),
        ),
        ("/token/symbol", json!("TKN")),
    ] {
        assert_eq!(first.pointer(pointer), Some(&value), "{pointer} of {first}");
    }
    let little = shop
        .request("get", "/echo/x", &["--dry-run", "--max-deposit", "20"])
        .await;
    assert_eq!(text(&succeeded(&little), "/deposit"), "20");
    assert_eq!((shop.upstream.served(), shop.open_channels().await), (0, 0));

    assert_eq!(body(&shop.request("get", "/echo/x", &[]).await), "x");
    let second = succeeded(&shop.request("get", "/echo/x", &["--dry-run"]).await);
    assert_eq!(
        (&second["deposit"], &second["channel"]["deposit"]),
        (&Value::Null, &json!("50"))
    );
    assert_eq!(shop.upstream.served(), 1);
    // Another process pays with the book meanwhile.
    let books = fs::read_dir(shop.place.path("data/microraiden")).unwrap();
    let mut locks = books.map(|file| file.unwrap().path());
    let lock = locks.find(|file| file.extension().is_some_and(|end| end == "lock"));
    let lock = fs::File::open(lock.unwrap()).unwrap();
    lock.try_lock().unwrap();
    let beside = succeeded(&shop.request("get", "/echo/x", &["--dry-run"]).await);
    assert_eq!(beside["channel"], second["channel"]);
    let refused = shop.request("get", "/echo/x", &[]).await;
    failed(&refused, 1, "microraiden pay-proxy");
    drop(lock);
    // What is free is requested.
    let behind = shop.upstream.url().join("echo/free").unwrap();
    let arguments = ["get", behind.as_str(), "--dry-run", "--private-key", "owner.key"];
    let place = [
        "--rpc-provider",
        &shop.place.url,
        "--deployment-file",
        "deployment.json",
    ];
    let free = succeeded(&shop.place.run(&[&arguments[..], &place].concat()).await);
    assert_eq!((&free["price"], &free["status"]), (&Value::Null, &json!(200)));
}
