//! What a connection is doing, and how long it may go on so.

use super::limits::Limits;
use super::pace::Pace;
use super::room::Place;
use axum::body::Body as AnyBody;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// How long the rest of a request is read that was answered before it was read: who is cut off
/// while sending may never see the answer.
const LINGER: Duration = Duration::from_secs(2);

/// Shared by everything of one connection. Its task looks at the [`deadline`](Self::deadline)
/// whenever something has happened; over HTTP/1.1 there is no other task.
#[derive(Debug)]
pub(super) struct Activity {
    limits: Arc<Limits>,
    /// Requests run in tasks of their own, several at once.
    is_shared: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    writing: Pace,
    /// The request was not read to its end, so the connection ends after the answer.
    unread: bool,
    place: Place,
    /// Those of a shared connection that are in flight.
    requests: usize,
    /// How many more of them were left alone by the client than have come to their end.
    abandoned: usize,
    /// Since when these are too many.
    unwelcome: Option<Instant>,
    /// The server stops.
    stops: bool,
    /// The task of a shared connection.
    task: Option<Waker>,
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
    /// A connection that has begun then.
    pub(super) fn new(limits: Arc<Limits>, place: Place, begun: Instant, is_shared: bool) -> Self {
        let writing = Pace::new(limits.answer_stall, limits.slowest);
        Self {
            state: Mutex::new(State {
                phase: Phase::Head(begun),
                writing,
                unread: false,
                place,
                requests: 0,
                abandoned: 0,
                unwelcome: None,
                stops: false,
                task: None,
            }),
            is_shared,
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
            Phase::Idle(since) if state.stops => Some(since + LINGER),
            Phase::Idle(since) => Some(since + self.limits.idle),
            Phase::Lingers(since) => Some(since + LINGER),
            Phase::Busy | Phase::Answered => None,
        };
        let writing = state.writing.deadline();
        [reading, writing, state.unwelcome].into_iter().flatten().min()
    }

    /// Has this task look at the deadline also when a request of a shared connection has ended.
    pub(super) fn watch(&self, cx: &Context<'_>) {
        if self.is_shared {
            let task = &mut self.lock().task;
            match task {
                Some(task) => task.clone_from(cx.waker()),
                None => *task = Some(cx.waker().clone()),
            }
        }
    }

    /// The server takes no more requests. A shared connection has only a little time to notice.
    pub(super) fn stops(&self) {
        let mut state = self.lock();
        state.stops = self.is_shared;
        if self.is_shared && matches!(state.phase, Phase::Head(_) | Phase::Idle(_)) {
            state.phase = Phase::Idle(Instant::now());
        }
    }

    /// Bytes have come.
    pub(super) fn received(&self) {
        if self.is_shared {
            // They need not be of a request.
            return;
        }
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

    /// A request has come on a shared connection; `None` when nothing may be done for it, since the
    /// connection has to end.
    pub(super) fn begin_shared(self: &Arc<Self>) -> Option<InFlight> {
        let mut state = self.lock();
        if state.requests == 0 {
            if !state.place.busy() {
                return None;
            }
            state.phase = Phase::Busy;
            if state.writing.deadline().is_none() {
                state.writing = Pace::new(self.limits.answer_stall, self.limits.slowest);
            }
        }
        state.requests += 1;
        drop(state);
        Some(InFlight {
            activity: self.clone(),
            is_complete: false,
        })
    }

    fn end_shared(&self, is_complete: bool) {
        let mut state = self.lock();
        state.requests -= 1;
        state.abandoned = match is_complete {
            true => state.abandoned.saturating_sub(1),
            false => state.abandoned + 1,
        };
        if state.abandoned > self.limits.abandoned {
            state.unwelcome.get_or_insert_with(Instant::now);
        }
        if state.requests == 0 {
            state.phase = Phase::Answered;
        }
        if (state.requests == 0 || !is_complete)
            && let Some(task) = &state.task
        {
            task.wake_by_ref();
        }
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

/// A request in flight on a shared connection, over when dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    activity: Arc<Activity>,
    is_complete: bool,
}

impl InFlight {
    /// The answer has come to its end.
    pub(super) fn completes(&mut self) {
        self.is_complete = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.activity.end_shared(self.is_complete);
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
