//! What a connection is doing, and how long it may go on so.

use super::limits::Limits;
use super::pace::Pace;
use super::room::Place;
use axum::body::Body as AnyBody;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// How long the rest of a request is read that was answered before it was read: who is cut off
/// while sending may never see the answer.
const LINGER: Duration = Duration::from_secs(2);

/// Shared by everything of one connection; all of it runs in one task, which looks at the
/// [`deadline`](Self::deadline) whenever something has happened.
#[derive(Debug)]
pub(super) struct Activity {
    limits: Arc<Limits>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    writing: Pace,
    /// The request was not read to its end, so the connection ends after the answer.
    unread: bool,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A head is being read, or the first one is waited for.
    Head(Instant),
    /// Between two requests.
    Idle(Instant),
    /// A request is in flight.
    Busy,
    /// The answer is complete, and not yet written to its end.
    Answered,
    /// Closed by us; what still comes is thrown away.
    Lingers(Instant),
}

impl Activity {
    /// A connection that has just begun.
    pub(super) fn new(limits: Arc<Limits>, place: Place) -> Self {
        let writing = Pace::new(limits.answer_stall, limits.slowest);
        Self {
            state: Mutex::new(State {
                phase: Phase::Head(Instant::now()),
                writing,
                unread: false,
                place,
            }),
            limits,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the connection has to end unless something else happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let state = self.lock();
        let reading = match state.phase {
            Phase::Head(since) => Some(since + self.limits.head),
            Phase::Idle(since) => Some(since + self.limits.idle),
            Phase::Lingers(since) => Some(since + LINGER),
            Phase::Busy | Phase::Answered => None,
        };
        [reading, state.writing.deadline()].into_iter().flatten().min()
    }

    /// Bytes have come.
    pub(super) fn received(&self) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Idle(_)) {
            state.phase = Phase::Head(Instant::now());
        }
    }

    /// A request has come. False when nothing may be done for it, since the connection has to end.
    pub(super) fn begin(&self) -> bool {
        let mut state = self.lock();
        state.phase = Phase::Busy;
        state.writing = Pace::new(self.limits.answer_stall, self.limits.slowest);
        state.place.busy()
    }

    /// The last byte of the answer was handed over to be written.
    fn answered(&self) {
        self.lock().phase = Phase::Answered;
    }

    /// Everything there was to be written is written.
    pub(super) fn flushed(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Answered {
            state.phase = Phase::Idle(Instant::now());
            state.place.idle();
        }
        state.writing.moves(0);
    }

    /// Bytes of an answer were written.
    pub(super) fn written(&self, bytes: usize) {
        self.lock().writing.moves(bytes);
    }

    /// The client does not take what is to be written.
    pub(super) fn waits_to_write(&self) {
        self.lock().writing.waits();
    }

    /// A request's body will not be read to its end.
    pub(super) fn leave_unread(&self) {
        self.lock().unread = true;
    }

    /// Our side has ended. Whether something may still come that has to be read.
    pub(super) fn lingers(&self) -> bool {
        let mut state = self.lock();
        if state.unread && !matches!(state.phase, Phase::Lingers(_)) {
            state.phase = Phase::Lingers(Instant::now());
            state.place.idle();
        }
        state.unread
    }
}

/// The body of an answer, whose end is noted.
#[derive(Debug)]
pub(super) struct AnswerBody {
    pub(super) inner: AnyBody,
    pub(super) activity: Arc<Activity>,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.activity.answered();
    }
}
