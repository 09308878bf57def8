//! A development chain that web pages use through the proxy: what they are told, and what is relayed.

use crate::browser::offer_in;
use crate::shop::{Shop, expect, headers};
use axum::Router;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use microraiden_proxy::OfferedChain;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use url::Url;

const PATH: &str = "/js/microraiden/chain";

/// A shop that offers its chain to browsers, at this address or its own.
async fn shop(node: Option<Url>) -> Shop {
    Shop::open_with(|config| {
        let node = node.unwrap_or(config.receiver.rpc[0].clone());
        let funder = config.receiver.key.clone();
        config.site.dev_chain = Some(OfferedChain { node, funder });
    })
    .await
}

async fn send(shop: &Shop, content_type: Option<&str>, body: impl Into<String>) -> (StatusCode, Value) {
    let mut request = shop.http.post(shop.receiver.url(PATH)).body(body.into());
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    shop.ask(request).await
}

async fn call(shop: &Shop, body: Value) -> Value {
    let (status, answer) = send(shop, Some("application/json"), body.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

fn one(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// Whose balance some calls would change.
const RICH: &str = "0x00000000000000000000000000000000000000aa";

async fn balance(shop: &Shop) -> Value {
    call(shop, one(1, "eth_getBalance", json!([RICH, "latest"]))).await["result"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_told_of_the_chain_and_reads_it() {
    let shop = shop(None).await;
    let page = shop
        .get("/echo/x", headers(&[("accept", "text/html".to_owned())]))
        .await;
    let offer = offer_in(&page.text().await.unwrap());
    let key = shop.world.receiver.expose_bytes();
    let funder = format!("0x{}", alloy_primitives::hex::encode(key));
    assert_eq!(offer["devChain"], json!({"url": PATH, "funder": funder}));
    let wallet = shop.get("/js/microraiden/throwaway.js", HeaderMap::new()).await;
    assert_eq!(wallet.status(), StatusCode::OK);

    let chain_id = call(&shop, one(7, "eth_chainId", json!([]))).await;
    let id = format!("{:#x}", shop.world.contract.node().chain_id());
    assert_eq!(chain_id, json!({"jsonrpc": "2.0", "id": 7, "result": id}));
    let holder = shop.world.sender.address();
    let batch = json!([
        one(1, "eth_getBalance", json!([holder, "latest"])),
        {"id": "two", "method": "net_version"},
    ]);
    let both = call(&shop, batch).await;
    let of = |id: Value| {
        let answers = both.as_array().unwrap().iter();
        answers.filter(|answer| answer["id"] == id).collect::<Vec<_>>()
    };
    assert!(
        of(json!(1))[0]["result"].as_str().unwrap().len() > "0x0".len(),
        "{both}"
    );
    assert!(of(json!("two"))[0]["result"].is_string(), "{both}");
    // It gets to the node, which finds it wrong.
    let raw = call(&shop, one(1, "eth_sendRawTransaction", json!(["0x00"]))).await;
    assert!(
        raw["error"]["code"].as_i64().is_some_and(|code| code != -32601),
        "{raw}"
    );
    assert_eq!(shop.upstream.served(), 0);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_reading_and_what_was_signed_elsewhere_is_relayed() {
    let shop = shop(None).await;
    let change = json!([RICH, "0x77"]);
    assert_eq!(balance(&shop).await, "0x0");
    for method in [
        "evm_mine",
        "anvil_setBalance",
        "hardhat_setBalance",
        "hardhat_impersonateAccount",
        "eth_accounts",
        "eth_sendTransaction",
        "eth_sign",
        "eth_newFilter",
        "eth_subscribe",
        "personal_unlockAccount",
        "debug_traceTransaction",
        "ETH_CALL",
        "",
    ] {
        let refused = call(&shop, one(5, method, change.clone())).await;
        assert_eq!(refused["error"]["code"], -32601, "{method}: {refused}");
        assert_eq!(refused["id"], 5);
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(
            message.contains(method) && message.contains("not relayed"),
            "{message}"
        );
    }
    // Nor beside what is, in a batch or in the place of it.
    let batch = json!([
        one(1, "eth_chainId", json!([])),
        one(2, "anvil_setBalance", change.clone())
    ]);
    let refused = call(&shop, batch).await;
    let codes: Vec<_> = refused
        .as_array()
        .unwrap()
        .iter()
        .map(|each| &each["error"]["code"])
        .collect();
    assert_eq!(codes, [-32601, -32601]);
    for (first, second) in [("method", "method"), ("method", "Method"), ("Method", "method")] {
        for (one, other) in [
            ("eth_chainId", "anvil_setBalance"),
            ("anvil_setBalance", "eth_chainId"),
        ] {
            let twice = format!(r#"{{"id":1,"{first}":"{one}","{second}":"{other}","params":{change}}}"#);
            send(&shop, Some("application/json"), twice).await;
        }
    }
    assert_eq!(balance(&shop).await, "0x0");
    // The node itself would have done it.
    shop.world.node.ask("anvil_setBalance", change).await.unwrap();
    assert_eq!(balance(&shop).await, "0x77");
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_call_or_too_much_is_refused() {
    let shop = shop(None).await;
    let good = one(1, "eth_chainId", json!([])).to_string();
    // Types that a page of elsewhere may send without asking first.
    for foreign in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("text/plain;application/json"),
    ] {
        let (status, answer) = send(&shop, foreign, good.clone()).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{foreign:?}");
        assert!(
            answer["error"]["message"]
                .as_str()
                .unwrap()
                .contains("application/json")
        );
    }
    let (status, _) = send(&shop, Some("Application/JSON; charset=utf-8"), good.clone()).await;
    assert_eq!(status, StatusCode::OK);

    let padded = |length: usize| format!("{good}{}", " ".repeat(length - good.len()));
    let (status, answer) = send(&shop, Some("application/json"), padded(64 << 10)).await;
    assert!(
        status == StatusCode::OK && answer["result"].is_string(),
        "{answer}"
    );
    let (status, answer) = send(&shop, Some("application/json"), padded((64 << 10) + 1)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{answer}");

    let calls = |count| {
        (0..count)
            .map(|id| one(id, "eth_chainId", json!([])))
            .collect::<Value>()
    };
    assert_eq!(call(&shop, calls(100)).await.as_array().unwrap().len(), 100);
    for none in [
        calls(101),
        json!([]),
        json!({}),
        json!(5),
        json!([[]]),
        json!({"method": "eth_chainId"}),
        json!({"id": null, "method": "eth_chainId"}),
        json!({"id": {}, "method": "eth_chainId"}),
        json!({"id": 1, "method": 5}),
    ] {
        assert_eq!(call(&shop, none.clone()).await["error"]["code"], -32600, "{none}");
    }
    let (_, answer) = send(&shop, Some("application/json"), "{").await;
    assert_eq!(answer["error"]["code"], -32700);
    let read = shop.get(PATH, HeaderMap::new()).await;
    expect(&read, StatusCode::METHOD_NOT_ALLOWED, &[("Allow", "POST")]);
    // A page of elsewhere that asks first is not allowed.
    let asked = shop.http.request(http::Method::OPTIONS, shop.receiver.url(PATH));
    let asked = asked
        .header("Origin", "https://elsewhere.example")
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "content-type");
    let asked = asked.send().await.unwrap();
    assert!(!asked.headers().contains_key("access-control-allow-origin"));
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_answer_is_an_error_and_no_hanging_request() {
    // Bound and dropped: nobody listens there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let failing = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = failing.local_addr().unwrap();
    let router = Router::new().route("/", post(async || StatusCode::INTERNAL_SERVER_ERROR));
    tokio::spawn(async move { axum::serve(failing, router).await });
    for node in [nobody, address] {
        let node: Url = format!("http://{node}").parse().unwrap();
        let shop = shop(Some(node)).await;
        let begin = Instant::now();
        let answer = call(&shop, one(3, "eth_chainId", json!([]))).await;
        assert!(begin.elapsed() < Duration::from_secs(10));
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&json!(3), &json!(-32603))
        );
        let batch = json!([one(1, "eth_chainId", json!([])), one(2, "eth_chainId", json!([]))]);
        assert_eq!(call(&shop, batch).await.as_array().unwrap().len(), 2);
        shop.receiver.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_one_nothing_is_relayed() {
    let shop = Shop::open().await;
    let body = one(1, "eth_chainId", json!([])).to_string();
    let (status, _) = send(&shop, Some("application/json"), body).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    shop.receiver.stop().await;
}
