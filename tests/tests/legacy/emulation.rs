//! The emulation itself, as a plain HTTP client sees it: what the facts say of the original.

use crate::{PRICE, Scene};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use microraiden_protocol::{Balance, ChannelId};
use microraiden_sender::Client;
use microraiden_tests::emulated_2018::Mishap;
use reqwest::Response;
use serde_json::{Value, json};
use std::time::Duration;

/// The scene with a channel that the receiver has confirmed.
struct Customer {
    scene: Scene,
    channel: ChannelId,
}

const FLAGS: [&str; 4] = [
    "RDN-Insufficient-Confirmations",
    "RDN-Nonexisting-Channel",
    "RDN-Invalid-Balance-Proof",
    "RDN-Invalid-Amount",
];

impl Customer {
    async fn new() -> Self {
        let scene = Scene::new().await;
        let client = Client::new(scene.world.contract.clone(), scene.world.sender.clone());
        let receiver = scene.world.receiver.address();
        let channel = client.open_channel(receiver, 20.into()).await.unwrap().id();
        let customer = Self { scene, channel };
        while customer.read("/api/1/channels/").await.1 == json!([]) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        customer
    }

    fn signature(&self, balance: u64) -> String {
        let scheme = self.scene.world.contract.scheme();
        let proof = scheme.sign_balance_proof(&self.scene.world.sender, self.channel, balance.into());
        proof.signature.to_string()
    }

    /// The headers of the Python client.
    fn pays(&self, balance: u64) -> HeaderMap {
        headers(&[
            ("RDN-Sender-Address", &self.channel.sender.to_string()),
            ("RDN-Open-Block", &self.channel.open_block.to_string()),
            ("RDN-Balance", &balance.to_string()),
            ("RDN-Balance-Signature", &self.signature(balance)),
        ])
    }

    async fn get(&self, path: &str, headers: HeaderMap) -> Response {
        let request = reqwest::Client::new().get(self.scene.server.url(path));
        request.headers(headers).send().await.unwrap()
    }

    async fn read(&self, path: &str) -> (StatusCode, Value) {
        let response = self.get(path, HeaderMap::new()).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(text.ends_with('\n'), "{text}");
        (status, serde_json::from_str(&text).unwrap())
    }

    async fn delete(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = reqwest::Client::new().delete(self.scene.server.url(path));
        let request = request.header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await.unwrap();
        let status = response.status();
        (
            status,
            serde_json::from_str(&response.text().await.unwrap()).unwrap(),
        )
    }

    /// A 402 with exactly this flag, balance and signature.
    async fn refuses(&self, headers: HeaderMap, flag: Option<&str>, balance: Option<(u64, Option<u64>)>) {
        let answer = self.get("/response/x", headers).await;
        assert_eq!(answer.status(), StatusCode::PAYMENT_REQUIRED);
        for name in FLAGS {
            let expected = (flag == Some(name)).then_some("1");
            assert_eq!(header(&answer, name), expected, "{name}");
        }
        let (balance, signed) = balance.unzip();
        let balance = balance.map(|balance| balance.to_string());
        assert_eq!(header(&answer, "RDN-Sender-Balance"), balance.as_deref());
        let signature = signed.flatten().map(|balance| self.signature(balance));
        assert_eq!(header(&answer, "RDN-Balance-Signature"), signature.as_deref());
        assert_eq!(header(&answer, "RDN-Credit"), None);
        assert_eq!(header(&answer, "Content-Type"), Some("application/json"));
        assert_eq!(answer.text().await.unwrap(), "");
    }
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    Some(answer.headers().get(name)?.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_answers_are_those_of_the_original() {
    let customer = Customer::new().await;
    customer.refuses(HeaderMap::new(), None, None).await;
    // Before any payment there is a balance and no signature.
    customer.refuses(customer.pays(0), None, Some((0, None))).await;
    for balance in [3, 6] {
        customer
            .refuses(
                customer.pays(balance),
                Some("RDN-Invalid-Amount"),
                Some((0, None)),
            )
            .await;
    }
    // Paid answers are stale by one payment, or say nothing.
    let paid = customer.get("/response/x", customer.pays(5)).await;
    assert_eq!(paid.status(), StatusCode::OK);
    assert_eq!(header(&paid, "RDN-Sender-Balance"), Some("0"));
    let paid = customer.get("//response/x", customer.pays(10)).await;
    assert_eq!(header(&paid, "RDN-Sender-Balance"), Some("5"));
    assert_eq!(
        header(&paid, "RDN-Balance-Signature"),
        Some(customer.signature(5).as_str())
    );
    assert_eq!(header(&paid, "RDN-Price"), Some("5"));
    assert_eq!(header(&paid, "RDN-Cost"), None);
    let plain = customer.get("/plain/x", customer.pays(15)).await;
    let told = plain
        .headers()
        .keys()
        .filter(|name| name.as_str().starts_with("rdn-"));
    assert_eq!((plain.status(), told.count()), (StatusCode::OK, 0));
    assert_eq!(header(&plain, "Content-Type"), Some("text/html; charset=utf-8"));
    let stored = Some((15, Some(15)));
    for (balance, flag) in [
        (0, Some("RDN-Invalid-Amount")),
        (10, Some("RDN-Invalid-Amount")),
        (15, None),
        (16, Some("RDN-Invalid-Amount")),
    ] {
        customer.refuses(customer.pays(balance), flag, stored).await;
    }
    assert_eq!(
        customer.get("/response/x", customer.pays(20)).await.status(),
        StatusCode::OK
    );
    // The deposit is 20: what is above it has no flag.
    let stored = Some((20, Some(20)));
    customer.refuses(customer.pays(25), None, stored).await;
    let mut forged = customer.pays(25);
    forged.insert("RDN-Balance-Signature", customer.signature(24).parse().unwrap());
    let flag = Some("RDN-Invalid-Balance-Proof");
    customer.refuses(forged, flag, None).await;
    let mut unknown = customer.pays(25);
    unknown.insert("RDN-Open-Block", HeaderValue::from_static("1"));
    let flag = Some("RDN-Nonexisting-Channel");
    customer.refuses(unknown, flag, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_a_409_or_a_500() {
    let customer = Customer::new().await;
    for (name, value, message) in [
        ("RDN-Contract-Address", "0x12", "Invalid contract address"),
        ("RDN-Receiver-Address", "nobody", "Invalid receiver address"),
        ("RDN-Sender-Address", "", "Invalid sender address"),
        ("RDN-Payment", "5", "Payment must be an integer"),
        ("RDN-Price", "-1", "Price must be >= 0"),
        ("RDN-Open-Block", "-1", "Open block must be >= 0"),
        ("RDN-Balance", "-1", "Balance must be >= 0"),
        (
            "RDN-Balance",
            "abc",
            "invalid literal for int() with base 10: 'abc'",
        ),
        (
            "Cookie",
            "a=b; RDN-Sender-Balance=x",
            "invalid literal for int() with base 10: 'x'",
        ),
    ] {
        let mut headers = customer.pays(5);
        headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        let answer = customer.get("/plain/x", headers).await;
        assert_eq!(answer.status(), StatusCode::CONFLICT, "{name}");
        let text = answer.text().await.unwrap();
        assert_eq!(text, format!("{}\n", json!(message)), "{name}");
    }
    let broken: [(&str, Option<&str>); 6] = [
        ("RDN-Sender-Address", None),
        ("RDN-Open-Block", None),
        ("RDN-Balance", None),
        // The header that the documentation names is not read.
        (
            "RDN-Balance",
            Some("6277101735386680763835789423207666416102355444464034512896"),
        ),
        ("RDN-Balance-Signature", Some("0x1234")),
        ("RDN-Balance-Signature", Some("no")),
    ];
    for (name, value) in broken {
        let mut headers = customer.pays(5);
        headers.insert("RDN-Sender-Balance", HeaderValue::from_static("5"));
        match value {
            Some(value) => headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap()),
            None => headers.remove(name),
        };
        let answer = customer.get("/plain/x", headers).await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR, "{name}");
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(body, json!({"message": "Internal Server Error"}));
    }
    customer.scene.server.schedule(&[Mishap::NodeOffline]);
    let (status, body) = customer.read("/plain/x").await;
    assert_eq!(
        (status, body),
        (StatusCode::BAD_GATEWAY, json!("Ethereum node is not responding"))
    );
    assert_eq!(customer.scene.server.owed().await, 0.into());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_api_speaks_in_numbers_and_signs_for_anybody() {
    let customer = Customer::new().await;
    let (sender, block) = (customer.channel.sender, customer.channel.open_block);
    let (_, body) = customer.read("/api/1/channels/").await;
    let address = sender.to_string();
    assert_eq!(body, json!([{"sender_address": address, "blocks": [block]}]));
    let (_, body) = customer.read(&format!("/api/1/channels/{sender}")).await;
    let entry =
        json!({"sender_address": address, "open_block": block, "state": "open", "deposit": 20, "balance": 0});
    assert_eq!(body, json!([entry]));
    let path = format!("/api/1/channels/{sender}/{block}");
    // Nobody catches that nothing was paid.
    let (status, _) = customer.delete(&path, &json!({"balance": 0})).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    customer.get("/plain/x", customer.pays(PRICE)).await;
    let (_, body) = customer.read(&path).await;
    assert_eq!(body["balance"], PRICE);
    assert_eq!(body["last_signature"], customer.signature(PRICE));
    let (_, body) = customer.read("/api/1/stats").await;
    assert_eq!(
        (&body["balance_sum"], &body["deposit_sum"]),
        (&json!(5), &json!(20))
    );
    assert!(body["manager_abi"].is_array() && body["sync_block"].is_u64());
    let wrong = json!("Requested closing balance does not match latest one.");
    let no_number = json!({"message": {"balance": "last balance proof balance"}});
    let unknown = format!("Channel does not exist or has been closed(sender={sender}, open_block_number=1)");
    for (path, body, expected) in [
        (path.as_str(), json!({}), json!("Bad balance format")),
        (path.as_str(), json!({"balance": "x"}), no_number),
        (path.as_str(), json!({"balance": 4}), wrong),
        (
            &format!("/api/1/channels/{sender}/1"),
            json!({"balance": 5}),
            json!(unknown),
        ),
    ] {
        let answer = customer.delete(path, &body).await;
        assert_eq!(answer, (StatusCode::BAD_REQUEST, expected), "{body}");
    }
    let (status, _) = customer
        .delete("/api/1/channels/nobody/1", &json!({"balance": 5}))
        .await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    let (status, body) = customer.delete(&path, &json!({"balance": "5"})).await;
    assert_eq!(status, StatusCode::OK);
    let signature = body["close_signature"].as_str().unwrap().parse().unwrap();
    let scheme = customer.scene.world.contract.scheme();
    assert!(scheme.is_closing_signature(&signature, &customer.channel, Balance::from(PRICE)));
    let flag = Some("RDN-Nonexisting-Channel");
    customer.refuses(customer.pays(10), flag, None).await;
    let (status, body) = customer.delete(&path, &json!({"balance": 5})).await;
    let already = json!("Channel closing has been requested already.");
    assert_eq!((status, body), (StatusCode::BAD_REQUEST, already));
    let redirects = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let request = redirects
        .build()
        .unwrap()
        .get(customer.scene.server.url("/api/1/channels"));
    let moved = request.send().await.unwrap();
    assert_eq!(moved.status(), StatusCode::MOVED_PERMANENTLY);
    let target = customer.scene.server.url("/api/1/channels/");
    assert_eq!(header(&moved, "Location"), Some(target.as_str()));
}
