//! An HTTP client that pays when it is asked to, within limits.
//!
//! In reading order: [`config`] (the limits), [`server`] (what is known of a host), [`purchase`]
//! (buying one request), [`payment`] (a payment in flight), [`exchange`] (requests and their
//! repetition), [`close`].
//!
//! What holds whatever a server answers: no request signs away more than the price limit, and as
//! much again for answers that got lost; the session never more than its budget; a proof goes only
//! to the origin that the channel is used for; what a server says of a balance counts only with our
//! own signature.

mod close;
mod config;
mod error;
mod exchange;
mod payment;
mod purchase;
mod server;

pub use close::{Closed, Closing, Denial};
pub use config::SessionConfig;
pub use error::{Failure, SessionError};

use crate::channel::Channel;
use crate::claims::Claimant;
use crate::client::Client;
use bytes::Bytes;
use exchange::Call;
use http::{HeaderMap, Method, StatusCode};
use microraiden_http::Challenge;
use microraiden_protocol::{Address, Amount, Balance, ChannelId, Price};
use payment::Budget;
use purchase::Purchase;
use reqwest::{IntoUrl, Response};
use server::Server;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// An HTTP client that pays. Requests may be made at the same time; they share its channels.
pub struct Session {
    client: Client,
    config: SessionConfig,
    http: reqwest::Client,
    budget: Budget,
    /// By origin, written as a URL.
    servers: Mutex<BTreeMap<Url, Arc<Server>>>,
    claimant: Claimant,
}

/// An answer, and what was paid for it.
#[derive(Debug)]
pub struct Paid {
    /// The server's answer, whatever its status.
    pub response: Response,
    /// What the receiver charged. What it does not say counts as the whole price.
    pub cost: Amount,
    /// What was paid besides, for answers that were lost on the way.
    pub lost: Amount,
    /// The channel that paid; `None` when nothing was to be paid.
    pub channel: Option<ChannelId>,
    /// The balance that was signed for it.
    pub balance: Option<Balance>,
}

impl Paid {
    fn free(response: Response) -> Self {
        Self {
            response,
            cost: Amount::ZERO,
            lost: Amount::ZERO,
            channel: None,
            balance: None,
        }
    }
}

impl Session {
    /// A session of a client, with limits.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(client: Client, config: SessionConfig) -> Result<Self, SessionError> {
        let http = reqwest::Client::builder()
            .connect_timeout(config.connect_timeout)
            .read_timeout(config.answer_timeout)
            // Proofs must not follow to another place.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(SessionError::Setup)?;
        Ok(Self {
            budget: Budget::new(config.budget),
            claimant: Claimant::new(client.claims()),
            client,
            config,
            http,
            servers: Mutex::default(),
        })
    }

    /// Requests a URL by GET; see [`Self::request`].
    ///
    /// # Errors
    /// See [`Self::request`].
    pub async fn get(&self, url: impl IntoUrl) -> Result<Paid, SessionError> {
        self.request(Method::GET, url, HeaderMap::new(), Bytes::new())
            .await
    }

    /// Requests a URL and pays for it if the server asks.
    ///
    /// The first request for a resource goes without a payment; when its price is known, the
    /// payment goes along at once. A request that is not answered is repeated with the same
    /// payment, which the receiver sells for once. Redirects are not followed. `RDN-*` headers of
    /// the caller are left out.
    ///
    /// # Errors
    /// When a limit is reached, or the server cannot be paid; see [`SessionError`].
    pub async fn request(
        &self,
        method: Method,
        url: impl IntoUrl,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<Paid, SessionError> {
        let url = url.into_url().map_err(|_| SessionError::Url)?;
        let server = self.server(&url)?;
        let call = Call::new(method, url, headers, body.into());
        let known_price = server.known().price(&call);
        let price = match known_price {
            Some(price) => price,
            None => {
                let response = self.exchange_unpaid(&call).await?;
                if response.status() != StatusCode::PAYMENT_REQUIRED {
                    return Ok(Paid::free(response));
                }
                self.check(&server, &Challenge::read(response.headers())?)?
            }
        };
        Purchase::new(self, &server, &call, price).await.run().await
    }

    /// What the session has signed away so far, unanswered payments included.
    pub fn spent(&self) -> Amount {
        self.budget.used()
    }

    /// The channels in use.
    pub fn channels(&self) -> Vec<Channel> {
        self.all_servers()
            .iter()
            .filter_map(|(_, server)| server.known().channel.clone())
            .collect()
    }

    /// The limits.
    pub fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// The sender that pays.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn contract(&self) -> Address {
        self.client.contract().address()
    }

    fn all_servers(&self) -> Vec<(Url, Arc<Server>)> {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers
            .iter()
            .map(|(origin, server)| (origin.clone(), server.clone()))
            .collect()
    }

    fn server(&self, url: &Url) -> Result<Arc<Server>, SessionError> {
        if url.scheme() != "http" {
            return Err(SessionError::Url);
        }
        let origin = url.origin().ascii_serialization();
        let origin = Url::parse(&origin).map_err(|_| SessionError::Url)?;
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let server = servers
            .entry(origin)
            .or_insert_with_key(|origin| Arc::new(Server::new(origin.clone())));
        Ok(server.clone())
    }

    /// Checks what a server asks for against the limits, and notes what it tells of itself.
    fn check(&self, server: &Server, challenge: &Challenge) -> Result<Price, SessionError> {
        if challenge.contract != self.contract() {
            return Err(SessionError::ForeignContract {
                asked: challenge.contract,
                ours: self.contract(),
            });
        }
        let mut known = server.known();
        if let Some(allowed) = self.config.receiver.or(known.receiver)
            && allowed != challenge.receiver
        {
            return Err(SessionError::ForeignReceiver {
                asked: challenge.receiver,
                allowed,
            });
        }
        if challenge.price == Price::ZERO {
            return Err(SessionError::NoPrice);
        }
        if challenge.price > self.config.max_price {
            return Err(SessionError::PriceTooHigh {
                price: challenge.price,
                max: self.config.max_price,
            });
        }
        known.receiver = Some(challenge.receiver);
        known.states_payments = challenge.credit.is_some();
        if challenge.gateway_path.is_some() {
            known.gateway_path.clone_from(&challenge.gateway_path);
        }
        Ok(challenge.price)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("client", &self.client)
            .field("config", &self.config)
            .field("spent", &self.spent())
            .finish_non_exhaustive()
    }
}

/// Why a server refused, in its own words, cut short.
fn reason(challenge: &Challenge) -> String {
    match (&challenge.error, challenge.flag) {
        (Some(error), _) => error.chars().take(200).collect(),
        (None, Some(flag)) => microraiden_http::headers::documented(&flag.header()),
        (None, None) => "no reason given".to_owned(),
    }
}
