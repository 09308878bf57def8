//! Web pages of elsewhere: which may use the proxy, and what their scripts can see.

use crate::shop::{Shop, header, headers};
use http::{HeaderMap, Method, StatusCode};
use microraiden_http::headers::{ALL, documented};
use microraiden_proxy::Cors;
use std::collections::HashSet;

const PAGE: &str = "https://shop.example";

async fn preflight(shop: &Shop, path: &str, origin: &str) -> reqwest::Response {
    let request = shop.http.request(Method::OPTIONS, shop.receiver.url(path));
    let request = request
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "GET")
        .header("Access-Control-Request-Headers", "rdn-payment");
    request.send().await.unwrap()
}

fn list(response: &reqwest::Response, name: &str) -> HashSet<String> {
    let values = response.headers().get_all(name).iter();
    let words = values.flat_map(|value| value.to_str().unwrap().split(','));
    words.map(|word| word.trim().to_ascii_lowercase()).collect()
}

fn from(origin: &str) -> HeaderMap {
    headers(&[("Origin", origin.to_owned())])
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_no_other_page_may_use_the_proxy() {
    let shop = Shop::open().await;
    for path in ["/echo/x", "/api/1/channels"] {
        let response = shop.get(path, from(PAGE)).await;
        assert_eq!(header(&response, "access-control-allow-origin"), None, "{path}");
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_are_named_may_pay_and_see_every_header() {
    let cors = Cors::Origins(vec!["http://localhost:1".parse().unwrap(), PAGE.parse().unwrap()]);
    let shop = Shop::open_with(|config| config.site.cors = cors).await;
    for path in ["/echo/x", "/cm", "/api/1/channels", &shop.path(), "/elsewhere"] {
        let response = preflight(&shop, path, PAGE).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&response, "access-control-allow-origin"), Some(PAGE));
        assert_eq!(header(&response, "RDN-Price"), None, "it is not sold");
        assert!(list(&response, "access-control-allow-methods").contains("delete"));
        let allowed = list(&response, "access-control-allow-headers");
        for name in ALL
            .iter()
            .map(documented)
            .chain(["Content-Type", "Authorization", "Accept"].map(str::to_owned))
        {
            assert!(allowed.contains(&name.to_ascii_lowercase()), "{name}");
        }
        let stranger = preflight(&shop, path, "https://elsewhere.example").await;
        assert_eq!(header(&stranger, "access-control-allow-origin"), None);
    }
    let mut paying = shop.pays(5, 5);
    paying.extend(from(PAGE));
    for (path, headers, status) in [
        ("/echo/x", from(PAGE), StatusCode::PAYMENT_REQUIRED),
        ("/echo/x", paying, StatusCode::OK),
        ("/api/1/channels?limit=1", from(PAGE), StatusCode::OK),
        ("/api/1/login", from(PAGE), StatusCode::UNAUTHORIZED),
    ] {
        let response = shop.get(path, headers).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(
            header(&response, "access-control-allow-origin"),
            Some(PAGE),
            "{path}"
        );
        let exposed = list(&response, "access-control-expose-headers");
        for name in ALL
            .iter()
            .map(documented)
            .chain(["Link", "Retry-After"].map(str::to_owned))
        {
            assert!(exposed.contains(&name.to_ascii_lowercase()), "{path}: {name}");
        }
        assert!(list(&response, "vary").contains("origin"), "{path}");
    }
    assert_eq!(shop.upstream.served(), 1);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_may_where_all_are_allowed() {
    let shop = Shop::open_with(|config| config.site.cors = Cors::Any).await;
    for path in ["/echo/x", "/api/1/stats"] {
        for response in [
            preflight(&shop, path, PAGE).await,
            shop.get(path, from(PAGE)).await,
        ] {
            assert_eq!(
                header(&response, "access-control-allow-origin"),
                Some("*"),
                "{path}"
            );
            assert_eq!(header(&response, "access-control-allow-credentials"), None);
        }
    }
    shop.receiver.stop().await;
}
