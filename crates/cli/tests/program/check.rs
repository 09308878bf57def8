//! What stands at an address, as `deploy check` tells it.

use crate::place::{Place, failed, json_of, succeeded, text};
use crate::relay::relay;
use microraiden_devchain::Config;
use serde_json::{Value, json};

/// An account that nobody uses.
const NOBODY: &str = "0x00000000000000000000000000000000DeaDBeef";

#[tokio::test]
async fn check_tells_contracts_apart() {
    let place = Place::new(Config::default()).await;
    let deployment = succeeded(&place.deploy(&[]).await);
    let (contract, token) = (
        text(&deployment, "/contract/address"),
        text(&deployment, "/token/address"),
    );
    let unknown = place.create("0x6460206000f36000526005601bf3").await;
    for (address, code, words) in [
        (NOBODY, "none", "there is no contract at"),
        (token, "token", "is a token, not a channel contract"),
        (&unknown, "unknown", "is not a channel contract"),
    ] {
        let output = place.check(address).await;
        failed(&output, 1, words);
        let found = json_of(&output);
        assert_eq!(found["code"], code);
        assert_eq!(found["is_channel_contract"], false);
        assert!(found.get("version").is_none());
    }

    // A contract that has every call answered by the real one (ERC-1167) is the same in all but its code.
    let target = contract.trim_start_matches("0x");
    let same = place
        .create(&format!(
            "0x3d602d80600a3d3981f3363d3d373d3d3d363d73{target}5af43d82803e903d91602b57fd5bf3"
        ))
        .await;
    let found = succeeded(&place.check(&same).await);
    assert_eq!(found["code"], "compatible");
    assert_eq!(found["artifact"], Value::Null);
    assert_eq!(found["token"]["address"], token);
}

#[tokio::test]
async fn check_lists_the_contracts_that_are_trusted_now() {
    let mut place = Place::new(Config::default()).await;
    let deployment = succeeded(&place.deploy(&[]).await);
    let (contract, token) = (
        text(&deployment, "/contract/address"),
        text(&deployment, "/token/address"),
    );
    let other = place.create("0x6001601ff3").await;
    let wallet = place.wallet().await;
    let call = async |selector: &str, addresses: &[&str]| {
        let words: String = addresses
            .iter()
            .map(|address| format!("{:0>64}", &address[2..]))
            .collect();
        let data = format!("{selector}{:064x}{:064x}{words}", 32, addresses.len());
        let to = contract.parse().unwrap();
        wallet
            .send(Some(to), data.parse().unwrap(), Default::default(), None)
            .await
            .unwrap();
    };
    let trusted = async |place: &Place| succeeded(&place.check(contract).await)["trusted_contracts"].clone();
    call("0x8c76b4b7", &[token, &other]).await;
    assert_eq!(trusted(&place).await, json!([token, other]));
    call("0x1f52cc35", &[token]).await;
    assert_eq!(trusted(&place).await, json!([other]));
    call("0x8c76b4b7", &[token]).await;
    assert_eq!(trusted(&place).await, json!([token, other]));

    // A node that gives the logs of few blocks at once is asked several times.
    place.chain.mine(20);
    place.url = relay(place.url.clone(), |request, answer| {
        let block = |end: &str| {
            let number = request["params"][0][end].as_str().unwrap_or("0x0");
            u64::from_str_radix(&number[2..], 16).unwrap()
        };
        if block("toBlock") - block("fromBlock") >= 3 {
            *answer = json!({"id": 1, "error": {"code": -32005, "message": "more than 3 blocks"}});
        }
    })
    .await;
    assert_eq!(trusted(&place).await, json!([token, other]));
}
