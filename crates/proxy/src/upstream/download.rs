//! The body of an upstream's answer: its beginning, and the rest while it goes on.

use super::head::remove_hop_by_hop;
use super::upload::Turns;
use crate::timer::Timer;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// Why the rest of an answer does not come; the client sees it cut off.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cut {
    /// The upstream does not go on.
    #[error("the upstream did not go on with its answer")]
    Stalled,
    /// The upstream has broken off.
    #[error("the upstream broke off its answer")]
    Broken(#[source] hyper::Error),
}

/// An answer whose first piece is there.
#[derive(Debug)]
pub(super) struct Download {
    first: Option<Frame<Bytes>>,
    rest: Incoming,
    /// How long each next piece may take.
    stall: Duration,
    turns: Arc<Turns>,
    timer: Timer,
    /// Since when the next piece is waited for.
    since: Option<Instant>,
}

impl Download {
    /// Waits for the first piece that is not empty, or the end.
    pub(super) async fn begin(
        mut body: Incoming,
        stall: Duration,
        turns: Arc<Turns>,
    ) -> Result<Self, hyper::Error> {
        let first = loop {
            match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))
                .await
                .transpose()?
            {
                Some(frame) if frame.data_ref().is_some_and(Bytes::is_empty) => {}
                first => break first,
            }
        };
        Ok(Self {
            first,
            rest: body,
            stall,
            turns,
            timer: Timer::default(),
            since: None,
        })
    }

    /// Only the upstream's turns count, as before the answer.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        loop {
            let begin = match self.turns.upstreams_since() {
                Some(turn) => turn.max(since),
                None => Instant::now(),
            };
            let deadline = begin + self.stall;
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            ready!(self.timer.poll(deadline, cx));
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        match Pin::new(&mut self.rest).poll_frame(cx) {
            Poll::Ready(next) => {
                self.since = None;
                Poll::Ready(next.map(|next| next.map(clean).map_err(Cut::Broken)))
            }
            Poll::Pending => self.poll_deadline(cx).map(|()| Some(Err(Cut::Stalled))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self
            .first
            .as_ref()
            .and_then(Frame::data_ref)
            .map_or(0, Bytes::len);
        let first = u64::try_from(first).unwrap_or(u64::MAX);
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint
    }
}

/// Trailers are headers too.
fn clean(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            remove_hop_by_hop(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}
