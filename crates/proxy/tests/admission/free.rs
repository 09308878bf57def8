//! Free requests before the real paywall.

use crate::shop::{PRICE, Parts, Shop, asks_for_payment, given, header};
use axum::Router;
use http::{HeaderMap, HeaderValue, StatusCode};
use microraiden_http::headers::OPEN_BLOCK;
use microraiden_paywall::{Paywall, PriceRequest, Pricing};
use microraiden_protocol::Price;
use microraiden_proxy::quota::Quotas;
use tower::ServiceBuilder;

/// Everything costs the same once the quota is used up.
fn priced<P: Pricing>(parts: Parts, paywall: &Paywall, quota: &str, pricing: P) -> Router {
    let quotas = Quotas::open(&parts.quotas).unwrap();
    let free = quotas.free("route", quota.parse().unwrap());
    let service = ServiceBuilder::new()
        .layer(free.clone())
        .layer(paywall.sell(free.first(pricing)))
        .service(parts.upstream);
    Router::new().route_service("/{kind}/{text}", service)
}

fn router(quota: &str) -> impl FnOnce(Parts, &Paywall) -> Router + Send + 'static {
    let quota = quota.to_owned();
    move |parts, paywall| priced(parts, paywall, &quota, Price::from(PRICE))
}

#[tokio::test]
async fn so_many_are_free_and_then_it_costs_also_after_a_restart() {
    let shop = Shop::open(router("2 ever")).await;
    assert_eq!(given(shop.get("/echo/a").await).await, "a");
    assert_eq!(given(shop.get("/echo/b").await).await, "b");
    asks_for_payment(&shop.get("/echo/c").await);
    let others = async |shop: &Shop, client| shop.ask("/echo/d", client, HeaderMap::new()).await;
    given(others(&shop, "2001:db8::1").await).await;
    let shop = shop.restart(router("2 ever")).await;
    asks_for_payment(&shop.get("/echo/c").await);
    given(others(&shop, "2001:db8::2").await).await;
    asks_for_payment(&others(&shop, "2001:db8::3").await);
    let paid = shop.ask("/echo/c", "192.0.2.1", shop.pays(5)).await;
    assert_eq!(
        (paid.status(), header(&paid, "rdn-cost")),
        (StatusCode::OK, Some("5"))
    );
    assert_eq!((shop.owed().await.as_str(), shop.content.served()), ("5", 5));
}

#[tokio::test]
async fn who_pays_pays_in_full_and_uses_nothing_up() {
    let shop = Shop::open(router("1 ever")).await;
    let paid = shop.ask("/echo/a", "192.0.2.1", shop.pays(5)).await;
    assert_eq!(
        (paid.status(), header(&paid, "rdn-cost")),
        (StatusCode::OK, Some("5"))
    );
    // Not even what is refused, or cannot be read.
    let refused = shop.ask("/echo/a", "192.0.2.1", shop.pays(7)).await;
    assert_eq!(refused.status(), StatusCode::PAYMENT_REQUIRED);
    let mut broken = shop.pays(10);
    broken.insert(OPEN_BLOCK, HeaderValue::from_static("x"));
    let malformed = shop.ask("/echo/a", "192.0.2.1", broken).await;
    assert_eq!(malformed.status(), StatusCode::CONFLICT);
    given(shop.get("/echo/b").await).await;
    asks_for_payment(&shop.get("/echo/b").await);
    assert_eq!((shop.owed().await.as_str(), shop.content.served()), ("5", 2));
}

#[tokio::test]
async fn what_fails_is_given_back() {
    let shop = Shop::open(router("1 ever")).await;
    for _ in 0..3 {
        let failed = shop.get("/fail/3").await;
        assert_eq!(failed.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
    // Other answers than 5xx have been given.
    let missing = shop.get("/status/404").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    asks_for_payment(&shop.get("/fail/3").await);
}

#[tokio::test]
async fn no_shared_cache_keeps_what_was_free_for_one() {
    let shop = Shop::open(|parts, paywall| {
        let quotas = Quotas::open(&parts.quotas).unwrap();
        let free = quotas.free("route", "9 per day".parse().unwrap());
        let cached = |value: &'static str| axum::routing::get(async move || [("cache-control", value)]);
        let layers = ServiceBuilder::new()
            .layer(free.clone())
            .layer(paywall.sell(free.first(Price::from(PRICE))));
        Router::new()
            .route("/public", cached("public, max-age=600"))
            .route("/closed", cached("max-age=0, No-Store"))
            .layer(layers)
    })
    .await;
    let public = shop.get("/public").await;
    assert_eq!(header(&public, "cache-control"), Some("private"));
    let closed = shop.get("/closed").await;
    assert_eq!(header(&closed, "cache-control"), Some("max-age=0, No-Store"));
    given(public).await;
    given(closed).await;
}

#[tokio::test]
async fn parallel_requests_get_exactly_what_is_free() {
    let shop = Shop::open(router("10 ever")).await;
    let asked: Vec<_> = (0..50).map(|_| shop.get("/echo/a")).collect();
    let mut free = 0;
    for answer in futures_util::future::join_all(asked).await {
        match answer.status() {
            StatusCode::OK => free += 1,
            _ => asks_for_payment(&answer),
        }
    }
    assert_eq!((free, shop.content.served()), (10, 10));
}

#[tokio::test]
async fn what_costs_nothing_or_is_not_sold_uses_nothing_up() {
    let by_word = |request: &PriceRequest| match request.param("text") {
        Some("free") => Ok(0),
        Some("missing") => Err(StatusCode::NOT_FOUND),
        _ => Ok(PRICE),
    };
    let shop = Shop::open(move |parts, paywall| priced(parts, paywall, "1 ever", by_word)).await;
    for _ in 0..2 {
        given(shop.get("/echo/free").await).await;
        assert_eq!(shop.get("/echo/missing").await.status(), StatusCode::NOT_FOUND);
    }
    given(shop.get("/echo/sold").await).await;
    asks_for_payment(&shop.get("/echo/sold").await);
    given(shop.get("/echo/free").await).await;
    assert_eq!(shop.content.served(), 4);
}
