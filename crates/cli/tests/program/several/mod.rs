//! Three proxies that sell together by one database: whatever is killed, nothing is sold twice or lost.

mod crowd;
mod stage;

use crate::kill::stage::until;
use crate::kill::{Random, SEED};
use crowd::Crowd;
use microraiden_protocol::{Amount, Phase};
use microraiden_store::HaltKind;
use stage::{PROXIES, Stage};
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const PRICE: u64 = 5;
/// A new leader is there after the lease of the last one, within seconds.
const TAKEOVER: Duration = Duration::from_secs(10);

fn seed() -> u64 {
    let given = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| RandomState::new().hash_one(0))
}

/// Kills one after the other while all are paid.
async fn kill_around(stage: &Stage, crowd: &Crowd, random: &mut Random, kills: u64) {
    for number in 0..kills {
        let before = crowd.served();
        until("payments are answered", async || crowd.served() >= before + 20).await;
        let pause = Duration::from_millis(random.below(300));
        let victim = match number % 4 {
            0 => stage.until_led().await,
            1 => {
                stage.kill_database(pause).await;
                continue;
            }
            _ => usize::try_from(random.below(PROXIES.try_into().unwrap())).unwrap(),
        };
        stage.kill(victim);
        tokio::time::sleep(pause).await;
        stage.revive(victim);
    }
}

async fn are_killed(channels: usize, buyers: u64, kills: u64) {
    let seed = seed();
    println!("{SEED}={seed}");
    let mut random = Random(seed);
    let stage = Stage::start().await;
    let crowd = Crowd::open(&stage, channels).await;
    let begin = Instant::now();
    let buying = crowd.begin(buyers, 0, seed);
    kill_around(&stage, &crowd, &mut random, kills).await;
    crowd.finish(buying).await;
    stage.until_all_sell().await;
    crowd.assert_sold_once(&stage).await;

    // A sender claims less than it owes, and its close is answered, though the leader is killed.
    let cheat = crowd
        .customers
        .iter()
        .max_by_key(|customer| customer.signed())
        .unwrap();
    assert!(cheat.signed() > PRICE);
    let before = stage.account(&cheat.channel).await;
    crowd.close_at(cheat, PRICE).await;
    let leader = stage.until_led().await;
    stage.kill(leader);
    crowd.until_settled(cheat).await;
    stage.revive(leader);
    until("the settlement is stored", async || {
        let account = stage.account(&cheat.channel).await;
        matches!(account.facts().phase, Phase::Settled { .. })
    })
    .await;
    let receiver = stage.world.receiver.address();
    assert_eq!(stage.tokens(receiver).await, Amount::from(before.balance()));
    let (served, lost) = (crowd.served(), crowd.lost());
    stage.until_all_sell().await;
    stage.end();
    // Not by `println!`, which the test runner keeps to itself when all is well.
    let took = begin.elapsed();
    let mut report = std::io::stdout();
    writeln!(report, "{kills} kills of three proxies and their database, {channels} channels: {served} payments served, {lost} stored without an answer, in {took:.1?} ({SEED}={seed})").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_channel_through_three_proxies_that_are_killed_is_sold_once() {
    are_killed(1, 8, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_channels_through_three_proxies_that_are_killed_are_sold_once() {
    are_killed(200, 24, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long"]
async fn a_hundred_kills_lose_nothing_and_sell_nothing_twice() {
    are_killed(20, 24, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_hangs_is_replaced_and_finds_that_out_when_it_wakes() {
    let stage = Stage::start().await;
    let crowd = Crowd::open(&stage, 2).await;
    let mut random = Random(seed());
    for _ in 0..5 {
        crowd.buy(0, &mut random).await;
    }
    let buying = crowd.begin(8, 1, seed());
    let first = stage.until_led().await;
    stage.send(first, "STOP");
    let begin = Instant::now();
    until("another one leads", async || {
        stage.leader().await.is_some_and(|leader| leader != first)
    })
    .await;
    assert!(begin.elapsed() < TAKEOVER, "{:?}", begin.elapsed());
    // While it hangs, the new one answers a stale close.
    let before = crowd.served();
    until("the others sell on", async || crowd.served() > before + 20).await;
    let cheat = &crowd.customers[0];
    crowd.close_at(cheat, PRICE).await;
    stage.world.node.mine(2).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.send(first, "CONT");
    crowd.until_settled(cheat).await;
    until("one leads", async || stage.leader().await.is_some()).await;
    stage.until_all_sell().await;
    crowd.finish(buying).await;
    crowd.assert_sold_once(&stage).await;
    let receiver = stage.world.receiver.address();
    assert_eq!(stage.tokens(receiver).await, Amount::from(5 * PRICE));
    stage.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn balancers_are_told_that_the_database_is_away() {
    let stage = Stage::start().await;
    let told = async || {
        let begin = Instant::now();
        for proxy in &stage.proxies {
            until("a proxy tells", async || {
                proxy.reason().await.as_deref() == Some("store-away")
            })
            .await;
        }
        begin.elapsed()
    };
    stage.server.kill();
    let took = told().await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    stage.server.restart();
    stage.until_all_sell().await;
    // Connections that stay open, and nobody answers.
    stage.server.pause();
    let took = told().await;
    assert!(took < Duration::from_secs(15), "{took:?}");
    stage.server.resume();
    stage.until_all_sell().await;
    stage.end();
}

/// A replica takes over that lacks the last payments.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_failover_has_lost_is_not_sold_again() {
    let stage = Stage::start().await;
    let crowd = Crowd::open(&stage, 1).await;
    let customer = &crowd.customers[0];
    let mut random = Random(seed());
    crowd.buy(0, &mut random).await;
    stage.server.copy();
    stage.until_all_sell().await;
    for proxy in 0..PROXIES {
        crowd.buy_through(customer, proxy).await;
    }
    let last = customer.signed();
    stage.server.fail_over();
    for proxy in &stage.proxies {
        until("a proxy notices, and stops", async || {
            proxy.reason().await.as_deref() == Some("store-stopped")
        })
        .await;
    }
    until("they tell everybody", async || {
        let halts = stage.stored().await.halts;
        matches!(halts[..], [halt] if halt.kind == HaltKind::Restored)
    })
    .await;

    // Who is started anew remembers nothing, and has no need to.
    for proxy in 0..PROXIES {
        stage.kill(proxy);
        stage.revive(proxy);
    }
    stage.until_all_sell().await;
    for proxy in 0..PROXIES {
        assert_eq!(crowd.refusal(customer, last, proxy).await, "closing-only");
    }
    let name = format!("{}-{last}", customer.channel.open_block);
    assert_eq!(stage.content.given(&name), 1);
    until("it is known which channels are from before", async || {
        stage.stored().await.halts[0].block.is_some()
    })
    .await;
    let others = Crowd::open(&stage, 1).await;
    for _ in 0..3 {
        let bought = timeout(Duration::from_secs(30), others.buy(0, &mut random));
        bought.await.expect("newer channels can be paid with");
    }
    others.assert_sold_once(&stage).await;
    stage.end();
}
