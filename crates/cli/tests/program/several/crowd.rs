//! Who pays several proxies at once: each payment is offered to one after the other until there is an answer.

use super::PRICE;
use super::stage::{PROXIES, Stage};
use crate::kill::Random;
use crate::kill::stage::until;
use http::{HeaderMap, StatusCode};
use microraiden_http::{Challenge, Receipt, payment_headers};
use microraiden_protocol::{Amount, Balance, ChannelId, Deposit};
use microraiden_tests::World;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

/// What each channel holds.
const DEPOSIT: u64 = PRICE * 100_000;
/// How long an answer is waited for.
const LONGEST_ANSWER: Duration = Duration::from_secs(4);
/// How often a payment that is said to be spent is offered again: where that came of a lost connection, it is given back.
const OFFERED_AGAIN: u32 = 4;
const SPENT_PAUSE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(100);

/// One channel, and what its sender was told.
pub(super) struct Customer {
    pub(super) channel: ChannelId,
    signed: AtomicU64,
    served: Mutex<BTreeSet<u64>>,
    lost: Mutex<BTreeSet<u64>>,
}

/// What a proxy says to a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Served,
    AlreadySpent,
    /// It cannot be reached, or sells nothing for now.
    Nothing,
}

/// All who pay.
pub(super) struct Crowd {
    pub(super) customers: Vec<Customer>,
    urls: Vec<String>,
    world: Arc<World>,
    http: reqwest::Client,
    stop: AtomicBool,
}

impl Crowd {
    /// Opens channels, and waits until all proxies take payments on them.
    pub(super) async fn open(stage: &Stage, channels: usize) -> Arc<Self> {
        let world = stage.world.clone();
        let (wallet, receiver) = (world.wallet(&world.sender), world.receiver.address());
        let mut customers = Vec::new();
        for _ in 0..channels {
            let opening = world
                .contract
                .open_channel(&wallet, receiver, Deposit::from(DEPOSIT));
            customers.push(Customer {
                channel: opening.await.unwrap().0,
                signed: AtomicU64::new(0),
                served: Mutex::default(),
                lost: Mutex::default(),
            });
        }
        let http = reqwest::Client::builder()
            .timeout(LONGEST_ANSWER)
            .build()
            .unwrap();
        let urls: Vec<_> = stage.proxies.iter().map(|proxy| proxy.url.clone()).collect();
        let last = customers.last().unwrap().channel;
        for url in &urls {
            let url = format!("{url}/api/1/channels/{}/{}", last.sender, last.open_block);
            until("the channel is confirmed", async || {
                http.get(&url).send().await.unwrap().status() == StatusCode::OK
            })
            .await;
        }
        Arc::new(Self {
            customers,
            urls,
            world,
            http,
            stop: AtomicBool::new(false),
        })
    }

    /// Lets so many buyers pay by the channels from this one on, each through any proxy, until [`finish`](Self::finish).
    pub(super) fn begin(self: &Arc<Self>, buyers: u64, first: usize, seed: u64) -> JoinSet<()> {
        let mut buying = JoinSet::new();
        for number in 0..buyers {
            let (crowd, mut random) = (self.clone(), Random(seed ^ number << 32));
            buying.spawn(async move {
                while !crowd.stop.load(Ordering::SeqCst) {
                    let customer = first + below(&mut random, crowd.customers.len() - first);
                    crowd.buy(customer, &mut random).await;
                }
            });
        }
        buying
    }

    /// Waits until all buyers have an answer to what they have signed.
    pub(super) async fn finish(&self, buying: JoinSet<()>) {
        self.stop.store(true, Ordering::SeqCst);
        buying.join_all().await;
    }

    pub(super) fn served(&self) -> usize {
        self.customers
            .iter()
            .map(|customer| customer.served.lock().unwrap().len())
            .sum()
    }

    pub(super) fn lost(&self) -> usize {
        self.customers
            .iter()
            .map(|customer| customer.lost.lock().unwrap().len())
            .sum()
    }

    /// Buys one thing: signs once, and offers that until it is clear what became of it.
    pub(super) async fn buy(&self, customer: usize, random: &mut Random) {
        let customer = &self.customers[customer];
        let balance = customer.signed.fetch_add(PRICE, Ordering::SeqCst) + PRICE;
        let mut spent = 0;
        loop {
            match self.offer(customer, balance, below(random, PROXIES)).await {
                Answer::Served => {
                    customer.served.lock().unwrap().insert(balance);
                    return;
                }
                Answer::AlreadySpent if spent == OFFERED_AGAIN => {
                    customer.lost.lock().unwrap().insert(balance);
                    return;
                }
                Answer::AlreadySpent => {
                    spent += 1;
                    tokio::time::sleep(SPENT_PAUSE).await;
                }
                Answer::Nothing => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Buys one thing at a proxy, where all is well.
    pub(super) async fn buy_through(&self, customer: &Customer, proxy: usize) {
        let balance = customer.signed.fetch_add(PRICE, Ordering::SeqCst) + PRICE;
        assert_eq!(self.offer(customer, balance, proxy).await, Answer::Served);
        customer.served.lock().unwrap().insert(balance);
    }

    /// Offers a payment to a proxy; what it answers, if it does.
    async fn ask(
        &self,
        customer: &Customer,
        balance: u64,
        proxy: usize,
    ) -> Option<(StatusCode, HeaderMap, String)> {
        let contract = &self.world.contract;
        let scheme = contract.scheme();
        let proof = scheme.sign_balance_proof(&self.world.sender, customer.channel, balance.into());
        let name = customer.name(balance);
        let request = self.http.get(format!("{}/quick/{name}", self.urls[proxy]));
        let headers = payment_headers(contract.address(), &proof, Some(Amount::from(PRICE)));
        let response = request.headers(headers).send().await.ok()?;
        let (status, headers) = (response.status(), response.headers().clone());
        Some((status, headers, response.text().await.ok()?))
    }

    /// Why a proxy refuses a payment.
    pub(super) async fn refusal(&self, customer: &Customer, balance: u64, proxy: usize) -> String {
        let (status, headers, body) = self.ask(customer, balance, proxy).await.expect("it answers");
        assert_eq!(status, StatusCode::PAYMENT_REQUIRED, "{body}");
        let challenge = Challenge::read(&headers).unwrap();
        challenge.error_code().expect("a reason").to_owned()
    }

    async fn offer(&self, customer: &Customer, balance: u64, proxy: usize) -> Answer {
        let name = customer.name(balance);
        let Some((status, headers, body)) = self.ask(customer, balance, proxy).await else {
            return Answer::Nothing;
        };
        match status {
            StatusCode::OK => {
                assert_eq!(body, name);
                let receipt = Receipt::read(&headers).unwrap().unwrap();
                assert_eq!(receipt.cost, Amount::from(PRICE), "{name}");
                Answer::Served
            }
            StatusCode::PAYMENT_REQUIRED => {
                let challenge = Challenge::read(&headers).unwrap();
                match challenge.error_code() {
                    Some("already-spent") => Answer::AlreadySpent,
                    // It has not heard yet which channels are from before.
                    Some("closing-only") => Answer::Nothing,
                    other => panic!("{other:?} for {name}: {body}"),
                }
            }
            // Also for somebody who repeats too often what is refused.
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::TOO_MANY_REQUESTS => {
                Answer::Nothing
            }
            status => panic!("{status} for {name}: {body}"),
        }
    }

    /// A sender closes on chain, claiming what it likes.
    pub(super) async fn close_at(&self, customer: &Customer, balance: u64) {
        let wallet = self.world.wallet(&self.world.sender);
        let contract = &self.world.contract;
        let closing = contract.uncooperative_close(&wallet, &customer.channel, Balance::from(balance));
        closing.await.unwrap();
    }

    /// Waits until a channel is settled; blocks come.
    pub(super) async fn until_settled(&self, customer: &Customer) {
        until("the channel is settled", async || {
            self.world.node.mine(1).await;
            self.world
                .contract
                .channel_info(&customer.channel)
                .await
                .unwrap()
                .is_none()
        })
        .await;
    }

    /// What is stored is what was served; nothing was sold twice.
    pub(super) async fn assert_sold_once(&self, stage: &Stage) {
        let stored = stage.stored().await;
        for customer in &self.customers {
            let mut accounts = stored.accounts.iter();
            let account = accounts
                .find(|account| *account.channel() == customer.channel)
                .unwrap();
            let (served, lost) = (customer.served.lock().unwrap(), customer.lost.lock().unwrap());
            let sold = PRICE * u64::try_from(served.len() + lost.len()).unwrap();
            assert_eq!(account.spent(), Balance::from(sold), "{}", customer.channel);
            let highest = served.last().copied().unwrap_or_default();
            assert!(
                account.balance() >= Balance::from(highest),
                "a proof that was accepted is there"
            );
            for balance in served.iter().chain(lost.iter()) {
                let given = stage.content.given(&customer.name(*balance));
                let is_served = served.contains(balance);
                assert!(
                    given == 1 || given == 0 && !is_served,
                    "{balance} bought {given} times"
                );
            }
        }
    }
}

fn below(random: &mut Random, count: usize) -> usize {
    usize::try_from(random.below(u64::try_from(count).unwrap())).unwrap()
}

impl Customer {
    /// What the units up to a balance buy.
    fn name(&self, balance: u64) -> String {
        format!("{}-{balance}", self.channel.open_block)
    }

    pub(super) fn signed(&self) -> u64 {
        self.signed.load(Ordering::SeqCst)
    }
}
