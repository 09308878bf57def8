//! Sessions with servers that answer at random: the limits hold, whatever comes.
//!
//! Each seed is a sender without a memory and two servers of one receiver, who is met nowhere else. It
//! makes requests, some at the same time, forgets everything now and then, and closes; the receiver
//! withdraws in between. Then what was signed, locked and closed is compared with the limits, and an
//! honest receiver must still be paid.

mod liar;

use crate::receiver::{Fault, Receiver};
use crate::stage::{PRICE, Stage, config};
use fastrand::Rng;
use liar::{Cast, Liar};
use microraiden_chain::Wallet;
use microraiden_protocol::{Amount, Balance, BalanceProof, ChannelId, SecretKey, keccak256};
use microraiden_sender::{Action, Client, Closing, DepositPolicy, Session, SessionConfig};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How many sessions are played, by how many senders at a time.
const SEEDS: u64 = 120;
const SENDERS: u64 = 7;

const MAX_PRICE: u64 = 10;
const BUDGET: u64 = 35;
const MAX_DEPOSIT: u64 = 40;
/// No request takes longer, with all its repetitions and waits.
const PATIENCE: Duration = Duration::from_secs(20);

fn limits() -> SessionConfig {
    SessionConfig {
        max_price: MAX_PRICE.into(),
        budget: BUDGET.into(),
        deposits: DepositPolicy {
            initial_factor: 3,
            top_up_factor: Some(2),
            max_deposit: MAX_DEPOSIT.into(),
        },
        answer_timeout: Duration::from_millis(150),
        confirmation_timeout: Duration::from_millis(1),
        max_retries: 6,
        ..config()
    }
}

/// What has happened in all plays, to know that something did.
#[derive(Debug, Default)]
struct Tally {
    served: usize,
    lost: usize,
    top_ups: usize,
    replaced: usize,
    withdrawals: usize,
    agreed: usize,
    alone: usize,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.served += other.served;
        self.lost += other.lost;
        self.top_ups += other.top_ups;
        self.replaced += other.replaced;
        self.withdrawals += other.withdrawals;
        self.agreed += other.agreed;
        self.alone += other.alone;
    }

    fn is_lively(&self) -> bool {
        let each = [
            self.lost,
            self.top_ups,
            self.replaced,
            self.withdrawals,
            self.agreed,
            self.alone,
        ];
        self.served > 300 && each.iter().all(|count| *count > 10)
    }
}

/// One seed's world.
struct Play<'a> {
    stage: &'a Stage,
    seed: u64,
    rng: Rng,
    key: SecretKey,
    receiver: SecretKey,
    liars: [Liar; 2],
    tally: Tally,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_hold_at_servers_that_answer_at_random() {
    let stage = Arc::new(Stage::new().await);
    let honest = Arc::new(Receiver::start(&stage, |_| Fault::None).await);
    let mut senders = Vec::new();
    for sender in 0..SENDERS {
        let key = stage
            .rich_key(3 + usize::try_from(sender).expect("a small number"))
            .await;
        let (stage, honest) = (stage.clone(), honest.clone());
        senders.push(tokio::spawn(async move {
            let mut tally = Tally::default();
            for seed in (sender..SEEDS).step_by(usize::try_from(SENDERS).expect("a small number")) {
                tally.add(&Play::new(&stage, seed, key.clone()).await.run(&honest).await);
            }
            tally
        }));
    }
    let mut tally = Tally::default();
    for sender in senders {
        tally.add(&sender.await.expect("the invariants hold"));
    }
    assert!(tally.is_lively(), "{tally:?}");
}

impl<'a> Play<'a> {
    async fn new(stage: &'a Stage, seed: u64, key: SecretKey) -> Self {
        let receiver = SecretKey::from_bytes(keccak256(seed.to_be_bytes()).as_slice()).expect("a key");
        let cast = Cast {
            seller: stage.seller_with(receiver.address(), stage.contract.address()),
            scheme: stage.contract.scheme(),
            key: receiver.clone(),
            sender: key.clone(),
        };
        let liars = [
            Liar::start(cast.clone(), 2 * seed).await,
            Liar::start(cast, 2 * seed + 1).await,
        ];
        Self {
            stage,
            seed,
            rng: Rng::with_seed(seed),
            key,
            receiver,
            liars,
            tally: Tally::default(),
        }
    }

    async fn run(mut self, honest: &Receiver) -> Tally {
        let before = self.tokens().await;
        let client = self.client();
        let session = Session::new(client.clone(), limits()).expect("a session");
        self.make_requests(&session).await;
        let mut spent = session.spent();
        self.check_apart();
        self.check_signed(spent);
        self.check_locked().await;
        let forgets = self.rng.bool();
        let session = if forgets {
            let session = Session::new(self.client(), limits()).expect("a session");
            self.make_requests(&session).await;
            spent = spent.checked_add(session.spent()).expect("two budgets");
            self.check_signed(spent);
            self.check_locked().await;
            session
        } else {
            session
        };
        let withdrawn = self.withdraw().await;
        self.close(&session, &withdrawn).await;
        let (after, locked) = (self.tokens().await, self.locked().await.0);
        let paid = self.receiver_tokens().await;
        let sum = [after, locked, paid]
            .into_iter()
            .try_fold(Amount::ZERO, |sum, part| sum.checked_add(part));
        assert_eq!(sum, Some(before), "seed {}: tokens are lost", self.seed);
        assert!(paid <= spent, "seed {}: {paid} of {spent}", self.seed);
        let session = Session::new(client, config()).expect("a session");
        let paid = session.get(honest.url()).await;
        let paid = paid.unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        assert_eq!(paid.cost, PRICE.into(), "seed {}", self.seed);
        self.tally
    }

    fn client(&self) -> Client {
        Client::new(self.stage.contract.clone(), self.key.clone())
    }

    fn url(&mut self) -> String {
        let liar = &self.liars[self.rng.usize(..2)];
        format!("{}/{}", liar.server.url, self.rng.u8(..2))
    }

    async fn make_requests(&mut self, session: &Session) {
        for _ in 0..4 {
            let (url, before) = (self.url(), self.signed());
            let answer = timeout(PATIENCE, session.get(&url)).await;
            let answer = answer.unwrap_or_else(|_| panic!("seed {}: no end", self.seed));
            let lost = answer.map(|paid| paid.lost);
            self.tally.lost += usize::from(lost.as_ref().is_ok_and(|lost| !lost.is_zero()));
            let most = match lost {
                Ok(lost) if lost.is_zero() => MAX_PRICE,
                _ => 2 * MAX_PRICE,
            };
            self.check_spent(session, before, most);
        }
        let urls: Vec<_> = (0..4).map(|_| self.url()).collect();
        let before = self.signed();
        let together = async {
            tokio::join!(
                session.get(&urls[0]),
                session.get(&urls[1]),
                session.get(&urls[2]),
                session.get(&urls[3])
            )
        };
        let answers = timeout(PATIENCE, together).await;
        drop(answers.unwrap_or_else(|_| panic!("seed {}: no end", self.seed)));
        self.check_spent(session, before, 4 * 2 * MAX_PRICE);
        let transactions = session
            .channels()
            .into_iter()
            .flat_map(|channel| channel.transactions());
        let top_ups = transactions.filter(|(action, _)| *action == Action::TopUp);
        self.tally.top_ups += top_ups.count();
    }

    /// No request signs away more than the limit, and as much again for answers that got lost.
    fn check_spent(&self, session: &Session, before: Amount, most: u64) {
        let here = self.signed().checked_sub(before).expect("nothing comes back");
        let most = Amount::from(most);
        assert!(here <= most, "seed {}: {here}, not {most}", self.seed);
        let spent = session.spent();
        assert!(spent <= Amount::from(BUDGET), "seed {}: {spent}", self.seed);
    }

    /// What the receiver can claim on all its channels.
    fn signed(&self) -> Amount {
        let highest = self.highest();
        let signed = highest
            .values()
            .map(|proof| Amount::new(proof.balance.base_units()));
        signed.fold(Amount::ZERO, |sum, part| sum.checked_add(part).expect("small"))
    }

    /// The highest proofs that one of the servers was sent.
    fn highest(&self) -> BTreeMap<ChannelId, BalanceProof> {
        let [mut highest, second] = self.liars.each_ref().map(Liar::highest);
        for (channel, proof) in second {
            let best = highest.entry(channel).or_insert(proof);
            if proof.balance > best.balance {
                *best = proof;
            }
        }
        highest
    }

    /// No session uses a channel at both servers; who has forgotten everything may.
    fn check_apart(&self) {
        let [first, second] = self.liars.each_ref().map(Liar::highest);
        let apart = first.keys().all(|channel| !second.contains_key(channel));
        assert!(apart, "seed {}: one channel for two servers", self.seed);
    }

    /// What the servers hold is no more than what counts as spent.
    fn check_signed(&self, spent: Amount) {
        let signed = self.signed();
        assert!(signed <= spent, "seed {}: {signed} of {spent}", self.seed);
    }

    /// What the contract holds for this receiver's channels, and how many of them are open.
    async fn locked(&self) -> (Amount, usize) {
        let mut locked = Amount::ZERO;
        let mut count = 0;
        let receiver = self.receiver.address();
        for id in self.stage.channels_between(self.key.address(), receiver).await {
            let Some(info) = self.stage.contract.channel_info(&id).await.expect("the node") else {
                continue;
            };
            assert!(info.deposit <= MAX_DEPOSIT.into(), "seed {}", self.seed);
            let held = info
                .deposit
                .limit()
                .checked_since(info.withdrawn)
                .expect("no more");
            locked = locked.checked_add(held).expect("small");
            count += 1;
        }
        (locked, count)
    }

    /// A server gets one channel, and another when it has served on the one before.
    async fn check_locked(&mut self) {
        let (locked, count) = self.locked().await;
        let served: usize = self.liars.iter().map(Liar::served).sum();
        self.tally.served = served;
        self.tally.replaced = count.saturating_sub(2);
        assert!(count <= 2 + served, "seed {}: {count} channels", self.seed);
        let most = u64::try_from(count).expect("small") * MAX_DEPOSIT;
        assert!(locked <= Amount::from(most), "seed {}: {locked}", self.seed);
    }

    /// The receiver withdraws on some of its channels.
    async fn withdraw(&mut self) -> BTreeMap<ChannelId, Balance> {
        let mut withdrawn = BTreeMap::new();
        for (id, proof) in self.highest() {
            if proof.balance.is_zero() || self.rng.bool() {
                continue;
            }
            self.stage.give_ether(self.receiver.address());
            let BalanceProof {
                balance, signature, ..
            } = proof;
            let wallet = Wallet::new(self.stage.contract.node().clone(), self.receiver.clone());
            let contract = &self.stage.contract;
            contract
                .withdraw(&wallet, &id, balance, &signature)
                .await
                .expect("a proof that covers");
            withdrawn.insert(id, balance);
            self.tally.withdrawals += 1;
        }
        withdrawn
    }

    /// Closes at what was signed at most, and at what was withdrawn at least.
    async fn close(&mut self, session: &Session, withdrawn: &BTreeMap<ChannelId, Balance>) {
        let closed = timeout(PATIENCE, session.close()).await;
        let closed = closed.unwrap_or_else(|_| panic!("seed {}: no end", self.seed));
        let closed = closed.unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        let proofs = self.highest();
        for closed in closed {
            let least = withdrawn.get(&closed.channel).copied().unwrap_or_default();
            let most = proofs
                .get(&closed.channel)
                .map_or(Balance::ZERO, |proof| proof.balance);
            assert!(closed.balance >= least, "seed {}", self.seed);
            assert!(closed.balance <= most, "seed {}", self.seed);
            let info = self
                .stage
                .contract
                .channel_info(&closed.channel)
                .await
                .expect("the node");
            let closing = info.map(|info| info.closing_balance);
            let expected = (closed.closing != Closing::Cooperative).then_some(closed.balance);
            assert_eq!(closing, expected, "seed {}", self.seed);
            match closed.closing {
                Closing::Cooperative => self.tally.agreed += 1,
                Closing::Uncooperative { .. } => self.tally.alone += 1,
            }
        }
    }

    async fn tokens(&self) -> Amount {
        let tokens = self.stage.contract.token_balance(self.key.address()).await;
        tokens.expect("the node")
    }

    async fn receiver_tokens(&self) -> Amount {
        let tokens = self.stage.contract.token_balance(self.receiver.address()).await;
        tokens.expect("the node")
    }
}
