//! The bench, with a receiver of its own and against a running one.

use crate::place::{Place, failed, said, succeeded, text};
use crate::process::Program;
use microraiden_devchain::{Config, Mining};
use microraiden_protocol::Amount;
use microraiden_tests::Upstream;
use serde_json::Value;
use std::time::Duration;

/// What a request of the running receiver costs.
const PRICE: u64 = 5;

async fn place() -> Place {
    Place::new(Config {
        mining: Mining {
            instant: true,
            interval: Some(Duration::from_millis(200)),
        },
        ..Config::default()
    })
    .await
}

/// A figure that was measured, with its spread in order.
fn check_spread(report: &Value, pointer: &str) {
    let of = |name: &str| {
        let value = report.pointer(pointer).and_then(|spread| spread[name].as_f64());
        value.unwrap_or_else(|| panic!("{pointer} has no {name}: {report:#}"))
    };
    let (min, median, max) = (of("min"), of("median"), of("max"));
    assert!(
        0.0 < min && min <= median && median <= max,
        "{pointer}: {min} {median} {max}"
    );
}

/// Measures shortly on this machine, and checks that everything was measured and adds up.
async fn measure(options: &[&str]) -> Value {
    let place = Place::new(Config::default()).await;
    let folder = place.folder.path().to_str().unwrap();
    let window = [
        "--seconds",
        "0.2",
        "--repetitions",
        "2",
        "--senders",
        "2",
        "--in-flight",
        "2",
    ];
    let arguments = [&["bench", "--json", "--state-dir", folder], &window[..], options].concat();
    let output = place.run(&arguments).await;
    let report = succeeded(&output);
    for figure in [
        "unpaid_per_second",
        "signature_checks_per_second",
        "paid_per_second",
        "ratio",
        "half_load_per_second",
    ] {
        check_spread(&report, &format!("/{figure}"));
    }
    for situation in [
        "unpaid_full_load",
        "paid_full_load",
        "unpaid_half_load",
        "paid_half_load",
    ] {
        for percentile in ["p50", "p90", "p99", "p99.9", "max"] {
            check_spread(&report, &format!("/latency_ms/{situation}/{percentile}"));
        }
    }
    assert!(
        report
            .pointer("/p99_added_ms/median")
            .is_some_and(Value::is_number)
    );
    assert!(report.pointer("/goals/ratio_met").is_some_and(Value::is_boolean));
    let payments = &report["payments"];
    assert_eq!(
        (&payments["exact"], &payments["errors"]),
        (&true.into(), &0.into()),
        "{report:#}"
    );
    assert!(payments["served"].as_u64().unwrap() > 10, "{report:#}");
    let setting = &report["setting"];
    assert_eq!(
        (&setting["senders"], &setting["repetitions"]),
        (&2.into(), &2.into())
    );
    let rate = |name: &str| report[name]["median"].as_f64().unwrap();
    assert!(rate("unpaid_per_second") > rate("paid_per_second"), "{report:#}");
    let left = std::fs::read_dir(&place.folder)
        .unwrap()
        .map(|file| file.unwrap().file_name());
    assert!(
        left.into_iter()
            .all(|name| name.to_str().unwrap().ends_with(".key")),
        "it leaves nothing behind"
    );
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_bench_measures_everything_and_adds_up() {
    let report = measure(&[]).await;
    assert_eq!(report["setting"]["reverse_proxy"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_one_of_the_reverse_proxy() {
    let report = measure(&["--reverse-proxy"]).await;
    assert_eq!(report["setting"]["reverse_proxy"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_mean_nothing_are_refused() {
    let place = Place::new(Config::default()).await;
    let url = "http://127.0.0.1:1/";
    for (arguments, words) in [
        (&["--seconds", "0"][..], "0.05 to 3600"),
        (&["--seconds", "nan"], "0.05 to 3600"),
        (&["--repetitions", "0"], "1..=1000"),
        (&["--senders", "0"], "1..=10000"),
        (&["--in-flight", "33"], "1..=32"),
        (&["--max-total", "5"], "URL"),
        (&["--private-key", "owner.key"], "URL"),
        (&[url], "--max-total"),
        (
            &[url, "--private-key", "owner.key", "--max-total", "5"],
            "--deployment-file",
        ),
        (&[url, "--state-dir", "."], "cannot be used with"),
        (&[url, "--reverse-proxy"], "cannot be used with"),
    ] {
        let output = place.run(&[&["bench"], arguments].concat()).await;
        failed(&output, 2, words);
    }
    let output = place.run(&["bench", "--state-dir", "nowhere"]).await;
    failed(&output, 1, "--state-dir");
}

/// Starts a proxy before the upstream, on the deployed contract; gives its address.
fn proxy(place: &Place, upstream: &Upstream) -> (Program, String) {
    let (rpc, content, price) = (&place.url, upstream.url().to_string(), PRICE.to_string());
    let file = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let (key, state, deployment) = (file("receiver.key"), file("receiver.db"), file("deployment.json"));
    let mut program = Program::start(&[
        "proxy",
        "--private-key",
        &key,
        "--rpc-provider",
        rpc,
        "--deployment-file",
        &deployment,
        "--upstream",
        &content,
        "--price",
        &price,
        "--state-file",
        &state,
        "--port",
        "0",
        "--poll-interval",
        "30",
    ]);
    let address = program.wait_for("address", |line| {
        line.starts_with("http://").then(|| line.to_owned())
    });
    (program, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_receiver_is_paid_within_the_limit() {
    const LIMIT: u64 = 2 * 3_000 * PRICE;
    let (place, upstream) = (place().await, Upstream::start().await);
    succeeded(&place.deploy(&["--confirmations", "0"]).await);
    let contract = text(&place.deployment(), "/contract/address").to_owned();
    let (proxy, address) = proxy(&place, &upstream);
    let (url, free) = (
        format!("{address}/echo/bench"),
        upstream.url().join("echo/free").unwrap().to_string(),
    );
    let limit = (LIMIT + 1).to_string();
    let wallet = place.wallet().await;
    let contract = microraiden_chain::Contract::at(wallet.node().clone(), contract.parse().unwrap());
    let contract = contract.await.unwrap();
    let receiver = place.chain.accounts()[1].address;
    let before = contract.token_balance(wallet.address()).await.unwrap();

    let arguments = [
        "bench",
        &url,
        "--unpaid-url",
        &free,
        "--private-key",
        "owner.key",
        "--deployment-file",
        "deployment.json",
        "--rpc-provider",
        &place.url,
        "--max-total",
        &limit,
        "--senders",
        "2",
        "--in-flight",
        "3",
        "--seconds",
        "0.2",
        "--repetitions",
        "2",
    ];
    let output = place.run(&arguments).await;
    let report = succeeded(&output);
    assert!(
        said(&output).contains("enough for 3000 requests on each"),
        "{}",
        said(&output)
    );
    for figure in ["unpaid_per_second", "paid_per_second", "half_load_per_second"] {
        check_spread(&report, &format!("/{figure}"));
    }
    assert!(
        report["signature_checks_per_second"].is_null(),
        "that is not this machine's"
    );
    assert_eq!(
        (&report["payments"]["exact"], &report["payments"]["errors"]),
        (&true.into(), &0.into())
    );

    // Everything but what was served came back.
    let served = report["payments"]["served"].as_u64().unwrap();
    let paid = Amount::from(served * PRICE);
    assert!(served > 10 && paid <= LIMIT.into(), "{report:#}");
    assert_eq!(contract.token_balance(receiver).await.unwrap(), paid);
    let after = contract.token_balance(wallet.address()).await.unwrap();
    assert_eq!(before.checked_sub(paid), Some(after));
    assert_eq!(
        contract.token_balance(contract.address()).await.unwrap(),
        Amount::ZERO
    );

    let poor = [&arguments[..10], &["--max-total", "9", "--senders", "2"]].concat();
    failed(&place.run(&poor).await, 1, "below one request for");
    let wrong = [
        "bench",
        &free,
        "--private-key",
        "owner.key",
        "--deployment-file",
        "deployment.json",
        "--max-total",
        "9",
    ];
    failed(&place.run(&wrong).await, 1, "without being paid, not 402");
    assert!(proxy.signal("TERM"), "the proxy has stayed up");
}
