//! A node over WebSocket: one connection for all requests, and word of new blocks.

use crate::connection::{CONNECT_TIMEOUT, ConnectionError, Connector, Location};
use crate::over_http::seconds;
use crate::rpc::{Answered, ErrorObject, MAX_ANSWER_BYTES, RpcError, Transport};
use futures_util::{SinkExt, StreamExt};
use http::header::{AUTHORIZATION, RETRY_AFTER};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tower_service::Service;

/// How often the node is asked for a sign of life, and how long sending may take.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// After so long without any sign of life a connection is dead.
const DEAD_AFTER: Duration = Duration::from_secs(25);
/// How many requests may wait to be sent.
const MOST_WAITING: usize = 64;
/// The request that subscribes; the others have higher numbers.
const SUBSCRIPTION: u64 = 0;

type Answer = Result<Option<Box<RawValue>>, RpcError>;

/// WebSocket to one address. It connects when it is asked, and again when the connection has broken.
pub(crate) struct OverWebsocket {
    connector: Connector,
    location: Location,
    limit: Duration,
    heads: watch::Sender<()>,
    line: Mutex<Option<mpsc::Sender<Question>>>,
}

struct Question {
    method: &'static str,
    params: Value,
    reply: oneshot::Sender<Answer>,
}

/// What a node sends: an answer, or news.
#[derive(Deserialize)]
struct Incoming {
    id: Option<u64>,
    method: Option<String>,
    result: Option<Box<RawValue>>,
    error: Option<ErrorObject>,
}

impl fmt::Debug for OverWebsocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl OverWebsocket {
    /// Prepares for requests that may take `limit` each. Announced blocks are passed on to `heads`, if somebody
    /// listens there.
    pub(crate) fn new(
        location: Location,
        connector: Connector,
        limit: Duration,
        heads: watch::Sender<()>,
    ) -> Self {
        Self {
            connector,
            location,
            limit,
            heads,
            line: Mutex::default(),
        }
    }

    async fn ask(&self, method: &'static str, params: Value) -> Answer {
        let (reply, answer) = oneshot::channel();
        let question = Question {
            method,
            params,
            reply,
        };
        let line = self.line().await?;
        line.send(question).await.map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// The way to the connection, which is made if there is none.
    async fn line(&self) -> Result<mpsc::Sender<Question>, RpcError> {
        let mut line = self.line.lock().await;
        if let Some(open) = line.as_ref().filter(|line| !line.is_closed()) {
            return Ok(open.clone());
        }
        let stream = timeout(CONNECT_TIMEOUT, self.connect()).await;
        let conversation = Conversation::new(stream.unwrap_or(Err(RpcError::Timeout))?, self.heads.clone());
        let (questions, asked) = mpsc::channel(MOST_WAITING);
        tokio::spawn(conversation.hold(asked));
        Ok(line.insert(questions).clone())
    }

    async fn connect(
        &self,
    ) -> Result<WebSocketStream<impl AsyncRead + AsyncWrite + Unpin + use<>>, RpcError> {
        let mut connector = self.connector.clone();
        let ready = std::future::poll_fn(|context| connector.poll_ready(context)).await;
        ready.map_err(|error| RpcError::of_connection(&*error))?;
        let connected = connector.call(self.location.server()).await;
        let stream = connected.map_err(|error| RpcError::of_connection(&*error))?;
        let mut request = self.location.uri.clone().into_client_request().map_err(refused)?;
        if let Some(authorization) = &self.location.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let limits = WebSocketConfig::default()
            .max_message_size(Some(MAX_ANSWER_BYTES))
            .max_frame_size(Some(MAX_ANSWER_BYTES));
        let opened = client_async_with_config(request, TokioIo::new(stream), Some(limits)).await;
        Ok(opened.map_err(refused)?.0)
    }
}

impl Transport for OverWebsocket {
    fn request(&self, method: &'static str, params: Value) -> Answered<'_> {
        let answer = timeout(self.limit, self.ask(method, params));
        Box::pin(async { answer.await.unwrap_or(Err(RpcError::Timeout)) })
    }
}

fn closed() -> RpcError {
    RpcError::Connection(ConnectionError::Closed)
}

/// Why a connection did not become a WebSocket, or is none any more.
fn refused(error: tungstenite::Error) -> RpcError {
    match error {
        tungstenite::Error::Http(response) => RpcError::Status {
            status: response.status().as_u16(),
            retry_after: response.headers().get(RETRY_AFTER).and_then(seconds),
        },
        tungstenite::Error::Capacity(_) => RpcError::TooLarge,
        tungstenite::Error::Io(error) => RpcError::of_connection(&error),
        _ => closed(),
    }
}

/// One connection, with those who wait for answers on it.
struct Conversation<S> {
    stream: WebSocketStream<S>,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    last_id: u64,
    heads: watch::Sender<()>,
    is_subscribed: bool,
    heard: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    fn new(stream: WebSocketStream<S>, heads: watch::Sender<()>) -> Self {
        Self {
            stream,
            waiting: HashMap::new(),
            last_id: SUBSCRIPTION,
            heads,
            is_subscribed: false,
            heard: Instant::now(),
        }
    }

    /// Goes on until nobody can ask any more, or the connection breaks. Who waits then learns it.
    async fn hold(mut self, mut questions: mpsc::Receiver<Question>) {
        let mut pings = interval(PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let error = loop {
            let step = tokio::select! {
                question = questions.recv() => match question {
                    Some(question) => self.put(question).await,
                    None => {
                        // Whether the node says goodbye, too, does not matter.
                        let _ = timeout(PING_INTERVAL, self.stream.close(None)).await;
                        return;
                    }
                },
                message = self.stream.next() => match message {
                    Some(message) => message.map_err(refused).and_then(|message| self.take(message)),
                    None => Err(closed()),
                },
                _ = pings.tick() => self.ping().await,
            };
            if let Err(error) = step {
                break error;
            }
        };
        tracing::debug!(%error, "a connection to a node has ended");
        let mut waiting = self.waiting.into_values();
        // With several it is not known whose answer it was.
        if let (RpcError::TooLarge, Some(only), None) = (error, waiting.next(), waiting.next()) {
            let _ = only.send(Err(RpcError::TooLarge));
        }
    }

    async fn put(&mut self, question: Question) -> Result<(), RpcError> {
        if !self.is_subscribed && self.heads.receiver_count() > 0 {
            self.is_subscribed = true;
            self.send(SUBSCRIPTION, "eth_subscribe", json!(["newHeads"]))
                .await?;
        }
        self.last_id += 1;
        self.waiting.insert(self.last_id, question.reply);
        self.send(self.last_id, question.method, question.params).await
    }

    async fn send(&mut self, id: u64, method: &str, params: Value) -> Result<(), RpcError> {
        let text = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        self.hand_over(Message::text(text)).await
    }

    async fn hand_over(&mut self, message: Message) -> Result<(), RpcError> {
        let sent = timeout(PING_INTERVAL, self.stream.send(message)).await;
        sent.map_err(|_| closed())?.map_err(refused)
    }

    async fn ping(&mut self) -> Result<(), RpcError> {
        // Some have given up.
        self.waiting.retain(|_, reply| !reply.is_closed());
        if self.heard.elapsed() > DEAD_AFTER {
            return Err(closed());
        }
        self.hand_over(Message::Ping(bytes::Bytes::new())).await
    }

    fn take(&mut self, message: Message) -> Result<(), RpcError> {
        self.heard = Instant::now();
        let incoming: Incoming = match &message {
            Message::Text(text) => serde_json::from_str(text),
            Message::Binary(bytes) => serde_json::from_slice(bytes),
            _ => return Ok(()),
        }
        .map_err(RpcError::Malformed)?;
        let Incoming {
            id,
            method,
            result,
            error,
        } = incoming;
        match (id, method.as_deref()) {
            (None, Some("eth_subscription")) => {
                self.heads.send_replace(());
            }
            // Something of ours that it could not read.
            (None, None) => return Err(error.map_or_else(closed, RpcError::from)),
            (Some(SUBSCRIPTION), _) => {
                if let Some(error) = error.map(RpcError::from) {
                    tracing::debug!(%error, "the node does not announce new blocks");
                }
            }
            (Some(id), _) => {
                let answer = error.map_or(Ok(result), |error| Err(error.into()));
                if let Some(reply) = self.waiting.remove(&id) {
                    // It may have given up.
                    let _ = reply.send(answer);
                }
            }
            (None, Some(_)) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::JoinHandle;
    use tokio_tungstenite::tungstenite::protocol::Role;

    /// A conversation, the node's end of it, and where to ask.
    async fn converse() -> (DuplexStream, mpsc::Sender<Question>, JoinHandle<()>) {
        let (ours, theirs) = duplex(1 << 16);
        let limits = WebSocketConfig::default().max_message_size(Some(MAX_ANSWER_BYTES));
        let stream = WebSocketStream::from_raw_socket(ours, Role::Client, Some(limits)).await;
        let (questions, asked) = mpsc::channel(MOST_WAITING);
        let conversation = Conversation::new(stream, watch::Sender::default());
        (theirs, questions, tokio::spawn(conversation.hold(asked)))
    }

    async fn ask(questions: &mpsc::Sender<Question>) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        let method = "eth_call";
        let params = Value::Null;
        let question = Question {
            method,
            params,
            reply,
        };
        assert!(questions.send(question).await.is_ok());
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_sign_of_life_is_dead() {
        let (mut node, questions, held) = converse().await;
        let started = Instant::now();
        let answer = ask(&questions).await;
        // Its end stays open, and what was sent is taken.
        let drain = async move { while node.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {} };
        tokio::spawn(drain);
        assert!(answer.await.is_err());
        held.await.unwrap();
        assert!(questions.is_closed());
        assert!((DEAD_AFTER..2 * DEAD_AFTER).contains(&started.elapsed()));
    }

    /// The node's end, after it has read so many requests.
    async fn read(node: DuplexStream, requests: usize) -> WebSocketStream<DuplexStream> {
        let mut node = WebSocketStream::from_raw_socket(node, Role::Server, None).await;
        let mut read = 0;
        while read < requests {
            read += usize::from(node.next().await.unwrap().unwrap().is_text());
        }
        node
    }

    #[tokio::test]
    async fn an_answer_that_is_too_large_is_not_read() {
        let (node, questions, _) = converse().await;
        let answer = ask(&questions).await;
        let mut node = read(node, 1).await;
        let length = u64::try_from(MAX_ANSWER_BYTES).unwrap() + 1;
        // The head of a text message of that length.
        let head = [&[0x81, 127], length.to_be_bytes().as_slice()].concat();
        node.get_mut().write_all(&head).await.unwrap();
        assert!(matches!(answer.await.unwrap(), Err(RpcError::TooLarge)));
        questions.closed().await;
    }

    #[tokio::test]
    async fn answers_find_those_who_asked_and_nonsense_ends_the_connection() {
        let (node, questions, held) = converse().await;
        let (first, second) = (ask(&questions).await, ask(&questions).await);
        drop(ask(&questions).await);
        let last = ask(&questions).await;
        let mut node = read(node, 4).await;
        for text in [
            r#"{"id": 3, "result": "0x3"}"#,
            r#"{"id": 77, "result": "0x3"}"#,
            r#"{"id": 2, "error": {"code": -32000, "message": "no"}}"#,
            r#"{"id": 1, "result": null}"#,
            "nonsense",
        ] {
            node.send(Message::text(text)).await.unwrap();
        }
        assert!(matches!(
            second.await.unwrap(),
            Err(RpcError::Refused { code: -32000, .. })
        ));
        assert!(matches!(first.await.unwrap(), Ok(None)));
        assert!(last.await.is_err());
        held.await.unwrap();
    }
}
