//! An answer's body on its way, and what it says of its cost.

use super::reader::Reader;
use super::{Count, Metering, Source};
use axum::body::Body;
use http::HeaderMap;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use microraiden_paywall::Meter;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// What is known of an answer's usage, and who is to be told.
#[derive(Debug)]
pub(super) struct Gauge {
    pub(super) metering: Arc<Metering>,
    pub(super) meter: Meter,
    /// One for each unit; those of the body are filled in when it ends.
    pub(super) counts: Vec<Count>,
}

impl Gauge {
    /// Tells the meter what the answer has cost; when that is not known, nothing.
    pub(super) fn tell(&self) {
        if self.counts.is_empty() {
            // What counts nothing knows nothing, which must not mean that it costs nothing.
            return;
        }
        match self.metering.cost(&self.counts) {
            Ok(cost) => self.meter.charge(cost),
            Err((unit, reason)) => {
                let rule = self.metering.unknown;
                tracing::warn!(%unit, %reason, ?rule, "usage is not known, so the route's rule decides");
            }
        }
    }

    /// Tells the meter, for good, when everything is known.
    fn conclude(&mut self, read: &[Count]) -> bool {
        let before = self.counts.clone();
        self.take(read.iter().copied());
        let is_known = !self.counts.is_empty() && self.metering.cost(&self.counts).is_ok();
        if is_known {
            self.tell();
            self.meter.conclude();
        } else {
            self.counts = before;
        }
        is_known
    }

    /// Fills in what the body says, one count for each pointer.
    pub(super) fn take(&mut self, read: impl IntoIterator<Item = Count>) {
        for ((place, _), count) in self.metering.pointers().zip(read) {
            self.counts[place] = count;
        }
    }
}

/// A body that is read while it goes by, and not changed.
///
/// The meter is told when the last byte has been seen, or the event that says that it was the last; and
/// never by a body that breaks off or is dropped before.
#[derive(Debug)]
pub(super) struct Tap {
    inner: Body,
    /// Until it has ended.
    watch: Option<(Reader, Gauge)>,
}

impl Tap {
    pub(super) fn new(inner: Body, reader: Reader, gauge: Gauge) -> Self {
        let mut tap = Self {
            inner,
            watch: Some((reader, gauge)),
        };
        tap.look_for_end();
        tap
    }

    /// Who asks for the end may not ask for another piece.
    fn look_for_end(&mut self) {
        if self.inner.is_end_stream() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some((reader, mut gauge)) = self.watch.take() {
            gauge.take(reader.finish());
            gauge.tell();
        }
    }
}

impl HttpBody for Tap {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(piece), Some((reader, gauge))) = (frame.data_ref(), &mut self.watch) {
                    reader.read(piece);
                    if reader.done().is_some_and(|counts| gauge.conclude(counts)) {
                        self.watch = None;
                    }
                }
                self.look_for_end();
            }
            Some(Err(_)) => self.watch = None,
            None => self.finish(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What the head says of each unit.
pub(super) fn counts_of(metering: &Metering, head: &HeaderMap) -> Vec<Count> {
    use super::Unreadable::{Missing, NotACount, Twice};
    let count = |name| {
        let mut values = head.get_all(name).iter();
        let value = values.next().ok_or(Missing)?;
        if values.next().is_some() {
            return Err(Twice);
        }
        let digits = value.to_str().map_err(|_| NotACount)?;
        // Without a sign, which `parse` would take.
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotACount);
        }
        digits.parse().map_err(|_| NotACount)
    };
    let units = metering.units.iter();
    units
        .map(|unit| match &unit.source {
            Source::Header(name) => count(name),
            Source::Body(_) => Err(Missing),
        })
        .collect()
}
