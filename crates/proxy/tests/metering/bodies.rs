//! Usage in the body of an answer.

use crate::shop::{MOST, STATED, Shop, body};
use crate::upstream::{Server, events, lines, long, used};
use http::{HeaderMap, StatusCode};

async fn open() -> (Server, Shop) {
    let server = Server::start().await;
    let shop = Shop::metered(server.url.clone(), vec![body("/usage/total_tokens")]).await;
    (server, shop)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_body_says_is_charged_and_the_body_goes_on_unchanged() {
    let (_server, mut shop) = open().await;
    let mut earned = 0;
    for (case, text, cost) in [
        ("json", used("30"), 9),
        ("problem", used("30"), 9),
        // Rounded up.
        ("pieces", used("31"), 10),
        ("long", long(100_000), 60),
        ("lines", lines(), 21),
        ("zero", used("0"), 0),
        ("above", used("1000000000"), MOST),
    ] {
        let bought = shop.buy(&format!("/most/{case}")).await;
        assert_eq!(bought.status, StatusCode::OK, "{case}");
        assert_eq!(bought.body.unwrap(), text.into_bytes(), "{case}");
        assert_eq!(bought.cost, cost, "{case}");
        earned += cost;
    }
    let bought = shop.buy("/most/events").await;
    let text = String::from_utf8(bought.body.unwrap()).unwrap();
    let (stream, cost) = text.split_at(events().len());
    assert_eq!(stream, events());
    assert_eq!((cost, bought.cost), (": RDN-Cost=36 RDN-Credit=64\n", 36));
    shop.close(earned + 36).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_usage_is_not_known_the_rule_of_the_route_decides() {
    let (_server, mut shop) = open().await;
    let mut earned = 0;
    for case in [
        "missing",
        "float",
        "negative",
        "text",
        "half",
        "plain",
        "empty",
        "encoded",
        "silent-events",
        "too-long",
        "refused",
    ] {
        for (rule, cost) in [("most", MOST), ("free", 0), ("cost", STATED)] {
            let bought = shop.buy(&format!("/{rule}/{case}")).await;
            assert!(!bought.status.is_server_error(), "{case}");
            assert_eq!(bought.cost, cost, "{rule}/{case}");
            if case == "too-long" {
                assert_eq!(bought.body.unwrap().len(), long(5 << 20).len());
            }
            earned += cost;
        }
    }
    // What fails is released whatever it says, and whatever the rule.
    for path in ["/most/failed", "/cost/failed", "/most/cut-early"] {
        let bought = shop.buy(path).await;
        assert_eq!(
            (bought.status, bought.cost),
            (StatusCode::BAD_GATEWAY, 0),
            "{path}"
        );
    }
    shop.close(earned).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_ask_for_an_answer_that_is_not_readable() {
    let (server, mut shop) = open().await;
    let choices: HeaderMap = [
        ("accept-encoding", "gzip, br"),
        ("range", "bytes=0-3"),
        ("if-range", "\"x\""),
        ("accept", "application/json"),
    ]
    .into_iter()
    .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
    .collect();
    let bought = shop.buy_at("/free/json", MOST, &choices).await;
    assert_eq!(bought.cost, 9);
    let seen = server.seen().pop().unwrap();
    for name in ["accept-encoding", "range", "if-range"] {
        assert!(!seen.contains_key(name), "{seen:?}");
    }
    assert_eq!(seen["accept"], "application/json");

    // What is free is not metered, and passes as it is.
    let free = shop.get("/unpaid/json", choices).await;
    assert_eq!(free.status(), StatusCode::OK);
    let seen = server.seen().pop().unwrap();
    assert_eq!(seen["accept-encoding"], "gzip, br");
    shop.close(9).await;
}
