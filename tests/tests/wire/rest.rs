//! The REST interface: lists, statistics, and what is no request to it.

use crate::shop::{DEPOSIT, Shop, header};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use http::{HeaderMap, Method, StatusCode};
use microraiden_protocol::Deposit;
use microraiden_tests::Upstream;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use url::Url;

/// Opens more channels of the sender's and waits until they are listed; their open blocks.
async fn open_more(shop: &Shop, count: u64) -> Vec<u64> {
    let wallet = shop.world.wallet(&shop.world.sender);
    let mut blocks = vec![shop.channel.open_block.into()];
    for _ in 0..count {
        let receiver = shop.channel.receiver;
        let opened = shop
            .world
            .contract
            .open_channel(&wallet, receiver, Deposit::from(DEPOSIT));
        blocks.push(opened.await.unwrap().0.open_block.into());
    }
    let begin = Instant::now();
    while shop.read("/api/1/channels").await.1.as_array().unwrap().len() != blocks.len() {
        assert!(begin.elapsed() < Duration::from_secs(20), "not all are confirmed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    blocks
}

fn blocks(list: &Value) -> Vec<u64> {
    let block = |channel: &Value| channel["open_block"].as_str().unwrap().parse().unwrap();
    list.as_array().unwrap().iter().map(block).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_by_status() {
    let shop = Shop::open().await;
    shop.get("/echo/x", shop.pays(5, 5)).await;
    let expected = open_more(&shop, 2).await;
    let signature = shop.proof(5).signature.to_string();
    let body = json!({"balance": 5, "balance_signature": signature});
    assert_eq!(shop.close(body).await.0, StatusCode::OK);
    let (closed, open) = (&expected[..1], &expected[1..]);
    let sender = shop.channel.sender;
    for path in [
        "/api/1/channels".to_owned(),
        "/api/1/channels/".to_owned(),
        format!("/api/1/channels/{sender}"),
        format!("/api/1/channels/{sender:#x}"),
    ] {
        for (query, shown) in [
            ("", open),
            ("?status=open", open),
            ("?status=opened", open),
            ("?status=closed", closed),
            ("?status=all", &expected),
        ] {
            let (status, list) = shop.read(&format!("{path}{query}")).await;
            assert_eq!(status, StatusCode::OK);
            assert_eq!(blocks(&list), shown, "{path}{query}");
        }
        let (status, body) = shop.read(&format!("{path}?status=pending")).await;
        let message = json!({"message": {"status": "filter channels by a status"}});
        assert_eq!((status, body), (StatusCode::BAD_REQUEST, message));
    }
    let (status, one) = shop.read(&shop.path()).await;
    assert_eq!((status, &one["state"]), (StatusCode::OK, &json!("closed")));
    assert_eq!(one.as_object().unwrap().len(), 5, "{one}");
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages_that_link_to_the_next() {
    let shop = Shop::open().await;
    let expected = open_more(&shop, 4).await;
    let sender = shop.channel.sender;
    for (path, limit) in [
        ("/api/1/channels".to_owned(), 1),
        ("/api/1/channels/".to_owned(), 2),
        (format!("/api/1/channels/{sender}"), 3),
        ("/api/1/channels".to_owned(), 5),
    ] {
        let (mut read, mut next) = (Vec::new(), Some(format!("{path}?status=all&limit={limit}")));
        while let Some(page) = next {
            let response = shop.get(&page, HeaderMap::new()).await;
            assert_eq!(response.status(), StatusCode::OK);
            let link = header(&response, "link").map(|link| {
                let target = link.strip_prefix('<').unwrap();
                target.strip_suffix(">; rel=\"next\"").unwrap().to_owned()
            });
            let list: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            let page = blocks(&list);
            assert!(page.len() == limit || link.is_none(), "{path}");
            read.extend(page);
            next = link;
        }
        assert_eq!(read, expected, "{path} in pages of {limit}");
    }
    for (query, name) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=1&limit=2", "limit"),
        ("after=5", "after"),
        ("after=0x12-5", "after"),
        ("after=%ff", "after"),
        ("status", "status"),
    ] {
        let (status, body) = shop.read(&format!("/api/1/channels?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(body["message"][name].is_string(), "{query}: {body}");
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found_or_not_an_address() {
    let shop = Shop::open().await;
    let (sender, nobody) = (shop.channel.sender, "0x00000000000000000000000000000000000000ff");
    let (status, list) = shop.read(&format!("/api/1/channels/{nobody}")).await;
    assert_eq!((status, list), (StatusCode::OK, json!([])));
    let bare = &sender.to_string()[2..];
    for bad in ["nobody", "0x12", bare, &format!("{sender}0"), "%ff", "0x%00"] {
        let (status, body) = shop.read(&format!("/api/1/channels/{bad}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(body.is_string(), "{body}");
    }
    for path in [
        format!("{sender}/1"),
        format!("{nobody}/{}", shop.channel.open_block),
        format!("{sender}/x"),
        format!("{sender}/-1"),
        format!("{sender}/+{}", shop.channel.open_block),
        format!("{sender}/4294967296"),
        format!("nobody/{}", shop.channel.open_block),
        format!("{sender}/%ff"),
    ] {
        let found = shop.read(&format!("/api/1/channels/{path}")).await;
        let not_found = (StatusCode::NOT_FOUND, json!("Sender address not found"));
        assert_eq!(found, not_found, "{path}");
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_not_allowed_and_told_which_are() {
    let shop = Shop::open().await;
    let admin = shop.path().replace("/api/1/", "/api/1/admin/");
    for (path, allowed) in [
        ("/cm", "GET,HEAD"),
        ("/api/1/stats", "GET,HEAD"),
        ("/api/1/channels", "GET,HEAD"),
        (&shop.path(), "GET,HEAD,DELETE"),
        ("/api/1/login", "GET,HEAD"),
        ("/api/1/openapi.json", "GET,HEAD"),
        (&admin, "DELETE"),
    ] {
        for method in [Method::POST, Method::PUT, Method::OPTIONS, Method::TRACE] {
            let request = shop.http.request(method, shop.receiver.url(path));
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
            assert_eq!(header(&response, "allow"), Some(allowed), "{path}");
        }
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statistics_give_abis_as_text_or_as_arrays() {
    let shop = Shop::open().await;
    let (status, text) = shop.read("/api/1/stats").await;
    assert_eq!(status, StatusCode::OK);
    let (status, arrays) = shop.read("/api/1/stats?abi=json").await;
    assert_eq!(status, StatusCode::OK);
    for abi in ["manager_abi", "token_abi"] {
        let parsed: Value = serde_json::from_str(text[abi].as_str().unwrap()).unwrap();
        assert_eq!(parsed, arrays[abi]);
        assert!(arrays[abi].is_array());
    }
    assert_eq!(text["open_channels"], arrays["open_channels"]);
    assert_eq!(shop.read("/api/1/stats?abi=xml").await.0, StatusCode::BAD_REQUEST);
    let response = shop.get("/api/1/stats", HeaderMap::new()).await;
    assert!(response.text().await.unwrap().ends_with("}\n"));
    shop.receiver.stop().await;
}

/// Stands before a node and counts how often it is asked for a token balance.
#[derive(Clone)]
struct Counting {
    node: Url,
    http: reqwest::Client,
    asked: Arc<AtomicU64>,
}

/// The selector of `balanceOf`.
const BALANCE_OF: &str = "70a08231";

async fn relay(State(counting): State<Counting>, body: Bytes) -> (HeaderMap, Body) {
    let asks = String::from_utf8_lossy(&body).contains(BALANCE_OF);
    counting.asked.fetch_add(asks.into(), Ordering::SeqCst);
    let post = counting.http.post(counting.node).body(body);
    let post = post.header("content-type", "application/json");
    let answer = post.send().await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    (headers, answer.bytes().await.unwrap().into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_questions_for_the_statistics_is_one_question_to_the_node() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Url = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let counter = asked.clone();
    let shop = Shop::open_with(move |config| {
        let node = std::mem::replace(&mut config.receiver.rpc[0], address);
        let counting = Counting {
            node,
            http: reqwest::Client::new(),
            asked: counter,
        };
        let router = Router::new().fallback(relay).with_state(counting);
        tokio::spawn(async move { axum::serve(listener, router).await });
    })
    .await;
    let (before, begin) = (asked.load(Ordering::SeqCst), Instant::now());
    for _ in 0..300 {
        let response = shop.get("/api/1/stats", HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::OK);
    }
    let (count, seconds) = (asked.load(Ordering::SeqCst) - before, begin.elapsed().as_secs());
    assert!(
        (1..=seconds + 2).contains(&count),
        "{count} questions in {seconds} s"
    );
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_of_the_interface_is_the_upstreams() {
    let shop = Shop::open_before(Upstream::url).await;
    for path in [
        "/api",
        "/api/1",
        "/api/1/mine",
        "/api/1/channels/a/b/c",
        "/api/2/stats",
    ] {
        let (status, _) = shop.read(path).await;
        assert_eq!(status, StatusCode::PAYMENT_REQUIRED, "{path}");
    }
    shop.receiver.stop().await;
}
