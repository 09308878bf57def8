//! Usage in a header of an answer, alone and beside usage in the body.

use crate::shop::{MOST, STATED, Shop, body, header, metering};
use crate::upstream::Server;
use axum::Router;
use http::header::SERVER;
use http::{HeaderMap, HeaderValue, StatusCode};
use microraiden_proxy::Upstream;
use microraiden_proxy::metering::{MeteringLayer, Unknown};
use microraiden_proxy::rewrite::{HeaderRules, RewriteLayer, expand};
use std::time::Duration;
use tower::ServiceBuilder;

#[tokio::test(flavor = "multi_thread")]
async fn a_header_says_it_once_and_in_digits() {
    let server = Server::start().await;
    let mut shop = Shop::metered(server.url.clone(), vec![header("X-Tokens")]).await;
    let mut earned = 0;
    for (tokens, cost) in [
        ("30", Some(9)),
        ("007", Some(3)),
        ("0", Some(0)),
        ("18446744073709551615", Some(MOST)),
        ("18446744073709551616", None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.0", None),
        ("many", None),
        ("1,1", None),
    ] {
        for (rule, otherwise) in [("most", MOST), ("free", 0), ("cost", STATED)] {
            let bought = shop.buy(&format!("/{rule}/tokens={tokens}")).await;
            assert_eq!(bought.status, StatusCode::OK);
            let cost = cost.unwrap_or(otherwise);
            assert_eq!(bought.cost, cost, "{rule} {tokens:?}");
            earned += cost;
        }
    }
    shop.close(earned).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_units_are_added_and_each_must_be_known() {
    let server = Server::start().await;
    let sources = vec![header("X-Tokens"), body("/usage/total_tokens")];
    let mut shop = Shop::metered(server.url.clone(), sources).await;
    for (case, cost) in [
        ("tokens=50", 15 + 9),
        ("tokens=", MOST),
        ("json", MOST),
        ("missing", MOST),
    ] {
        let bought = shop.buy(&format!("/most/{case}")).await;
        assert_eq!(bought.cost, cost, "{case}");
    }
    shop.close(24 + 3 * MOST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_counts_nothing_is_not_sold_for_nothing() {
    let server = Server::start().await;
    let mut shop = Shop::metered(server.url.clone(), vec![]).await;
    for (rule, cost) in [("most", MOST), ("free", 0), ("cost", STATED)] {
        assert_eq!(shop.buy(&format!("/{rule}/json")).await.cost, cost, "{rule}");
    }
    shop.close(MOST + STATED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_above_the_meter_hide_what_it_reads_and_give_the_upstream_its_secret() {
    let server = Server::start().await;
    let upstream = server.url.clone();
    let mut shop = Shop::open(move |paywall| {
        let metering = metering(vec![header("x-tokens")], Unknown::Maximum);
        let key = expand("Bearer ${KEY}", |_| Some("s3cret".to_owned())).unwrap();
        let request = HeaderRules::new(vec![("authorization".parse().unwrap(), key)], vec![]);
        let by = vec![(SERVER, HeaderValue::from_static("ours"))];
        let response = HeaderRules::new(by, vec!["x-tokens".parse().unwrap()]);
        let sold = ServiceBuilder::new()
            .layer(metering.terms(paywall.price(MOST)))
            .layer(RewriteLayer::new(request.unwrap(), response.unwrap()))
            .layer(MeteringLayer::new(metering))
            .service(Upstream::new(upstream, Duration::from_secs(10)));
        Router::new().route_service("/most/{case}", sold)
    })
    .await;
    let mine = [("authorization", "Bearer mine"), ("connection", "authorization")];
    let mine: HeaderMap = mine
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
        .collect();
    let bought = shop.buy_at("/most/tokens=30", MOST, &mine).await;
    assert_eq!(bought.cost, 9);
    assert_eq!(bought.headers.get("x-tokens"), None);
    assert_eq!(bought.headers[SERVER], "ours");
    assert_eq!(bought.headers["rdn-cost"], "9");
    let seen = server.seen().pop().unwrap();
    let keys: Vec<_> = seen.get_all("authorization").iter().collect();
    assert_eq!(keys, ["Bearer s3cret"]);
    shop.close(9).await;
}
