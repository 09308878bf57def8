//! Passing a paid request on to the server that has the content.

mod download;
mod upload;

use axum::body::Body;
use download::Download;
use http::header::{self, HeaderName};
use http::{HeaderMap, Request, Response, StatusCode, Uri, uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::Service;
use upload::Turns;
use url::Url;

/// Headers of one connection only (RFC 9110, 7.6.1); never passed on.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// A service that forwards requests to one upstream server.
///
/// Whatever goes wrong before the first byte of its answer's body is a 502 or 504, so that the
/// paywall releases the payment: the client has got nothing. What goes wrong later cuts the answer
/// off. An upstream that itself asks for payment (402), or for another protocol (101), is a 502 as
/// well. A request whose body does not come to its end is the client's doing: 400, 408 or 413, and
/// the payment stays spent.
///
/// How long a client may take for its body is not decided here: [`Server`](crate::Server) does.
#[derive(Debug, Clone)]
pub struct Upstream {
    base: Url,
    client: Client<HttpConnector, Body>,
    timeout: Duration,
}

/// Why there is no answer of the upstream.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// It could not be asked.
    #[error(transparent)]
    Request(#[from] hyper_util::client::legacy::Error),
    /// Its answer broke off.
    #[error("its answer broke off before its first byte")]
    Body(#[from] hyper::Error),
    /// It answers 402.
    #[error("it asks for payment itself")]
    AsksForPayment,
    /// It answers 101.
    #[error("it asks for another protocol")]
    AsksForProtocol,
    /// It takes too long.
    #[error("it did not answer in time")]
    TooSlow,
    /// With the path that is asked for, its address is none.
    #[error("its address cannot be put together with a path")]
    Address,
}

impl Upstream {
    /// Forwards to `base`, the request's path and query appended. `timeout` is how long the upstream
    /// may take until the first byte of its answer's body, and then for each next piece; while a
    /// client's body is waited for, the time stands still.
    pub fn new(base: Url, timeout: Duration) -> Self {
        Self {
            base,
            client: Client::builder(TokioExecutor::new()).build_http(),
            timeout,
        }
    }

    /// Asks for its base path by `HEAD`, to see whether it answers at all; with what status, is its own
    /// affair.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn probe(&self) -> Result<StatusCode, NoAnswer> {
        let uri = self.target(&Uri::from_static("/")).ok_or(NoAnswer::Address)?;
        let mut request = Request::new(Body::empty());
        *request.method_mut() = http::Method::HEAD;
        *request.uri_mut() = uri;
        let asked = tokio::time::timeout(self.timeout, self.client.request(request)).await;
        Ok(asked.map_err(|_| NoAnswer::TooSlow)??.status())
    }

    /// Its address as far as it holds no password.
    fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    async fn forward(self, mut request: Request<Body>) -> Response<Body> {
        let Some(uri) = self.target(request.uri()) else {
            return status(StatusCode::BAD_GATEWAY);
        };
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        remove_hop_by_hop(headers);
        // The client sets the one of the upstream's address.
        headers.remove(header::HOST);
        let turns = Turns::new();
        let request = request.map(|body| turns.watch(body));
        let answer = tokio::select! {
            biased;
            answer = self.answer(request) => answer,
            () = turns.used_up(self.timeout) => {
                tracing::warn!(upstream = self.origin(), timeout = ?self.timeout, "the upstream is too slow");
                return status(StatusCode::GATEWAY_TIMEOUT);
            }
        };
        match (answer, turns.fault()) {
            (Ok(response), _) => response,
            (Err(_), Some(fault)) => status(fault),
            (Err(error), None) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(upstream = self.origin(), error, "the upstream did not answer");
                status(StatusCode::BAD_GATEWAY)
            }
        }
    }

    /// Passes a request on, and waits until the answer's body has begun.
    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, NoAnswer> {
        let response = self.client.request(request).await?;
        match response.status() {
            StatusCode::PAYMENT_REQUIRED => return Err(NoAnswer::AsksForPayment),
            StatusCode::SWITCHING_PROTOCOLS => return Err(NoAnswer::AsksForProtocol),
            _ => {}
        }
        let (mut parts, body) = response.into_parts();
        remove_hop_by_hop(&mut parts.headers);
        let body = Download::begin(body, self.timeout).await?;
        Ok(Response::from_parts(parts, Body::new(body)))
    }

    /// The upstream's address, its base path, and the request's path and query.
    fn target(&self, request: &Uri) -> Option<Uri> {
        let path = request.path_and_query().map_or("/", uri::PathAndQuery::as_str);
        let base = self.base.path().trim_end_matches('/');
        let authority = self.base.authority();
        format!("{}://{authority}{base}{path}", self.base.scheme())
            .parse()
            .ok()
    }
}

/// Removes the headers that are of one connection only, and those that `Connection` names (RFC 9110, 7.6.1).
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let upstream = self.clone();
        Box::pin(async move { Ok(upstream.forward(request).await) })
    }
}
