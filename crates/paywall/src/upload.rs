//! Watching a request's body go by, to know it again.

use crate::answers::LONGEST_BODY;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use microraiden_protocol::{B256, keccak256};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

/// A request's body as far as the resource has read it; one that is longer than
/// [`LONGEST_BODY`], or was not read to its end, is not known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Upload(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    pieces: Vec<Bytes>,
    length: usize,
    ended: bool,
}

impl Upload {
    /// The same body, watched.
    pub(crate) fn watch(&self, body: Body) -> Body {
        if body.is_end_stream() {
            self.lock().ended = true;
            return body;
        }
        Body::new(Watched {
            body,
            upload: self.clone(),
        })
    }

    /// The hash of the body, if all of it was seen.
    pub(crate) fn hash(&self) -> Option<B256> {
        let seen = self.lock();
        (seen.ended && seen.length <= LONGEST_BODY).then(|| keccak256(seen.pieces.concat()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Watched {
    body: Body,
    upload: Upload,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let mut seen = self.upload.lock();
        if let Some(Ok(frame)) = &frame
            && let Some(piece) = frame.data_ref()
        {
            seen.length = seen.length.saturating_add(piece.len());
            if seen.length <= LONGEST_BODY {
                seen.pieces.push(piece.clone());
            } else {
                seen.pieces.clear();
            }
        }
        let failed = matches!(frame, Some(Err(_)));
        seen.ended |= frame.is_none() || (!failed && self.body.is_end_stream());
        drop(seen);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
