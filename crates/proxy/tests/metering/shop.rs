//! A receiver with routes of a test's own, and a channel whose balance and credit are known.

use axum::Router;
use http::{HeaderMap, StatusCode};
use microraiden_paywall::Paywall;
use microraiden_protocol::{Amount, ChannelId, Deposit};
use microraiden_proxy::Upstream;
use microraiden_proxy::metering::{Metering, MeteringLayer, Source, Unit, Unknown};
use microraiden_tests::receiver::{Receiver, quick};
use microraiden_tests::{NodeKind, World};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tower::ServiceBuilder;
use url::Url;

/// What a metered route costs at most.
pub(crate) const MOST: u64 = 100;
/// What the rule of the routes below `/cost/` charges.
pub(crate) const STATED: u64 = 30;
const DEPOSIT: u64 = 100_000;

/// A receiver, and a sender who has paid so far.
pub(crate) struct Shop {
    world: World,
    receiver: Receiver,
    channel: ChannelId,
    http: reqwest::Client,
    files: TempDir,
    balance: u64,
    credit: u64,
}

/// What a request got, and what it has cost.
#[derive(Debug)]
pub(crate) struct Bought {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// `None` when it was cut off.
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) cost: u64,
}

impl Shop {
    pub(crate) async fn open(routes: impl FnOnce(&Paywall) -> Router + Send + 'static) -> Self {
        let world = World::start(NodeKind::chosen()).await;
        let files = tempfile::tempdir().unwrap();
        let state = files.path().join("receiver.db");
        let receiver = Receiver::serve(&world, &state, quick(), routes).await;
        let wallet = world.wallet(&world.sender);
        let (address, deposit) = (world.receiver.address(), Deposit::from(DEPOSIT));
        let opened = world.contract.open_channel(&wallet, address, deposit).await;
        let shop = Self {
            world,
            receiver,
            channel: opened.unwrap().0,
            http: direct(),
            files,
            balance: 0,
            credit: 0,
        };
        let begin = Instant::now();
        while shop.get(&shop.path(), HeaderMap::new()).await.status() != StatusCode::OK {
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "the channel is not confirmed"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        shop
    }

    /// With a proxy before this upstream, by the rule that the first segment of a path names.
    pub(crate) async fn metered(upstream: Url, sources: Vec<Source>) -> Self {
        Self::open(move |paywall| {
            let rules = [
                ("most", Unknown::Maximum),
                ("free", Unknown::Free),
                ("cost", Unknown::Cost(STATED.into())),
            ];
            let mut router = Router::new();
            for (name, unknown) in rules {
                let metering = metering(sources.clone(), unknown);
                let sold = ServiceBuilder::new()
                    .layer(metering.terms(paywall.price(MOST)))
                    .layer(MeteringLayer::new(metering))
                    .service(Upstream::new(upstream.clone(), Duration::from_secs(10)));
                router = router.route_service(&format!("/{name}/{{case}}"), sold);
            }
            let free = ServiceBuilder::new()
                .layer(paywall.price(0))
                .layer(MeteringLayer::new(metering(sources.clone(), Unknown::Maximum)))
                .service(Upstream::new(upstream.clone(), Duration::from_secs(10)));
            router.route_service("/unpaid/{case}", free)
        })
        .await
    }

    fn path(&self) -> String {
        format!(
            "/api/1/channels/{}/{}",
            self.channel.sender, self.channel.open_block
        )
    }

    pub(crate) async fn get(&self, path: &str, headers: HeaderMap) -> reqwest::Response {
        let request = self.http.get(self.receiver.url(path)).headers(headers);
        request.send().await.unwrap()
    }

    /// The headers of a payment.
    pub(crate) fn pays(&self, balance: u64, payment: u64) -> HeaderMap {
        let scheme = self.world.contract.scheme();
        let proof = scheme.sign_balance_proof(&self.world.sender, self.channel, balance.into());
        let contract = self.world.contract.address();
        microraiden_http::payment_headers(contract, &proof, Some(Amount::from(payment)))
    }

    /// Signs for the next request: what the credit does not cover.
    fn next(&mut self, price: u64, more: &HeaderMap) -> HeaderMap {
        self.balance += price.saturating_sub(self.credit);
        self.credit = self.credit.saturating_sub(price);
        let mut headers = self.pays(self.balance, price);
        headers.extend(more.clone());
        headers
    }

    /// What the receiver says of the channel: its balance must be what was signed; gives the credit.
    pub(crate) async fn credit(&self) -> u64 {
        let number = |answer: &reqwest::Response, name: &str| -> u64 {
            let value = answer.headers().get(name).unwrap_or_else(|| panic!("{answer:?}"));
            value.to_str().unwrap().parse().unwrap()
        };
        let standing = self.get("/most/any", self.pays(self.balance, 0)).await;
        assert_eq!(standing.status(), StatusCode::PAYMENT_REQUIRED);
        assert_eq!(number(&standing, "rdn-sender-balance"), self.balance);
        number(&standing, "rdn-credit")
    }

    /// Pays, reads everything, and compares what the receiver keeps.
    pub(crate) async fn buy(&mut self, path: &str) -> Bought {
        self.buy_at(path, MOST, &HeaderMap::new()).await
    }

    pub(crate) async fn buy_at(&mut self, path: &str, price: u64, more: &HeaderMap) -> Bought {
        let headers = self.next(price, more);
        let mut answer = self.get(path, headers).await;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = Some(Vec::new());
        loop {
            match (answer.chunk().await, &mut body) {
                (Ok(Some(piece)), Some(body)) => body.extend_from_slice(&piece),
                (Ok(_), _) => break,
                (Err(_), _) => {
                    body = None;
                    break;
                }
            }
        }
        let before = self.credit;
        self.credit = match body {
            Some(_) => self.credit().await,
            None => self.settled().await,
        };
        let cost = before + price - self.credit;
        Bought {
            status,
            headers,
            body,
            cost,
        }
    }

    /// Pays, reads until this text has come, and hangs up; gives what it has cost.
    pub(crate) async fn leave(&mut self, path: &str, text: &str) -> u64 {
        let headers = self.next(MOST, &HeaderMap::new());
        let mut answer = self.get(path, headers).await;
        let mut body = Vec::new();
        while !String::from_utf8_lossy(&body).contains(text) {
            body.extend_from_slice(&answer.chunk().await.unwrap().unwrap());
        }
        drop(answer);
        let before = self.credit;
        self.credit = self.settled().await;
        before + MOST - self.credit
    }

    /// The credit once it has changed, or does not change any more.
    async fn settled(&self) -> u64 {
        let before = self.credit;
        for _ in 0..10 {
            let credit = self.credit().await;
            if credit != before {
                return credit;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        before
    }

    /// Closes the channel at what was earned, which is the least that the receiver agrees to, and
    /// compares what it then has on the chain.
    pub(crate) async fn close(self, earned: u64) {
        let scheme = self.world.contract.scheme();
        let proof = |at: u64| scheme.sign_balance_proof(&self.world.sender, self.channel, at.into());
        let ask = async |at: u64| {
            let signature = proof(at).signature.to_string();
            let wanted = serde_json::json!({ "balance": at, "balance_signature": signature });
            let request = self.http.delete(self.receiver.url(&self.path()));
            let answer = request.body(wanted.to_string()).send().await.unwrap();
            (answer.status(), answer.text().await.unwrap())
        };
        if let Some(less) = earned.checked_sub(1) {
            assert_eq!(
                ask(less).await.0,
                StatusCode::BAD_REQUEST,
                "for less than was earned"
            );
        }
        let (status, agreed) = ask(earned).await;
        assert_eq!(status, StatusCode::OK, "{agreed}");
        let agreed: serde_json::Value = serde_json::from_str(&agreed).unwrap();
        let closing = agreed["close_signature"].as_str().unwrap().parse().unwrap();
        let contract = &self.world.contract;
        let wallet = self.world.wallet(&self.world.sender);
        let signed = proof(earned).signature;
        let closed = contract.cooperative_close(&wallet, &self.channel, earned.into(), &signed, &closing);
        closed.await.unwrap();
        let gained = self.world.tokens(self.world.receiver.address()).await;
        assert_eq!(gained, Amount::from(earned));
        self.receiver.stop().await;
        drop(self.files);
    }
}

/// A client that goes where it is told, and nowhere else.
fn direct() -> reqwest::Client {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    client.build().unwrap()
}

/// Each of these costs 3 for 10.
pub(crate) fn metering(sources: Vec<Source>, unknown: Unknown) -> Metering {
    let unit = |source| Unit {
        source,
        price: 3.into(),
        per: NonZeroU64::new(10).unwrap(),
    };
    Metering {
        units: sources.into_iter().map(unit).collect(),
        unknown,
    }
}

pub(crate) fn body(pointer: &str) -> Source {
    Source::Body(pointer.parse().unwrap())
}

pub(crate) fn header(name: &str) -> Source {
    Source::Header(name.parse().unwrap())
}
