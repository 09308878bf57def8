//! The demo as a newcomer runs it, on the embedded chain and on anvil.

use crate::process::Program;
use microraiden_tests::{NodeKind, TestNode};
use serde_json::Value;
use std::process::Command;

/// Runs a demo to its end and gives its JSON object.
fn demo(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_microraiden"))
        .args(["demo", "--exit", "--json"])
        .args(arguments)
        .output()
        .expect("the program starts");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{err}");
    serde_json::from_str(&out).expect("one JSON object on standard output")
}

fn units(value: &Value) -> u128 {
    value
        .as_str()
        .expect("amounts are strings")
        .parse()
        .expect("amounts are decimal")
}

/// Checks the money once more, from what a program would read.
fn check(report: &Value, before: u64) {
    let (first, all) = (before, before + before.div_ceil(4));
    assert_eq!(report["payments"], all, "{first} before the top-up");
    let sold: u128 = report["sold"].as_array().unwrap().iter().fold(0, |sum, row| {
        sum + units(&row["price"]) * u128::from(row["requests"].as_u64().unwrap())
    });
    assert!(sold > 0);
    let held = |when: &str, who: &str| units(&report[when][who]);
    assert_eq!(held("after", "receiver") - held("before", "receiver"), sold);
    assert_eq!(held("before", "sender") - held("after", "sender"), sold);
    assert_eq!(held("after", "contract"), held("before", "contract"));
    assert_eq!(units(&report["deposit"]) + units(&report["top_up"]), sold);
    let gas: Vec<_> = report["gas"].as_array().unwrap().iter().collect();
    let transactions: Vec<_> = gas
        .iter()
        .map(|row| row["transaction"].as_str().unwrap())
        .collect();
    assert_eq!(transactions, ["open channel", "top up", "cooperative close"]);
    assert!(
        gas.iter().all(|row| row["gas"].as_u64().unwrap() > 21_000),
        "{gas:?}"
    );
}

#[test]
fn the_demo_pays_a_hundred_requests_and_adds_up() {
    let report = demo(&[]);
    check(&report, 100);
    let first = report["first_paid_after_ms"].as_f64().unwrap();
    assert!(first < 3_000.0, "the first paid answer came after {first} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_runs_on_another_node() {
    let anvil = TestNode::start(NodeKind::Anvil).await;
    let url = anvil.url();
    let report =
        tokio::task::spawn_blocking(move || demo(&["--payments", "40", "--rpc-provider", url.as_str()]));
    let report = report.await.unwrap();
    check(&report, 40);
    assert_eq!(report["node"], "external");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_stays_up_and_its_commands_work() {
    let mut program = Program::start(&["demo", "--payments", "3"]);
    let start = program.wait_for("page", |line| {
        line.trim()
            .strip_prefix("http://")
            .map(|rest| format!("http://{rest}"))
    });
    let url = program.wait_for("curl command", |line| {
        line.trim().strip_prefix("curl -i ").map(str::to_owned)
    });
    let command = program.wait_for_get_command();
    let unpaid = reqwest::get(&url).await.unwrap();
    assert_eq!(unpaid.status().as_u16(), 402);
    assert_eq!(unpaid.headers()["rdn-price"], "5000000000000000");
    // Once from a channel that it opens, once more from the same channel.
    for left in ["0.045 TKN left", "0.04 TKN left"] {
        let paid = Command::new("sh").args(["-c", &command]).output().unwrap();
        let told = String::from_utf8_lossy(&paid.stderr);
        assert!(paid.status.success(), "{command}: {told}");
        assert_eq!(String::from_utf8_lossy(&paid.stdout), "hello");
        assert!(told.contains("paid 0.005 TKN") && told.contains(left), "{told}");
    }
    browse(&start).await;
    // Each page is paid for itself, and one that is not there is not paid at all.
    for (path, told, shown) in [
        ("story/2", "paid 0.001 TKN", "<h1>The second bridge</h1>"),
        (
            "fortune' -H 'Accept: text/html",
            "paid 0.002 TKN",
            "<blockquote>Small debts",
        ),
        ("story/4", "paid 0 TKN", ""),
    ] {
        let command = command.replacen(&url, &format!("'{start}{path}'"), 1);
        let paid = Command::new("sh").args(["-c", &command]).output().unwrap();
        let (page, said) = (
            String::from_utf8_lossy(&paid.stdout),
            String::from_utf8_lossy(&paid.stderr),
        );
        assert!(
            page.contains(shown) && said.contains(told),
            "{path}: {page}\n{said}"
        );
    }
    assert!(program.signal("INT"), "Ctrl-C ends the demo in order");
}

/// Looks around as a browser does: the first page is free and names what is for sale, each with its price.
async fn browse(start: &str) {
    let client = reqwest::Client::new();
    let get = async |address: String| {
        let answer = client
            .get(address)
            .header("accept", "text/html")
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, index) = get(start.to_owned()).await;
    assert_eq!(status, 200);
    for (path, price) in [
        ("/echofix/hello", "0.005 TKN"),
        ("/fortune", "0.002 TKN"),
        ("/teapot", "0.003 TKN"),
        ("/story/1", "0.001 TKN"),
    ] {
        let (_, rest) = index.split_once(&format!("href=\"{path}\"")).expect(path);
        let (item, _) = rest.split_once("</li>").expect(path);
        assert!(item.contains(price), "{path}: {item}");
        let (status, page) = get(format!("{start}{}", &path[1..])).await;
        assert_eq!(status, 402, "{path}");
        assert!(page.contains(price) && page.contains("\"devChain\":{"), "{page}");
    }
}
