//! What a receiver tells of its channels: a real one, one of 2018, and others that tell nothing.

use crate::place::{Place, failed, succeeded};
use crate::shop::Shop;
use crate::state::{config, pay};
use axum::Router;
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread")]
async fn any_url_of_a_receiver_will_do() {
    let Shop { place, address, .. } = &Shop::open().await;
    let deployed = place.deployment();
    pay(place, address).await;
    let expected = json!({
        "receiver": place.chain.accounts()[1].address.to_string(),
        "contract": deployed["contract"]["address"],
        "token": { "address": deployed["token"]["address"] },
        "open_channels": 1,
        "pending_channels": 0,
        "unique_senders": 1,
        "deposit_sum": "50",
        "balance_sum": "5",
        "liquid_balance": "0",
    });
    // The answer is a second old at most.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    for url in ["", "/", "/echo/paid?a=b#c", "/api/1/stats"] {
        let told = succeeded(&place.run(&["stats", &format!("{address}{url}")]).await);
        assert_eq!(told, expected, "{url}");
    }
    let told = place.run(&["stats", address, "--rpc-provider", &place.url]).await;
    assert_eq!(succeeded(&told)["token"]["symbol"], "TKN");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_of_2018_is_understood_to_the_unit_and_others_are_refused() {
    const ZERO: &str = "0x0000000000000000000000000000000000000000";
    let of_2018 = format!(
        r#"{{"deposit_sum": 12345678901234567891, "open_channels": 2, "pending_channels": 1,
        "balance_sum": 340282366920938463463374607431768211457, "unique_senders": 2, "liquid_balance": 0,
        "token_address": "{ZERO}", "contract_address": "{ZERO}", "receiver_address": "{ZERO}",
        "manager_abi": [], "token_abi": [], "sync_block": 3}}"#
    );
    let router = Router::new()
        .route("/api/1/stats", get(|| async { of_2018 }))
        .route("/elsewhere/stats", get(|| async { r#"{"open_channels": 1.5}"# }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let place = Place::new(config(31337)).await;
    let told = succeeded(&place.run(&["stats", &address]).await);
    assert_eq!(told["deposit_sum"], "12345678901234567891");
    assert_eq!(told["balance_sum"], "340282366920938463463374607431768211457");
    for (url, words) in [
        (
            &format!("{address}/elsewhere/stats")[..],
            "not a receiver's statistics",
        ),
        (&format!("{address}/no/stats"), "the answer is 404"),
        ("http://127.0.0.1:1", "does not answer"),
    ] {
        failed(&place.run(&["stats", url]).await, 1, words);
    }
    failed(&place.run(&["stats", "receiver"]).await, 2, "URL");
}
