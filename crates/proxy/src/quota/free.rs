//! What a route gives for nothing: a price that is 0 until the quota is used up.

use super::Quotas;
use super::period::FreeQuota;
use crate::client::{Client, ClientKey};
use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use microraiden_http::PaymentHeaders;
use microraiden_paywall::{PriceRequest, Pricing, Quote};
use microraiden_protocol::Price;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::SystemTime;
use tower::{Layer, Service};

/// The free requests of a route.
///
/// Its pricing ([`Free::first`]) goes into the paywall, and itself, a layer, around that: it takes
/// note of what was free, and gives it back when the resource fails.
#[derive(Debug, Clone)]
pub struct Free {
    quotas: Quotas,
    name: Arc<str>,
    quota: FreeQuota,
}

/// A request that was free, and by whom and when.
#[derive(Debug, Clone, Default)]
struct Taken(Arc<OnceLock<(ClientKey, SystemTime)>>);

impl Free {
    pub(super) fn new(quotas: Quotas, name: &str, quota: FreeQuota) -> Self {
        let name = name.into();
        Self { quotas, name, quota }
    }

    /// A pricing by which requests without a payment are free, until their client has had so many.
    pub const fn first<P: Pricing>(self, pricing: P) -> FreeFirst<P> {
        FreeFirst { free: self, pricing }
    }

    /// Takes one for this request.
    fn take(&self, request: &PriceRequest) -> bool {
        let client = Client::of(request.extensions()).key();
        let now = SystemTime::now();
        let taken = self.quotas.take(&self.name, client, self.quota, now);
        if taken && let Some(note) = request.extensions().get::<Taken>() {
            // One request is priced once.
            let _ = note.0.set((client, now));
        }
        taken
    }
}

/// A price that is asked when nothing is free any more; see [`Free::first`].
///
/// Who presents a payment pays, and uses nothing up. What costs nothing, or is not for sale, uses
/// nothing up either.
#[derive(Debug, Clone)]
pub struct FreeFirst<P> {
    free: Free,
    pricing: P,
}

impl<P: Pricing> Pricing for FreeFirst<P> {
    const INSPECTS: bool = P::INSPECTS;

    async fn quote(&self, request: &PriceRequest) -> Quote {
        let quote = self.pricing.quote(request).await;
        let costs = matches!(&quote, Quote::Price(price) if !price.is_zero());
        let unpaid = || matches!(PaymentHeaders::read(request.headers()), Ok(None));
        if costs && unpaid() && self.free.take(request) {
            return Quote::Price(Price::ZERO);
        }
        quote
    }

    fn allowed(&self) -> Option<HeaderValue> {
        self.pricing.allowed()
    }
}

impl<S> Layer<S> for Free {
    type Service = FreeService<S>;

    fn layer(&self, inner: S) -> FreeService<S> {
        let free = self.clone();
        FreeService { inner, free }
    }
}

/// A service some of whose requests are free; see [`Free`].
#[derive(Debug, Clone)]
pub struct FreeService<S> {
    inner: S,
    free: Free,
}

impl<S, B> Service<Request<B>> for FreeService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let taken = Taken::default();
        request.extensions_mut().insert(taken.clone());
        let answer = self.inner.call(request);
        let free = self.free.clone();
        Box::pin(async move {
            let mut response = answer.await?;
            if let Some((client, when)) = taken.0.get() {
                if response.status().is_server_error() {
                    free.quotas.give_back(&free.name, *client, free.quota, *when);
                }
                keep_private(response.headers_mut());
            }
            Ok(response)
        })
    }
}

/// Keeps caches that serve several clients from giving away to others what was free for one.
fn keep_private(headers: &mut HeaderMap) {
    let closed = |value: &HeaderValue| {
        value.as_bytes().split(|byte| *byte == b',').any(|directive| {
            let directive = directive.trim_ascii();
            directive.eq_ignore_ascii_case(b"private") || directive.eq_ignore_ascii_case(b"no-store")
        })
    };
    if !headers.get_all(header::CACHE_CONTROL).iter().any(closed) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    }
}
