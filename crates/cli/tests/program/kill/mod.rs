//! The proxy is killed with SIGKILL at random moments while it is paid, again and again.

pub(crate) mod content;
mod payer;
pub(crate) mod stage;

use crate::process::PATIENCE;
use payer::{Answer, Payer};
use stage::Stage;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

const PRICE: u64 = 5;
const DEPOSIT: u64 = PRICE * 1_000_000;
/// The longest pause before a kill, in microseconds, once payments are answered again.
const LONGEST_PAUSE: u64 = 100_000;
/// The environment variable with the seed of the pauses. The moments that they lead to are the machine's.
pub(crate) const SEED: &str = "MICRORAIDEN_KILL_SEED";

/// Numbers that follow from a seed (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn pause(&mut self) -> Duration {
        Duration::from_micros(self.below(LONGEST_PAUSE))
    }
}

/// What the kills have hit.
#[derive(Default)]
struct Hits {
    kills: u64,
    /// Payments that were in flight at a kill.
    in_flight: usize,
    /// Kills, and payments, of which the state file knows and the client was told nothing.
    kills_after_commit: u64,
    after_commit: usize,
}

impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills, {} payments in flight; {} kills hit {} payments between commit and answer, the other \
             {} payments were not stored and were served when offered again",
            self.kills,
            self.in_flight,
            self.kills_after_commit,
            self.after_commit,
            self.in_flight - self.after_commit,
        )
    }
}

impl Stage {
    /// Kills the proxy once while it is paid, starts it again, and compares what it has kept with what the
    /// client was told.
    async fn kill_while_paying(&mut self, payer: &Arc<Payer>, pause: Duration, hits: &mut Hits) {
        let mut killed = None;
        let unanswered = payer.buy_until(pause, || killed = Some(self.kill())).await;
        let killed = killed.expect("it was killed");
        let in_flight = unanswered.iter().filter(|payment| payment.sent < killed).count();
        assert!(in_flight > 0, "a payment is in flight when the proxy is killed");

        let kept = self.kept(payer).await;
        self.start();
        payer.assert_kept().await;
        let mut after_commit = 0;
        for payment in &unanswered {
            if payer.offer(payment.balance).await.unwrap() == Answer::AlreadySpent {
                assert!(payment.sent < killed, "it was accepted by nobody");
                after_commit += 1;
            }
        }
        // All others that were signed were answered, or came to light as lost after an earlier kill.
        let not_stored = PRICE * count(unanswered.len() - after_commit);
        assert_eq!(kept.spent, payer.balance() - not_stored);
        hits.kills += 1;
        hits.in_flight += in_flight;
        hits.kills_after_commit += u64::from(after_commit > 0);
        hits.after_commit += after_commit;
    }

    /// Sees a stale close disputed by the proxy as it runs.
    async fn dispute(&self, payer: &Payer) {
        payer.close_at(PRICE).await;
        self.until_settled(payer).await;
    }

    /// Sees a stale close disputed, with a kill before its transaction is sent, and another before it is
    /// mined.
    async fn dispute_while_killed(&mut self, payer: &Payer, random: &mut Random) {
        self.mine_at_once(true).await;
        payer.close_at(PRICE).await;
        self.mine_at_once(false).await;
        self.lose_transactions(true).await;
        // Now it is confirmed.
        self.world.node.mine(1).await;
        let mut pause = random.pause() + Duration::from_millis(1);
        loop {
            assert!(pause < PATIENCE, "a dispute is promised");
            tokio::time::sleep(pause).await;
            self.kill();
            let kept = self.kept(payer).await;
            assert!(!self.has_sent().await, "no transaction reaches the node");
            self.start();
            if kept.disputes {
                break;
            }
            pause += pause;
        }
        self.lose_transactions(false).await;
        // What the node refused before is tried again after a while; a start tries at once.
        self.kill();
        self.start();
        self.until_sent().await;
        tokio::time::sleep(random.pause()).await;
        self.kill();
        assert!(self.kept(payer).await.disputes, "promised before it was sent");
        assert!(!payer.is_settled().await, "nothing is mined");
        self.start();
        tokio::time::sleep(random.pause()).await;
        self.mine_at_once(true).await;
        self.until_settled(payer).await;
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap()
}

async fn is_killed(kills: u64) {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    // Hash maps draw their keys from the system's randomness.
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0));
    println!("{SEED}={seed}");
    let mut random = Random(seed);
    let mut hits = Hits::default();
    let mut stage = Stage::start_selling().await;
    let session = stage.session().await;

    let first = stage.payer().await;
    for _ in 0..kills / 2 {
        stage.kill_while_paying(&first, random.pause(), &mut hits).await;
    }
    stage.dispute(&first).await;
    let second = stage.payer().await;
    for _ in kills / 2..kills {
        stage.kill_while_paying(&second, random.pause(), &mut hits).await;
    }
    let agreed = session.close().await;
    stage.dispute_while_killed(&second, &mut random).await;

    let owed = agreed + first.balance() + second.balance();
    stage.assert_earned(owed).await;
    let answered = count(first.answered() + second.answered() + hits.after_commit);
    assert_eq!(answered * PRICE, first.balance() + second.balance());
    for payer in [&first, &second] {
        payer.assert_sold_once(&stage.content);
    }
    stage.end().await;
    // Not by `println!`, which the test runner keeps to itself when all is well.
    let mut report = std::io::stdout();
    writeln!(report, "{hits} ({SEED}={seed})").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_killed_ten_times_while_paid_loses_nothing_and_sells_nothing_twice() {
    is_killed(10).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long"]
async fn a_proxy_killed_a_hundred_times_while_paid_loses_nothing_and_sells_nothing_twice() {
    is_killed(100).await;
}
