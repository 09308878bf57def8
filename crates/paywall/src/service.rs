//! The service that stands before a paid resource.

use crate::answer;
use crate::answers::{Answer, LONGEST_BODY, Proof, Question};
use crate::deliver::{Sale, attempt};
use crate::layer::{Paywall, Terms};
use crate::price::{PriceRequest, Pricing, Quote};
use crate::stream::Stream;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use http_body::Body as _;
use microraiden_http::{PaymentHeaders, cookies, is_payment_header};
use microraiden_manager::{Denied, Offer, Permit};
use microraiden_protocol::ledger::{Payment, Refusal};
use microraiden_protocol::{ChannelId, Price, keccak256};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tower_service::Service;

/// Any error, as tower services have it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Calls the resource for a paid (or free) request and answers any other itself.
///
/// A resource that answers 5xx or 402, fails, panics, or breaks off before the first byte of its
/// body has failed: its payment is released, the client gets our own short body, and the same proof
/// buys again. Any other answer is charged. `OPTIONS` and `TRACE` are answered here, unpaid.
#[derive(Debug)]
pub struct PaywallService<S, P> {
    inner: S,
    paywall: Paywall,
    pricing: Arc<P>,
    terms: Arc<Terms>,
}

impl<S: Clone, P> Clone for PaywallService<S, P> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            paywall: self.paywall.clone(),
            pricing: self.pricing.clone(),
            terms: self.terms.clone(),
        }
    }
}

impl<S, P> PaywallService<S, P> {
    pub(crate) const fn new(inner: S, paywall: Paywall, pricing: Arc<P>, terms: Arc<Terms>) -> Self {
        Self {
            inner,
            paywall,
            pricing,
            terms,
        }
    }
}

impl<S, P, B, R> Service<Request<B>> for PaywallService<S, P>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    P: Pricing,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    /// Always ready: a resource that is not makes its own requests wait, once they are paid.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let this = self.clone();
        let request = request.map(Body::new);
        Box::pin(async move { Ok(this.sell(request).await) })
    }
}

impl<S, P, R> PaywallService<S, P>
where
    S: Service<Request<Body>, Response = Response<R>> + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    P: Pricing,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    /// The whole life of a request.
    async fn sell(self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        if parts.method == Method::OPTIONS {
            return answer::options(self.pricing.allowed());
        }
        if answer::is_echo(&parts.method) {
            return answer::no_echo(self.pricing.allowed());
        }
        let payment = match PaymentHeaders::read(&parts.headers) {
            Ok(payment) => payment,
            Err(malformed) => return answer::malformed(&malformed),
        };
        let mut request = PriceRequest::new(parts, body.size_hint().exact());
        if P::INSPECTS {
            request.read_params().await;
        }
        let quoted = self.pricing.quote(&request).await;
        let mut parts = request.into_parts();
        let price = match quoted {
            Quote::Price(price) => price,
            Quote::NotForSale(mut answer) => {
                strip_answer(answer.headers_mut());
                return *answer;
            }
        };
        if price.is_zero() {
            strip_request(&mut parts.headers);
            return match attempt(self.inner, Request::from_parts(parts, body)).await {
                Ok(mut response) => {
                    strip_answer(response.headers_mut());
                    // Trailers are headers too.
                    response.map(|body| Body::new(Stream::new(Bytes::new(), body)))
                }
                Err(status) => answer::sentence(status, "the resource has failed"),
            };
        }
        let Some(payment) = payment else {
            return answer::unpaid(&self.paywall, &self.terms, &parts, price);
        };
        self.sell_for(payment, price, parts, body).await
    }

    /// A request that presents a payment.
    async fn sell_for(
        self,
        payment: PaymentHeaders,
        price: Price,
        mut parts: Parts,
        body: Body,
    ) -> Response<Body> {
        let paywall = &self.paywall;
        let channel = ChannelId {
            sender: payment.sender,
            receiver: paywall.manager.receiver(),
            open_block: payment.open_block,
        };
        let proof = (channel, payment.balance);
        let question = match payment.payment {
            Payment::Stated(amount) if !amount.is_zero() => Some(Question::new(&parts, amount)),
            _ => None,
        };
        // Who asks again for what it paid is not repeating a refusal.
        let answered = question.as_ref().is_some_and(|question| {
            paywall
                .answers
                .expects(&proof, question, Instant::now())
                .is_some()
        });
        let bought = match buy(paywall, channel, &payment, price, &parts, answered).await {
            Ok(permit) => Ok(permit),
            Err(Bought::Denied(denied)) => Err(denied),
            Err(Bought::Answer(response)) => return response,
        };
        let denied = match bought {
            Ok(permit) => {
                strip_request(&mut parts.headers);
                let sale = Sale {
                    paywall: self.paywall,
                    terms: self.terms,
                    price,
                    proof,
                    question,
                    permit,
                };
                return sale.deliver(self.inner, parts, body).await;
            }
            Err(denied) => denied,
        };
        if let (Denied::Refused(Refusal::AlreadySpent, Some(_)), Some(question)) = (&denied, question)
            && let Some(answer) = repeated(paywall, &proof, &question, body).await
        {
            return answer.into_response();
        }
        if let Denied::Refused(refusal, _) = &denied {
            let print = print(paywall, channel, &payment, &parts);
            paywall.patience.refused(print, *refusal, Instant::now());
        }
        answer::denied(paywall, &self.terms, &parts, price, &payment, &denied)
    }
}

/// Why there is no permit.
enum Bought {
    Denied(Denied),
    Answer(Response<Body>),
}

/// Asks the manager, unless the same was refused too often of late, or all of this channel's
/// requests have failed.
async fn buy(
    paywall: &Paywall,
    channel: ChannelId,
    payment: &PaymentHeaders,
    price: Price,
    parts: &Parts,
    answered: bool,
) -> Result<Permit, Bought> {
    let patience = &paywall.patience;
    let now = Instant::now();
    let repeated = || patience.refuses(print(paywall, channel, payment, parts), now);
    if let Some(wait) = (!answered).then(repeated).flatten() {
        let text = "this request was refused several times; change it, or wait before you repeat it";
        return Err(Bought::Answer(answer::too_many(wait, text)));
    }
    let paused = || patience.pauses(patience.print(channel), now);
    if let Some(wait) = (!answered).then(paused).flatten() {
        let text = "the resource fails again and again; nothing was charged, try later";
        return Err(Bought::Answer(answer::too_many(wait, text)));
    }
    let offer = Offer {
        channel,
        balance: payment.balance,
        signature: payment.signature,
        payment: payment.payment,
    };
    let bought = paywall.manager.pay(offer, price).await;
    bought.map_err(Bought::Denied)
}

/// A short name for this very request with this very payment.
fn print(paywall: &Paywall, channel: ChannelId, payment: &PaymentHeaders, parts: &Parts) -> u64 {
    let stated = match payment.payment {
        Payment::Stated(amount) => Some(amount),
        Payment::Increment => None,
    };
    let signature = payment.signature.ok();
    paywall.patience.print((
        channel,
        payment.balance,
        signature,
        stated,
        &parts.method,
        &parts.uri,
    ))
}

/// The answer that was given for this proof to the same request, if it is kept.
async fn repeated(paywall: &Paywall, proof: &Proof, question: &Question, body: Body) -> Option<Answer> {
    let expected = paywall.answers.expects(proof, question, Instant::now())?;
    let body = to_bytes(body, LONGEST_BODY).await.ok()?;
    if keccak256(&body) != expected {
        return None;
    }
    tracing::debug!(channel = %proof.0, balance = %proof.1, "an answer is given again");
    paywall.answers.get(proof)
}

/// Takes everything out by which the request was paid.
fn strip_request(headers: &mut HeaderMap) {
    strip(headers);
    cookies::strip(headers);
}

/// Takes everything out of an answer that only a paywall may say.
pub(crate) fn strip_answer(headers: &mut HeaderMap) {
    strip(headers);
    cookies::strip_set(headers);
}

/// Takes payment headers out: the resource does not see the client's, nor the client the resource's.
pub(crate) fn strip(headers: &mut HeaderMap) {
    if !headers.keys().any(is_payment_header) {
        return;
    }
    let payment: Vec<_> = headers
        .keys()
        .filter(|name| is_payment_header(name))
        .cloned()
        .collect();
    for name in payment {
        headers.remove(name);
    }
}
