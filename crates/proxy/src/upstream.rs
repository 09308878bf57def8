//! Passing a paid request on to the server that has the content.

use axum::body::Body;
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
/// Whatever goes wrong before its answer begins is a 502 or 504, so that the paywall releases the
/// payment. An upstream that itself asks for payment (402), or for another protocol (101), is a 502
/// as well. A request whose body breaks off is the client's doing: 400, and the payment stays spent.
#[derive(Debug, Clone)]
pub struct Upstream {
    base: Url,
    client: Client<HttpConnector, Body>,
    timeout: Duration,
}

impl Upstream {
    /// Forwards to `base`, the request's path and query appended. `timeout` is how long an answer may
    /// take to begin.
    pub fn new(base: Url, timeout: Duration) -> Self {
        Self {
            base,
            client: Client::builder(TokioExecutor::new()).build_http(),
            timeout,
        }
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
        match tokio::time::timeout(self.timeout, self.client.request(request)).await {
            Ok(Ok(response)) if response.status() == StatusCode::PAYMENT_REQUIRED => {
                tracing::error!(upstream = %self.base, "the upstream asks for payment itself");
                status(StatusCode::BAD_GATEWAY)
            }
            Ok(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                tracing::warn!(upstream = %self.base, "the upstream asks for another protocol");
                status(StatusCode::BAD_GATEWAY)
            }
            Ok(Ok(response)) => {
                let mut response = response.map(Body::new);
                remove_hop_by_hop(response.headers_mut());
                response
            }
            Ok(Err(error)) if is_of_request_body(&error) => status(StatusCode::BAD_REQUEST),
            Ok(Err(error)) => {
                tracing::warn!(upstream = %self.base, %error, "the upstream did not answer");
                status(StatusCode::BAD_GATEWAY)
            }
            Err(_) => {
                tracing::warn!(upstream = %self.base, timeout = ?self.timeout, "the upstream is too slow");
                status(StatusCode::GATEWAY_TIMEOUT)
            }
        }
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

/// Whether it failed because the client's body could not be read to its end.
fn is_of_request_body(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .filter_map(|cause| cause.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_user)
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
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
