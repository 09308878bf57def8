//! Requests and their repetition: the same proof again and again, never another one.

use super::config::Backoff;
use super::error::{Failure, SessionError};
use super::hooks::{Decision, on_challenge};
use super::transport::Transport;
use super::{Session, reason};
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, StatusCode};
use microraiden_http::{Challenge, Flag, is_payment_header};
use microraiden_protocol::{Amount, BalanceProof, ChannelId};
use reqwest::Response;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use url::Url;

/// The first and the longest pause while a receiver waits for confirmations: it allows 30 tries a
/// minute.
const CONFIRMATION_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Refusals that no waiting mends.
const DEAD_CHANNEL: [&str; 3] = ["close-promised", "challenged", "settled"];

/// A body that can be sent again.
#[derive(Clone)]
pub(super) enum Body {
    Bytes(Bytes),
    /// Made anew for each sending.
    Made(Arc<dyn Fn() -> reqwest::Body + Send + Sync>),
}

impl Default for Body {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

/// A request that can be repeated.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    /// How it is sent.
    pub(super) via: &'a dyn Transport,
}

impl<'a> Call<'a> {
    /// The user's request; payment headers are the session's own business.
    pub(super) fn new(
        via: &'a dyn Transport,
        method: Method,
        mut url: Url,
        headers: HeaderMap,
        body: Body,
    ) -> Self {
        url.set_fragment(None);
        let mut name = None;
        let headers = headers
            .into_iter()
            .filter_map(|(next, value)| {
                // Further values of a header come without its name.
                name = next.or(name.take());
                name.clone().map(|name| (name, value))
            })
            .filter(|(name, _)| !is_payment_header(name));
        let mut own = HeaderMap::new();
        for (name, value) in headers {
            own.append(name, value);
        }
        Self {
            method,
            url,
            headers: own,
            body,
            via,
        }
    }

    /// What a price is remembered for.
    pub(super) fn resource(&self) -> (Method, Url) {
        (self.method.clone(), self.url.clone())
    }
}

/// What came back for a proof.
#[derive(Debug)]
pub(super) enum Answer {
    /// Anything but a 402.
    Response(Response),
    /// A 402.
    Challenge(Challenge),
}

/// Marks an answer at which a hook wants to stop.
#[derive(Debug, Clone, Copy)]
struct Stopped;

/// Whether a hook wants to stop at this answer.
pub(super) fn is_stopped(response: &Response) -> bool {
    response.extensions().get::<Stopped>().is_some()
}

/// The answer to a proof.
#[derive(Debug)]
pub(super) struct Presented {
    pub(super) answer: Answer,
    /// An earlier sending of the same proof may have reached the receiver.
    pub(super) repeated: bool,
}

impl Session {
    /// Sends a request once.
    pub(super) async fn exchange(
        &self,
        call: &Call<'_>,
        payment: Option<&HeaderMap>,
    ) -> Result<Response, Failure> {
        let mut headers = call.headers.clone();
        headers.extend(payment.cloned().unwrap_or_default());
        let body = match &call.body {
            Body::Bytes(bytes) => bytes.clone().into(),
            Body::Made(make) => make(),
        };
        let request = self.requests.request(call.method.clone(), call.url.clone());
        let request = request.headers(headers).body(body).build();
        let request = request.map_err(|error| Failure::connect(error.without_url()))?;
        let answer_timeout = self.config.answer_timeout;
        let Ok(answer) = timeout(answer_timeout, call.via.send(request)).await else {
            return Err(Failure::Timeout(answer_timeout));
        };
        let mut response = answer?;
        if self.hooks.on_http_response(&response) == Decision::Stop {
            response.extensions_mut().insert(Stopped);
        }
        Ok(response)
    }

    /// Sends a request without a payment. It is repeated only where that does no harm.
    pub(super) async fn exchange_unpaid(&self, call: &Call<'_>) -> Result<Response, SessionError> {
        let mut backoff = self.backoff();
        let mut attempts = 1;
        loop {
            let failure = match self.exchange(call, None).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let unsent = matches!(&failure, Failure::Connect(_));
            if attempts > self.config.max_retries || !(unsent || call.method.is_idempotent()) {
                return Err(SessionError::NoAnswer(failure));
            }
            attempts += 1;
            backoff.pause().await;
        }
    }

    /// Presents one proof until it is answered, with pauses. The receiver sells for it once,
    /// however often it arrives.
    ///
    /// # Errors
    /// When the limits on repetitions or on waiting for confirmations are reached.
    pub(super) async fn present(
        &self,
        call: &Call<'_>,
        proof: &BalanceProof,
        pays: Amount,
        payment: &HeaderMap,
    ) -> Result<Presented, SessionError> {
        let channel = proof.channel;
        let mut backoff = self.backoff();
        let mut confirmation = Backoff::new(CONFIRMATION_PAUSE.0, CONFIRMATION_PAUSE.1);
        let started = Instant::now();
        let mut failures = 0;
        loop {
            let response = match self.exchange(call, Some(payment)).await {
                Ok(response) => response,
                Err(source) => {
                    failures += 1;
                    if failures > self.config.max_retries {
                        return Err(SessionError::Unanswered {
                            pays,
                            attempts: failures,
                            source,
                        });
                    }
                    tracing::debug!(%channel, %source, "repeating the same proof");
                    backoff.pause().await;
                    continue;
                }
            };
            let repeated = failures > 0;
            if is_stopped(&response) {
                let answer = Answer::Response(response);
                return Ok(Presented { answer, repeated });
            }
            match response.status() {
                StatusCode::PAYMENT_REQUIRED => {
                    let challenge = Challenge::read(response.headers())?;
                    if on_challenge(&*self.hooks, &challenge, self.contract()) == Decision::Stop {
                        let answer = Answer::Response(response);
                        return Ok(Presented { answer, repeated });
                    }
                    if !awaits_confirmation(&challenge) && !hides_deposit(&challenge, proof, pays) {
                        let answer = Answer::Challenge(challenge);
                        return Ok(Presented { answer, repeated });
                    }
                    if started.elapsed() >= self.config.confirmation_timeout {
                        return self.give_up_waiting(challenge, channel, repeated);
                    }
                    confirmation.pause().await;
                }
                StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
                    if failures < self.config.max_retries =>
                {
                    failures += 1;
                    match retry_after(&response) {
                        Some(pause) => tokio::time::sleep(pause).await,
                        None => backoff.pause().await,
                    }
                }
                _ => {
                    let answer = Answer::Response(response);
                    return Ok(Presented { answer, repeated });
                }
            }
        }
    }

    fn give_up_waiting(
        &self,
        challenge: Challenge,
        channel: ChannelId,
        repeated: bool,
    ) -> Result<Presented, SessionError> {
        if challenge.flag == Some(Flag::NonexistingChannel) {
            let answer = Answer::Challenge(challenge);
            return Ok(Presented { answer, repeated });
        }
        Err(SessionError::NotConfirmed {
            channel,
            waited: self.config.confirmation_timeout,
            reason: reason(&challenge),
        })
    }

    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.config.retry_pause, LONGEST_PAUSE)
    }
}

/// Whether the receiver may accept the very same proof later.
fn awaits_confirmation(challenge: &Challenge) -> bool {
    match challenge.flag {
        Some(Flag::InsufficientConfirmations) => true,
        // A receiver that follows the chain some blocks behind has not seen a new channel yet.
        Some(Flag::NonexistingChannel) => challenge
            .error_code()
            .is_none_or(|code| !DEAD_CHANNEL.contains(&code)),
        // Nothing is signed above the deposit here, so the receiver has not seen a top-up yet.
        Some(Flag::InvalidBalanceProof) => challenge.error_code() == Some("above-deposit"),
        _ => false,
    }
}

/// Whether a receiver of 2018 finds nothing wrong but the deposit, for which it has no flag: it has
/// the balance that this payment was built on, and wants what it pays.
fn hides_deposit(challenge: &Challenge, proof: &BalanceProof, pays: Amount) -> bool {
    let told = (challenge.credit, challenge.flag, challenge.error_code());
    told == (None, None, None)
        && !pays.is_zero()
        && Amount::from(challenge.price) == pays
        && challenge.sender_balance == proof.balance.checked_sub(pays)
}

/// The pause in seconds that a server asks for, within reason.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = Duration::from_secs(seconds.parse().ok()?);
    Some(pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::super::transport::Http;
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn payment_headers_of_the_user_are_left_out() {
        let rdn = HeaderName::from_static("rdn-balance-signature");
        let mut headers = HeaderMap::new();
        headers.append("accept", HeaderValue::from_static("text/html"));
        headers.append("accept", HeaderValue::from_static("text/plain"));
        headers.append(&rdn, HeaderValue::from_static("0x00"));
        headers.append(&rdn, HeaderValue::from_static("0x01"));
        let url = "http://localhost/a?b#c".parse().unwrap();
        let nowhere = Http::new(Duration::ZERO, Duration::ZERO).unwrap();
        let call = Call::new(&nowhere, Method::GET, url, headers, Body::default());
        assert_eq!(call.headers.get_all("accept").iter().count(), 2);
        assert_eq!(call.headers.len(), 2);
        assert_eq!(call.url.as_str(), "http://localhost/a?b");
    }
}
