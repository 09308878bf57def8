//! How one request reaches a server, and the head of its answer comes back.

use super::error::{Failure, SessionError};
use http::HeaderValue;
use http::header::ACCEPT;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use microraiden_chain::Connector;
use reqwest::{Body, Request, Response, ResponseBuilderExt};
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;
use tower_http::timeout::TimeoutBody;

/// A future of a trait that is used through a pointer.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends a request once. It follows no redirect: a proof must not go to another place.
pub(super) trait Transport: Send + Sync {
    fn send(&self, request: Request) -> Boxed<'_, Result<Response, Failure>>;
}

/// Connections of the session's own.
pub(super) struct Http {
    plain: Hyper,
    /// Made when it is first needed, since it reads the system's authorities.
    encrypted: OnceLock<Hyper>,
    connect_timeout: Duration,
    /// How long a body may pause.
    read_timeout: Duration,
}

type Hyper = legacy::Client<Connector, Body>;

impl Http {
    pub(super) fn new(connect_timeout: Duration, read_timeout: Duration) -> Result<Self, SessionError> {
        Ok(Self {
            plain: client(false, connect_timeout)?,
            encrypted: OnceLock::new(),
            connect_timeout,
            read_timeout,
        })
    }

    fn client(&self, is_encrypted: bool) -> Result<&Hyper, SessionError> {
        if !is_encrypted {
            return Ok(&self.plain);
        }
        if let Some(client) = self.encrypted.get() {
            return Ok(client);
        }
        let made = client(true, self.connect_timeout)?;
        Ok(self.encrypted.get_or_init(|| made))
    }

    async fn exchange(&self, request: Request) -> Result<Response, Failure> {
        let url = request.url().clone();
        let client = self.client(url.scheme() == "https").map_err(Failure::connect)?;
        let mut request = http::Request::try_from(request).map_err(Failure::connect)?;
        request
            .headers_mut()
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("*/*"));
        let response = client
            .request(request)
            .await
            .map_err(|error| match error.is_connect() {
                true => Failure::connect(error),
                false => Failure::transport(error),
            })?;
        let (parts, body) = response.into_parts();
        let body = Body::wrap(TimeoutBody::new(self.read_timeout, body));
        // This tells the response where it comes from.
        let response = http::Response::builder().url(url).body(body);
        let mut response = response.map_err(Failure::transport)?;
        *response.status_mut() = parts.status;
        *response.version_mut() = parts.version;
        *response.headers_mut() = parts.headers;
        Ok(response.into())
    }
}

impl Transport for Http {
    fn send(&self, request: Request) -> Boxed<'_, Result<Response, Failure>> {
        Box::pin(self.exchange(request))
    }
}

fn client(is_encrypted: bool, connect_timeout: Duration) -> Result<Hyper, SessionError> {
    let connector = Connector::new(is_encrypted, connect_timeout).map_err(SessionError::Setup)?;
    Ok(legacy::Client::builder(TokioExecutor::new()).build(connector))
}
