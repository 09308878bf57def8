//! Closing the channels of a session.

use super::exchange::{Body, Call};
use super::hooks::Fallback;
use super::server::Server;
use super::{Session, SessionError};
use crate::channel::Channel;
use crate::line::ChannelState;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use microraiden_chain::Receipt;
use microraiden_http::rest::{CloseRequest, CloseResponse};
use microraiden_protocol::{Balance, ChannelId, Signature};
use reqwest::Response;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use url::Url;

/// The longest body of an answer to a close that is read.
const MAX_BODY: usize = 64 * 1024;
/// The pauses after which the cost of an answer that somebody left is asked for again.
const COST_PAUSES_MS: [u64; 5] = [50, 100, 200, 400, 800];
/// The path that the documentation gives, for servers that do not name theirs.
const DEFAULT_GATEWAY: &str = "/api/1";

/// How a channel was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closing {
    /// The receiver agreed; the contract has paid both sides.
    Cooperative,
    /// The receiver did not agree; settle after the challenge period.
    Uncooperative {
        /// Why there was no agreement.
        denial: Denial,
    },
}

/// Why a receiver did not agree to a close.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// It does not answer.
    #[error("the server does not answer")]
    Unreachable,
    /// It refused.
    #[error("the server answered {status}: {message}")]
    Refused {
        /// The status of its answer.
        status: StatusCode,
        /// Its words, cut short.
        message: String,
    },
    /// It was not asked: our own signer did not sign.
    #[error("the server was not asked, since the signer of this sender failed")]
    Unsigned,
    /// What it gave is not the receiver's signature for this close.
    #[error("the server's closing signature is not the receiver's for this close")]
    Signature,
}

/// A channel that was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The channel.
    pub channel: ChannelId,
    /// At which balance.
    pub balance: Balance,
    /// How.
    pub closing: Closing,
    /// The transaction.
    pub receipt: Receipt,
}

impl Session {
    /// Closes every channel that this session paid with, once its requests in flight are answered:
    /// cooperatively, or on the sender's word alone when the receiver does not agree.
    ///
    /// The session can go on; it then takes other channels.
    ///
    /// # Errors
    /// When a transaction fails. That channel and those that are left stay as they are; call again.
    pub async fn close(&self) -> Result<Vec<Closed>, SessionError> {
        let mut closed = Vec::new();
        for (origin, server) in self.all_servers() {
            let _alone = server.alone().await;
            let channels: Vec<_> = {
                let known = server.known();
                let let_go = known.left.iter().chain(&known.used_up);
                let_go.chain(&known.channel).cloned().collect()
            };
            for channel in channels {
                if channel.state() == ChannelState::Open {
                    closed.push(self.close_channel(&origin, &server, &channel).await?);
                }
                server.known().let_go(channel.id());
            }
        }
        Ok(closed)
    }

    /// Closes one of the sender's channels with the agreement of the server at `url`, also when this session has not paid
    /// with it. Without an agreement the channel stays as it is.
    ///
    /// What is asked for is what the channel book knows to be owed.
    ///
    /// # Errors
    /// When the channel is settled already, or the transaction fails.
    pub async fn close_agreed(
        &self,
        channel: &Channel,
        url: &Url,
    ) -> Result<Result<Closed, Denial>, SessionError> {
        let server = self.server(url)?;
        let origin = Url::parse(&url.origin().ascii_serialization()).map_err(|_| SessionError::Url)?;
        let _alone = server.alone().await;
        let record = channel.record();
        let withdrawn = channel.info().await?.withdrawn;
        let balance = record.served.min(record.signed_balance()).max(withdrawn);
        let signature = match self.ask_closing(&origin, &server, channel, balance).await {
            Ok(signature) => signature,
            Err(denial) => return Ok(Err(denial)),
        };
        let receipt = channel.close_cooperatively_at(balance, &signature).await?;
        Ok(Ok(Closed {
            channel: channel.id(),
            balance,
            closing: Closing::Cooperative,
            receipt,
        }))
    }

    async fn close_channel(
        &self,
        origin: &Url,
        server: &Server,
        channel: &Channel,
    ) -> Result<Closed, SessionError> {
        self.learn_balance(server, channel).await;
        let record = channel.record();
        let withdrawn = channel.info().await?.withdrawn;
        let agreed = record.served.min(record.signed_balance()).max(withdrawn);
        let (balance, closing, receipt) = match self.ask_closing(origin, server, channel, agreed).await {
            Ok(signature) => {
                let receipt = channel.close_cooperatively_at(agreed, &signature).await?;
                (agreed, Closing::Cooperative, receipt)
            }
            Err(denial) => {
                let fallback = self.hooks.on_cooperative_close_denied(channel.id(), &denial);
                if fallback == Fallback::LeaveOpen {
                    return Err(SessionError::LeftOpen(denial));
                }
                tracing::warn!(channel = %channel.id(), %denial, "closing without the receiver");
                let (balance, receipt) = channel.close_at(record.owed()).await?;
                (balance, Closing::Uncooperative { denial }, receipt)
            }
        };
        Ok(Closed {
            channel: channel.id(),
            balance,
            closing,
            receipt,
        })
    }

    /// Asks for the balance where an answer is missing, or its cost, so that neither side loses by the close.
    ///
    /// Where somebody left a metered answer, the receiver may notice that only now: until then all that was authorised
    /// is charged, so it is given a moment.
    async fn learn_balance(&self, server: &Server, channel: &Channel) {
        let record = channel.record();
        if record.synced && record.unanswered.is_empty() && !server.known().cost_follows {
            return;
        }
        let Some((method, url)) = server.known().last_paid.clone() else {
            return;
        };
        let call = Call::new(&self.http, method, url, HeaderMap::new(), Body::default());
        for pause in COST_PAUSES_MS {
            if let Err(error) = self.ask_balance(server, &call, channel).await {
                tracing::warn!(channel = %channel.id(), %error, "the receiver does not tell its balance");
                return;
            }
            if !server.known().cost_follows || channel.record().served < record.served {
                return;
            }
            sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Asks the receiver to sign a close at `balance`, showing by our signature who asks.
    async fn ask_closing(
        &self,
        origin: &Url,
        server: &Server,
        channel: &Channel,
        balance: Balance,
    ) -> Result<Signature, Denial> {
        let scheme = channel.core().contract.scheme();
        let request = close_request(channel, balance).await?;
        let gateway = server.known().gateway_path.clone();
        let url = closing_url(origin, gateway.as_deref(), channel.id());
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, json)]);
        let body = serde_json::to_vec(&request).expect("text fields only");
        let call = Call::new(&self.http, Method::DELETE, url, headers, Body::Bytes(body.into()));
        let body = self.ask_until_answered(&call).await?;
        let answer: CloseResponse = serde_json::from_slice(&body).map_err(|_| Denial::Signature)?;
        if scheme.is_closing_signature(&answer.close_signature, &channel.id(), balance) {
            Ok(answer.close_signature)
        } else {
            Err(Denial::Signature)
        }
    }

    /// The body of a 200. The server's own failures are worth another try: a close without it takes
    /// a challenge period.
    async fn ask_until_answered(&self, call: &Call<'_>) -> Result<Vec<u8>, Denial> {
        let mut backoff = self.backoff();
        let mut failures = 0;
        loop {
            let response = self
                .exchange_unpaid(call)
                .await
                .map_err(|_| Denial::Unreachable)?;
            let status = response.status();
            let body = timeout(self.config.answer_timeout, read_body(response)).await;
            let body = body.ok().flatten().ok_or(Denial::Unreachable)?;
            if status == StatusCode::OK {
                return Ok(body);
            }
            let passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            if !passing || failures == self.config.max_retries {
                let message = String::from_utf8_lossy(&body).chars().take(200).collect();
                return Err(Denial::Refused { status, message });
            }
            failures += 1;
            backoff.pause().await;
        }
    }
}

/// A request for a close, with our signature for it. Where the receiver has withdrawn exactly that,
/// everybody has read the signature on chain; the one for nothing shows besides that it is we.
async fn close_request(channel: &Channel, balance: Balance) -> Result<CloseRequest, Denial> {
    let core = channel.core();
    let scheme = core.contract.scheme();
    let sign = async |balance| {
        let signing = core.signer.sign_balance_proof(&scheme, channel.id(), balance);
        let proof = signing.await.map_err(|_| Denial::Unsigned)?;
        Ok(proof.signature.to_string())
    };
    let nothing = Balance::ZERO;
    Ok(CloseRequest {
        balance,
        balance_signature: Some(sign(balance).await?),
        auth_balance: (balance > nothing).then(|| nothing.to_string()),
        auth_signature: match balance > nothing {
            true => Some(sign(nothing).await?),
            false => None,
        },
    })
}

/// Where a close is asked for: always on the origin that was paid, whatever the gateway path.
fn closing_url(origin: &Url, gateway: Option<&str>, channel: ChannelId) -> Url {
    let gateway = gateway.unwrap_or(DEFAULT_GATEWAY).trim_matches('/');
    let mut url = origin.clone();
    url.set_path(&format!(
        "/{gateway}/channels/{}/{}",
        channel.sender, channel.open_block
    ));
    url
}

/// The whole body, unless it is too long or breaks off.
async fn read_body(mut response: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.ok()? {
        body.extend_from_slice(&part);
        if body.len() > MAX_BODY {
            return None;
        }
    }
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use microraiden_protocol::Address;

    #[test]
    fn a_close_never_goes_to_another_host() {
        let origin: Url = "http://example.test:5000".parse().unwrap();
        let channel = ChannelId {
            sender: Address::ZERO,
            receiver: Address::ZERO,
            open_block: 7,
        };
        let expected = format!("http://example.test:5000/api/1/channels/{}/7", Address::ZERO);
        for gateway in [None, Some("/api/1"), Some("api/1/")] {
            assert_eq!(closing_url(&origin, gateway, channel).as_str(), expected);
        }
        for gateway in [
            "//evil.test/",
            "http://evil.test/",
            "@evil.test",
            "/../..//evil.test",
            "\\\\evil.test",
            "?a",
            "",
        ] {
            let url = closing_url(&origin, Some(gateway), channel);
            assert_eq!(url.origin(), origin.origin(), "{gateway}");
            assert_eq!((url.query(), url.fragment()), (None, None), "{gateway}");
        }
    }
}
