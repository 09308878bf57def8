//! Prices by method, path, query, headers and body, at once or after a while; and who paid.

use crate::shop::{Shop, expect};
use axum::Router;
use axum::body::Bytes;
use axum::routing::{any, get, post};
use http::{HeaderMap, Method, StatusCode};
use microraiden_paywall::{PaidBy, PriceRequest};
use microraiden_protocol::Price;
use std::time::Duration;

async fn priced() -> Shop {
    Shop::open_service(|paywall| {
        let length = |request: &PriceRequest| request.param("word").unwrap_or_default().len() as u64;
        let stock = async |request: PriceRequest| match request.query("item").as_deref() {
            Some("pen") => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok(Price::from(3))
            }
            Some("air") => Ok(Price::ZERO),
            _ => Err((StatusCode::NOT_FOUND, "no such item")),
        };
        let parts = |request: &PriceRequest| {
            let rich = request.headers().contains_key("x-rich");
            let size = request.body_size().unwrap_or(1_000);
            if request.method() == Method::POST {
                size
            } else if rich {
                9
            } else {
                2
            }
        };
        let methods = [(Method::GET, 5), (Method::PUT, 7)];
        let who = async |paid: Option<PaidBy>| match paid {
            Some(paid) => format!("{} paid {}", paid.sender(), paid.amount),
            None => "nobody paid".to_owned(),
        };
        Router::new()
            .route("/word/{word}", get(who).layer(paywall.price_by(length)))
            .route("/stock", get(who).layer(paywall.price_async(stock)))
            .route(
                "/parts",
                any(async |body: Bytes| body).layer(paywall.price_by(parts)),
            )
            .route("/methods", any(who).layer(paywall.method_prices(methods)))
            .route("/free", get(who).layer(paywall.price(0)))
            .route("/each", get(who).layer(paywall.price(1)))
            .route("/each", post(who).layer(paywall.price(2)))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_is_that_of_the_request() {
    let shop = priced().await;
    let ask = async |method: Method, path: &str, body: &'static str, rich: bool| {
        let mut request = shop.http.request(method, shop.receiver.url(path)).body(body);
        if rich {
            request = request.header("x-rich", "1");
        }
        request.send().await.unwrap()
    };
    for (method, path, body, rich, price) in [
        (Method::GET, "/word/foo", "", false, "3"),
        (Method::GET, "/word/f%C3%A9", "", false, "3"),
        (Method::GET, "//word/foobar", "", false, "6"),
        (Method::GET, "/stock?item=pen", "", false, "3"),
        (Method::GET, "/parts", "", false, "2"),
        (Method::GET, "/parts", "", true, "9"),
        (Method::POST, "/parts", "seven!!", false, "7"),
        (Method::GET, "/methods", "", false, "5"),
        (Method::HEAD, "/methods", "", false, "5"),
        (Method::PUT, "/methods", "", false, "7"),
        (Method::GET, "/each", "", false, "1"),
        (Method::HEAD, "/each", "", false, "1"),
        (Method::POST, "/each", "", false, "2"),
    ] {
        let unpaid = ask(method.clone(), path, body, rich).await;
        assert_eq!(unpaid.status(), StatusCode::PAYMENT_REQUIRED, "{method} {path}");
        assert_eq!(unpaid.headers()["rdn-price"], price, "{method} {path}");
    }
    let missing = ask(Method::GET, "/stock?item=car", "", false).await;
    expect(&missing, StatusCode::NOT_FOUND, &[("RDN-Price", "")]);
    assert_eq!(missing.text().await.unwrap(), "no such item");
    for free in ["/free", "/stock?item=air"] {
        let free = ask(Method::GET, free, "", false).await;
        expect(&free, StatusCode::OK, &[("RDN-Price", ""), ("RDN-Cost", "")]);
        assert_eq!(free.text().await.unwrap(), "nobody paid");
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sold_is_not_paywalled() {
    let shop = priced().await;
    let ask = async |method: Method, path: &str| {
        let request = shop.http.request(method, shop.receiver.url(path));
        request.headers(HeaderMap::new()).send().await.unwrap()
    };
    let refused = ask(Method::DELETE, "/methods").await;
    let allowed = "GET, PUT, HEAD, OPTIONS";
    expect(
        &refused,
        StatusCode::METHOD_NOT_ALLOWED,
        &[("Allow", allowed), ("RDN-Price", "")],
    );
    let options = ask(Method::OPTIONS, "/methods").await;
    expect(&options, StatusCode::OK, &[("Allow", allowed), ("RDN-Price", "")]);
    assert_eq!(options.text().await.unwrap(), "");
    assert_eq!(
        ask(Method::GET, "/nothing/here").await.status(),
        StatusCode::NOT_FOUND
    );
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_resource_learns_who_paid_what() {
    let shop = priced().await;
    let paid = shop.get("/word/four", shop.pays(4, 4)).await;
    expect(&paid, StatusCode::OK, &[("RDN-Cost", "4"), ("RDN-Price", "4")]);
    let expected = format!("{} paid 4", shop.channel.sender);
    assert_eq!(paid.text().await.unwrap(), expected);
    // The price of another request is not the price of this one.
    let wrong = shop.get("/word/seven", shop.pays(8, 4)).await;
    expect(
        &wrong,
        StatusCode::PAYMENT_REQUIRED,
        &[("RDN-Invalid-Amount", "1"), ("RDN-Price", "5")],
    );
    let head = shop
        .http
        .head(shop.receiver.url("/word/four"))
        .headers(shop.pays(8, 4));
    expect(
        &head.send().await.unwrap(),
        StatusCode::OK,
        &[("RDN-Cost", "4"), ("RDN-Sender-Balance", "8")],
    );
    shop.receiver.stop().await;
}
