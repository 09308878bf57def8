//! The body of a request, as long as its client keeps to the limits.

use super::activity::Activity;
use super::limits::Limits;
use super::pace::Pace;
use crate::timer::Timer;
use http::StatusCode;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll, ready};

/// Why a request's body ended before its end: the client's doing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyFault {
    /// The client did not go on.
    #[error("the request's body did not come in time")]
    Stalled,
    /// It is longer than is taken.
    #[error("the request's body is too large")]
    TooLarge,
    /// It was cut off or cannot be read.
    #[error("the request's body broke off")]
    Broken(#[source] hyper::Error),
}

impl BodyFault {
    /// What the client is told.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Stalled => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// Watches the size of a body, and the time that is waited for it.
#[derive(Debug)]
pub(super) struct RequestBody {
    inner: Incoming,
    pace: Pace,
    timer: Timer,
    /// How many bytes may still come.
    left: u64,
    ended: bool,
    /// Of a connection that ends when the body is not read; dangling where it does not.
    activity: Weak<Activity>,
}

impl RequestBody {
    pub(super) fn new(inner: Incoming, limits: &Limits, activity: Weak<Activity>) -> Self {
        Self {
            inner,
            pace: Pace::new(limits.body_stall, limits.slowest),
            timer: Timer::default(),
            left: limits.body_bytes,
            ended: false,
            activity,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let Poll::Ready(next) = Pin::new(&mut self.inner).poll_frame(cx) else {
            self.pace.waits();
            ready!(self.poll_deadline(cx));
            return Poll::Ready(Some(Err(BodyFault::Stalled)));
        };
        Poll::Ready(match next {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.pace.moves(length);
                let left = u64::try_from(length)
                    .ok()
                    .and_then(|length| self.left.checked_sub(length));
                self.left = left.unwrap_or_default();
                Some(left.map(|_| frame).ok_or(BodyFault::TooLarge))
            }
            Some(Err(error)) => Some(Err(BodyFault::Broken(error))),
            None => {
                self.ended = true;
                None
            }
        })
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.pace.deadline() {
            Some(deadline) => self.timer.poll(deadline, cx),
            None => Poll::Pending,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.get_mut().poll_next(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.ended
            && !self.inner.is_end_stream()
            && let Some(activity) = self.activity.upgrade()
        {
            activity.leave_unread();
        }
    }
}
