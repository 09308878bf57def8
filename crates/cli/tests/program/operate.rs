//! Closing, withdrawing and resuming, through a running proxy and without one.

use crate::operator::{PASSWORD, hash};
use crate::place::{Place, failed, said, succeeded};
use crate::process::PATIENCE;
use crate::state::{config, pay, proxy, start};
use microraiden_chain::Contract;
use microraiden_protocol::{Address, Amount};
use microraiden_tests::Upstream;
use serde_json::json;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// Waits until the receiver has so many tokens.
pub(crate) async fn until_earned(place: &Place, base_units: u64) {
    until_earned_within(place, base_units..=base_units).await;
}

/// Waits until the receiver has at least so many tokens; it must not have more than there may be.
pub(crate) async fn until_earned_within(place: &Place, base_units: RangeInclusive<u64>) {
    let deployment = place.deployment();
    let address = deployment["contract"]["address"].as_str().unwrap();
    let node = place.wallet().await.node().clone();
    let contract = Contract::at(node, address.parse::<Address>().unwrap());
    let (contract, receiver) = (contract.await.unwrap(), place.chain.accounts()[1].address);
    let (least, most) = (Amount::from(*base_units.start()), Amount::from(*base_units.end()));
    let begin = Instant::now();
    loop {
        let earned = contract.token_balance(receiver).await.unwrap();
        assert!(earned <= most, "{earned} is more than {most}");
        if earned >= least {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "never {least}, but {earned}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_withdraws_and_closes_with_and_without_a_proxy() {
    let place = Place::new(config(31337)).await;
    succeeded(&place.deploy(&[]).await);
    place.secret("ann.hash", &String::from_utf8(hash(PASSWORD).stdout).unwrap());
    place.secret("ann.password", PASSWORD);
    place.secret("wrong.password", "wrong");
    let upstream = Upstream::start().await;
    let content = upstream.url();
    let (key, deployment) = ("receiver.key", "deployment.json");
    let mut options = proxy(&place, key, deployment, content.as_str(), Some("state.db"));
    let hash_file = place.path("ann.hash").to_str().unwrap().to_owned();
    options.extend(["--operator", "ann", "--operator-password-hash-file", &hash_file].map(str::to_owned));
    let (program, address) = start(&options).await;
    let login = |command, password| {
        [
            command,
            "--proxy",
            &address,
            "--operator",
            "ann",
            "--operator-password-file",
            password,
        ]
    };
    let direct = |command, key| {
        [
            command,
            "--private-key",
            key,
            "--deployment-file",
            deployment,
            "--rpc-provider",
            &place.url,
            "--state-file",
            "state.db",
        ]
    };

    pay(&place, &address).await;
    let wrong = place.run(&login("withdraw", "wrong.password")).await;
    failed(&wrong, 1, "knows no operator ann with this password");
    let much = [&login("withdraw", "ann.password")[..], &["--minimum-amount", "6"]].concat();
    let left = succeeded(&place.run(&much).await);
    assert_eq!(
        (&left["channels"], &left["too_little_amount"]),
        (&json!("0"), &json!("5"))
    );
    let unreadable = [
        &login("withdraw", "ann.password")[..],
        &["--minimum-amount", "6 TKN"],
    ]
    .concat();
    failed(&place.run(&unreadable).await, 1, "write base units");
    let begun = succeeded(&place.run(&login("withdraw", "ann.password")).await);
    assert_eq!((&begun["channels"], &begun["amount"]), (&json!("1"), &json!("5")));
    until_earned(&place, 5).await;
    let resumed = place.run(&login("resume-selling", "ann.password")).await;
    assert_eq!(succeeded(&resumed), json!([]));
    assert!(
        said(&resumed).contains("nothing had halted"),
        "{}",
        said(&resumed)
    );

    pay(&place, &address).await;
    failed(&place.run(&direct("close-all", key)).await, 1, "with --proxy");
    assert!(program.signal("TERM"));
    let gone = place.run(&login("close-all", "ann.password")).await;
    failed(&gone, 1, "the proxy does not answer");
    failed(
        &place.run(&direct("close-all", "owner.key")).await,
        1,
        "belongs to receiver",
    );
    let closed = succeeded(&place.run(&direct("close-all", key)).await);
    assert_eq!(closed["amount"], "5", "{closed}");
    until_earned(&place, 10).await;
    let again = succeeded(&place.run(&direct("close-all", key)).await);
    assert_eq!(again["channels"], "0", "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_to_ask_is_said() {
    let place = Place::new(config(31337)).await;
    failed(&place.run(&["close-all"]).await, 2, "--proxy");
    let nobody = ["withdraw", "--proxy", "http://127.0.0.1:1"];
    failed(&place.run(&nobody).await, 2, "--operator");
    let secure = [
        "resume-selling",
        "--proxy",
        "https://127.0.0.1:1",
        "--operator",
        "ann",
    ];
    failed(&place.run(&secure).await, 1, "through a tunnel");
    succeeded(&place.deploy(&[]).await);
    let nothing = [
        "close-all",
        "--private-key",
        "receiver.key",
        "--deployment-file",
        "deployment.json",
        "--rpc-provider",
        &place.url,
        "--state-file",
        "none.db",
    ];
    failed(&place.run(&nothing).await, 1, "there is no state file none.db");
    assert!(!place.path("none.db").exists());
}
