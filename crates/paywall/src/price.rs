//! What a request costs.

use http::request::Parts;
use microraiden_protocol::Price;

/// Computes the price of a request: a fixed [`Price`], or a closure over the request's parts.
///
/// The same request must cost the same when it is repeated with its payment, or the payment is
/// refused. 0 is free.
pub trait Pricing: Clone + Send + Sync + 'static {
    /// The price of this request.
    fn price(&self, request: &Parts) -> Price;
}

impl Pricing for Price {
    fn price(&self, _request: &Parts) -> Price {
        *self
    }
}

impl<F> Pricing for F
where
    F: Fn(&Parts) -> Price + Clone + Send + Sync + 'static,
{
    fn price(&self, request: &Parts) -> Price {
        self(request)
    }
}
