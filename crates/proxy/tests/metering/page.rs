//! What a browser is shown before it pays: the page, and nothing of what is sold.

use crate::shop::Shop;
use axum::Router;
use axum::response::Html;
use http::{HeaderMap, StatusCode};
use microraiden_proxy::Upstream;
use microraiden_proxy::pages::{PAGE_FILES, PaywallPages, index};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use url::Url;

const SOLD: &str = "<html><head><title>sold</title></head><body>the whole article</body></html>";

/// A server with an article, which counts its readers.
async fn article() -> (Url, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let readers = Arc::new(AtomicU64::new(0));
    let count = readers.clone();
    let router = Router::new().fallback(async move || {
        count.fetch_add(1, Ordering::SeqCst);
        Html(SOLD)
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, readers)
}

fn browser(more: HeaderMap) -> HeaderMap {
    let mut headers = more;
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    headers.insert("accept", accept.parse().unwrap());
    headers
}

#[tokio::test(flavor = "multi_thread")]
async fn html_of_an_upstream_is_behind_the_page_and_never_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let own = "<p title='{price}'>buy for {price} of {receiver}</p><script src=/js/main.js></script>";
    fs::write(folder.path().join("index.html"), own).unwrap();
    fs::write(folder.path().join("main.js"), "pay()").unwrap();
    fs::write(folder.path().join("home.html"), "home").unwrap();
    let pages = PaywallPages::open(folder.path()).unwrap();
    let home = index(folder.path().join("home.html")).unwrap();
    let (upstream, readers) = article().await;
    let mut shop = Shop::open(move |paywall| {
        let paywall = paywall.clone().with_page(pages.page());
        let sold = ServiceBuilder::new()
            .layer(paywall.price(5))
            .service(Upstream::new(upstream, Duration::from_secs(10)));
        Router::new()
            .route_service("/wiki/{*rest}", sold.clone())
            .route_service("/most/any", sold)
            .route_service(PAGE_FILES, pages.files())
            .route_service("/", home)
    })
    .await;

    for payment in [
        HeaderMap::new(),
        shop.pays(1, 1),
        shop.pays(1_000_000, 5),
        shop.pays(0, 0),
    ] {
        let page = shop.get("/wiki/Rust", browser(payment)).await;
        assert_eq!(page.status(), StatusCode::PAYMENT_REQUIRED);
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        let text = page.text().await.unwrap();
        let price = "0.000000000000000005 TKN";
        assert!(
            text.starts_with(&format!("<p title='{price}'>buy for {price} of 0x")),
            "{text}"
        );
        assert!(!text.contains("article") && !text.contains("sold"), "{text}");
    }
    assert_eq!(
        readers.load(Ordering::SeqCst),
        0,
        "the upstream is not asked before it is paid"
    );

    for (path, text) in [("/", "home"), ("/js/main.js", "pay()")] {
        let free = shop.get(path, browser(HeaderMap::new())).await;
        assert_eq!(free.status(), StatusCode::OK);
        assert_eq!(free.text().await.unwrap(), text, "{path}");
    }

    let bought = shop.buy_at("/wiki/Rust", 5, &browser(HeaderMap::new())).await;
    assert_eq!((bought.status, bought.cost), (StatusCode::OK, 5));
    assert_eq!(bought.body.unwrap(), SOLD.as_bytes());
    assert_eq!(readers.load(Ordering::SeqCst), 1);
    shop.close(5).await;
}
