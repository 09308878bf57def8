//! A WebSocket client that hides nothing of what the node says.

use std::{collections::VecDeque, time::Duration};

use futures_util::{SinkExt, StreamExt};
use microraiden_devchain::DevChain;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

/// After so long without a message there will be none.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to a node.
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
    requests: u64,
    /// What came while something else was waited for.
    unread: VecDeque<Value>,
}

impl Socket {
    pub(crate) async fn open(node: &DevChain) -> Self {
        let connection = TcpStream::connect(node.address()).await.unwrap();
        let (stream, _) = client_async("ws://localhost/", connection).await.unwrap();
        Self {
            stream,
            requests: 0,
            unread: VecDeque::new(),
        }
    }

    /// What a request is answered with.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        let mut answer = self.exchange(method, params).await;
        assert_eq!(answer["error"], Value::Null, "{method}");
        answer["result"].take()
    }

    /// The code and text of the error that a request is refused with.
    pub(crate) async fn refusal(&mut self, method: &str, params: Value) -> (i64, String) {
        let answer = self.exchange(method, params).await;
        let error = &answer["error"];
        let code = error["code"].as_i64();
        (
            code.unwrap_or_else(|| panic!("{method} is not refused: {answer}")),
            error["message"].as_str().unwrap().to_owned(),
        )
    }

    /// Sends a request without waiting for its answer; its id.
    pub(crate) async fn send(&mut self, method: &str, params: Value) -> u64 {
        self.requests += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.requests, "method": method, "params": params });
        self.send_text(&request).await;
        self.requests
    }

    /// Sends requests as one batch; the answer.
    pub(crate) async fn batch(&mut self, requests: Value) -> Value {
        self.send_text(&requests).await;
        self.read(Value::is_array).await
    }

    /// The answer to the request with this id.
    pub(crate) async fn answer(&mut self, id: u64) -> Value {
        self.read(|message| message["id"] == id).await
    }

    /// Opens a subscription; its id.
    pub(crate) async fn subscribe(&mut self, params: Value) -> String {
        let id = self.ask("eth_subscribe", params).await;
        id.as_str().unwrap().to_owned()
    }

    /// The next message of a subscription.
    pub(crate) async fn next(&mut self, subscription: &str) -> Value {
        let mut message = self
            .read(|message| message["params"]["subscription"] == subscription)
            .await;
        assert_eq!(message["method"], "eth_subscription");
        message["params"]["result"].take()
    }

    /// Whether a message came that was not yet asked for.
    pub(crate) fn has_unread(&self, is_meant: impl Fn(&Value) -> bool) -> bool {
        self.unread.iter().any(is_meant)
    }

    async fn exchange(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params).await;
        self.answer(id).await
    }

    /// Sends a message as it stands.
    pub(crate) async fn send_text(&mut self, message: &Value) {
        self.stream
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    /// The first message that is meant; the others are kept for later.
    async fn read(&mut self, is_meant: impl Fn(&Value) -> bool) -> Value {
        let place = self.unread.iter().position(&is_meant);
        if let Some(message) = place.and_then(|place| self.unread.remove(place)) {
            return message;
        }
        loop {
            let message = tokio::time::timeout(PATIENCE, self.stream.next())
                .await
                .expect("the message that is waited for never came");
            let Message::Text(text) = message.unwrap().unwrap() else {
                continue;
            };
            let message: Value = serde_json::from_str(&text).unwrap();
            if is_meant(&message) {
                return message;
            }
            self.unread.push_back(message);
        }
    }
}
