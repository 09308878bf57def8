//! The body of a long answer on its way: metered to its end, and kept if it turns out short.

use crate::answers::{Answer, Answers, LONGEST_BODY, Proof, Question};
use crate::deliver::trailers;
use crate::extract::Meter;
use crate::service::strip_answer;
use crate::upload::Upload;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use microraiden_http::headers;
use microraiden_manager::{Permit, Receipt};
use microraiden_protocol::Amount;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// A payment that is settled at the end of the body.
pub(crate) struct Metering {
    pub(crate) meter: Meter,
    /// What it costs when nothing was said, or the end never came.
    pub(crate) unmetered_cost: Option<Amount>,
    pub(crate) permit: Permit,
    /// Server-sent events, which clients read without looking at trailers.
    pub(crate) events: bool,
}

impl Metering {
    /// Settles when the body has come to its end.
    async fn settle(self) -> Receipt {
        match self.meter.cost().or(self.unmetered_cost) {
            Some(cost) => self.permit.charge_partly(cost).await,
            None => self.permit.charge(),
        }
    }
}

/// What becomes an answer that can be given again.
pub(crate) struct Recorder {
    pub(crate) answers: Arc<Answers>,
    pub(crate) proof: Proof,
    pub(crate) question: Question,
    pub(crate) upload: Upload,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: BytesMut,
}

impl Recorder {
    /// Keeps the answer; what was metered stands in its headers.
    fn keep(mut self, settled: Option<HeaderMap>) {
        let Some(request_body) = self.upload.hash() else {
            return;
        };
        if let Some(settled) = settled {
            self.headers.remove(header::TRAILER);
            self.headers.extend(settled);
        }
        let answer = Answer {
            status: self.status,
            headers: self.headers,
            body: self.body.freeze(),
        };
        self.answers
            .keep(self.proof, self.question, request_body, answer, Instant::now());
    }
}

/// The rest of an answer. Dropped before its end, what was paid stays spent, unless the route states
/// a cost for that.
pub(crate) struct Stream {
    ready: VecDeque<Frame<Bytes>>,
    rest: Body,
    /// The resource's own trailers, which come last.
    trailers: Option<HeaderMap>,
    metering: Option<Metering>,
    recorder: Option<Recorder>,
    state: State,
    ends_line: bool,
}

enum State {
    Reading,
    Settling {
        settled: Pin<Box<dyn Future<Output = Receipt> + Send>>,
        events: bool,
    },
    /// Only what is ready is left.
    Ended,
}

impl Stream {
    /// Behind its first piece, which is empty when none was read yet.
    pub(crate) fn new(first: Bytes, rest: Body) -> Self {
        let first = Some(first).filter(|first| !first.is_empty());
        Self {
            ready: first.into_iter().map(Frame::data).collect(),
            rest,
            trailers: None,
            metering: None,
            recorder: None,
            state: State::Reading,
            ends_line: true,
        }
    }

    pub(crate) fn metered(mut self, metering: Metering) -> Self {
        self.metering = Some(metering);
        self
    }

    pub(crate) fn recorded(mut self, recorder: Recorder) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Notes a piece that goes to the client.
    fn note(&mut self, piece: &Bytes) {
        if let Some(last) = piece.last() {
            self.ends_line = *last == b'\n';
        }
        match &mut self.recorder {
            Some(recorder) if recorder.body.len() + piece.len() <= LONGEST_BODY => {
                recorder.body.extend_from_slice(piece);
            }
            _ => self.recorder = None,
        }
    }

    /// The resource has said everything.
    fn end_reading(&mut self) {
        self.state = match self.metering.take() {
            Some(metering) => State::Settling {
                events: metering.events,
                settled: Box::pin(metering.settle()),
            },
            None => {
                self.end(None);
                State::Ended
            }
        };
    }

    /// Tells what it has cost: in trailers, and for server-sent events in a comment before.
    fn settled(&mut self, receipt: &Receipt, events: bool) {
        let settled = trailers(receipt);
        if events {
            let value = |name| {
                settled
                    .get(name)
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or("0")
            };
            let begin = if self.ends_line { "" } else { "\n" };
            let (cost, credit) = (value(headers::COST), value(headers::CREDIT));
            let comment = Bytes::from(format!("{begin}: RDN-Cost={cost} RDN-Credit={credit}\n"));
            self.note(&comment);
            self.ready.push_back(Frame::data(comment));
        }
        self.end(Some(settled));
        self.state = State::Ended;
    }

    fn end(&mut self, settled: Option<HeaderMap>) {
        if let Some(recorder) = self.recorder.take() {
            recorder.keep(settled.clone());
        }
        let mut trailers = self.trailers.take().unwrap_or_default();
        trailers.extend(settled.unwrap_or_default());
        if !trailers.is_empty() {
            self.ready.push_back(Frame::trailers(trailers));
        }
    }
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        loop {
            if let Some(frame) = this.ready.pop_front() {
                if let Some(piece) = frame.data_ref()
                    && !matches!(this.state, State::Ended)
                {
                    let piece = piece.clone();
                    this.note(&piece);
                }
                return Poll::Ready(Some(Ok(frame)));
            }
            match &mut this.state {
                State::Ended => return Poll::Ready(None),
                State::Settling { settled, events } => {
                    let receipt = ready!(settled.as_mut().poll(context));
                    let events = *events;
                    this.settled(&receipt, events);
                }
                State::Reading => match ready!(Pin::new(&mut this.rest).poll_frame(context)) {
                    None => this.end_reading(),
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(piece) => this.ready.push_back(Frame::data(piece)),
                        Err(frame) => {
                            this.trailers = frame.into_trailers().ok();
                            if let Some(trailers) = &mut this.trailers {
                                strip_answer(trailers);
                            }
                        }
                    },
                    Some(Err(error)) => {
                        // It broke off: nothing to give again, and nothing is said of its cost.
                        this.recorder = None;
                        this.state = State::Ended;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let unsettled = self.metering.is_some() || self.recorder.is_some();
        self.ready.is_empty()
            && match self.state {
                State::Reading => !unsettled && self.rest.is_end_stream(),
                State::Settling { .. } => false,
                State::Ended => true,
            }
    }

    fn size_hint(&self) -> SizeHint {
        if self.metering.is_some() || !matches!(self.state, State::Reading) {
            return SizeHint::default();
        }
        let ready: usize = self
            .ready
            .iter()
            .filter_map(Frame::data_ref)
            .map(Bytes::len)
            .sum();
        let (ready, rest) = (ready as u64, self.rest.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(ready));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(ready));
        }
        hint
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The client has left, or the resource broke off.
        let Some(Metering {
            meter,
            permit,
            unmetered_cost,
            ..
        }) = self.metering.take()
        else {
            return;
        };
        let Some(cost) = meter.final_cost().or(unmetered_cost) else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(permit.charge_partly(cost));
        }
    }
}
