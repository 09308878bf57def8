//! Passing a paid request on to the server that has the content.
//!
//! In reading order: [`Upstream`]; `options`, how it is reached; `head`, what of a request's head it
//! sees; `upload` and `download`, the bodies on their way, and whose turn it is.

mod download;
mod head;
mod options;
mod upload;

pub use head::remove_hop_by_hop;
pub use options::{Authorities, HostHeader, UpstreamError, UpstreamOptions};

use axum::body::Body;
use download::Download;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri, Version, uri};
use options::Client;
use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::error::Elapsed;
use tower::Service;
use upload::Turns;
use url::Url;

/// A service that forwards requests to one upstream server.
///
/// Whatever goes wrong before the first byte of its answer's body is a 502 or 504, so that the
/// paywall releases the payment: the client has got nothing. What goes wrong later cuts the answer
/// off. An upstream that itself asks for payment (402), or for another protocol (101), is a 502 as
/// well. A request whose body does not come to its end is the client's doing: 400, 408 or 413, and
/// the payment stays spent.
///
/// Bodies go both ways piece by piece, and at once: an upstream may answer while the request is still
/// on its way. It reads who asks in `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`,
/// which clients cannot set.
///
/// How long a client may take for its body is not decided here: [`Server`](crate::Server) does.
#[derive(Debug, Clone)]
pub struct Upstream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Without a password, as it may be logged.
    origin: String,
    /// What every request to it begins with.
    base: Base,
    client: Result<Client, Arc<UpstreamError>>,
    options: UpstreamOptions,
}

/// An address, taken apart.
#[derive(Debug, Default)]
struct Base {
    scheme: Option<uri::Scheme>,
    authority: Option<uri::Authority>,
    /// Without a slash at its end.
    path: String,
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
    /// It does not say in one way where its answer ends.
    #[error("it says in two ways where its answer ends")]
    TwoLengths,
    /// It takes too long.
    #[error("it did not answer in time")]
    TooSlow,
    /// It cannot be asked at all.
    #[error(transparent)]
    Unusable(Arc<UpstreamError>),
}

impl NoAnswer {
    fn status(&self) -> StatusCode {
        let causes = std::iter::successors(Some(self as &(dyn Error + 'static)), |&error| error.source());
        match causes.into_iter().any(|cause| cause.is::<Elapsed>()) {
            true => StatusCode::GATEWAY_TIMEOUT,
            false => StatusCode::BAD_GATEWAY,
        }
    }
}

impl Upstream {
    /// Forwards to `base`, the request's path and query appended. `timeout` is how long the upstream
    /// may take until the first byte of its answer's body, and then for each next piece; while a
    /// client's body is waited for, the time stands still.
    ///
    /// With an address that cannot be used every answer is a 502, and the log says why;
    /// [`with_options`](Self::with_options) says so at once.
    pub fn new(base: Url, timeout: Duration) -> Self {
        let options = UpstreamOptions {
            timeout,
            ..UpstreamOptions::default()
        };
        Self::with_options(base.clone(), options.clone()).unwrap_or_else(|error| {
            Self(Arc::new(Inner {
                origin: base.origin().ascii_serialization(),
                base: Base::default(),
                client: Err(Arc::new(error)),
                options,
            }))
        })
    }

    /// As [`new`](Self::new), in a way of one's own.
    ///
    /// # Errors
    /// When the address cannot be one of an upstream, or its certificate could not be checked.
    pub fn with_options(base: Url, options: UpstreamOptions) -> Result<Self, UpstreamError> {
        options::check(&base, &options)?;
        let client = options::client(&base, &options)?;
        let uri: Uri = base
            .as_str()
            .parse()
            .map_err(|error: uri::InvalidUri| UpstreamError::Address(error.into()))?;
        let uri = uri.into_parts();
        Ok(Self(Arc::new(Inner {
            origin: base.origin().ascii_serialization(),
            base: Base {
                scheme: uri.scheme,
                authority: uri.authority,
                path: base.path().trim_end_matches('/').to_owned(),
            },
            client: Ok(client),
            options,
        })))
    }

    /// Asks for its base path by `HEAD`, to see whether it answers at all; with what status, is its own
    /// affair.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn probe(&self) -> Result<StatusCode, NoAnswer> {
        let Inner {
            base,
            client,
            options,
            ..
        } = &*self.0;
        let client = client
            .as_ref()
            .map_err(|error| NoAnswer::Unusable(error.clone()))?;
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::HEAD;
        // What it cannot be put together with is no address, which was checked before.
        *request.uri_mut() = base.target(&Uri::from_static("/")).unwrap_or_default();
        let asked = tokio::time::timeout(options.timeout, client.request(request)).await;
        Ok(asked.map_err(|_| NoAnswer::TooSlow)??.status())
    }
}

impl Inner {
    async fn forward(&self, request: Request<Body>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let Some(uri) = self.base.target(&parts.uri) else {
            return status(StatusCode::BAD_GATEWAY);
        };
        parts.uri = uri;
        let names_te = self.base.scheme == Some(uri::Scheme::HTTP) && !self.options.http2;
        head::pass_on(&mut parts, self.options.host, names_te);
        let turns = Turns::new();
        let request = Request::from_parts(parts, turns.watch(body));
        let timeout = self.options.timeout;
        let answer = tokio::select! {
            biased;
            answer = self.answer(request, &turns) => answer,
            () = turns.used_up(timeout) => {
                tracing::warn!(upstream = self.origin, ?timeout, "the upstream is too slow");
                return status(StatusCode::GATEWAY_TIMEOUT);
            }
        };
        match (answer, turns.fault()) {
            (Ok(response), _) => response,
            (Err(_), Some(fault)) => status(fault),
            (Err(error), None) => {
                let answer = status(error.status());
                let error = &error as &dyn Error;
                tracing::warn!(upstream = self.origin, error, "the upstream did not answer");
                answer
            }
        }
    }

    /// Passes a request on, and waits until the answer's body has begun.
    async fn answer(&self, request: Request<Body>, turns: &Arc<Turns>) -> Result<Response<Body>, NoAnswer> {
        let client = match &self.client {
            Ok(client) => client,
            Err(error) => return Err(NoAnswer::Unusable(error.clone())),
        };
        let response = client.request(request).await?;
        match response.status() {
            StatusCode::PAYMENT_REQUIRED => return Err(NoAnswer::AsksForPayment),
            StatusCode::SWITCHING_PROTOCOLS => return Err(NoAnswer::AsksForProtocol),
            _ => {}
        }
        let (mut parts, body) = response.into_parts();
        if !head::has_one_length(&parts.headers) {
            return Err(NoAnswer::TwoLengths);
        }
        // Each connection has a version of its own.
        parts.version = Version::HTTP_11;
        remove_hop_by_hop(&mut parts.headers);
        let body = Download::begin(body, self.options.timeout, turns.clone()).await?;
        Ok(Response::from_parts(parts, Body::new(body)))
    }
}

impl Base {
    /// The upstream's address, its base path, and the request's path and query.
    fn target(&self, request: &Uri) -> Option<Uri> {
        let path = request
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        let mut target = uri::Parts::default();
        target.scheme.clone_from(&self.scheme);
        target.authority.clone_from(&self.authority);
        target.path_and_query = Some(match self.path.as_str() {
            "" => path,
            base => format!("{base}{path}").parse().ok()?,
        });
        Uri::from_parts(target).ok()
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
        Box::pin(async move { Ok(upstream.0.forward(request).await) })
    }
}
