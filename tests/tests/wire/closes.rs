//! Cooperative closes in every form that clients send them in.

use crate::shop::{Shop, WithJson};
use http::StatusCode;
use microraiden_protocol::{Balance, Signature};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A shop whose channel has paid 10.
async fn paid() -> Shop {
    let shop = Shop::open().await;
    pay(&shop).await;
    shop
}

async fn pay(shop: &Shop) {
    for balance in [5, 10] {
        let response = shop.get("/echo/x", shop.pays(balance, 5)).await;
        assert_eq!(response.status(), StatusCode::OK);
    }
}

fn agreed(shop: &Shop, answer: &(StatusCode, Value), at: u64) {
    assert_eq!(answer.0, StatusCode::OK, "{}", answer.1);
    let signature: Signature = answer.1["close_signature"].as_str().unwrap().parse().unwrap();
    let scheme = shop.world.contract.scheme();
    assert!(scheme.is_closing_signature(&signature, &shop.channel, Balance::from(at)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_is_asked_for_by_json_form_query_header_or_cookie() {
    let shop = paid().await;
    let signature = shop.proof(10).signature.to_string();
    let in_query = format!("?balance=10&balance_signature={signature}");
    let form = in_query[1..].to_owned();
    let form_type = "application/x-www-form-urlencoded";
    let requests = [
        shop.delete("")
            .with_json(&json!({"balance": 10, "balance_signature": signature})),
        shop.delete("")
            .with_json(&json!({"balance": "10", "balance_signature": signature})),
        shop.delete("")
            .body(json!({"balance": 10, "balance_signature": signature}).to_string()),
        shop.delete("")
            .header("content-type", form_type)
            .body(form.clone()),
        shop.delete("").body(form),
        shop.delete(&in_query),
        shop.delete(&in_query).header("content-type", "application/json"),
        shop.delete("?balance=10")
            .with_json(&json!({"balance_signature": signature})),
        shop.delete("")
            .with_json(&json!({"balance": 10}))
            .header("RDN-Balance-Signature", &signature),
        shop.delete("?balance=10")
            .header("Cookie", format!("a=b; RDN-Balance-Signature={signature}")),
        // A browser sends the cookie of its last payment with everything.
        shop.delete(&in_query).header(
            "Cookie",
            format!("RDN-Balance-Signature={}", shop.proof(5).signature),
        ),
    ];
    let mut first = None;
    for request in requests {
        let answer = shop.ask(request).await;
        agreed(&shop, &answer, 10);
        // The same balance gives the same signature.
        assert_eq!(first.get_or_insert_with(|| answer.clone()), &answer);
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_agreed_to_is_told_in_the_originals_words() {
    let shop = paid().await;
    let proof = |balance| shop.proof(balance).signature.to_string();
    let of = |balance: u64| json!({"balance": balance, "balance_signature": proof(balance)});
    let wrong = "Requested closing balance does not match latest one.";
    let last = json!({"message": {"balance": "last balance proof balance"}});
    for (body, expected) in [
        (json!({}), json!("Bad balance format")),
        (json!({"balance": null}), json!("Bad balance format")),
        (
            json!({"balance_signature": proof(10)}),
            json!("Bad balance format"),
        ),
        (json!({"balance": "ten"}), last.clone()),
        (json!({"balance": 10.5}), last.clone()),
        (json!({"balance": true}), last.clone()),
        (json!({"balance": -1}), last.clone()),
        (
            json!({"balance": 10, "balance_signature": "0x12"}),
            json!("Bad signature format"),
        ),
        (
            json!({"balance": 10, "balance_signature": 5}),
            json!("Bad signature format"),
        ),
        (of(5), json!(wrong)),
        (of(11), json!(wrong)),
    ] {
        let answer = shop.close(body.clone()).await;
        assert_eq!(answer, (StatusCode::BAD_REQUEST, expected), "{body}");
    }
    // A number above 2^192 - 1 is none; one at it is only wrong.
    for (balance, known) in [
        (
            "6277101735386680763835789423207666416102355444464034512896",
            false,
        ),
        ("6277101735386680763835789423207666416102355444464034512895", true),
    ] {
        let body = format!(
            r#"{{"balance": {balance}, "balance_signature": "{}"}}"#,
            proof(10)
        );
        let (status, answer) = shop.ask(shop.delete("").body(body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(answer == last, !known, "{answer}");
    }
    let elsewhere = shop
        .path()
        .replace(&format!("/{}", shop.channel.open_block), "/1");
    let request = shop.http.delete(shop.receiver.url(&elsewhere)).with_json(&of(10));
    let (status, answer) = shop.ask(request).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let sender = shop.channel.sender;
    let unknown = format!("Channel does not exist or has been closed(sender={sender}, open_block_number=1)");
    assert_eq!(answer, json!(unknown));
    for path in [
        "/api/1/channels/nobody/1",
        "/api/1/channels/%ff/1",
        "/api/1/channels/0x12/x",
    ] {
        let request = shop.http.delete(shop.receiver.url(path)).with_json(&of(10));
        assert_eq!(shop.ask(request).await.0, StatusCode::BAD_REQUEST, "{path}");
    }
    agreed(&shop, &shop.close(of(10)).await, 10);
    let (status, answer) = shop.close(of(9)).await;
    let promised = json!("Channel closing has been requested already.");
    assert_eq!((status, answer), (StatusCode::BAD_REQUEST, promised));
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_too_long_or_of_another_type_are_refused() {
    let shop = paid().await;
    let status = async |request| shop.ask(request).await.0;
    let long = "x".repeat((64 << 10) + 1);
    assert_eq!(
        status(shop.delete("").body(long)).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    for other in ["text/plain", "multipart/form-data; boundary=x", "", "é"] {
        let request = shop.delete("?balance=10").header("content-type", other).body("x");
        assert_eq!(
            status(request).await,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{other}"
        );
    }
    for body in ["", "[]", "5", "{", "{\"balance\": 10, \"balance\": 10}"] {
        let request = shop
            .delete("")
            .header("content-type", "application/json")
            .body(body);
        assert_eq!(status(request).await, StatusCode::BAD_REQUEST, "{body}");
    }
    for query in [
        "?balance=10&balance=11",
        "?balance=",
        "?balance=+10",
        "?balance=10&auth_balance=5",
    ] {
        let signature = shop.proof(10).signature.to_string();
        let request = shop.delete(query).header("RDN-Balance-Signature", signature);
        assert_eq!(status(request).await, StatusCode::BAD_REQUEST, "{query}");
    }
    let (_, channel) = shop.read(&shop.path()).await;
    assert_eq!(channel["state"], "open");
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_balance_closes_only_where_the_operator_allows_it() {
    let shop = paid().await;
    let (status, answer) = shop.close(json!({"balance": 10})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    assert!(answer.as_str().unwrap().contains("signature"), "{answer}");
    shop.receiver.stop().await;

    let shop = Shop::open_with(|config| config.site.rest.legacy_close = true).await;
    let (status, _) = shop.close(json!({"balance": 0})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "nothing was paid");
    pay(&shop).await;
    // A signature that is wrong is not passed over.
    let body = json!({"balance": 10, "balance_signature": shop.proof(9).signature.to_string()});
    assert_eq!(shop.close(body).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(shop.close(json!({"balance": 9})).await.0, StatusCode::BAD_REQUEST);
    // As the Python client of 2018 does it.
    let form = shop
        .delete("")
        .header("content-type", "application/x-www-form-urlencoded");
    agreed(&shop, &shop.ask(form.body("balance=10")).await, 10);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_withdrawal_another_signature_shows_who_asks() {
    let shop = paid().await;
    let wallet = shop.world.wallet(&shop.world.receiver);
    let signature = shop.proof(10).signature;
    let contract = &shop.world.contract;
    let withdrawn = contract.withdraw(&wallet, &shop.channel, Balance::from(10), &signature);
    withdrawn.await.unwrap();
    let signature = signature.to_string();
    let plain = json!({"balance": 10, "balance_signature": signature});
    // Until the receiver has read on, the proof is no more public than any: a second channel shows it.
    let receiver = shop.channel.receiver;
    let sender = shop.world.wallet(&shop.world.sender);
    let opened = contract.open_channel(&sender, receiver, 1.into()).await.unwrap();
    let later = shop.path().replace(
        &format!("/{}", shop.channel.open_block),
        &format!("/{}", opened.0.open_block),
    );
    let begin = Instant::now();
    while shop.read(&later).await.0 != StatusCode::OK {
        assert!(begin.elapsed() < Duration::from_secs(20), "it is not confirmed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (status, answer) = shop.close(plain).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    assert!(answer.as_str().unwrap().contains("auth_signature"), "{answer}");
    let other = |balance: u64| {
        let auth = shop.proof(balance).signature.to_string();
        json!({"balance": 10, "balance_signature": signature, "auth_balance": balance, "auth_signature": auth})
    };
    for balance in [10, 11] {
        assert_eq!(shop.close(other(balance)).await.0, StatusCode::BAD_REQUEST);
    }
    agreed(&shop, &shop.close(other(9)).await, 10);
    shop.receiver.stop().await;
}
