//! Refuses who may not come, and who comes too often.

use super::limiter::{Limiter, Limiters};
use super::{Admission, Rule};
use crate::client::Client;
use axum::body::Body;
use axum::response::IntoResponse;
use futures_util::future::Either;
use http::{HeaderMap, Request, Response, StatusCode, header};
use microraiden_http::PaymentHeaders;
use microraiden_protocol::Address;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::{Layer, Service};

/// Refuses requests by an [`Admission`], before anything is looked at or charged.
///
/// Who comes too often gets 429 with `Retry-After`, who may not come 403. Of senders only who
/// presents a payment is asked, so that everybody may learn the price. The client is who a
/// [`ClientLayer`](crate::ClientLayer) in front has found.
#[derive(Debug, Clone)]
pub struct AdmissionLayer {
    admission: Arc<Admission>,
    limiter: Option<Limiter>,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// Too many of late; come back after this time.
    TooMany(Duration),
    /// Its client is not welcome.
    Client(IpAddr),
    /// Who pays is not welcome.
    Sender(Address),
}

impl AdmissionLayer {
    /// What is counted is kept under `name` as long as the rate stays the same.
    pub fn new(admission: Admission, name: &str, limiters: &Limiters) -> Self {
        Self {
            limiter: admission.rate.map(|rate| limiters.get(name, rate)),
            admission: Arc::new(admission),
        }
    }

    fn admit(&self, client: Client, headers: &HeaderMap) -> Result<(), Refused> {
        if let Some(limiter) = &self.limiter {
            limiter.check(client.key()).map_err(Refused::TooMany)?;
        }
        let Admission { allow, deny, .. } = &*self.admission;
        let network = |rule: &Rule| match rule {
            Rule::Network(network) => Some(network.contains(client.address)),
            Rule::Sender(_) => None,
        };
        if !passes(allow, deny, network) {
            return Err(Refused::Client(client.address));
        }
        if !allow
            .iter()
            .chain(deny)
            .any(|rule| matches!(rule, Rule::Sender(_)))
        {
            return Ok(());
        }
        // What cannot be read buys nothing: the paywall says why.
        let Ok(Some(payment)) = PaymentHeaders::read(headers) else {
            return Ok(());
        };
        let sender = |rule: &Rule| match rule {
            Rule::Network(_) => None,
            Rule::Sender(sender) => Some(*sender == payment.sender),
        };
        if passes(allow, deny, sender) {
            Ok(())
        } else {
            Err(Refused::Sender(payment.sender))
        }
    }
}

/// Whether the rules of one kind let somebody pass; `names` tells whether a rule names them, and
/// nothing when it is of the other kind.
fn passes(allow: &[Rule], deny: &[Rule], names: impl Fn(&Rule) -> Option<bool>) -> bool {
    if deny.iter().filter_map(&names).any(|named| named) {
        return false;
    }
    let mut allowed = allow.iter().filter_map(names).peekable();
    allowed.peek().is_none() || allowed.any(|named| named)
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        match self {
            Self::TooMany(wait) => {
                let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1);
                let text = format!("too many requests; nothing was charged, try again in {seconds} s\n");
                let wait = [(header::RETRY_AFTER, seconds.to_string())];
                (StatusCode::TOO_MANY_REQUESTS, wait, text).into_response()
            }
            Self::Client(address) => {
                let text = format!("requests from {address} are not served here; nothing was charged\n");
                (StatusCode::FORBIDDEN, text).into_response()
            }
            Self::Sender(address) => {
                let text = format!("payments of {address} are not taken here; nothing was charged\n");
                (StatusCode::FORBIDDEN, text).into_response()
            }
        }
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = AdmissionService<S>;

    fn layer(&self, inner: S) -> AdmissionService<S> {
        let layer = self.clone();
        AdmissionService { inner, layer }
    }
}

/// A service that not everybody reaches; see [`AdmissionLayer`].
#[derive(Debug, Clone)]
pub struct AdmissionService<S> {
    inner: S,
    layer: AdmissionLayer,
}

impl<S, B> Service<Request<B>> for AdmissionService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let client = Client::of(request.extensions());
        match self.layer.admit(client, request.headers()) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(refused) => {
                tracing::debug!(address = %client.address, ?refused, "a request is refused");
                Either::Right(ready(Ok(refused.into_response())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry_after(wait: Duration) -> String {
        let response = Refused::TooMany(wait).into_response();
        response.headers()[header::RETRY_AFTER]
            .to_str()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn who_waits_as_long_as_it_is_told_is_not_too_early() {
        assert_eq!(retry_after(Duration::ZERO), "1");
        assert_eq!(retry_after(Duration::from_nanos(1)), "1");
        assert_eq!(retry_after(Duration::from_secs(1)), "1");
        assert_eq!(retry_after(Duration::from_millis(1001)), "2");
        assert_eq!(retry_after(Duration::from_secs(86_400)), "86400");
    }

    #[test]
    fn deny_wins_and_each_kind_of_rule_counts_for_itself() {
        let rules = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let admits = |allow: &[&str], deny: &[&str], address: &str| {
            let admission = Admission {
                allow: rules(allow),
                deny: rules(deny),
                rate: None,
            };
            let layer = AdmissionLayer::new(admission, "", &Limiters::default());
            let client = Client::new(address.parse().unwrap());
            layer.admit(client, &HeaderMap::new()).is_ok()
        };
        let sender = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
        assert!(admits(&[], &[], "192.0.2.1"));
        assert!(admits(&["192.0.2.0/24", "::1"], &[], "192.0.2.1"));
        assert!(admits(&["192.0.2.0/24", "::1"], &[], "::1"));
        assert!(!admits(&["192.0.2.0/24", "::1"], &[], "192.0.3.1"));
        assert!(!admits(&["192.0.2.0/24"], &["192.0.2.1"], "192.0.2.1"));
        assert!(!admits(&["192.0.2.0/24"], &["192.0.2.1"], "::ffff:192.0.2.1"));
        assert!(!admits(&[], &["2001:db8::/32"], "2001:db8::1"));
        // A list of senders says nothing about who does not pay.
        assert!(admits(&[sender], &[], "192.0.2.1"));
        assert!(admits(&[], &[sender], "192.0.2.1"));
        assert!(!admits(&[sender, "::1"], &[], "192.0.2.1"));
    }
}
