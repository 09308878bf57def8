//! The layer between a paywall and its upstream.

use super::reader::Reader;
use super::tap::{Gauge, Tap, counts_of};
use super::{JsonPointer, Metering};
use axum::body::Body;
use http::{HeaderMap, HeaderName, Request, Response, header};
use microraiden_paywall::Meter;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// What asks for anything but the whole answer as it is; no count can be read from that.
const CHOICES: [HeaderName; 3] = [header::ACCEPT_ENCODING, header::RANGE, header::IF_RANGE];

/// Tells the paywall's meter what an answer has cost; see [`Metering`].
///
/// It stands below a paywall whose layer has the [`terms`](Metering::terms), and as near to the upstream
/// as can be, so that it sees what the upstream says. A request without a meter was not sold, and
/// passes untouched.
#[derive(Debug, Clone)]
pub struct MeteringLayer {
    metering: Arc<Metering>,
    pointers: Arc<[JsonPointer]>,
}

impl MeteringLayer {
    /// Meters so.
    pub fn new(metering: Metering) -> Self {
        let pointers = metering.pointers().map(|(_, pointer)| pointer.clone()).collect();
        Self {
            metering: Arc::new(metering),
            pointers,
        }
    }
}

impl<S> Layer<S> for MeteringLayer {
    type Service = MeteringService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        MeteringService {
            inner,
            layer: self.clone(),
        }
    }
}

/// Watches the answers of a service; see [`MeteringLayer`].
#[derive(Debug, Clone)]
pub struct MeteringService<S> {
    inner: S,
    layer: MeteringLayer,
}

impl<S> Service<Request<Body>> for MeteringService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some(meter) = request.extensions().get::<Meter>().cloned() else {
            return Box::pin(self.inner.call(request));
        };
        let layer = self.layer.clone();
        if !layer.pointers.is_empty() {
            ask_for_all(request.headers_mut());
        }
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(layer.watch(meter, answer.await?)) })
    }
}

impl MeteringLayer {
    fn watch(self, meter: Meter, answer: Response<Body>) -> Response<Body> {
        let (head, body) = answer.into_parts();
        let mut gauge = Gauge {
            counts: counts_of(&self.metering, &head.headers),
            metering: self.metering,
            meter,
        };
        if self.pointers.is_empty() {
            gauge.tell();
            return Response::from_parts(head, body);
        }
        let body = match Reader::new(&head.headers, self.pointers) {
            Ok(reader) => Body::new(Tap::new(body, reader, gauge)),
            Err(reason) => {
                gauge.take(std::iter::repeat(Err(reason)));
                gauge.tell();
                body
            }
        };
        Response::from_parts(head, body)
    }
}

/// Leaves the upstream no choice but to answer in full, and readably.
fn ask_for_all(headers: &mut HeaderMap) {
    for name in CHOICES {
        headers.remove(name);
    }
}
