//! The body of an upstream's answer: its beginning, and the rest while it goes on.

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

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
    timer: Option<Pin<Box<Sleep>>>,
    waits: bool,
}

impl Download {
    /// Waits for the first piece that is not empty, or the end.
    pub(super) async fn begin(mut body: Incoming, stall: Duration) -> Result<Self, hyper::Error> {
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
            timer: None,
            waits: false,
        })
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = Instant::now() + self.stall;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !self.waits {
            timer.as_mut().reset(deadline);
            self.waits = true;
        }
        timer.as_mut().poll(cx)
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
                self.waits = false;
                Poll::Ready(next.map(|next| next.map_err(Cut::Broken)))
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
