//! The requests of an HTTP/2 connection, each of which has a task of its own.
//!
//! Who does not take an answer over HTTP/1.1 stops its connection, which the socket shows. Here the
//! others go on, so that each answer is watched, and cut off alone.

use super::activity::InFlight;
use super::limits::Limits;
use super::pace::Pace;
use crate::timer::Timer;
use axum::body::Body as AnyBody;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::rt::Executor;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// The largest part of an answer that is handed over at once; as much may wait to be taken.
pub(super) const PIECE: usize = 64 << 10;

tokio::task_local! {
    /// How the answer of this task is taken.
    static WRITING: Arc<Writing>;
}

/// How an answer is taken; the connection has a window for each, which the client opens.
#[derive(Debug)]
struct Writing(Mutex<Pace>);

impl Writing {
    fn lock(&self) -> MutexGuard<'_, Pace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the requests of one connection.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    pub(super) limits: Arc<Limits>,
    /// Held by each as long as it runs.
    pub(super) runs: mpsc::Sender<Infallible>,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let writing = Arc::new(Writing(Mutex::new(Pace::new(
            self.limits.answer_stall,
            self.limits.slowest,
        ))));
        let (runs, watched) = (self.runs.clone(), writing.clone());
        tokio::spawn(async move {
            let mut stream = pin!(WRITING.scope(writing, stream));
            let mut timer = Timer::default();
            poll_fn(|cx| {
                if stream.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                let deadline = watched.lock().deadline();
                match deadline {
                    // Dropped, it is reset.
                    Some(deadline) => timer.poll(deadline, cx),
                    None => Poll::Pending,
                }
            })
            .await;
            drop(runs);
        });
    }
}

/// The body of an answer, in pieces, each of which is waited for until it is taken.
#[derive(Debug)]
pub(super) struct StreamBody {
    inner: AnyBody,
    /// What is left of its last frame.
    rest: Bytes,
    /// How many bytes were handed over last.
    handed: usize,
    ended: bool,
    writing: Option<Arc<Writing>>,
    flight: InFlight,
    _turn: Option<OwnedSemaphorePermit>,
}

impl StreamBody {
    /// An answer of the request that this task runs. `turn` is given back at its end.
    pub(super) fn new(inner: AnyBody, flight: InFlight, turn: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            inner,
            rest: Bytes::new(),
            handed: 0,
            ended: false,
            writing: WRITING.try_with(Arc::clone).ok(),
            flight,
            _turn: turn,
        }
    }

    fn pace(&self) -> Option<MutexGuard<'_, Pace>> {
        self.writing.as_ref().map(|writing| writing.lock())
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // It is asked for more only when the last piece could be sent.
        let taken = std::mem::take(&mut self.handed);
        if let Some(mut pace) = self.pace() {
            pace.moves(taken);
        }
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                other => {
                    self.ended |= other.is_none();
                    return Poll::Ready(other);
                }
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => {
                    self.ended = true;
                    return Poll::Ready(Some(Ok(trailers)));
                }
            }
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        self.handed = length;
        if let Some(mut pace) = self.pace() {
            pace.waits();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Asked for before the first piece only, when there is no rest.
        self.inner.size_hint()
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        if self.ended || self.is_end_stream() {
            self.flight.completes();
        }
    }
}
