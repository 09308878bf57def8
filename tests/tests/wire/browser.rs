//! What a browser sees: a page with its offer, cookies beside it, the page's files, and payment by cookies.

use crate::shop::{Shop, expect, header, headers};
use axum::Router;
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use microraiden_paywall::{PageRequest, Template};
use microraiden_proxy::pages::PaywallPages;
use serde_json::{Value, json};
use std::fs;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn accepts(accept: &str) -> HeaderMap {
    headers(&[("accept", accept.to_owned())])
}

/// What a page's script reads, where it looks for it.
pub(crate) fn offer_in(page: &str) -> Value {
    let element = r#"<script type="application/json" id="offer">"#;
    let (_, rest) = page.split_once(element).expect(page);
    let (offer, _) = rest.split_once("</script>").expect(page);
    serde_json::from_str(offer).expect(offer)
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
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
        ],
    );
    let policy = header(&page, "Content-Security-Policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
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
    let expected = json!({
        "price": "5",
        "symbol": "TKN",
        "decimals": 18,
        "receiver": shop.channel.receiver.to_string(),
        "contract": contract.to_string(),
        "token": shop.world.contract.token().address.to_string(),
        "gateway": "/api/1",
        "chainId": shop.world.contract.node().chain_id(),
        "method": "GET",
        "credit": "0",
    });
    assert_eq!(offer_in(&text), expected);

    for accept in [
        "*/*",
        "application/json",
        "application/json, text/plain, */*",
        "text/html;q=0.5, */*",
    ] {
        let json = shop.get("/echo/x", accepts(accept)).await;
        let plain = [
            ("Content-Type", "application/json"),
            ("Set-Cookie", ""),
            ("Content-Security-Policy", ""),
        ];
        expect(&json, StatusCode::PAYMENT_REQUIRED, &plain);
        assert_eq!(json.text().await.unwrap(), "");
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_refusal_says_why_and_what_is_owed() {
    let shop = Shop::open().await;
    shop.get("/echo/x", shop.pays(5, 5)).await;
    // Cookies of another tab, which say something else, do not matter.
    let mut again = shop.pays(5, 5);
    again.extend(accepts(BROWSER));
    again.insert(
        "cookie",
        "RDN-Sender-Balance=999; RDN-Error=unknown-channel"
            .parse()
            .unwrap(),
    );
    let refused = shop.get("/echo/other", again).await;
    expect(
        &refused,
        StatusCode::PAYMENT_REQUIRED,
        &[("RDN-Sender-Balance", "5")],
    );
    let offer = offer_in(&refused.text().await.unwrap());
    for (field, value) in [
        ("error", "already-spent".to_owned()),
        ("flag", "RDN-Invalid-Balance-Proof".to_owned()),
        ("senderAddress", shop.channel.sender.to_string()),
        ("senderBalance", "5".to_owned()),
        ("balanceSignature", shop.proof(5).signature.to_string()),
        ("credit", "0".to_owned()),
    ] {
        assert_eq!(offer[field], value, "{field}");
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_the_page_are_there_beside_those_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("index.html"), "<p>{price}").unwrap();
    fs::write(folder.path().join("own.js"), "own").unwrap();
    let pages = PaywallPages::open(folder.path()).unwrap();
    let shop = Shop::open_with(|config| config.site.pages = Some(pages)).await;
    let own = shop.get("/js/own.js", HeaderMap::new()).await;
    assert_eq!(own.text().await.unwrap(), "own");

    let path = "/js/microraiden/paywall.css";
    let plain = shop.get(path, HeaderMap::new()).await;
    let told = [
        ("Content-Type", "text/css; charset=utf-8"),
        ("Cache-Control", "no-cache"),
        ("Vary", "Accept-Encoding"),
        ("Content-Encoding", ""),
        ("RDN-Price", ""),
    ];
    expect(&plain, StatusCode::OK, &told);
    let tag = header(&plain, "ETag").unwrap().to_owned();
    let length = plain.bytes().await.unwrap().len();
    let zipped = shop
        .get(path, headers(&[("accept-encoding", "gzip".to_owned())]))
        .await;
    expect(&zipped, StatusCode::OK, &[("Content-Encoding", "gzip")]);
    assert!(zipped.bytes().await.unwrap().len() < length);
    let known = shop.get(path, headers(&[("if-none-match", tag.clone())])).await;
    expect(
        &known,
        StatusCode::NOT_MODIFIED,
        &[("ETag", &tag), ("Content-Type", "")],
    );

    let head = shop.http.head(shop.receiver.url(path)).send().await.unwrap();
    expect(&head, StatusCode::OK, &[("Content-Length", &length.to_string())]);
    let post = shop.http.post(shop.receiver.url(path)).send().await.unwrap();
    expect(&post, StatusCode::METHOD_NOT_ALLOWED, &[("Allow", "GET,HEAD")]);
    for none in ["nothing.js", "index.html", "throwaway.js", "chain"] {
        let none = shop
            .get(&format!("/js/microraiden/{none}"), HeaderMap::new())
            .await;
        assert_eq!(none.status(), StatusCode::NOT_FOUND);
    }
    let tokens = shop.get("/js/microraiden/tokens.html", HeaderMap::new()).await;
    assert!(
        header(&tokens, "Content-Security-Policy")
            .unwrap()
            .contains("frame-ancestors 'none'")
    );
    assert_eq!(shop.upstream.served(), 0);
    shop.receiver.stop().await;
}

/// What a browser does with the page: it loads what is named there, and keeps it.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_refers_to_is_there_and_kept_for_good() {
    let shop = Shop::open().await;
    let page = shop.get("/echo/x", accepts(BROWSER)).await.text().await.unwrap();
    let addresses: Vec<_> = page
        .split('"')
        .filter(|text| text.starts_with("/js/microraiden/") && text.contains('?'))
        .collect();
    assert!(addresses.len() >= 2, "{page}");
    for address in addresses {
        let file = shop.get(address, HeaderMap::new()).await;
        let kept = [("Cache-Control", "public, max-age=31536000, immutable")];
        expect(&file, StatusCode::OK, &kept);
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
        let template = Template::new(r#"<script type="application/json" id="offer">{offer}</script>"#);
        let template = paywall.price(5).with_page(template);
        Router::new()
            .route("/template", get(async || "content").layer(template))
            .route("/shared", get(async || "content").layer(shared.price(5)))
            .route("/own", get(async || "content").layer(own))
    })
    .await;
    for (path, text) in [("/shared", "<p>ours</p>"), ("/own", "4 costs 5 TKN")] {
        let page = shop.get(path, accepts("text/html")).await;
        // What such a page loads, and from where, is its own affair.
        let free = [("Content-Security-Policy", ""), ("Referrer-Policy", "")];
        expect(&page, StatusCode::PAYMENT_REQUIRED, &free);
        assert_eq!(page.text().await.unwrap(), text);
    }
    let page = shop
        .get("/template", accepts("text/html"))
        .await
        .text()
        .await
        .unwrap();
    assert_eq!(offer_in(&page)["price"], "5");
    shop.receiver.stop().await;
}
