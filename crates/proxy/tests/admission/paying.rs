//! Refusals of those who pay: nothing is charged.

use crate::shop::{PRICE, Parts, Shop, asks_for_payment, header};
use axum::Router;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode};
use microraiden_http::headers::{BALANCE_SIGNATURE, OPEN_BLOCK, SENDER_ADDRESS, SENDER_BALANCE};
use microraiden_paywall::Paywall;
use microraiden_protocol::Address;
use microraiden_proxy::admission::{Admission, AdmissionLayer, Limiters, Rule};
use tower::ServiceBuilder;

/// Three routes for the same content: for the sender only, for all others, and seldom.
fn router(Parts { upstream, sender, .. }: Parts, paywall: &Paywall) -> Router {
    let limiters = Limiters::default();
    let nobody = Rule::Sender(Address::repeat_byte(7));
    let sender = Rule::Sender(sender);
    let route = |name: &str, admission| {
        let service = ServiceBuilder::new()
            .layer(AdmissionLayer::new(admission, name, &limiters))
            .layer(paywall.price(PRICE))
            .service(upstream.clone());
        Router::new().route_service("/echo/{text}", service)
    };
    let allow = |allow| Admission {
        allow,
        ..Admission::default()
    };
    let deny = Admission {
        allow: vec![sender],
        deny: vec![sender],
        rate: None,
    };
    let seldom = Admission {
        rate: Some("2 per hour".parse().unwrap()),
        ..Admission::default()
    };
    Router::new()
        .nest("/his", route("his", allow(vec![nobody, sender])))
        .nest("/others", route("others", allow(vec![nobody])))
        .nest("/denied", route("denied", deny))
        .nest("/seldom", route("seldom", seldom))
}

#[tokio::test]
async fn who_pays_must_be_welcome_and_everybody_may_learn_the_price() {
    let shop = Shop::open(router).await;
    for path in ["/his/echo/a", "/others/echo/a", "/denied/echo/a"] {
        asks_for_payment(&shop.get(path).await);
    }
    let paid = async |path, headers| shop.ask(path, "192.0.2.1", headers).await;
    for path in ["/others/echo/a", "/denied/echo/a"] {
        for headers in [shop.pays(5), as_cookies(&shop.pays(5))] {
            let refused = paid(path, headers).await;
            assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{path}");
            assert_eq!(header(&refused, "rdn-error"), None);
            let sender = shop.world.sender.address();
            let told = format!("payments of {sender} are not taken here; nothing was charged\n");
            assert_eq!(refused.text().await.unwrap(), told);
        }
    }
    assert_eq!((shop.owed().await.as_str(), shop.content.served()), ("0", 0));
    // What was refused pays where it is welcome.
    for (balance, headers) in [(5, shop.pays(5)), (10, as_cookies(&shop.pays(10)))] {
        let answer = paid("/his/echo/a", headers).await;
        assert_eq!(
            (answer.status(), header(&answer, "rdn-cost")),
            (StatusCode::OK, Some("5"))
        );
        assert_eq!(shop.owed().await, balance.to_string());
    }
    // What cannot be read is the paywall's to answer.
    let mut broken = shop.pays(15);
    broken.insert(OPEN_BLOCK, HeaderValue::from_static("x"));
    assert_eq!(
        paid("/others/echo/a", broken).await.status(),
        StatusCode::CONFLICT
    );
    assert_eq!((shop.owed().await.as_str(), shop.content.served()), ("10", 2));
}

#[tokio::test]
async fn a_payment_that_comes_too_soon_is_not_charged() {
    let shop = Shop::open(router).await;
    let paid = async |path, client, headers| shop.ask(path, client, headers).await;
    let sold = paid("/seldom/echo/a", "192.0.2.1", shop.pays(5)).await;
    assert_eq!(sold.status(), StatusCode::OK);
    // A refusal of the paywall has come as well.
    asks_for_payment(&shop.get("/seldom/echo/a").await);
    let refused = paid("/seldom/echo/a", "192.0.2.1", shop.pays(10)).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(header(&refused, "retry-after").is_some());
    assert_eq!((shop.owed().await.as_str(), shop.content.served()), ("5", 1));
    // The same payment buys where it is not too soon.
    let sold = paid("/seldom/echo/a", "192.0.2.2", shop.pays(10)).await;
    assert_eq!(
        (sold.status(), header(&sold, "rdn-cost")),
        (StatusCode::OK, Some("5"))
    );
    assert_eq!(shop.owed().await, "10");
}

/// The same payment, as a browser makes it.
fn as_cookies(headers: &HeaderMap) -> HeaderMap {
    let payment = [SENDER_ADDRESS, OPEN_BLOCK, SENDER_BALANCE, BALANCE_SIGNATURE];
    let cookies = payment.map(|name| format!("{name}={}", headers[&name].to_str().unwrap()));
    HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(cookies.join("; ")).unwrap())])
}
