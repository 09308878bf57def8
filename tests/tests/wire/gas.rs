//! What a receiver does whose wallet cannot pay the gas of its claims.

use crate::shop::{PRICE, Shop, Stage, expect};
use http::{HeaderMap, StatusCode};
use microraiden_protocol::Amount;
use microraiden_tests::{Receiver, receiver};
use std::time::{Duration, Instant};

/// Gives the receiver's wallet so much ether, in wei.
pub(crate) async fn fund(shop: &Shop, wei: &str) {
    let wallet = shop.world.receiver.address();
    let request =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"anvil_setBalance","params":["{wallet}","{wei}"]}}"#);
    let post = shop.http.post(shop.world.node.url());
    let post = post.header("content-type", "application/json").body(request);
    let answer = post.send().await.unwrap().text().await.unwrap();
    assert!(!answer.contains("error"), "{answer}");
}

/// Asks by a proof that pays nothing until the answer has this status.
async fn until(shop: &Shop, status: StatusCode) -> reqwest::Response {
    let begin = Instant::now();
    loop {
        let answer = shop.get("/echo/x", shop.pays(5, 0)).await;
        if answer.status() == status {
            return answer;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{}", answer.status());
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sold_that_could_not_be_claimed() {
    let shop = Shop::open().await;
    fund(&shop, "0x0").await;
    // Nothing is owed yet, so nothing has to be claimed.
    let first = shop.get("/echo/x", shop.pays(5, 5)).await;
    expect(&first, StatusCode::OK, &[("RDN-Cost", "5")]);
    let stopped = until(&shop, StatusCode::BAD_GATEWAY).await;
    expect(
        &stopped,
        StatusCode::BAD_GATEWAY,
        &[("RDN-Cost", ""), ("RDN-Price", "")],
    );
    let text = stopped.text().await.unwrap();
    assert_eq!(text, "\"Channel manager ETH balance is below limit\"\n");
    // Who does not pay learns the price all the same.
    let unpaid = shop.get("/echo/x", HeaderMap::new()).await;
    assert_eq!(unpaid.status(), StatusCode::PAYMENT_REQUIRED);
    assert_eq!(shop.upstream.served(), 1);

    fund(&shop, "0xde0b6b3a7640000").await;
    until(&shop, StatusCode::PAYMENT_REQUIRED).await;
    let next = shop.get("/echo/x", shop.pays(10, 5)).await;
    expect(&next, StatusCode::OK, &[("RDN-Sender-Balance", "10")]);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_of_dust_stop_nobody() {
    let stage = Stage::set().await;
    let config = microraiden_manager::Config {
        min_claim: Amount::from(11),
        ..receiver::quick()
    };
    let upstream = stage.upstream.url();
    let receiver = Receiver::start(&stage.world, upstream, PRICE, &stage.state(), config).await;
    let shop = stage.open_unconfirmed(receiver).await;
    shop.confirmed().await;
    fund(&shop, "0x0").await;
    for balance in [5, 10] {
        let paid = shop.get("/echo/x", shop.pays(balance, 5)).await;
        expect(&paid, StatusCode::OK, &[("RDN-Cost", "5")]);
        // Many looks at the wallet.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let paid = shop.get("/echo/x", shop.pays(15, 5)).await;
    expect(&paid, StatusCode::OK, &[("RDN-Cost", "5")]);
    until(&shop, StatusCode::BAD_GATEWAY).await;
    shop.receiver.stop().await;
}
