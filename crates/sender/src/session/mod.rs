//! An HTTP client that pays when it is asked to, within limits.
//!
//! In reading order: [`config`] (the limits), [`hooks`] (the program's say), [`request`] (how a
//! request is put together), [`server`] (what is known of a host), [`purchase`] (buying one
//! request), [`payment`] (a payment in flight), [`exchange`] (requests and their repetition),
//! [`transport`] (connections), [`middleware`] (in a client of another crate), [`close`].
//!
//! What holds whatever a server answers: no request signs away more than the price limit, and as
//! much again for answers that got lost; the session never more than its budget; a proof goes only
//! to the origin that the channel is used for; what a server says of a balance counts only with our
//! own signature.

mod close;
mod config;
mod error;
mod exchange;
mod hooks;
mod middleware;
mod payment;
mod purchase;
mod request;
mod server;
mod transport;

pub use close::{Closed, Closing, Denial};
pub use config::SessionConfig;
pub use error::{Failure, SessionError};
pub use hooks::{Decision, Fallback, Hooks};
pub use middleware::{Cost, Paying};
pub use request::Request;

use crate::channel::Channel;
use crate::claims::Claimant;
use crate::client::{Client, Funding};
use bytes::Bytes;
use exchange::{Body, Call, is_stopped};
use hooks::{NoHooks, on_challenge};
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
use transport::{Http, Transport};
use url::Url;

/// An HTTP client that pays. Requests may be made at the same time; they share its channels.
pub struct Session {
    client: Client,
    config: SessionConfig,
    hooks: Box<dyn Hooks>,
    http: Http,
    /// Only puts requests together.
    requests: reqwest::Client,
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

/// What a request would cost, and what would pay it.
#[derive(Debug)]
pub enum Quote {
    /// Nothing is to be paid: the answer.
    Free(Response),
    /// A price.
    Price {
        /// What the server asks for.
        challenge: Challenge,
        /// What would pay it.
        funding: Funding,
    },
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
        Self::with_hooks(client, config, NoHooks)
    }

    /// A session in which the program has its say.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn with_hooks(
        client: Client,
        config: SessionConfig,
        hooks: impl Hooks,
    ) -> Result<Self, SessionError> {
        Ok(Self {
            http: Http::new(config.connect_timeout, config.answer_timeout)?,
            requests: reqwest::Client::new(),
            budget: Budget::new(config.budget),
            claimant: Claimant::new(client.claims()),
            client,
            config,
            hooks: Box::new(hooks),
            servers: Mutex::default(),
        })
    }

    /// Begins a request by any method; `.await` sends it.
    pub fn start(&self, method: Method, url: impl IntoUrl) -> Request<'_> {
        Request::new(self, method, url.into_url().map_err(|_| SessionError::Url))
    }

    /// Begins a GET.
    pub fn get(&self, url: impl IntoUrl) -> Request<'_> {
        self.start(Method::GET, url)
    }

    /// Begins a POST.
    pub fn post(&self, url: impl IntoUrl) -> Request<'_> {
        self.start(Method::POST, url)
    }

    /// Begins a PUT.
    pub fn put(&self, url: impl IntoUrl) -> Request<'_> {
        self.start(Method::PUT, url)
    }

    /// Begins a PATCH.
    pub fn patch(&self, url: impl IntoUrl) -> Request<'_> {
        self.start(Method::PATCH, url)
    }

    /// Begins a DELETE.
    pub fn delete(&self, url: impl IntoUrl) -> Request<'_> {
        self.start(Method::DELETE, url)
    }

    /// Begins a HEAD.
    pub fn head(&self, url: impl IntoUrl) -> Request<'_> {
        self.start(Method::HEAD, url)
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
        self.start(method, url).headers(headers).body(body).send().await
    }

    async fn run(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Body,
        expected: Option<Price>,
    ) -> Result<Paid, SessionError> {
        self.run_through(&self.http, method, url, headers, body, expected)
            .await
    }

    /// Requests a URL by other connections than the session's own, with all its hooks.
    async fn run_through(
        &self,
        via: &dyn Transport,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Body,
        expected: Option<Price>,
    ) -> Result<Paid, SessionError> {
        self.hooks.on_init(&method, &url);
        let call = Call::new(via, method, url, headers, body);
        let outcome = self.buy(&call, expected).await;
        if let Ok(paid) = &outcome {
            match paid.response.status() {
                status if status.is_success() => self.hooks.on_success(paid),
                StatusCode::PAYMENT_REQUIRED => {}
                _ => self.hooks.on_http_error(paid),
            }
        }
        self.hooks.on_exit(&outcome);
        outcome
    }

    async fn quote(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Quote, SessionError> {
        let call = Call::new(&self.http, method, url, headers, body);
        let server = self.server(&call.url)?;
        let response = self.exchange_unpaid(&call).await?;
        if response.status() != StatusCode::PAYMENT_REQUIRED {
            return Ok(Quote::Free(response));
        }
        let challenge = Challenge::read(response.headers())?;
        let needed = self.check(&server, &challenge)?.into();
        self.check_budget(needed)?;
        let used = server.known().channel.as_ref().map(Channel::id);
        let is_free = |id: &ChannelId| used == Some(*id) || self.claimant.is_free(id);
        let policy = &self.config.deposits;
        let funding = self
            .client
            .funding(challenge.receiver, needed, policy, is_free)
            .await?;
        Ok(Quote::Price { challenge, funding })
    }

    async fn buy(&self, call: &Call<'_>, expected: Option<Price>) -> Result<Paid, SessionError> {
        let server = self.server(&call.url)?;
        let known_price = {
            let known = server.known();
            // Whoever is to be paid is named by the receiver's own answers, or by the program.
            let expected = expected.filter(|_| known.receiver.is_some());
            known.price(call).or(expected)
        };
        let price = match known_price {
            Some(price) => self.allowed(price)?,
            None => {
                let response = self.exchange_unpaid(call).await?;
                if response.status() != StatusCode::PAYMENT_REQUIRED || is_stopped(&response) {
                    return Ok(Paid::free(response));
                }
                let challenge = Challenge::read(response.headers())?;
                if on_challenge(&*self.hooks, &challenge, self.contract()) == Decision::Stop {
                    return Ok(Paid::free(response));
                }
                self.check(&server, &challenge)?
            }
        };
        Purchase::new(self, &server, call, price).await.run().await
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
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SessionError::Url);
        }
        let origin = url.origin().ascii_serialization();
        let origin = Url::parse(&origin).map_err(|_| SessionError::Url)?;
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let server = servers
            .entry(origin)
            .or_insert_with_key(|origin| Arc::new(Server::new(origin.clone(), self.config.receiver)));
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
        let price = self.allowed(challenge.price)?;
        known.receiver = Some(challenge.receiver);
        known.states_payments = challenge.credit.is_some();
        if challenge.gateway_path.is_some() {
            known.gateway_path.clone_from(&challenge.gateway_path);
        }
        Ok(price)
    }

    /// Whether so much is left of the budget.
    fn check_budget(&self, needed: Amount) -> Result<(), SessionError> {
        match self.budget.left() {
            left if needed > left => Err(SessionError::Budget { needed, left }),
            _ => Ok(()),
        }
    }

    /// A price that may be paid.
    fn allowed(&self, price: Price) -> Result<Price, SessionError> {
        let max = self.config.max_price;
        if price == Price::ZERO {
            return Err(SessionError::NoPrice);
        }
        if price > max {
            return Err(SessionError::PriceTooHigh { price, max });
        }
        Ok(price)
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
