//! What operators may do, and others may not.

use crate::shop::{Shop, WithJson, header};
use http::StatusCode;
use microraiden_protocol::Amount;
use microraiden_proxy::rest::{Operators, hash_password};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PASSWORD: &str = "of the tests alone";

/// A shop that ann operates, whose channel has paid 10.
async fn operated() -> Shop {
    let hash = hash_password(PASSWORD).unwrap();
    let operators = Operators::default().with("ann", &hash).unwrap();
    let shop = Shop::open_with(|config| config.site.rest.operators = operators).await;
    for balance in [5, 10] {
        let response = shop.get("/echo/x", shop.pays(balance, 5)).await;
        assert_eq!(response.status(), StatusCode::OK);
    }
    shop
}

/// What a path of the interface says to somebody.
async fn as_user(shop: &Shop, path: &str, user: &str, password: &str) -> (StatusCode, Value) {
    let request = shop.http.get(shop.receiver.url(path));
    shop.ask(request.basic_auth(user, Some(password))).await
}

async fn token(shop: &Shop) -> String {
    let (status, body) = as_user(shop, "/api/1/login", "ann", PASSWORD).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body["token"].as_str().unwrap().to_owned()
}

fn admin_path(shop: &Shop) -> String {
    shop.path().replace("/api/1/", "/api/1/admin/")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_gives_a_token_until_the_logout() {
    let shop = operated().await;
    let nothing = (StatusCode::OK, json!("NOTHING TO SEE HERE, GO AWAY"));
    let bye = (StatusCode::OK, json!("OK"));
    let (first, second) = (token(&shop).await, token(&shop).await);
    assert_ne!(first, second);
    for user in [&first, &second] {
        assert_eq!(as_user(&shop, "/api/1/admin", user, "any").await, nothing);
    }
    assert_eq!(as_user(&shop, "/api/1/logout", &first, "").await, bye);
    let (status, _) = as_user(&shop, "/api/1/admin", &first, "").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(as_user(&shop, "/api/1/admin", &second, "").await, nothing);
    assert_eq!(as_user(&shop, "/api/1/admin", "ann", PASSWORD).await, nothing);
    assert_eq!(as_user(&shop, "/api/1/logout", "ann", PASSWORD).await, bye);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_told_to_log_in() {
    let (shop, nobodys) = (operated().await, Shop::open().await);
    for path in ["/api/1/login", "/api/1/logout", "/api/1/admin"] {
        for (at, authorization) in [
            (&shop, None),
            (&shop, Some("Basic")),
            (&shop, Some("Basic !")),
            (&shop, Some("Bearer YW5uOmFubg==")),
            (&shop, Some("Basic Ym9iOmJvYg==")),
            // ann:ann
            (&shop, Some("Basic YW5uOmFubg==")),
            (&nobodys, Some("Basic YW5uOmFubg==")),
            (&nobodys, Some("Basic Og==")),
        ] {
            let mut request = at.http.get(at.receiver.url(path));
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{authorization:?}");
            let challenge = header(&response, "www-authenticate");
            assert_eq!(challenge, Some("Basic realm=\"Authentication Required\""));
            assert!(
                header(&response, "content-type")
                    .unwrap()
                    .starts_with("text/html")
            );
            assert_eq!(response.text().await.unwrap(), "Unauthorized Access");
        }
    }
    shop.receiver.stop().await;
    nobodys.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_passwords_has_to_wait_and_holds_up_no_token() {
    let shop = operated().await;
    let token = token(&shop).await;
    let mut counts = [0, 0];
    for guess in 0..30 {
        let (status, _) = as_user(&shop, "/api/1/login", "ann", &guess.to_string()).await;
        match status {
            StatusCode::UNAUTHORIZED => counts[0] += 1,
            StatusCode::TOO_MANY_REQUESTS => counts[1] += 1,
            other => panic!("{other}"),
        }
    }
    assert!((10..=12).contains(&counts[0]), "{counts:?}");
    let request = shop.http.get(shop.receiver.url("/api/1/login"));
    let refused = request.basic_auth("ann", Some(PASSWORD)).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let after: u64 = header(&refused, "retry-after").unwrap().parse().unwrap();
    assert!((1..=7).contains(&after), "{after}");
    assert_eq!(as_user(&shop, "/api/1/admin", &token, "").await.0, StatusCode::OK);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_agrees_to_a_close_without_the_senders_signature() {
    let shop = operated().await;
    let close = async |user: &str, password: &str| {
        let request = shop.delete("").with_json(&json!({"balance": "10"}));
        shop.ask(request.basic_auth(user, Some(password))).await
    };
    assert_eq!(close("ann", "wrong").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(close("bob", PASSWORD).await.0, StatusCode::UNAUTHORIZED);
    let token = token(&shop).await;
    let (status, by_password) = close("ann", PASSWORD).await;
    assert_eq!(status, StatusCode::OK, "{by_password}");
    assert_eq!(close(&token, "").await, (StatusCode::OK, by_password));
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_close_brings_the_receivers_tokens_on_chain() {
    let shop = operated().await;
    let delete = |path: &str| shop.http.delete(shop.receiver.url(path));
    let path = admin_path(&shop);
    assert_eq!(shop.ask(delete(&path)).await.0, StatusCode::UNAUTHORIZED);
    let wrong = delete(&path).basic_auth("ann", Some("wrong"));
    assert_eq!(shop.ask(wrong).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(shop.read(&shop.path()).await.1["state"], "open");

    let token = token(&shop).await;
    let (sender, block) = (shop.channel.sender, shop.channel.open_block);
    for unknown in [
        format!("/api/1/admin/channels/{sender}/1"),
        format!("/api/1/admin/channels/{sender}/x"),
        format!("/api/1/admin/channels/nobody/{block}"),
        "/api/1/admin/channels/%ff/1".to_owned(),
    ] {
        let answer = shop.ask(delete(&unknown).basic_auth(&token, Some(""))).await;
        assert_eq!(answer.0, StatusCode::NOT_FOUND, "{unknown}");
    }
    let closed = (StatusCode::OK, json!(format!("force closed ({sender}, {block})")));
    for _ in 0..2 {
        let answer = shop.ask(delete(&path).basic_auth(&token, Some(""))).await;
        assert_eq!(answer, closed);
    }
    let unsold = shop.get("/echo/x", shop.pays(15, 5)).await;
    assert_eq!(header(&unsold, "RDN-Nonexisting-Channel"), Some("1"));
    tokens_arrive(&shop, 10).await;
    let info = shop.world.contract.channel_info(&shop.channel).await.unwrap();
    assert!(info.is_none(), "the channel is settled");
    // Also when it is over.
    assert_eq!(shop.ask(delete(&path).basic_auth(&token, Some(""))).await, closed);
    shop.receiver.stop().await;
}

/// What ann's command with this body says.
async fn command(shop: &Shop, name: &str, body: Value) -> (StatusCode, Value) {
    let request = shop.http.post(shop.receiver.url(&format!("/api/1/admin/{name}")));
    let request = request.with_json(&body).basic_auth("ann", Some(PASSWORD));
    shop.ask(request).await
}

/// Where `channels` of one each are begun, or left.
fn begun(of: &[(&str, &str)]) -> (StatusCode, Value) {
    let mut body = json!({
        "channels": "0", "amount": "0", "without_claim": "0",
        "too_little": "0", "too_little_amount": "0", "with_credit": "0",
    });
    for (name, value) in of {
        body[name] = json!(value);
    }
    (StatusCode::OK, body)
}

async fn tokens_arrive(shop: &Shop, amount: u64) {
    let (begin, receiver) = (Instant::now(), shop.channel.receiver);
    while shop.world.tokens(receiver).await != Amount::from(amount) {
        assert!(begin.elapsed() < Duration::from_secs(30), "no tokens arrive");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_for_all_channels_are_for_operators_and_read_exactly() {
    let shop = operated().await;
    for name in ["close-all", "withdraw", "resume-selling"] {
        let post = || {
            let url = shop.receiver.url(&format!("/api/1/admin/{name}"));
            shop.http.post(url).with_json(&json!({}))
        };
        assert_eq!(shop.ask(post()).await.0, StatusCode::UNAUTHORIZED);
        let wrong = post().basic_auth("ann", Some("wrong"));
        assert_eq!(shop.ask(wrong).await.0, StatusCode::UNAUTHORIZED);
        // As a page of elsewhere could have a browser send it.
        let url = shop.receiver.url(&format!("/api/1/admin/{name}"));
        for content_type in ["text/plain", "application/x-www-form-urlencoded"] {
            let form = shop.http.post(url.clone()).header("content-type", content_type);
            let form = form.body("{}").basic_auth("ann", Some(PASSWORD));
            let (status, body) = shop.ask(form).await;
            assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{body}");
        }
        for (body, word) in [
            (json!([]), "JSON object"),
            (json!({"minimum": "5"}), "unknown field"),
        ] {
            let (status, said) = command(&shop, name, body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST);
            assert!(said.as_str().unwrap().contains(word), "{said}");
        }
    }
    for value in [json!(5), json!(null), json!("-1"), json!("0.5"), json!("5 TKN")] {
        for name in ["close-all", "withdraw"] {
            let (status, said) = command(&shop, name, json!({"minimum_amount": value})).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{value}");
            assert!(said.as_str().unwrap().contains("base units"), "{said}");
        }
    }
    let nothing = command(&shop, "resume-selling", json!({})).await;
    assert_eq!(nothing, (StatusCode::OK, json!([])));
    assert_eq!(shop.read(&shop.path()).await.1["state"], "open");
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_all_brings_on_chain_what_is_worth_it() {
    let shop = operated().await;
    let left = command(&shop, "close-all", json!({"minimum_amount": "11"})).await;
    assert_eq!(left, begun(&[("too_little", "1"), ("too_little_amount", "10")]));
    assert_eq!(shop.read(&shop.path()).await.1["state"], "open");

    // The least is the receiver's own.
    let all = command(&shop, "close-all", json!({})).await;
    assert_eq!(all, begun(&[("channels", "1"), ("amount", "10")]));
    let unsold = shop.get("/echo/x", shop.pays(15, 5)).await;
    assert_eq!(header(&unsold, "RDN-Nonexisting-Channel"), Some("1"));
    tokens_arrive(&shop, 10).await;
    let info = shop.world.contract.channel_info(&shop.channel).await.unwrap();
    assert!(info.is_none(), "the channel is settled");
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_leaves_credit_and_open_channels() {
    let shop = operated().await;
    let failed = shop.get("/fail/2", shop.pays(15, 5)).await;
    assert_eq!(header(&failed, "RDN-Credit"), Some("5"));
    let left = command(&shop, "withdraw", json!({"takes_credit": false})).await;
    assert_eq!(left, begun(&[("with_credit", "1")]));
    let little = json!({"minimum_amount": "16", "takes_credit": true});
    let left = command(&shop, "withdraw", little).await;
    assert_eq!(left, begun(&[("too_little", "1"), ("too_little_amount", "15")]));
    assert_eq!(shop.world.tokens(shop.channel.receiver).await, Amount::ZERO);

    let taken = json!({"minimum_amount": "15", "takes_credit": true});
    let all = command(&shop, "withdraw", taken).await;
    assert_eq!(all, begun(&[("channels", "1"), ("amount", "15")]));
    tokens_arrive(&shop, 15).await;
    let info = shop.world.contract.channel_info(&shop.channel).await.unwrap();
    assert!(info.is_some(), "the channel is open");
    let paid = shop.get("/echo/x", shop.pays(20, 5)).await;
    assert_eq!(paid.status(), StatusCode::OK);
    shop.receiver.stop().await;
}
