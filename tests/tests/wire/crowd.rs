//! Many requests at once, on one channel and on a thousand.

use crate::shop::{Shop, expect, header};
use http::{HeaderMap, StatusCode};
use microraiden_chain::token;
use microraiden_protocol::{Balance, ChannelId, Deposit, SecretKey};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Sends payments to a path, each on its own connection.
fn send(
    shop: &Arc<Shop>,
    path: &'static str,
    balances: impl IntoIterator<Item = u64>,
) -> JoinSet<StatusCode> {
    let mut requests = JoinSet::new();
    for balance in balances {
        let shop = shop.clone();
        requests.spawn(async move { shop.get(path, shop.pays(balance, 5)).await.status() });
    }
    requests
}

/// Waits until as many paid requests wait at the upstream.
async fn waiting(shop: &Shop, count: u64) {
    let begin = Instant::now();
    while shop.upstream.waiting() != count {
        let waiting = shop.upstream.waiting();
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{waiting}, not {count}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_proof_many_times_at_once_buys_once() {
    let shop = Arc::new(Shop::open().await);
    let answers = send(&shop, "/echo/x", [5; 50]).join_all().await;
    let count = |status| answers.iter().filter(|answer| **answer == status).count();
    // Sold once; who comes later gets that answer again, or is told to stop.
    let refused = count(StatusCode::PAYMENT_REQUIRED) + count(StatusCode::TOO_MANY_REQUESTS);
    assert!(count(StatusCode::OK) > 0, "{answers:?}");
    assert_eq!(count(StatusCode::OK) + refused, 50, "{answers:?}");
    assert_eq!(shop.upstream.served(), 1);
}

/// The numbers below `count` in an order that a seed gives.
fn shuffled(count: u64, seed: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = (0..count).collect();
    // A number without meaning, the same in every run.
    numbers.sort_by_cached_key(|number| {
        let mixed = (number ^ seed << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16
    });
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_requests_are_in_flight_in_any_order() {
    let shop = Arc::new(Shop::open().await);
    for round in 0..3 {
        shop.upstream.set_gate(false);
        let base = 64 * round;
        let balances = shuffled(64, round)
            .into_iter()
            .map(|request| (base + request + 1) * 5);
        let requests = send(&shop, "/wait/x", balances);
        waiting(&shop, 64).await;
        shop.upstream.set_gate(true);
        let answers = requests.join_all().await;
        assert!(
            answers.iter().all(|status| *status == StatusCode::OK),
            "{answers:?}"
        );
    }
    let next = shop.get("/echo/x", shop.pays(965, 5)).await;
    let receipt = [("RDN-Sender-Balance", "965"), ("RDN-Credit", "0")];
    expect(&next, StatusCode::OK, &receipt);
    assert_eq!(shop.upstream.served(), 3 * 64 + 1);
}

/// Opens so many channels of several senders, each with a deposit for four payments.
async fn open_channels(shop: &Shop, count: usize) -> Vec<(SecretKey, ChannelId)> {
    let contract = &shop.world.contract;
    let receiver = shop.world.receiver.address();
    let mut opened = JoinSet::new();
    for sender in 3..9 {
        let key = shop.world.node.key(sender);
        let wallet = shop.world.wallet(&key);
        token::mint(&wallet, contract.token().address).await.unwrap();
        for _ in (sender - 3..count).step_by(6) {
            let (contract, wallet, key) = (contract.clone(), wallet.clone(), key.clone());
            opened.spawn(async move {
                let deposit = Deposit::from(20);
                let opened = contract.open_channel_erc223(&wallet, receiver, deposit);
                (key, opened.await.unwrap().0)
            });
        }
    }
    opened.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_channels_pay_at_once_and_each_balance_is_exact() {
    const CHANNELS: usize = 1_000;
    /// So many files are open at once on each side, twice.
    const AT_ONCE: usize = 400;
    let shop = Arc::new(Shop::open().await);
    let begin = Instant::now();
    let channels = open_channels(&shop, CHANNELS).await;
    let stats = async || -> Value {
        let answer = shop.get("/api/1/stats", HeaderMap::new()).await;
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    };
    while stats().await["open_channels"] != "1001" {
        assert!(begin.elapsed() < Duration::from_secs(60), "{}", stats().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("{CHANNELS} channels were opened in {:?}", begin.elapsed());

    let contract = &shop.world.contract;
    let pays = |key: &SecretKey, channel: ChannelId, balance: u64, payment: u64| {
        let proof = contract.scheme().sign_balance_proof(key, channel, balance.into());
        microraiden_http::payment_headers(contract.address(), &proof, Some(payment.into()))
    };
    let bought = |index: usize| index as u64 % 4 + 1;
    let mut payments: Vec<HeaderMap> = Vec::new();
    for (index, (key, channel)) in channels.iter().enumerate() {
        payments.extend((1..=bought(index)).map(|nth| pays(key, *channel, nth * 5, 5)));
    }
    let total = payments.len() as u64;
    let begin = Instant::now();
    let door = Arc::new(Semaphore::new(AT_ONCE));
    let mut requests = JoinSet::new();
    for place in shuffled(total, 7) {
        let payment = std::mem::take(&mut payments[usize::try_from(place).unwrap()]);
        let (shop, door) = (shop.clone(), door.clone());
        requests.spawn(async move {
            let _inside = door.acquire().await.unwrap();
            let answer = shop.get("/echo/x", payment).await;
            (answer.status(), header(&answer, "RDN-Cost").map(str::to_owned))
        });
    }
    let answers = requests.join_all().await;
    println!("{total} payments on them took {:?}", begin.elapsed());
    let served = (StatusCode::OK, Some("5".to_owned()));
    assert!(answers.iter().all(|answer| *answer == served), "{answers:?}");
    assert_eq!(shop.upstream.served(), total);

    // The statistics may be a second old.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(stats().await["balance_sum"], (total * 5).to_string());
    for (index, (key, channel)) in channels.iter().enumerate() {
        let balance = bought(index) * 5;
        let answer = shop.get("/echo/x", pays(key, *channel, balance, 0)).await;
        let told = balance.to_string();
        let standing = [
            ("RDN-Sender-Balance", told.as_str()),
            ("RDN-Credit", "0"),
            ("RDN-Refund", ""),
        ];
        expect(&answer, StatusCode::PAYMENT_REQUIRED, &standing);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_is_owed_at_a_close_and_nothing_is_sold_after_it() {
    let shop = Arc::new(Shop::open().await);
    shop.upstream.set_gate(false);
    let requests = send(&shop, "/wait/x", (1..=10).map(|request| request * 5));
    waiting(&shop, 10).await;
    let body = |balance: u64| json!({"balance": balance.to_string(), "balance_signature": shop.proof(balance).signature.to_string()});
    let (early, why) = shop.close(body(45)).await;
    assert_eq!(early, StatusCode::BAD_REQUEST, "{why}");
    let (status, answer) = shop.close(body(50)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let closing = answer["close_signature"].as_str().unwrap().parse().unwrap();
    let scheme = shop.world.contract.scheme();
    assert!(scheme.is_closing_signature(&closing, &shop.channel, Balance::from(50)));

    let late = send(&shop, "/echo/x", [55, 60, 50]).join_all().await;
    assert_eq!(late, [StatusCode::PAYMENT_REQUIRED; 3]);
    shop.upstream.set_gate(true);
    assert_eq!(requests.join_all().await, [StatusCode::OK; 10]);
    assert_eq!(shop.upstream.served(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_has_paid_and_leaves_nothing_in_flight() {
    let shop = Arc::new(Shop::open().await);
    shop.upstream.set_gate(false);
    let mut requests = send(&shop, "/wait/x", (1..=20).map(|request| request * 5));
    waiting(&shop, 20).await;
    requests.shutdown().await;
    waiting(&shop, 0).await;
    shop.upstream.set_gate(true);

    let again = shop.get("/echo/x", shop.pays(50, 5)).await;
    assert_eq!(again.status(), StatusCode::PAYMENT_REQUIRED);
    assert!(header(&again, "RDN-Error").is_some_and(|error| error.starts_with("already-spent")));
    let next = shop.get("/echo/x", shop.pays(105, 5)).await;
    expect(&next, StatusCode::OK, &[("RDN-Sender-Balance", "105")]);
    assert_eq!(shop.upstream.served(), 1);
}
