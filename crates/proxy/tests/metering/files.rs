//! Files behind a price.

use crate::shop::Shop;
use axum::Router;
use http::{HeaderMap, StatusCode};
use microraiden_proxy::folder::{self, Folder};
use std::fs;
use tower::ServiceBuilder;

const PRICE: u64 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn content_costs_and_what_is_not_there_does_not() {
    let site = tempfile::tempdir().unwrap();
    fs::create_dir(site.path().join("sub")).unwrap();
    fs::write(site.path().join("a.txt"), "0123456789").unwrap();
    fs::write(site.path().join("sub/index.html"), "<p>sub").unwrap();
    fs::write(site.path().join("large"), vec![7; 300_000]).unwrap();
    fs::write(site.path().join(".env"), "secret").unwrap();
    let files = Folder::open(site.path(), "/media/{*rest}").unwrap();
    let mut shop = Shop::open(move |paywall| {
        let paid = paywall.price(PRICE).free_when(folder::is_free);
        let sold = ServiceBuilder::new().layer(paid).service(files);
        Router::new()
            .route_service("/media/{*rest}", sold.clone())
            // Where the balance is asked for.
            .route_service("/most/any", sold)
    })
    .await;
    let unpaid = shop.get("/media/a.txt", HeaderMap::new()).await;
    assert_eq!(unpaid.status(), StatusCode::PAYMENT_REQUIRED);
    assert_eq!(unpaid.headers()["rdn-price"], "5");

    let none = HeaderMap::new();
    let whole = shop.buy_at("/media/a.txt", PRICE, &none).await;
    assert_eq!((whole.status, whole.cost), (StatusCode::OK, PRICE));
    assert_eq!(whole.body.unwrap(), b"0123456789");
    let large = shop.buy_at("/media/large", PRICE, &none).await;
    assert_eq!((large.body.unwrap().len(), large.cost), (300_000, PRICE));

    let with = |name: &'static str, value: &str| {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    };
    let tag = whole.headers["etag"].to_str().unwrap().to_owned();
    for (path, more, status, cost) in [
        (
            "/media/a.txt",
            with("range", "bytes=0-3"),
            StatusCode::PARTIAL_CONTENT,
            PRICE,
        ),
        ("/media/sub/", none.clone(), StatusCode::OK, PRICE),
        ("/media/none", none.clone(), StatusCode::NOT_FOUND, 0),
        ("/media/.env", none.clone(), StatusCode::NOT_FOUND, 0),
        (
            "/media/a.txt",
            with("range", "bytes=99-"),
            StatusCode::RANGE_NOT_SATISFIABLE,
            0,
        ),
        (
            "/media/a.txt",
            with("if-none-match", &tag),
            StatusCode::NOT_MODIFIED,
            0,
        ),
    ] {
        let bought = shop.buy_at(path, PRICE, &more).await;
        assert_eq!((bought.status, bought.cost), (status, cost), "{path}");
    }
    // Led to the folder for nothing; the same payment buys there.
    let led = shop.buy_at("/media/sub", PRICE, &none).await;
    assert_eq!((led.status, led.cost), (StatusCode::TEMPORARY_REDIRECT, 0));
    assert_eq!(led.headers["location"], "/media/sub/");
    shop.close(4 * PRICE).await;
}
