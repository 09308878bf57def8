//! A receiver and a sender's channel, and requests made by hand, so that nothing of our own client
//! hides a mistake.

use axum::Router;
use http::{HeaderMap, StatusCode};
use microraiden_paywall::Paywall;
use microraiden_protocol::{Amount, BalanceProof, ChannelId, Deposit};
use microraiden_proxy::Config;
use microraiden_tests::receiver::{self, Patience};
use microraiden_tests::{NodeKind, Receiver, Upstream, World};
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use url::Url;

/// A receiver that sells for 5, and a confirmed channel with a deposit of 1,000.
pub(crate) struct Shop {
    pub(crate) world: World,
    pub(crate) upstream: Upstream,
    pub(crate) receiver: Receiver,
    pub(crate) channel: ChannelId,
    pub(crate) http: reqwest::Client,
    pub(crate) files: TempDir,
}

/// Everything but the receiver and the channel.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) upstream: Upstream,
    files: TempDir,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self {
            world: World::start(NodeKind::chosen()).await,
            upstream: Upstream::start().await,
            files: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.files.path().join("receiver.db")
    }

    /// With a channel that the receiver has confirmed.
    async fn open(self, receiver: Receiver) -> Shop {
        let shop = self.open_unconfirmed(receiver).await;
        shop.confirmed().await;
        shop
    }

    pub(crate) async fn open_unconfirmed(self, receiver: Receiver) -> Shop {
        let wallet = self.world.wallet(&self.world.sender);
        let deposit = Deposit::from(DEPOSIT);
        let (channel, _) = self
            .world
            .contract
            .open_channel(&wallet, self.world.receiver.address(), deposit)
            .await
            .unwrap();
        Shop {
            world: self.world,
            upstream: self.upstream,
            receiver,
            channel,
            http: reqwest::Client::new(),
            files: self.files,
        }
    }
}

pub(crate) const PRICE: u64 = 5;
pub(crate) const DEPOSIT: u64 = 1_000;

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_before(Upstream::url).await
    }

    /// With the given target in the place of the upstream.
    pub(crate) async fn open_before(target: impl FnOnce(&Upstream) -> Url) -> Self {
        Self::open_as(target, |_| {}).await
    }

    /// With other limits.
    pub(crate) async fn open_patient(target: impl FnOnce(&Upstream) -> Url, patience: Patience) -> Self {
        Self::open_as(target, |config| patience.apply(config)).await
    }

    /// With a changed configuration of the proxy.
    pub(crate) async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::open_as(Upstream::url, change).await
    }

    /// With both.
    pub(crate) async fn open_as(
        target: impl FnOnce(&Upstream) -> Url,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let stage = Stage::set().await;
        let (url, manager) = (target(&stage.upstream), receiver::quick());
        let state = stage.state();
        let receiver = Receiver::start_with(&stage.world, url, PRICE, &state, manager, change).await;
        stage.open(receiver).await
    }

    /// With a service of the test's own, which sells by a paywall.
    pub(crate) async fn open_service(service: impl FnOnce(&Paywall) -> Router + Send + 'static) -> Self {
        let stage = Stage::set().await;
        let receiver = Receiver::serve(&stage.world, &stage.state(), receiver::quick(), service).await;
        stage.open(receiver).await
    }

    /// Waits until the receiver lists the channel.
    pub(crate) async fn confirmed(&self) {
        let begin = Instant::now();
        let path = self.path();
        while self.get(&path, HeaderMap::new()).await.status() != StatusCode::OK {
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "the channel is not confirmed"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn get(&self, path: &str, headers: HeaderMap) -> reqwest::Response {
        self.http
            .get(self.receiver.url(path))
            .headers(headers)
            .send()
            .await
            .unwrap()
    }

    pub(crate) fn proof(&self, balance: u64) -> BalanceProof {
        self.world
            .contract
            .scheme()
            .sign_balance_proof(&self.world.sender, self.channel, balance.into())
    }

    /// The headers of today's client.
    pub(crate) fn pays(&self, balance: u64, payment: u64) -> HeaderMap {
        let contract = self.world.contract.address();
        microraiden_http::payment_headers(contract, &self.proof(balance), Some(Amount::from(payment)))
    }

    /// The headers of the client of 2018.
    pub(crate) fn pays_as_in_2018(&self, balance: u64) -> HeaderMap {
        headers(&[
            ("RDN-Contract-Address", self.world.contract.address().to_string()),
            ("RDN-Receiver-Address", self.channel.receiver.to_string()),
            ("RDN-Sender-Address", self.channel.sender.to_string()),
            ("RDN-Open-Block", self.channel.open_block.to_string()),
            ("RDN-Balance", balance.to_string()),
            ("RDN-Balance-Signature", self.proof(balance).signature.to_string()),
        ])
    }

    /// The path of the channel.
    pub(crate) fn path(&self) -> String {
        let ChannelId {
            sender, open_block, ..
        } = self.channel;
        format!("/api/1/channels/{sender}/{open_block}")
    }

    /// Any request; its status and body, which is text where it is no JSON.
    pub(crate) async fn ask(&self, request: reqwest::RequestBuilder) -> (StatusCode, Value) {
        let response = request.send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (status, body)
    }

    /// What a path says.
    pub(crate) async fn read(&self, path: &str) -> (StatusCode, Value) {
        self.ask(self.http.get(self.receiver.url(path))).await
    }

    /// A request to close the channel.
    pub(crate) fn delete(&self, query: &str) -> reqwest::RequestBuilder {
        let path = self.path() + query;
        self.http.delete(self.receiver.url(&path))
    }

    pub(crate) async fn close(&self, body: Value) -> (StatusCode, Value) {
        self.ask(self.delete("").body(body.to_string())).await
    }
}

/// Requests with a JSON body.
pub(crate) trait WithJson {
    fn with_json(self, body: &Value) -> Self;
}

impl WithJson for reqwest::RequestBuilder {
    fn with_json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }
}

pub(crate) fn headers(pairs: &[(&'static str, String)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect()
}

pub(crate) fn header<'a>(response: &'a reqwest::Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// Checks status and headers; a value of `""` means that the header must be absent.
pub(crate) fn expect(response: &reqwest::Response, status: StatusCode, wanted: &[(&str, &str)]) {
    assert_eq!(response.status(), status, "{:?}", response.headers());
    for (name, value) in wanted {
        let expected = Some(*value).filter(|value| !value.is_empty());
        assert_eq!(
            header(response, name),
            expected,
            "{name}: {:?}",
            response.headers()
        );
    }
}
