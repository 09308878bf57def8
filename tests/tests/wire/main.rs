//! What goes over the wire, as any client sees it: statuses, headers and bodies of the proxy.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod abuse;
mod answers;
mod browser;
mod browsers;
mod closes;
mod crowd;
mod described;
mod dev_chain;
mod gas;
mod hostile;
mod metered;
mod monitor;
mod operators;
mod pricing;
mod refusals;
mod rest;
mod scrape;
mod shop;
mod smuggling;
mod stages;
mod upstreams;

use http::{HeaderMap, StatusCode};
use microraiden_protocol::{Address, Balance};
use serde_json::Value;
use shop::{DEPOSIT, PRICE, Shop, expect, header};

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_request_learns_how_to_pay() {
    let shop = Shop::open().await;
    let response = shop.get("/echo/hello", HeaderMap::new()).await;
    let address = |address: Address| address.to_checksum(None);
    expect(
        &response,
        StatusCode::PAYMENT_REQUIRED,
        &[
            ("RDN-Gateway-Path", "/api/1"),
            ("RDN-Receiver-Address", &address(shop.world.receiver.address())),
            ("RDN-Contract-Address", &address(shop.world.contract.address())),
            ("RDN-Token-Address", &address(shop.world.contract.token().address)),
            ("RDN-Price", "5"),
            ("RDN-Credit", "0"),
            ("RDN-Sender-Balance", ""),
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
        ],
    );
    assert_eq!(shop.upstream.served(), 0);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_buys_once() {
    let shop = Shop::open().await;
    let paid = shop.get("/echo/hello", shop.pays(5, 5)).await;
    let sender = shop.channel.sender.to_checksum(None);
    let receipt = [
        ("RDN-Sender-Address", sender.as_str()),
        ("RDN-Sender-Balance", "5"),
        ("RDN-Cost", "5"),
        ("RDN-Credit", "0"),
        ("RDN-Price", "5"),
        ("RDN-Gateway-Path", "/api/1"),
        ("Cache-Control", "private"),
    ];
    expect(&paid, StatusCode::OK, &receipt);
    assert_eq!(paid.text().await.unwrap(), "hello");
    let seen = shop.upstream.last_headers();
    assert!(
        seen.keys().all(|name| !name.as_str().starts_with("rdn-")),
        "{seen:?}"
    );

    let signature = shop.proof(5).signature.to_string();
    let other = shop.get("/echo/other", shop.pays(5, 5)).await;
    expect(
        &other,
        StatusCode::PAYMENT_REQUIRED,
        &[
            ("RDN-Invalid-Balance-Proof", "1"),
            ("RDN-Sender-Balance", "5"),
            ("RDN-Balance-Signature", &signature),
            (
                "RDN-Error",
                "already-spent; this balance proof was used before; sign a higher one",
            ),
        ],
    );
    assert_eq!(shop.upstream.served(), 1);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_2018_pays() {
    let shop = Shop::open().await;
    for balance in [5, 10, 15] {
        let paid = shop.get("/echo/old", shop.pays_as_in_2018(balance)).await;
        expect(
            &paid,
            StatusCode::OK,
            &[("RDN-Sender-Balance", &balance.to_string())],
        );
    }
    let signature = shop.proof(15).signature.to_string();
    let state = [
        ("RDN-Sender-Balance", "15"),
        ("RDN-Balance-Signature", signature.as_str()),
    ];
    for (balance, flag) in [
        (15, None),
        (10, Some("RDN-Invalid-Amount")),
        (21, Some("RDN-Invalid-Amount")),
    ] {
        let refused = shop.get("/echo/old", shop.pays_as_in_2018(balance)).await;
        expect(&refused, StatusCode::PAYMENT_REQUIRED, &state);
        for name in [
            "RDN-Invalid-Amount",
            "RDN-Invalid-Balance-Proof",
            "RDN-Nonexisting-Channel",
        ] {
            assert_eq!(
                header(&refused, name),
                (flag == Some(name)).then_some("1"),
                "{balance} {name}"
            );
        }
    }
    assert_eq!(shop.upstream.served(), 3);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_accepted_is_refused_without_a_word_about_the_account() {
    let shop = Shop::open().await;
    shop.get("/echo/x", shop.pays(5, 5)).await;
    let silent = [("RDN-Sender-Balance", ""), ("RDN-Balance-Signature", "")];

    let over = shop.get("/echo/x", shop.pays(DEPOSIT + 1, PRICE)).await;
    expect(
        &over,
        StatusCode::PAYMENT_REQUIRED,
        &[("RDN-Invalid-Balance-Proof", "1"), silent[0], silent[1]],
    );

    let mut forged = shop.pays(10, 5);
    let other = shop.proof(9).signature.to_string();
    forged.insert("RDN-Balance-Signature", other.parse().unwrap());
    let refused = shop.get("/echo/x", forged.clone()).await;
    expect(
        &refused,
        StatusCode::PAYMENT_REQUIRED,
        &[("RDN-Invalid-Balance-Proof", "1"), silent[0], silent[1]],
    );

    forged.insert("RDN-Balance-Signature", "0x1234".parse().unwrap());
    let refused = shop.get("/echo/x", forged).await;
    expect(
        &refused,
        StatusCode::PAYMENT_REQUIRED,
        &[("RDN-Invalid-Balance-Proof", "1"), silent[0], silent[1]],
    );

    let mut nowhere = shop.pays(10, 5);
    nowhere.insert("RDN-Open-Block", "1".parse().unwrap());
    let refused = shop.get("/echo/x", nowhere).await;
    expect(
        &refused,
        StatusCode::PAYMENT_REQUIRED,
        &[("RDN-Nonexisting-Channel", "1"), silent[0], silent[1]],
    );

    let cheap = shop.get("/echo/x", shop.pays(9, 4)).await;
    expect(
        &cheap,
        StatusCode::PAYMENT_REQUIRED,
        &[("RDN-Invalid-Amount", "1"), ("RDN-Sender-Balance", "5")],
    );
    assert_eq!(shop.upstream.served(), 1);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_a_conflict_that_names_the_header() {
    let shop = Shop::open().await;
    for (name, value) in [
        ("RDN-Open-Block", "abc"),
        ("RDN-Open-Block", "-1"),
        ("RDN-Sender-Address", "0x12"),
        ("RDN-Payment", "five"),
        (
            "RDN-Sender-Balance",
            "6277101735386680763835789423207666416102355444464034512896",
        ),
        ("RDN-Balance", "6"),
    ] {
        let mut malformed = shop.pays(5, 5);
        malformed.insert(name, value.parse().unwrap());
        let response = shop.get("/echo/x", malformed).await;
        assert_eq!(response.status(), StatusCode::CONFLICT, "{name}: {value}");
        let body = response.text().await.unwrap();
        assert!(body.contains("RDN-"), "{name}: {value}: {body}");
    }
    let mut incomplete = shop.pays(5, 5);
    incomplete.remove("RDN-Sender-Address");
    let response = shop.get("/echo/x", incomplete).await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
    assert!(response.text().await.unwrap().contains("RDN-Sender-Address"));
    assert_eq!(shop.upstream.served(), 0);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_fails_is_not_charged_and_the_same_proof_buys_again() {
    let shop = Shop::open().await;
    for _ in 0..2 {
        let failed = shop.get("/fail/2", shop.pays(5, 5)).await;
        let receipt = [
            ("RDN-Cost", "0"),
            ("RDN-Credit", "5"),
            ("RDN-Sender-Balance", "5"),
        ];
        expect(&failed, StatusCode::INTERNAL_SERVER_ERROR, &receipt);
    }
    let served = shop.get("/fail/2", shop.pays(5, 5)).await;
    expect(&served, StatusCode::OK, &[("RDN-Cost", "5"), ("RDN-Credit", "0")]);
    assert_eq!(served.text().await.unwrap(), "at last");
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_cannot_be_reached_is_a_502_without_charge() {
    // Bound and dropped: nobody listens there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let shop = Shop::open_before(|_| format!("http://{nobody}").parse().unwrap()).await;
    let failed = shop.get("/echo/x", shop.pays(5, 5)).await;
    expect(
        &failed,
        StatusCode::BAD_GATEWAY,
        &[("RDN-Cost", "0"), ("RDN-Credit", "5")],
    );
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_is_signed_for_the_sender_alone_and_ends_the_selling() {
    let shop = Shop::open().await;
    shop.get("/echo/x", shop.pays(5, 5)).await;
    shop.get("/echo/x", shop.pays(10, 5)).await;
    let signature = |balance| Value::from(shop.proof(balance).signature.to_string());
    let stranger = shop.world.contract.scheme().sign_balance_proof(
        &shop.world.receiver,
        shop.channel,
        Balance::from(10),
    );
    for body in [
        serde_json::json!({"balance": "10"}),
        serde_json::json!({"balance": "10", "balance_signature": stranger.signature.to_string()}),
        serde_json::json!({"balance": "10", "balance_signature": signature(5)}),
        serde_json::json!({"balance": "5", "balance_signature": signature(5)}),
        serde_json::json!({"balance": "11", "balance_signature": signature(11)}),
        serde_json::json!({"balance_signature": signature(10)}),
        serde_json::json!([]),
    ] {
        let (status, answer) = shop.close(body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {answer}");
        assert!(answer.is_string(), "{body}: {answer}");
    }
    let body = serde_json::json!({"balance": "10", "balance_signature": signature(10)});
    let (status, answer) = shop.close(body.clone()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let closing = answer["close_signature"].as_str().unwrap().parse().unwrap();
    let scheme = shop.world.contract.scheme();
    assert!(scheme.is_closing_signature(&closing, &shop.channel, Balance::from(10)));
    assert_eq!(shop.close(body).await, (StatusCode::OK, answer));

    let refused = shop.get("/echo/x", shop.pays(15, 5)).await;
    expect(
        &refused,
        StatusCode::PAYMENT_REQUIRED,
        &[("RDN-Nonexisting-Channel", "1")],
    );
    assert_eq!(shop.upstream.served(), 2);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lists_show_channels_and_never_a_signature() {
    let shop = Shop::open().await;
    shop.get("/echo/x", shop.pays(5, 5)).await;
    let sender = shop.channel.sender.to_checksum(None);
    let expected = serde_json::json!({
        "sender_address": sender,
        "open_block": shop.channel.open_block.to_string(),
        "balance": "5",
        "deposit": "1000",
        "state": "open",
    });
    let read = async |path: &str| -> (StatusCode, Value) {
        let response = shop.get(path, HeaderMap::new()).await;
        (
            response.status(),
            serde_json::from_str(&response.text().await.unwrap()).unwrap(),
        )
    };
    let list = Value::Array(vec![expected.clone()]);
    for path in [
        "/api/1/channels",
        "/api/1/channels/",
        &format!("/api/1/channels/{sender}"),
    ] {
        assert_eq!(read(path).await, (StatusCode::OK, list.clone()), "{path}");
    }
    let one = format!(
        "/api/1/channels/{}/{}",
        sender.to_lowercase(),
        shop.channel.open_block
    );
    assert_eq!(read(&one).await, (StatusCode::OK, expected));
    assert_eq!(
        read(&format!("/api/1/channels/{sender}/1")).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(read("/api/1/channels/nobody").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(read("/cm").await, (StatusCode::OK, Value::from("OK")));

    let (status, stats) = read("/api/1/stats").await;
    assert_eq!(status, StatusCode::OK);
    for (field, value) in [
        ("deposit_sum", "1000"),
        ("balance_sum", "5"),
        ("open_channels", "1"),
        ("pending_channels", "0"),
        ("unique_senders", "1"),
        ("liquid_balance", "0"),
        ("sync_block", "0"),
    ] {
        assert_eq!(stats[field], value, "{field}");
    }
    let abi: Vec<Value> = serde_json::from_str(stats["manager_abi"].as_str().unwrap()).unwrap();
    assert!(abi.iter().any(|entry| entry["name"] == "cooperativeClose"));
    shop.receiver.stop().await;
}
