//! A receiver that sells what its router says, and a sender's confirmed channel.

use axum::Router;
use http::{HeaderMap, StatusCode};
use microraiden_paywall::Paywall;
use microraiden_protocol::{Address, Amount, ChannelId, Deposit};
use microraiden_proxy::{ClientLayer, Upstream};
use microraiden_tests::{NodeKind, Receiver, World, receiver};
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What everything costs.
pub(crate) const PRICE: u64 = 5;

/// The client that asks when none is named.
const SOMEBODY: &str = "192.0.2.1";

/// A running receiver, and who pays.
pub(crate) struct Shop {
    pub(crate) world: World,
    pub(crate) content: microraiden_tests::Upstream,
    receiver: Receiver,
    channel: ChannelId,
    http: reqwest::Client,
    files: TempDir,
}

/// What a router is made of, beside the paywall.
pub(crate) struct Parts {
    pub(crate) upstream: Upstream,
    pub(crate) sender: Address,
    pub(crate) quotas: PathBuf,
}

impl Shop {
    /// With the router that `make` makes; requests name their clients, as a trusted proxy would.
    pub(crate) async fn open(make: impl FnOnce(Parts, &Paywall) -> Router + Send + 'static) -> Self {
        let world = World::start(NodeKind::chosen()).await;
        let content = microraiden_tests::Upstream::start().await;
        let files = tempfile::tempdir().unwrap();
        let receiver = serve(&world, &content, &files, make).await;
        let wallet = world.wallet(&world.sender);
        let deposit = Deposit::from(1_000);
        let opened = world
            .contract
            .open_channel(&wallet, world.receiver.address(), deposit);
        let (channel, _) = opened.await.unwrap();
        let shop = Self {
            world,
            content,
            receiver,
            channel,
            http: reqwest::Client::new(),
            files,
        };
        let begin = Instant::now();
        while shop.read().await.0 != StatusCode::OK {
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "the channel is not confirmed"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        shop
    }

    /// The same with a new process, as far as its files tell.
    pub(crate) async fn restart(self, make: impl FnOnce(Parts, &Paywall) -> Router + Send + 'static) -> Self {
        self.receiver.stop().await;
        let receiver = serve(&self.world, &self.content, &self.files, make).await;
        Self { receiver, ..self }
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.ask(path, SOMEBODY, HeaderMap::new()).await
    }

    pub(crate) async fn ask(&self, path: &str, client: &str, headers: HeaderMap) -> reqwest::Response {
        let request = self.http.get(self.receiver.url(path)).headers(headers);
        request.header("x-forwarded-for", client).send().await.unwrap()
    }

    /// The headers that pay for one request, after which so much is owed.
    pub(crate) fn pays(&self, balance: u64) -> HeaderMap {
        let World { contract, sender, .. } = &self.world;
        let proof = contract
            .scheme()
            .sign_balance_proof(sender, self.channel, balance.into());
        microraiden_http::payment_headers(contract.address(), &proof, Some(Amount::from(PRICE)))
    }

    /// What the receiver says is owed.
    pub(crate) async fn owed(&self) -> String {
        let (status, channel) = self.read().await;
        assert_eq!(status, StatusCode::OK);
        channel["balance"].as_str().unwrap().to_owned()
    }

    async fn read(&self) -> (StatusCode, Value) {
        let ChannelId {
            sender, open_block, ..
        } = self.channel;
        let path = format!("/api/1/channels/{sender}/{open_block}");
        let answer = self.http.get(self.receiver.url(&path)).send().await.unwrap();
        let status = answer.status();
        let body = answer.text().await.unwrap();
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }
}

async fn serve(
    world: &World,
    content: &microraiden_tests::Upstream,
    files: &TempDir,
    make: impl FnOnce(Parts, &Paywall) -> Router + Send + 'static,
) -> Receiver {
    let parts = Parts {
        upstream: Upstream::new(content.url(), Duration::from_secs(20)),
        sender: world.sender.address(),
        quotas: files.path().join("quotas.db"),
    };
    let state = files.path().join("receiver.db");
    let service = move |paywall: &Paywall| {
        let trusted = ["127.0.0.1".parse().unwrap()];
        make(parts, paywall).layer(ClientLayer::new(trusted))
    };
    Receiver::serve(world, &state, receiver::quick(), service).await
}

/// The text of an answer that was given for nothing.
pub(crate) async fn given(answer: reqwest::Response) -> String {
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(header(&answer, "rdn-cost"), None);
    assert_eq!(header(&answer, "rdn-price"), None);
    answer.text().await.unwrap()
}

/// Makes sure that an answer is the usual 402.
pub(crate) fn asks_for_payment(answer: &reqwest::Response) {
    assert_eq!(answer.status(), StatusCode::PAYMENT_REQUIRED);
    assert_eq!(header(answer, "rdn-price"), Some("5"));
    assert_eq!(header(answer, "rdn-credit"), Some("0"));
    assert_eq!(header(answer, "rdn-error"), None);
}

pub(crate) fn header<'a>(answer: &'a reqwest::Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}
