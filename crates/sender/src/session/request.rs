//! A request as it is put together.

use super::error::SessionError;
use super::exchange::Body;
use super::transport::Boxed;
use super::{Paid, Quote, Session};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use microraiden_protocol::Price;
use serde::Serialize;
use std::sync::Arc;
use url::Url;

/// A request of a session; `.await` sends it.
#[must_use = "a request is sent by `.await`"]
pub struct Request<'a> {
    session: &'a Session,
    method: Method,
    url: Result<Url, SessionError>,
    headers: HeaderMap,
    body: Result<Body, SessionError>,
    price: Option<Price>,
}

impl<'a> Request<'a> {
    pub(super) fn new(session: &'a Session, method: Method, url: Result<Url, SessionError>) -> Self {
        Self {
            session,
            method,
            url,
            headers: HeaderMap::new(),
            body: Ok(Body::default()),
            price: None,
        }
    }

    /// Adds a header. `RDN-*` headers are the session's own and left out.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Adds headers.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Shows a token to the server. It is in no log and no error.
    pub fn bearer_auth(mut self, token: &str) -> Self {
        match HeaderValue::from_str(&format!("Bearer {token}")) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(AUTHORIZATION, value);
            }
            Err(_) => self.body = Err(SessionError::Request("a token holds visible characters only")),
        }
        self
    }

    /// Sends these bytes.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Ok(Body::Bytes(body.into()));
        self
    }

    /// Sends a body that is made anew each time the request is sent, such as a file that is opened: a
    /// request may have to be repeated with the same payment.
    pub fn body_with(mut self, make: impl Fn() -> reqwest::Body + Send + Sync + 'static) -> Self {
        self.body = Ok(Body::Made(Arc::new(make)));
        self
    }

    /// Sends a value as JSON.
    pub fn json(mut self, value: &impl Serialize) -> Self {
        let json = HeaderValue::from_static("application/json");
        self.headers.entry(CONTENT_TYPE).or_insert(json);
        self.body = serde_json::to_vec(value)
            .map(|bytes| Body::Bytes(bytes.into()))
            .map_err(|_| SessionError::Request("the value cannot be written as JSON"));
        self
    }

    /// Pays this price at once instead of asking for it first. It takes effect where the receiver is
    /// known: from [`SessionConfig::receiver`](super::SessionConfig::receiver), or from an earlier
    /// answer. A server that wants another price says so, and is paid that if the limits allow it.
    pub fn expect_price(mut self, price: Price) -> Self {
        self.price = Some(price);
        self
    }

    /// Sends the request, and pays for it if the server asks; see [`Session::request`].
    ///
    /// # Errors
    /// See [`Session::request`].
    pub async fn send(self) -> Result<Paid, SessionError> {
        let (url, body) = (self.url?, self.body?);
        self.session
            .run(self.method, url, self.headers, body, self.price)
            .await
    }

    /// Asks for the price, and says what would pay it within the session's limits. Nothing is
    /// signed, and nothing is sent to the chain. What costs nothing is requested by this.
    ///
    /// # Errors
    /// As [`Session::request`] before it signs.
    pub async fn quote(self) -> Result<Quote, SessionError> {
        let (url, body) = (self.url?, self.body?);
        self.session.quote(self.method, url, self.headers, body).await
    }
}

impl<'a> IntoFuture for Request<'a> {
    type Output = Result<Paid, SessionError>;
    type IntoFuture = Boxed<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
