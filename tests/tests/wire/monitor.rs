//! What operators are shown, at an address of their own, beside what was really done.

use crate::gas::fund;
use crate::scrape::Scrape;
use crate::shop::{PRICE, Shop, Stage, headers};
use http::{HeaderMap, StatusCode};
use microraiden_manager::meters::METRICS;
use microraiden_protocol::Balance;
use microraiden_proxy::Config;
use microraiden_tests::{Receiver, receiver};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const DEADLINE: Duration = Duration::from_secs(30);

/// A monitored receiver with a confirmed channel.
async fn open(change: impl FnOnce(&mut Config)) -> Shop {
    let stage = Stage::set().await;
    let receiver = start(&stage, change).await;
    let shop = stage.open_unconfirmed(receiver).await;
    shop.confirmed().await;
    shop
}

async fn start(stage: &Stage, change: impl FnOnce(&mut Config)) -> Receiver {
    let (upstream, state) = (stage.upstream.url(), stage.state());
    Receiver::start_monitored(&stage.world, upstream, PRICE, &state, receiver::quick(), change).await
}

async fn scrape(shop: &Shop) -> Scrape {
    let answer = shop
        .http
        .get(shop.receiver.monitor("/metrics"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(
        answer.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    Scrape::read(&answer.text().await.unwrap())
}

/// Scrapes until something holds.
async fn until(shop: &Shop, what: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
    let begin = Instant::now();
    loop {
        let scrape = scrape(shop).await;
        if holds(&scrape) {
            return scrape;
        }
        assert!(begin.elapsed() < DEADLINE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn look(receiver: &Receiver, path: &str) -> (StatusCode, String) {
    let answer = reqwest::get(receiver.monitor(path)).await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// Looks at `/ready` until it gives this reason, or none.
async fn until_ready(receiver: &Receiver, reason: Option<&str>) {
    let begin = Instant::now();
    loop {
        let (status, body) = look(receiver, "/ready").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["ready"], status == StatusCode::OK, "{body}");
        assert_eq!(body["message"].is_string(), status != StatusCode::OK, "{body}");
        assert_eq!(
            look(receiver, "/health").await,
            (StatusCode::OK, "alive\n".to_owned())
        );
        if body["reason"].as_str() == reason {
            let expected = reason.map_or(StatusCode::OK, |_| StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(status, expected);
            return;
        }
        assert!(begin.elapsed() < DEADLINE, "{body}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Four payments, one of them for what fails, and five refusals.
async fn trade(shop: &Shop) {
    for balance in [5, 10, 15] {
        let paid = shop.get("/echo/x", shop.pays(balance, 5)).await;
        assert_eq!(paid.status(), StatusCode::OK);
    }
    let failed = shop.get("/fail/1", shop.pays(20, 5)).await;
    assert_eq!(failed.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let mut unknown = shop.pays(25, 5);
    unknown.extend(headers(&[("RDN-Open-Block", "1".to_owned())]));
    let mut forged = shop.pays(30, 5);
    let other = shop.proof(35).signature.to_string();
    forged.extend(headers(&[("RDN-Balance-Signature", other)]));
    for (what, request) in [
        ("already-spent", shop.pays(15, 5)),
        ("above-deposit", shop.pays(1_005, 5)),
        ("invalid-amount", shop.pays(30, 10)),
        ("unknown-channel", unknown),
        ("invalid-signature", forged),
    ] {
        let refused = shop.get("/echo/y", request).await;
        let error = refused.headers()["rdn-error"].to_str().unwrap();
        assert!(error.starts_with(what), "{error}");
    }
}

/// A payment that is seen in flight.
async fn watch_a_payment(shop: &Shop) {
    let waiting = shop.get("/wait/x", shop.pays(25, 5));
    shop.upstream.set_gate(false);
    let during = async {
        let in_flight = |scrape: &Scrape| scrape.get("payments_in_flight") == 1.0;
        until(shop, "a payment is in flight", in_flight).await;
        shop.upstream.set_gate(true);
    };
    let (served, ()) = tokio::join!(waiting, during);
    assert_eq!(served.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_refusals_and_releases_are_counted() {
    let shop = open(|_| {}).await;
    let before = scrape(&shop).await;
    let all: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    let sometimes = BTreeSet::from([
        "microraiden_not_selling",
        "microraiden_dispute_remaining_blocks",
        "microraiden_dispute_remaining_blocks_min",
    ]);
    let always: BTreeSet<_> = all.difference(&sometimes).copied().collect();
    assert_eq!(before.names, always);
    for zero in [
        "payments_total",
        "verification_seconds_count",
        "payments_in_flight",
    ] {
        assert_eq!(before.get(zero), 0.0, "{zero}");
    }

    trade(&shop).await;
    watch_a_payment(&shop).await;
    let after = until(&shop, "it has arrived", |scrape| {
        scrape.get("payments_in_flight") == 0.0
    })
    .await;
    for (key, value) in [
        ("payments_total", 5.0),
        ("commit_seconds_count", 5.0),
        // Unknown channels and balances above the deposit are refused before.
        ("verification_seconds_count", 8.0),
        ("releases_total{extent=\"whole\"}", 1.0),
        ("releases_total{extent=\"part\"}", 0.0),
        ("refusals_total{reason=\"already-spent\"}", 1.0),
        ("refusals_total{reason=\"above-deposit\"}", 1.0),
        ("refusals_total{reason=\"invalid-amount\"}", 1.0),
        ("refusals_total{reason=\"unknown-channel\"}", 1.0),
        ("refusals_total{reason=\"invalid-signature\"}", 1.0),
        ("refusals_total{reason=\"settled\"}", 0.0),
        ("unavailable_total{reason=\"node-silent\"}", 0.0),
        ("channels{state=\"open\"}", 1.0),
        ("channels{state=\"promised\"}", 0.0),
        ("deposits_base_units", 1_000.0),
        ("balances_base_units", 25.0),
        // The released payment is credit.
        ("unclaimed_base_units", 20.0),
        ("selling", 1.0),
    ] {
        assert_eq!(after.get(key), value, "{key}");
    }
    let (seen, head) = (before.get("head_block"), after.get("head_block"));
    assert!(seen > 0.0 && head >= seen, "{seen} {head}");
    assert!(after.get("head_age_seconds") < DEADLINE.as_secs_f64());

    let (closed, _) = shop
        .close(json!({ "balance": 20, "balance_signature": shop.proof(20).signature.to_string() }))
        .await;
    assert_eq!(closed, StatusCode::OK);
    assert_eq!(scrape(&shop).await.get("channels{state=\"promised\"}"), 1.0);
    let late = shop.get("/echo/z", shop.pays(30, 5)).await;
    assert_eq!(late.status(), StatusCode::PAYMENT_REQUIRED);
    let last = scrape(&shop).await;
    assert_eq!(last.get("refusals_total{reason=\"close-promised\"}"), 1.0);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_is_seen_to_run_and_what_it_has_cost() {
    let shop = open(|_| {}).await;
    for balance in [5, 10] {
        shop.get("/echo/x", shop.pays(balance, 5)).await;
    }
    fund(&shop, "0x0").await;
    let wallet = shop.world.wallet(&shop.world.sender);
    let close = shop
        .world
        .contract
        .uncooperative_close(&wallet, &shop.channel, Balance::from(5));
    close.await.unwrap();
    let running = until(&shop, "a dispute runs", |scrape| {
        scrape.get("tasks{kind=\"dispute\"}") == 1.0
    })
    .await;
    let left = |scrape: &Scrape| {
        scrape.find(&format!(
            "dispute_remaining_blocks{{channel=\"{}\"}}",
            shop.channel
        ))
    };
    let (blocks, least) = (
        left(&running).unwrap(),
        running.get("dispute_remaining_blocks_min"),
    );
    assert_eq!(blocks, least);
    let info = shop
        .world
        .contract
        .channel_info(&shop.channel)
        .await
        .unwrap()
        .unwrap();
    let settle_block = info.settle_block.unwrap().0 as f64;
    assert!(
        (blocks + running.get("head_block") - settle_block).abs() <= 1.0,
        "{blocks} {settle_block}"
    );
    assert_eq!(running.get("channels{state=\"challenged\"}"), 1.0);
    until_ready(&shop.receiver, Some("gas-short")).await;
    let short = scrape(&shop).await;
    assert_eq!(short.get("selling"), 0.0);
    assert_eq!(short.get("not_selling{reason=\"gas-short\"}"), 1.0);
    until(&shop, "blocks go by", |scrape| left(scrape) < Some(blocks)).await;
    assert_eq!(short.get("gas_used_total{kind=\"dispute\"}"), 0.0);

    fund(&shop, "0xde0b6b3a7640000").await;
    let done = until(&shop, "the dispute is done", |scrape| {
        scrape.get("tasks_done_total{kind=\"dispute\"}") == 1.0
            && scrape.get("transactions_total{kind=\"dispute\"}") == 1.0
    })
    .await;
    assert_eq!(done.get("tasks{kind=\"dispute\"}"), 0.0);
    assert_eq!(
        (left(&done), done.find("dispute_remaining_blocks_min")),
        (None, None)
    );
    assert_eq!(done.get("channels{state=\"settled\"}"), 1.0);
    assert_eq!(done.get("deposits_base_units"), 0.0);
    assert_eq!(done.get("unclaimed_base_units"), 0.0);
    let (gas, gwei) = last_cost(&shop).await;
    assert_eq!(done.get("gas_used_total{kind=\"dispute\"}"), gas);
    assert_eq!(done.get("gas_cost_gwei_total{kind=\"dispute\"}"), gwei);
    assert_eq!(done.get("gas_used_total{kind=\"close\"}"), 0.0);
    until_ready(&shop.receiver, None).await;
    shop.receiver.stop().await;
}

/// The gas of the newest transaction of the receiver's wallet, and what it has cost in 10^-9 ether.
async fn last_cost(shop: &Shop) -> (f64, f64) {
    let (node, wallet) = (&shop.world.node, shop.world.receiver.address());
    let wallet = json!(wallet.to_string().to_lowercase());
    for block in (0..=node.block_number().await).rev() {
        let block = node
            .control("eth_getBlockByNumber", json!([format!("{block:#x}"), true]))
            .await;
        let mut transactions = block["transactions"].as_array().unwrap().iter();
        let Some(sent) = transactions.find(|sent| sent["from"] == wallet) else {
            continue;
        };
        let receipt = node
            .control("eth_getTransactionReceipt", json!([sent["hash"]]))
            .await;
        let number = |field: &str| {
            let digits = receipt[field].as_str().unwrap().trim_start_matches("0x");
            u64::from_str_radix(digits, 16).unwrap()
        };
        let (gas, price) = (number("gasUsed"), number("effectiveGasPrice"));
        return (gas as f64, (gas * price / 1_000_000_000) as f64);
    }
    panic!("the receiver has sent nothing");
}

/// A line to the node, which can be cut: then what comes waits until it is mended.
struct Line {
    url: String,
    cut: watch::Sender<bool>,
}

impl Line {
    async fn to(node: &str, cut: bool) -> Self {
        let (host, listener) = (node.to_owned(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cut = watch::Sender::new(cut);
        let state = cut.subscribe();
        tokio::spawn(async move {
            loop {
                let (mut here, _) = listener.accept().await.unwrap();
                let (mut state, host) = (state.clone(), host.clone());
                tokio::spawn(async move {
                    let _ = state.wait_for(|cut| !cut).await;
                    let mut there = TcpStream::connect(host).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut here, &mut there) => {}
                        _ = state.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { url, cut }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_the_start_and_the_node() {
    let stage = Stage::set().await;
    let node = stage.world.node.url();
    let line = Line::to(node.authority(), true).await;
    let receiver = start(&stage, |config| {
        config.receiver.rpc = vec![line.url.parse().unwrap()];
        config.manager.node_timeout = Duration::from_millis(500);
    })
    .await;
    until_ready(&receiver, Some("syncing")).await;
    let (_, text) = look(&receiver, "/metrics").await;
    let syncing = Scrape::read(&text);
    assert_eq!(syncing.get("not_selling{reason=\"syncing\"}"), 1.0);
    assert_eq!(
        (syncing.get("selling"), syncing.get("payments_total")),
        (0.0, 0.0)
    );
    assert_eq!(syncing.find("head_block"), None);
    line.cut.send_replace(false);
    until_ready(&receiver, None).await;

    let shop = stage.open_unconfirmed(receiver).await;
    shop.confirmed().await;
    line.cut.send_replace(true);
    until_ready(&shop.receiver, Some("node-silent")).await;
    let denied = shop.get("/echo/x", shop.pays(5, 5)).await;
    assert_eq!(denied.status(), StatusCode::BAD_GATEWAY);
    let silent = scrape(&shop).await;
    assert_eq!(silent.get("unavailable_total{reason=\"node-silent\"}"), 1.0);
    assert!(silent.get("head_age_seconds") > 0.5);
    line.cut.send_replace(false);
    until_ready(&shop.receiver, None).await;
    let paid = shop.get("/echo/x", shop.pays(5, 5)).await;
    assert_eq!(paid.status(), StatusCode::OK);
    assert_eq!(scrape(&shop).await.get("payments_total"), 1.0);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_last_request_is_answered_no_more_should_come() {
    let shop = open(|_| {}).await;
    shop.upstream.set_gate(false);
    let waiting = tokio::spawn({
        let (http, url) = (shop.http.clone(), shop.receiver.url("/wait/x"));
        let pays = shop.pays(5, 5);
        async move { http.get(url).headers(pays).send().await.unwrap().status() }
    });
    let begin = Instant::now();
    while shop.upstream.waiting() == 0 {
        assert!(begin.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let receiver = shop.receiver;
    receiver.shut_down();
    until_ready(&receiver, Some("stopping")).await;
    shop.upstream.set_gate(true);
    assert_eq!(waiting.await.unwrap(), StatusCode::OK);
    let monitor = receiver.monitor("/health");
    receiver.stop().await;
    let begin = Instant::now();
    while reqwest::get(monitor.clone()).await.is_ok() {
        assert!(begin.elapsed() < DEADLINE, "it ends with the receiver");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_see_none_of_it_and_operators_nothing_else() {
    let shop = open(|_| {}).await;
    for path in ["/metrics", "/health", "/ready", "/api/1/metrics"] {
        let sold = shop.get(path, HeaderMap::new()).await;
        assert_ne!(sold.status(), StatusCode::OK, "{path}");
        let body = sold.text().await.unwrap();
        assert!(
            !body.contains("microraiden_") && !body.contains("alive"),
            "{body}"
        );
    }
    for path in ["/", "/echo/x", "/api/1/channels", "/api/1/stats", "/metrics/x"] {
        assert_eq!(
            look(&shop.receiver, path).await.0,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let posted = shop
        .http
        .post(shop.receiver.monitor("/metrics"))
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
    let (_, text) = look(&shop.receiver, "/metrics").await;
    for secret in [shop.world.node.url().authority(), "http"] {
        assert!(!text.contains(secret), "{secret}");
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_that_is_not_in_the_format_would_be_found() {
    let shop = open(|_| {}).await;
    let (_, text) = look(&shop.receiver, "/metrics").await;
    Scrape::read(&text);
    let one = "microraiden_selling 1\n";
    for (right, wrong) in [
        (one, "microraiden_selling one\n"),
        (one, "microraiden_selling -1\n"),
        (one, "microraiden_selling{x=\"y\"} 1\n"),
        (one, "microraiden_selling 1\nmicroraiden_selling 1\n"),
        (one, ""),
        ("microraiden_selling gauge", "microraiden_selling counter"),
        ("# HELP microraiden_selling ", "# HELP microraiden_sells "),
        ("# TYPE microraiden_selling gauge\n", ""),
        ("{state=\"open\"}", "{state=open}"),
        ("{state=\"open\"}", "{state=\"\"}"),
        ("{state=\"open\"}", "{status=\"open\"}"),
        ("le=\"+Inf\"} 0", "le=\"+Inf\"} 1"),
        ("commit_seconds_sum 0", "commit_seconds_sum 1"),
    ] {
        assert!(text.contains(right), "{right}");
        let wrong = text.replacen(right, wrong, 1);
        assert!(
            std::panic::catch_unwind(|| Scrape::read(&wrong)).is_err(),
            "{wrong}"
        );
    }
    shop.receiver.stop().await;
}
