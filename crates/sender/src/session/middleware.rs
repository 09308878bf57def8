//! A session as a part of a client of `reqwest-middleware`.

use super::Session;
use super::error::{Failure, SessionError};
use super::exchange::Body;
use super::transport::{Boxed, Transport};
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Pays for the requests of a `reqwest-middleware` client, within the limits of a session.
///
/// The client below must not follow redirects (`reqwest::redirect::Policy::none()`): it would carry
/// proofs to another place. What comes after it in the client sees every repetition of a request;
/// what comes before it sees one request and one answer. What an answer has cost is in its
/// extensions, as a [`Cost`].
#[derive(Clone)]
pub struct Paying(Arc<Session>);

/// What an answer has cost, in the extensions of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost(pub microraiden_protocol::Amount);

impl Paying {
    /// Pays from this session, which others may use as well.
    pub fn new(session: Arc<Session>) -> Self {
        Self(session)
    }
}

#[async_trait::async_trait]
impl Middleware for Paying {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let body = match request.body_mut().take() {
            None => Body::default(),
            Some(body) => match body.as_bytes() {
                Some(bytes) => Body::Bytes(bytes.to_vec().into()),
                None => {
                    return Err(Error::middleware(SessionError::Request(
                        "a streamed body cannot be sent again with a payment; give it as bytes",
                    )));
                }
            },
        };
        let through = Through {
            next,
            extensions: Mutex::new(extensions),
        };
        let (method, url) = (request.method().clone(), request.url().clone());
        let headers = std::mem::take(request.headers_mut());
        let paid = self
            .0
            .run_through(&through, method, url, headers, body, None)
            .await
            .map_err(Error::middleware)?;
        let mut response = paid.response;
        response.extensions_mut().insert(Cost(paid.cost));
        Ok(response)
    }
}

/// The rest of the client.
struct Through<'a> {
    next: Next<'a>,
    extensions: Mutex<&'a mut Extensions>,
}

impl Transport for Through<'_> {
    fn send(&self, request: Request) -> Boxed<'_, Result<Response, Failure>> {
        Box::pin(async {
            let url = request.url().clone();
            let mut extensions = self.extensions.lock().await;
            let sent = self.next.clone().run(request, &mut extensions).await;
            let response = sent.map_err(|error| match &error {
                Error::Reqwest(inner) if inner.is_connect() => Failure::connect(error),
                _ => Failure::transport(error),
            })?;
            if response.url().origin() != url.origin() {
                return Err(Failure::Redirected);
            }
            Ok(response)
        })
    }
}
