//! Who pays while the proxy is killed, and remembers what it was told.

use super::content::Content;
use super::stage::until;
use super::{DEPOSIT, PRICE};
use http::StatusCode;
use microraiden_http::{Challenge, Receipt, payment_headers};
use microraiden_protocol::{Amount, Balance, ChannelId};
use microraiden_tests::World;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How many requests are on their way at a time.
const BUYERS: usize = 8;
/// How many payments are answered before a kill, at least.
const BEFORE_A_KILL: usize = 20;
/// How many of the newest payments that were answered are offered again after a restart.
const OFFERED_AGAIN: usize = 16;

/// The sender of one channel, signing by hand: so it is known of each payment what its client was told.
/// Every request pays the price, and has a balance of its own.
pub(super) struct Payer {
    pub(super) channel: ChannelId,
    proxy: String,
    world: Arc<World>,
    http: reqwest::Client,
    signed: AtomicU64,
    /// The balances whose payment was answered, with the content.
    answered: Mutex<BTreeSet<u64>>,
}

/// A payment that got no answer.
pub(super) struct Unanswered {
    pub(super) balance: u64,
    pub(super) sent: Instant,
}

/// What the proxy says to a payment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The content.
    Served,
    /// It was sold before.
    AlreadySpent,
}

impl Payer {
    /// Opens a channel, and waits until the proxy takes payments on it.
    pub(super) async fn open(world: &Arc<World>, proxy: &str) -> Self {
        let (wallet, receiver) = (world.wallet(&world.sender), world.receiver.address());
        let opened = world.contract.open_channel(&wallet, receiver, DEPOSIT.into());
        let (channel, http) = (opened.await.unwrap().0, reqwest::Client::new());
        let url = format!("{proxy}/api/1/channels/{}/{}", channel.sender, channel.open_block);
        until("the channel is confirmed", async || {
            http.get(&url).send().await.unwrap().status() == StatusCode::OK
        })
        .await;
        Self {
            channel,
            proxy: proxy.to_owned(),
            world: world.clone(),
            http,
            signed: AtomicU64::new(0),
            answered: Mutex::default(),
        }
    }

    /// What was paid for answers.
    pub(super) fn answered(&self) -> usize {
        self.answered.lock().unwrap().len()
    }

    /// All that was signed.
    pub(super) fn balance(&self) -> u64 {
        self.signed.load(Ordering::SeqCst)
    }

    /// Buys until nobody answers any more; `kill` is called at some moment meanwhile. Gives what was not
    /// answered.
    pub(super) async fn buy_until(self: &Arc<Self>, pause: Duration, kill: impl FnOnce()) -> Vec<Unanswered> {
        let before = self.answered();
        let mut buyers = JoinSet::new();
        for _ in 0..BUYERS {
            let payer = self.clone();
            buyers.spawn(async move { payer.buy().await });
        }
        until("payments are answered", async || {
            assert!(buyers.try_join_next().is_none(), "a buyer has stopped");
            self.answered() >= before + BEFORE_A_KILL
        })
        .await;
        tokio::time::sleep(pause).await;
        kill();
        buyers.join_all().await
    }

    /// Buys one thing after the other, until there is no answer.
    async fn buy(&self) -> Unanswered {
        loop {
            let balance = self.signed.fetch_add(PRICE, Ordering::SeqCst) + PRICE;
            let sent = Instant::now();
            match self.offer(balance).await {
                Ok(answer) => assert_eq!(answer, Answer::Served, "{balance} was not offered before"),
                Err(_) => return Unanswered { balance, sent },
            }
        }
    }

    /// Offers the payment of the units up to a balance for what it is to buy, always the same.
    pub(super) async fn offer(&self, balance: u64) -> Result<Answer, reqwest::Error> {
        let contract = &self.world.contract;
        let scheme = contract.scheme();
        let proof = scheme.sign_balance_proof(&self.world.sender, self.channel, balance.into());
        let name = self.name(balance);
        let way = if (balance / PRICE).is_multiple_of(2) {
            "quick"
        } else {
            "slow"
        };
        let request = self.http.get(format!("{}/{way}/{name}", self.proxy));
        let headers = payment_headers(contract.address(), &proof, Some(Amount::from(PRICE)));
        let response = request.headers(headers).send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.text().await?;
        if status == StatusCode::PAYMENT_REQUIRED {
            let challenge = Challenge::read(&headers).unwrap();
            assert_eq!(challenge.error_code(), Some("already-spent"), "{name}: {body}");
            return Ok(Answer::AlreadySpent);
        }
        assert_eq!((status, &body), (StatusCode::OK, &name));
        let receipt = Receipt::read(&headers).unwrap().unwrap();
        assert_eq!(receipt.cost, Amount::from(PRICE), "{name}");
        self.answered.lock().unwrap().insert(balance);
        Ok(Answer::Served)
    }

    /// What the units up to a balance buy.
    fn name(&self, balance: u64) -> String {
        format!("{}-{balance}", self.channel.open_block)
    }

    /// What was answered before is not sold again.
    pub(super) async fn assert_kept(&self) {
        let answered = self.answered.lock().unwrap().clone();
        for balance in answered.into_iter().rev().take(OFFERED_AGAIN) {
            let again = self.offer(balance).await.unwrap();
            assert_eq!(again, Answer::AlreadySpent, "{balance} was accepted, and is lost");
        }
    }

    /// All that was signed was sold, each unit once; what was answered, was delivered.
    pub(super) fn assert_sold_once(&self, content: &Content) {
        let answered = self.answered.lock().unwrap();
        for balance in (1..=self.balance() / PRICE).map(|number| number * PRICE) {
            let given = content.given(&self.name(balance));
            assert!(given <= 1, "{balance} bought {given} times");
            assert!(
                given == 1 || !answered.contains(&balance),
                "{balance} bought nothing"
            );
        }
    }

    /// The sender closes on chain, claiming what it likes.
    pub(super) async fn close_at(&self, balance: u64) {
        let wallet = self.world.wallet(&self.world.sender);
        let contract = &self.world.contract;
        let closed = contract.uncooperative_close(&wallet, &self.channel, Balance::from(balance));
        closed.await.unwrap();
    }

    pub(super) async fn is_settled(&self) -> bool {
        let info = self.world.contract.channel_info(&self.channel).await;
        info.unwrap().is_none()
    }
}
