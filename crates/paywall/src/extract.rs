//! What a resource may know and say of its payment: extractors for handlers.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::StatusCode;
use http::request::Parts;
use microraiden_protocol::{Address, Amount, ChannelId};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who paid for a request, and what. Take it as an argument of a handler, as `Option<PaidBy>` where a
/// request may be free; it is an extension of the request, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaidBy {
    /// The channel that paid.
    pub channel: ChannelId,
    /// What was paid; where the route is metered, what was authorised.
    pub amount: Amount,
}

impl PaidBy {
    /// The paying sender.
    pub const fn sender(&self) -> Address {
        self.channel.sender
    }
}

/// How a metered resource says what it has really cost. The last word before the answer's end
/// counts; a cost above what was authorised counts as that.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Mutex<Said>>);

/// What was said of a cost.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    cost: Option<Amount>,
    /// Nothing more will come, so it holds also for a client that leaves before the end.
    is_final: bool,
}

impl Meter {
    fn lock(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the cost of the whole answer.
    pub fn charge(&self, cost: impl Into<Amount>) {
        self.lock().cost = Some(cost.into());
    }

    /// Adds to the cost, for a resource that learns it piece by piece.
    pub fn add(&self, cost: impl Into<Amount>) {
        let mut said = self.lock();
        let more = said.cost.unwrap_or_default().checked_add(cost.into());
        said.cost = Some(more.unwrap_or(Amount::MAX));
    }

    /// Says that what was said of the cost is the last word, since all that costs is done. Then it
    /// holds also for a client that leaves before the answer's end.
    pub fn conclude(&self) {
        self.lock().is_final = true;
    }

    /// What was said so far.
    pub fn cost(&self) -> Option<Amount> {
        self.lock().cost
    }

    /// What was said, if it is the last word.
    pub(crate) fn final_cost(&self) -> Option<Amount> {
        let said = self.lock();
        said.cost.filter(|_| said.is_final)
    }
}

/// A handler asks for what only a paywall of the right kind provides: a mistake of ours, not of the
/// client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotThere {
    /// The request was not paid for.
    #[error("this resource is not behind a paywall, or its price is 0; let it take Option<PaidBy>")]
    NotPaid,
    /// The route is not metered.
    #[error("this resource is not metered; build its layer with metered()")]
    NotMetered,
}

impl axum::response::IntoResponse for NotThere {
    fn into_response(self) -> http::Response<axum::body::Body> {
        tracing::error!(error = %self, "a paid resource is set up wrongly");
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for PaidBy {
    type Rejection = NotThere;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, NotThere> {
        parts.extensions.get().copied().ok_or(NotThere::NotPaid)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for PaidBy {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().copied())
    }
}

impl<S: Sync> FromRequestParts<S> for Meter {
    type Rejection = NotThere;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, NotThere> {
        parts.extensions.get().cloned().ok_or(NotThere::NotMetered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_counts_without_wrapping() {
        let meter = Meter::default();
        assert_eq!(meter.cost(), None);
        meter.add(2);
        meter.clone().add(3);
        assert_eq!(meter.cost(), Some(5.into()));
        meter.charge(1);
        assert_eq!(meter.cost(), Some(1.into()));
        meter.add(Amount::MAX);
        assert_eq!((meter.cost(), meter.final_cost()), (Some(Amount::MAX), None));
        meter.clone().conclude();
        assert_eq!(meter.final_cost(), Some(Amount::MAX));
    }
}
