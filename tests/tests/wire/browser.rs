//! What a browser sees: a page with cookies beside it, and payment by cookies.

use crate::shop::{Shop, expect, headers};
use axum::Router;
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use microraiden_paywall::PageRequest;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn accepts(accept: &str) -> HeaderMap {
    headers(&[("accept", accept.to_owned())])
}

/// The cookies that an answer sets, without their attributes.
fn set_cookies(response: &reqwest::Response) -> Vec<String> {
    let cookies = response.headers().get_all("set-cookie").iter();
    cookies
        .map(|cookie| {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("; Path=/"), "{cookie}");
            cookie.split(';').next().unwrap().to_owned()
        })
        .collect()
}

/// The cookies that the page of 2018 pays with.
fn pays(shop: &Shop, balance: u64) -> HeaderMap {
    let cookies = [
        format!("RDN-Sender-Address={}", shop.channel.sender),
        format!("RDN-Open-Block={}", shop.channel.open_block),
        format!("RDN-Sender-Balance={balance}"),
        format!("RDN-Balance-Signature={}", shop.proof(balance).signature),
        "theme=dark".to_owned(),
    ];
    headers(&[("cookie", cookies.join("; ")), ("accept", BROWSER.to_owned())])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gets_a_page_and_its_headers_as_cookies() {
    let shop = Shop::open().await;
    let page = shop.get("/echo/x", accepts(BROWSER)).await;
    expect(
        &page,
        StatusCode::PAYMENT_REQUIRED,
        &[
            ("Content-Type", "text/html; charset=utf-8"),
            ("Cache-Control", "no-store"),
            ("Vary", "Accept, Cookie, RDN-Balance-Signature"),
            ("RDN-Price", "5"),
        ],
    );
    let cookies = set_cookies(&page);
    let contract = shop.world.contract.address();
    for cookie in [
        "RDN-Gateway-Path=/api/1".to_owned(),
        "RDN-Price=5".to_owned(),
        format!("RDN-Contract-Address={contract}"),
        format!("RDN-Receiver-Address={}", shop.channel.receiver),
        format!("RDN-Token-Address={}", shop.world.contract.token().address),
        "RDN-Credit=0".to_owned(),
    ] {
        assert!(cookies.contains(&cookie), "{cookie}: {cookies:?}");
    }
    let text = page.text().await.unwrap();
    assert!(text.contains("0.000000000000000005 TKN"), "{text}");
    assert!(text.contains(&contract.to_string()));

    for accept in [
        "*/*",
        "application/json",
        "application/json, text/plain, */*",
        "text/html;q=0.5, */*",
    ] {
        let json = shop.get("/echo/x", accepts(accept)).await;
        let plain = [("Content-Type", "application/json"), ("Set-Cookie", "")];
        expect(&json, StatusCode::PAYMENT_REQUIRED, &plain);
        assert_eq!(json.text().await.unwrap(), "");
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_pay_and_do_not_reach_the_resource() {
    let shop = Shop::open().await;
    for balance in [5, 10] {
        let paid = shop.get("/echo/x", pays(&shop, balance)).await;
        let balance = balance.to_string();
        expect(
            &paid,
            StatusCode::OK,
            &[("RDN-Sender-Balance", &balance), ("RDN-Cost", "5")],
        );
        assert_eq!(shop.upstream.last_headers()["cookie"], "theme=dark");
    }
    // The page is reloaded with the same cookies: it learns the balance, and signs the next one.
    let stale = shop.get("/echo/x", pays(&shop, 10)).await;
    expect(
        &stale,
        StatusCode::PAYMENT_REQUIRED,
        &[
            ("Content-Type", "text/html; charset=utf-8"),
            ("RDN-Sender-Balance", "10"),
            ("RDN-Invalid-Amount", ""),
        ],
    );
    assert!(set_cookies(&stale).contains(&"RDN-Sender-Balance=10".to_owned()));
    // A flag of before is taken back, once it is over.
    let mut flagged = pays(&shop, 10);
    let cookie = format!(
        "{}; RDN-Nonexisting-Channel=1",
        flagged["cookie"].to_str().unwrap()
    );
    flagged.insert("cookie", cookie.parse().unwrap());
    let cleared = shop.get("/echo/x", flagged).await;
    assert!(set_cookies(&cleared).contains(&"RDN-Nonexisting-Channel=".to_owned()));
    let wrong = shop.get("/echo/x", pays(&shop, 12)).await;
    expect(
        &wrong,
        StatusCode::PAYMENT_REQUIRED,
        &[("RDN-Invalid-Amount", "1")],
    );
    assert!(set_cookies(&wrong).contains(&"RDN-Invalid-Amount=1".to_owned()));

    let mut malformed = pays(&shop, 15);
    let cookie = malformed["cookie"]
        .to_str()
        .unwrap()
        .replace("Balance=15", "Balance=fifteen");
    malformed.insert("cookie", cookie.parse().unwrap());
    let malformed = shop.get("/echo/x", malformed).await;
    assert_eq!(malformed.status(), StatusCode::CONFLICT);
    assert!(malformed.text().await.unwrap().contains("RDN-Sender-Balance"));
    // A cookie-keeping client that pays by headers is not disturbed by what it keeps.
    let mut both = shop.pays(15, 5);
    both.insert("cookie", pays(&shop, 10)["cookie"].clone());
    assert_eq!(shop.get("/echo/x", both).await.status(), StatusCode::OK);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_ones_own() {
    let shop = Shop::open_service(|paywall| {
        let shared = paywall.clone().with_page("<p>ours</p>");
        let own = shared.price(5).with_page(|request: &PageRequest<'_>| {
            format!(
                "{} costs {} {}",
                request.parts.uri.path().len(),
                request.price,
                request.symbol
            )
        });
        Router::new()
            .route("/shared", get(async || "content").layer(shared.price(5)))
            .route("/own", get(async || "content").layer(own))
    })
    .await;
    for (path, text) in [("/shared", "<p>ours</p>"), ("/own", "4 costs 5 TKN")] {
        let page = shop.get(path, accepts("text/html")).await;
        assert_eq!(page.status(), StatusCode::PAYMENT_REQUIRED);
        assert_eq!(page.text().await.unwrap(), text);
    }
    shop.receiver.stop().await;
}
