//! The service that stands before a paid resource.

use crate::answer;
use crate::layer::Paywall;
use crate::price::Pricing;
use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use microraiden_http::{PaymentHeaders, is_payment_header};
use microraiden_manager::{Offer, Permit};
use microraiden_protocol::{Address, Amount, ChannelId};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_service::Service;

/// Who paid for a request, and what: an extension of the request that the resource gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaidBy {
    /// The channel that paid.
    pub channel: ChannelId,
    /// What was paid.
    pub amount: Amount,
}

impl PaidBy {
    /// The paying sender.
    pub const fn sender(&self) -> Address {
        self.channel.sender
    }
}

/// Calls the resource for a paid (or free) request and answers any other itself.
///
/// A resource that answers 5xx has failed: its payment is released, the client gets our own short
/// body with that status, and the same proof buys again. Any other answer is charged.
#[derive(Debug, Clone)]
pub struct PaywallService<S, P> {
    inner: S,
    paywall: Paywall,
    pricing: P,
}

impl<S, P> PaywallService<S, P> {
    pub(crate) const fn new(inner: S, paywall: Paywall, pricing: P) -> Self {
        Self {
            inner,
            paywall,
            pricing,
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S, P> Service<Request<Body>> for PaywallService<S, P>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    P: Pricing,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        // The instance that was polled ready is the one to call.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let (paywall, pricing) = (self.paywall.clone(), self.pricing.clone());
        Box::pin(async move { Ok(sell(inner, paywall, pricing, request).await) })
    }
}

/// The whole life of a paid request.
async fn sell<S, P>(inner: S, paywall: Paywall, pricing: P, request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    P: Pricing,
{
    let (mut parts, body) = request.into_parts();
    let payment = match PaymentHeaders::read(&parts.headers) {
        Ok(payment) => payment,
        Err(malformed) => return answer::malformed(&malformed),
    };
    let price = pricing.price(&parts);
    strip(&mut parts.headers);
    if price.is_zero() {
        let mut response = call(inner, Request::from_parts(parts, body)).await;
        strip(response.headers_mut());
        return response;
    }
    let Some(payment) = payment else {
        return answer::unpaid(&paywall.seller, price);
    };
    let channel = ChannelId {
        sender: payment.sender,
        receiver: paywall.manager.receiver(),
        open_block: payment.open_block,
    };
    let offer = Offer {
        channel,
        balance: payment.balance,
        signature: payment.signature,
        payment: payment.payment,
    };
    let permit = match paywall.manager.pay(offer, price).await {
        Ok(permit) => permit,
        Err(denied) => return answer::denied(&paywall.seller, price, &payment, &denied),
    };
    parts.extensions.insert(PaidBy {
        channel,
        amount: price.into(),
    });
    let response = call(inner, Request::from_parts(parts, body)).await;
    let (mut response, receipt) = conclude(permit, response).await;
    let headers = response.headers_mut();
    strip(headers);
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("private"));
    headers.extend(paywall.seller.headers(price));
    headers.extend(answer::receipt(&receipt));
    response
}

async fn call<S>(mut inner: S, request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    match inner.call(request).await {
        Ok(response) => response,
    }
}

/// Charges for an answer, or releases the payment of a failure of ours.
async fn conclude(
    permit: Permit,
    response: Response<Body>,
) -> (Response<Body>, microraiden_manager::Receipt) {
    if response.status().is_server_error() {
        let receipt = permit.release().await;
        return (answer::failed(response.status()), receipt);
    }
    (response, permit.charge())
}

/// Takes payment headers out: the resource does not see the client's, nor the client the resource's.
fn strip(headers: &mut HeaderMap) {
    let payment: Vec<_> = headers
        .keys()
        .filter(|name| is_payment_header(name))
        .cloned()
        .collect();
    for name in payment {
        headers.remove(name);
    }
}
