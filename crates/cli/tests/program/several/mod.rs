//! Three proxies that sell together by one database: whatever is killed, nothing is sold twice or lost.

mod crowd;
mod stage;

use crate::kill::stage::until;
use crate::kill::{Random, SEED};
use crowd::Crowd;
use microraiden_protocol::{Amount, Phase};
use stage::{PROXIES, Stage};
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::time::{Duration, Instant};

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
