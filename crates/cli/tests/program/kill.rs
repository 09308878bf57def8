//! The proxy is killed with SIGKILL in the middle of paying, again and again.

use crate::process::{PATIENCE, Program};
use microraiden_chain::keys;
use microraiden_protocol::{Amount, Balance, Deposit, Price};
use microraiden_sender::{Client, Closing, DepositPolicy, Session, SessionConfig, SessionError};
use microraiden_tests::{NodeKind, Upstream, World};
use serde_json::Value;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const PRICE: u64 = 5;
const KILLS: u64 = 5;
/// Requests that are paid for and wait for their content at each kill.
const HELD: u64 = 4;
/// Tasks that pay without a pause all the while.
const BUYERS: u64 = 4;

/// Starts a proxy on a port (0 for any) and gives it with its address.
fn start(world: &World, upstream: &Upstream, files: &Path, port: u16) -> (Program, String) {
    let (rpc, content) = (world.node.url().to_string(), upstream.url().to_string());
    let contract = world.contract.address().to_string();
    let (key, state) = (files.join("receiver.key"), files.join("receiver.db"));
    let mut program = Program::start(&[
        "proxy",
        "--private-key",
        key.to_str().unwrap(),
        "--rpc-provider",
        &rpc,
        "--channel-manager-address",
        &contract,
        "--upstream",
        &content,
        "--price",
        &PRICE.to_string(),
        "--state-file",
        state.to_str().unwrap(),
        "--port",
        &port.to_string(),
        "--poll-interval",
        "30",
    ]);
    let address = program.wait_for("address", |line| {
        line.starts_with("http://").then(|| line.to_owned())
    });
    (program, address)
}

/// What the buyers were told.
#[derive(Default)]
struct Bought {
    served: AtomicU64,
    paid: Mutex<Amount>,
    lost: Mutex<Amount>,
    /// The highest balance of a payment that was answered.
    acknowledged: Mutex<Balance>,
}

impl Bought {
    async fn buy(&self, session: &Session, url: &str) -> Result<(), SessionError> {
        let answer = session.get(url).await?;
        assert_eq!(answer.response.status().as_u16(), 200, "{url}");
        let add = |sum: &Mutex<Amount>, amount: Amount| {
            let mut sum = sum.lock().unwrap();
            *sum = sum.checked_add(amount).unwrap();
        };
        add(&self.paid, answer.cost);
        add(&self.lost, answer.lost);
        let mut acknowledged = self.acknowledged.lock().unwrap();
        *acknowledged = (*acknowledged).max(answer.balance.expect("it was paid"));
        self.served.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// The balance that the receiver has on its books.
async fn stored_balance(proxy: &str) -> Balance {
    let begin = Instant::now();
    loop {
        if let Ok(response) = reqwest::get(format!("{proxy}/api/1/channels")).await {
            let list: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert_eq!(list.as_array().unwrap().len(), 1, "one channel is open: {list}");
            return list[0]["balance"].as_str().unwrap().parse().unwrap();
        }
        assert!(begin.elapsed() < PATIENCE, "the proxy does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn session(world: &World) -> Session {
    let deposits = DepositPolicy {
        initial_factor: 100_000,
        ..DepositPolicy::default()
    };
    let config = SessionConfig {
        deposits,
        max_retries: 100,
        retry_pause: Duration::from_millis(20),
        ..SessionConfig::new(Price::from(PRICE), Amount::from(PRICE * 100_000))
    };
    let client = Client::new(world.contract.clone(), world.sender.clone());
    Session::new(client, config).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_killed_while_paying_loses_no_accepted_proof() {
    let world = World::start(NodeKind::chosen()).await;
    let upstream = Upstream::start().await;
    let files = tempfile::tempdir().unwrap();
    keys::create(&files.path().join("receiver.key"), &world.receiver).unwrap();
    let (mut proxy, address) = start(&world, &upstream, files.path(), 0);
    let port = address.rsplit(':').next().unwrap().parse().unwrap();

    let session = Arc::new(session(&world));
    let bought = Arc::new(Bought::default());
    bought
        .buy(&session, &format!("{address}/echo/first"))
        .await
        .unwrap();
    let deposited = session.channels()[0].deposit();
    assert_eq!(deposited, Deposit::from(PRICE * 100_000));

    let stop = Arc::new(AtomicBool::new(false));
    let mut buyers = JoinSet::new();
    for _ in 0..BUYERS {
        let (session, bought, stop) = (session.clone(), bought.clone(), stop.clone());
        let url = format!("{address}/echo/more");
        buyers.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                bought.buy(&session, &url).await.unwrap();
            }
        });
    }
    for kill in 0..KILLS {
        upstream.set_gate(false);
        let mut held = JoinSet::new();
        for _ in 0..HELD {
            let (session, bought) = (session.clone(), bought.clone());
            let url = format!("{address}/wait/held");
            held.spawn(async move { bought.buy(&session, &url).await.unwrap() });
        }
        let served = bought.served.load(Ordering::SeqCst);
        until("payments are in flight", || upstream.waiting() == HELD).await;
        until("the buyers go on", || {
            bought.served.load(Ordering::SeqCst) > served + 20
        })
        .await;

        assert_eq!(
            upstream.waiting(),
            HELD,
            "payments are in flight when the proxy is killed"
        );
        proxy.kill();
        let acknowledged = *bought.acknowledged.lock().unwrap();
        proxy = start(&world, &upstream, files.path(), port).0;
        let stored = stored_balance(&address).await;
        assert!(
            stored >= acknowledged,
            "kill {kill}: {stored} is kept, {acknowledged} was accepted"
        );
        upstream.set_gate(true);
        while let Some(result) = held.join_next().await {
            result.unwrap();
        }
    }
    stop.store(true, Ordering::SeqCst);
    while let Some(result) = buyers.join_next().await {
        result.unwrap();
    }

    let (paid, lost) = (*bought.paid.lock().unwrap(), *bought.lost.lock().unwrap());
    let served = bought.served.load(Ordering::SeqCst);
    assert_eq!(
        paid,
        Amount::from(served * PRICE),
        "everything that was served was paid for"
    );
    let at_least = Amount::from(KILLS * HELD * PRICE);
    let at_most = Amount::from(KILLS * (HELD + BUYERS) * PRICE);
    assert!(
        lost >= at_least && lost <= at_most,
        "{lost} were lost: what was in flight, and no more"
    );

    let closed = session.close().await.unwrap();
    assert_eq!(closed[0].closing, Closing::Cooperative);
    let owed = paid.checked_add(lost).unwrap();
    assert_eq!(Amount::from(closed[0].balance), owed);
    assert_eq!(
        world.tokens(world.receiver.address()).await,
        owed,
        "the receiver has all of it"
    );
    assert!(proxy.signal("TERM"), "SIGTERM ends the proxy in order");
}
