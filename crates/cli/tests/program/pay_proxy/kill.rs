//! What a sender knows after it was killed while it paid.

use super::shop::{PRICE, Shop};
use crate::operate::until_earned_within;
use crate::place::succeeded;
use crate::state::config;
use microraiden_protocol::Balance;
use microraiden_sender::book::BookContents;
use std::time::Duration;

/// How often it is killed.
const KILLS: u64 = 8;
/// How many requests are under way at a time.
const CALLERS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sender_knows_everything_it_has_signed() {
    let shop = Shop::open(config(31337)).await;
    let book = shop.place.path("killed.book");
    let options = ["--target", &shop.paid, "--book", book.to_str().unwrap()];
    let mut answered = 0;
    for kill in 0..KILLS {
        let (program, url) = shop.pay_proxy(&options);
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let url = format!("{url}/echo/paid");
                tokio::spawn(async move {
                    let mut answered = 0;
                    while let Ok(answer) = reqwest::get(&url).await {
                        assert_eq!(answer.status(), 200);
                        answered += u64::from(answer.text().await.is_ok_and(|text| text == "paid"));
                    }
                    answered
                })
            })
            .collect();
        // The first round opens the channel; each is killed at another moment of its work.
        let pause = if kill == 0 { 2_000 } else { 150 + 37 * kill };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        program.kill();
        for caller in callers {
            answered += caller.await.unwrap();
        }
        let record = BookContents::read(&book).unwrap().channels.remove(0);
        let owed = owed(&shop).await;
        assert!(
            record.signed_balance() >= Balance::from(owed),
            "the receiver has a proof for {owed}, the book only for {}",
            record.signed_balance()
        );
        assert!(owed >= answered * PRICE, "{answered} were served, {owed} is owed");
    }
    assert!(
        answered > KILLS,
        "{answered} were answered: nothing was killed at work"
    );

    // It pays on, with the same channel, and both sides agree on its close.
    let (program, url) = shop.pay_proxy(&[&options[..], &["--close"]].concat());
    let answer = reqwest::get(format!("{url}/echo/again")).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "again");
    let owed = owed(&shop).await;
    assert_eq!(shop.until_owed(owed).await, 1, "one channel all along");
    // At most what was under way at each kill was paid and not answered.
    let most = (answered + 1 + KILLS * CALLERS as u64) * PRICE;
    assert!(owed <= most, "{owed} is owed, at most {most} was asked for");
    assert!(program.signal("TERM"));
    // Where a payment came to nothing when its sender was killed, the rest of what it was good for is not charged.
    until_earned_within(&shop.place, (answered + 1) * PRICE..=owed).await;
    let listed = shop
        .place
        .run(&[
            "channels",
            "list",
            "--book",
            book.to_str().unwrap(),
            "--rpc-provider",
            &shop.place.url,
            "--private-key",
            "owner.key",
            "--deployment-file",
            "deployment.json",
            "--json",
        ])
        .await;
    succeeded(&listed);
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(text.contains("closed") && !text.contains("\"open\""), "{text}");
}

/// What the receiver has proofs for. Its statistics may be a second old, its list of channels is not.
async fn owed(shop: &Shop) -> u64 {
    let listed = reqwest::get(format!("{}/api/1/channels", shop.paid))
        .await
        .unwrap();
    let listed: Vec<serde_json::Value> = serde_json::from_slice(&listed.bytes().await.unwrap()).unwrap();
    let balances = listed.iter().map(|channel| channel["balance"].as_str().unwrap());
    balances.map(|balance| balance.parse::<u64>().unwrap()).sum()
}
