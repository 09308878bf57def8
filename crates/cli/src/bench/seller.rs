//! A running receiver: what it wants, what it has stored, and its agreement to a close.

use super::client::Connection;
use super::stock::{self, Goods, Payer};
use crate::Failure;
use http::{Method, StatusCode};
use microraiden_chain::Contract;
use microraiden_http::Challenge;
use microraiden_http::headers::{INSUFFICIENT_CONFIRMATIONS, NONEXISTING_CHANNEL};
use microraiden_http::rest::{ChannelSummary, CloseRequest, CloseResponse};
use microraiden_protocol::{Balance, ChannelId, SecretKey};
use microraiden_sender::Channel;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use url::Url;

/// How long to wait until a channel is taken as confirmed, and between two looks.
const CONFIRMATION: Duration = Duration::from_secs(600);
const CONFIRMATION_PAUSE: Duration = Duration::from_millis(500);
/// How long any other answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The path of the REST interface where the receiver does not name it.
const DEFAULT_GATEWAY: &str = "/api/1";

/// Where to connect to.
///
/// # Errors
/// When it is not reached by plain HTTP, or its name is unknown.
pub(super) async fn resolve(url: &Url) -> Result<SocketAddr, Failure> {
    let host = url.host_str().filter(|_| url.scheme() == "http");
    let host = host.ok_or_else(|| format!("{url} does not begin with http://"))?;
    let port = url.port_or_known_default().unwrap_or(80);
    let mut found = tokio::net::lookup_host((host.trim_matches(['[', ']']), port)).await?;
    found
        .next()
        .ok_or_else(|| format!("{host} has no address").into())
}

/// A receiver that sells a resource.
pub(super) struct Seller {
    url: Url,
    pub(super) address: SocketAddr,
    pub(super) challenge: Challenge,
    http: reqwest::Client,
}

impl Seller {
    /// Asks for the resource without paying.
    ///
    /// # Errors
    /// When it is not for sale there.
    pub(super) async fn ask(url: &Url) -> Result<Self, Failure> {
        let address = resolve(url).await?;
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let answer = http.get(url.clone()).send().await?;
        if answer.status() != StatusCode::PAYMENT_REQUIRED {
            return Err(format!("{url} answers {} without being paid, not 402", answer.status()).into());
        }
        let challenge = Challenge::read(answer.headers())?;
        if challenge.credit.is_none() {
            return Err(
                "the receiver takes only one request of a channel at a time (it does not know RDN-Payment)"
                    .into(),
            );
        }
        Ok(Self {
            url: url.clone(),
            address,
            challenge,
            http,
        })
    }

    /// What it sells, through this contract.
    ///
    /// # Errors
    /// When it wants to be paid through another.
    pub(super) fn goods(&self, contract: &Contract) -> Result<Goods, Failure> {
        let wanted = self.challenge.contract;
        if wanted != contract.address() {
            let given = contract.address();
            return Err(format!("the receiver is paid through contract {wanted}, not {given}").into());
        }
        Ok(Goods {
            url: self.url.clone(),
            price: self.challenge.price,
            contract: wanted,
            scheme: contract.scheme(),
        })
    }

    /// Pays one request on each channel, again and again until its deposit is confirmed.
    ///
    /// # Errors
    /// When it is refused for another reason, or for too long.
    pub(super) async fn pay_first(
        &self,
        payers: &mut [Payer],
        goods: &Goods,
        cancel: &AtomicBool,
    ) -> Result<(), Failure> {
        stock::fill(payers, 1, goods);
        let begin = Instant::now();
        for payer in payers {
            let request = payer.next().ok_or("the limit does not allow a single request")?;
            loop {
                let mut connection = Connection::open(self.address).await?;
                let answer = tokio::time::timeout(PATIENCE, connection.exchange(&request)).await??;
                if answer.status == 200 {
                    payer.served += 1;
                    break;
                }
                let head = answer.head.unwrap_or_default();
                if !is_unconfirmed(&head) || begin.elapsed() > CONFIRMATION {
                    return Err(format!("channel {} is not taken: {head}", payer.channel()).into());
                }
                if cancel.load(Ordering::Relaxed) {
                    return Err("interrupted before anything was measured".into());
                }
                tokio::time::sleep(CONFIRMATION_PAUSE).await;
            }
        }
        Ok(())
    }

    /// The balance that it has stored; none when it does not know the channel.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn stored(&self, channel: &ChannelId) -> Result<Option<Balance>, Failure> {
        let request = self.http.get(self.rest(channel)).send().await?;
        if request.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(read::<ChannelSummary>(request).await?.balance))
    }

    /// Closes a channel at `balance` with its agreement; what is left of the deposit comes back at once.
    ///
    /// # Errors
    /// When it does not agree, or the transaction fails.
    pub(super) async fn close(
        &self,
        channel: &Channel,
        balance: Balance,
        contract: &Contract,
        key: &SecretKey,
    ) -> Result<(), Failure> {
        let proof = contract.scheme().sign_balance_proof(key, channel.id(), balance);
        let request = CloseRequest {
            balance,
            balance_signature: Some(proof.signature.to_string()),
            auth_balance: None,
            auth_signature: None,
        };
        let request = self
            .http
            .request(Method::DELETE, self.rest(&channel.id()))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(&request)?);
        let answer: CloseResponse = read(request.send().await?).await?;
        channel
            .close_cooperatively_at(balance, &answer.close_signature)
            .await?;
        Ok(())
    }

    /// A channel's place in the REST interface: on the host that is paid, whatever it says.
    fn rest(&self, channel: &ChannelId) -> Url {
        let gateway = self.challenge.gateway_path.as_deref().unwrap_or(DEFAULT_GATEWAY);
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        let gateway = gateway.trim_matches('/');
        url.set_path(&format!(
            "/{gateway}/channels/{}/{}",
            channel.sender, channel.open_block
        ));
        url
    }
}

fn is_unconfirmed(head: &str) -> bool {
    let head = head.to_ascii_lowercase();
    [INSUFFICIENT_CONFIRMATIONS, NONEXISTING_CHANNEL]
        .iter()
        .any(|flag| head.contains(flag.as_str()))
}

/// The body of an answer that says yes.
async fn read<T: DeserializeOwned>(answer: reqwest::Response) -> Result<T, Failure> {
    let (status, body) = (answer.status(), answer.bytes().await?);
    if status != StatusCode::OK {
        let words: String = String::from_utf8_lossy(&body).chars().take(200).collect();
        return Err(format!("the receiver answered {status}: {}", words.trim()).into());
    }
    Ok(serde_json::from_slice(&body)?)
}
