//! Whose turn it is while a request is passed on: the client's, whose body is waited for, or the
//! upstream's.

use super::head::clean_trailers;
use crate::server::BodyFault;
use axum::body::Body as AnyBody;
use http::StatusCode;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Counts the time that an upstream takes, without that in which its client keeps it waiting.
#[derive(Debug)]
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// What the upstream has taken in earlier turns.
    taken: Duration,
    /// Since when it is the upstream's turn; `None` while it is the client's.
    since: Option<Instant>,
    /// Why the request could not be passed on to its end: what the client is told.
    fault: Option<StatusCode>,
}

impl Turns {
    /// It is the upstream's turn.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                taken: Duration::ZERO,
                since: Some(Instant::now()),
                fault: None,
            }),
            changed: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a body on its way.
    pub(super) fn watch(self: &Arc<Self>, body: AnyBody) -> AnyBody {
        AnyBody::new(Upload {
            inner: body,
            turns: self.clone(),
        })
    }

    /// The answer to a client whose body could not be read to its end.
    pub(super) fn fault(&self) -> Option<StatusCode> {
        self.lock().fault
    }

    /// Since when it is the upstream's turn; `None` while it is the client's.
    pub(super) fn upstreams_since(&self) -> Option<Instant> {
        self.lock().since
    }

    /// Waits until the upstream has taken so much time.
    pub(super) async fn used_up(&self, most: Duration) {
        loop {
            let end = {
                let state = self.lock();
                state.since.map(|since| since + most.saturating_sub(state.taken))
            };
            match end {
                None => self.changed.notified().await,
                Some(end) if end <= Instant::now() => return,
                Some(end) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(end) => {}
                        () = self.changed.notified() => {}
                    }
                }
            }
        }
    }

    fn is_the_clients(&self) {
        let mut state = self.lock();
        if let Some(since) = state.since.take() {
            state.taken += since.elapsed();
            self.changed.notify_one();
        }
    }

    fn is_the_upstreams(&self) {
        let mut state = self.lock();
        if state.since.is_none() {
            state.since = Some(Instant::now());
            self.changed.notify_one();
        }
    }
}

/// A request's body on its way to the upstream.
#[derive(Debug)]
struct Upload {
    inner: AnyBody,
    turns: Arc<Turns>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let next = Pin::new(&mut self.inner).poll_frame(cx);
        match &next {
            Poll::Pending => self.turns.is_the_clients(),
            Poll::Ready(next) => {
                self.turns.is_the_upstreams();
                if let Some(Err(error)) = next {
                    self.turns.lock().fault = Some(status(error));
                }
            }
        }
        next.map_ok(|frame| match frame.into_trailers() {
            Ok(mut trailers) => {
                clean_trailers(&mut trailers);
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.turns.is_the_upstreams();
    }
}

/// What a client is told whose body could not be read.
fn status(error: &axum::Error) -> StatusCode {
    let causes = std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| {
        error.source()
    });
    causes
        .filter_map(|cause| cause.downcast_ref::<BodyFault>())
        .map(BodyFault::status)
        .next()
        .unwrap_or(StatusCode::BAD_REQUEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_upstreams_turns_count() {
        let begin = Instant::now();
        let turns = Turns::new();
        let client = {
            let turns = turns.clone();
            tokio::spawn(async move {
                for _ in 0..3 {
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    turns.is_the_clients();
                    tokio::time::sleep(Duration::from_secs(100)).await;
                    turns.is_the_upstreams();
                }
            })
        };
        turns.used_up(Duration::from_secs(10)).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(310));
        client.await.unwrap();
    }
}
