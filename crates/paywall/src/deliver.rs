//! From a permit to the end of the answer: what is charged, released and kept.

use crate::answer;
use crate::answers::{Answer, LONGEST_BODY, Proof, Question};
use crate::extract::{Meter, PaidBy};
use crate::layer::{Paywall, Terms};
use crate::service::{BoxError, strip_answer};
use crate::stream::{Metering, Recorder, Stream};
use crate::upload::Upload;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, response};
use http_body::Body as _;
use http_body_util::BodyExt;
use microraiden_http::headers;
use microraiden_manager::{Permit, Receipt};
use microraiden_protocol::Price;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;
use tower_service::Service;

/// A request that is paid for, and what belongs to it.
pub(crate) struct Sale {
    pub(crate) paywall: Paywall,
    pub(crate) terms: Arc<Terms>,
    pub(crate) price: Price,
    pub(crate) proof: Proof,
    /// What the answer is kept under; `None` for requests that cannot ask again.
    pub(crate) question: Option<Question>,
    pub(crate) permit: Permit,
}

/// How a body begins.
enum Beginning {
    /// Short, and all of it is here.
    Whole(Bytes),
    /// There is a first piece.
    Piece(Bytes, Body),
    /// It broke off before there was anything to pass on.
    Broken,
}

impl Sale {
    /// Calls the resource and settles the payment by what comes of it.
    pub(crate) async fn deliver<S, R>(self, inner: S, mut parts: Parts, body: Body) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        parts.extensions.insert(PaidBy {
            channel: self.proof.0,
            amount: self.price.into(),
        });
        let meter = self.terms.metered.then(Meter::default);
        if let Some(meter) = &meter {
            parts.extensions.insert(meter.clone());
        }
        let upload = self.question.is_some().then(Upload::default);
        let body = match &upload {
            Some(upload) => upload.watch(body),
            None => body,
        };
        let response = match attempt(inner, Request::from_parts(parts, body)).await {
            Ok(response) if response.status() == StatusCode::PAYMENT_REQUIRED => Err(StatusCode::BAD_GATEWAY),
            Ok(response) if response.status().is_server_error() => Err(response.status()),
            other => other,
        };
        let (mut head, body) = match response {
            Ok(response) => response.into_parts(),
            Err(status) => return self.fail(status).await,
        };
        strip_answer(&mut head.headers);
        let beginning = begin(body).await;
        if matches!(beginning, Beginning::Broken) {
            return self.fail(StatusCode::BAD_GATEWAY).await;
        }
        let kept = self.question.clone().zip(upload);
        if self.terms.free.as_ref().is_some_and(|free| free(head.status)) {
            return self.give(head, beginning).await;
        }
        let channel = self.paywall.patience.print(self.proof.0);
        self.paywall.patience.served(channel, Instant::now());
        match beginning {
            Beginning::Whole(body) => self.finish(head, body, meter, kept).await,
            Beginning::Piece(first, rest) => self.stream(head, first, rest, meter, kept),
            Beginning::Broken => self.fail(StatusCode::BAD_GATEWAY).await,
        }
    }

    /// A failure of ours: released, with our own short body.
    async fn fail(self, status: StatusCode) -> Response<Body> {
        let channel = self.paywall.patience.print(self.proof.0);
        self.paywall.patience.released(channel, Instant::now());
        let receipt = self.permit.release().await;
        let mut response = answer::failed(status);
        let headers = response.headers_mut();
        headers.extend(self.paywall.seller.headers(self.price));
        headers.extend(answer::receipt(&receipt));
        response
    }

    /// An answer that the route does not charge for.
    async fn give(self, mut head: response::Parts, beginning: Beginning) -> Response<Body> {
        let receipt = self.permit.release().await;
        complete(&mut head.headers, &self.paywall, self.price, &receipt);
        let body = match beginning {
            Beginning::Whole(body) => Body::from(body),
            Beginning::Piece(first, rest) => Body::new(Stream::new(first, rest)),
            Beginning::Broken => Body::empty(),
        };
        Response::from_parts(head, body)
    }

    /// A short answer, which is here as a whole: settled before it leaves.
    async fn finish(
        self,
        mut head: response::Parts,
        body: Bytes,
        meter: Option<Meter>,
        kept: Option<(Question, Upload)>,
    ) -> Response<Body> {
        let cost = meter.and_then(|meter| meter.cost().or(self.terms.unmetered_cost));
        let receipt = match cost {
            Some(cost) => self.permit.charge_partly(cost).await,
            None => self.permit.charge(),
        };
        complete(&mut head.headers, &self.paywall, self.price, &receipt);
        if let Some((question, upload)) = kept
            && let Some(request_body) = upload.hash()
        {
            let answer = Answer {
                status: head.status,
                headers: head.headers.clone(),
                body: body.clone(),
            };
            let answers = &self.paywall.answers;
            answers.keep(self.proof, question, request_body, answer, Instant::now());
        }
        Response::from_parts(head, Body::from(body))
    }

    /// A long answer: charged before it leaves, or settled by its meter when it ends.
    fn stream(
        self,
        mut head: response::Parts,
        first: Bytes,
        rest: Body,
        meter: Option<Meter>,
        kept: Option<(Question, Upload)>,
    ) -> Response<Body> {
        let mut stream = Stream::new(first, rest);
        complete(
            &mut head.headers,
            &self.paywall,
            self.price,
            self.permit.receipt(),
        );
        if let Some(meter) = meter {
            // What is left is told behind the body, for which there must be room.
            head.headers.remove(header::CONTENT_LENGTH);
            let names = HeaderValue::from_static("RDN-Cost, RDN-Credit, RDN-Refund");
            head.headers.append(header::TRAILER, names);
            let events = head
                .headers
                .get(header::CONTENT_TYPE)
                .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
            stream = stream.metered(Metering {
                meter,
                unmetered_cost: self.terms.unmetered_cost,
                permit: self.permit,
                events,
            });
        } else {
            let _ = self.permit.charge();
        }
        if let Some((question, upload)) = kept {
            stream = stream.recorded(Recorder {
                answers: self.paywall.answers,
                proof: self.proof,
                question,
                upload,
                status: head.status,
                headers: head.headers.clone(),
                body: BytesMut::new(),
            });
        }
        Response::from_parts(head, Body::new(stream))
    }
}

/// Calls a resource; whatever goes wrong in it is a status.
pub(crate) async fn attempt<S, R>(mut inner: S, request: Request<Body>) -> Result<Response<Body>, StatusCode>
where
    S: Service<Request<Body>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let call = async {
        poll_fn(|context| inner.poll_ready(context)).await?;
        inner.call(request).await
    };
    // Nothing of what may be left half done is used again.
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(Ok(response)) => Ok(response.map(Body::new)),
        Ok(Err(error)) => {
            let error: BoxError = error.into();
            tracing::warn!(%error, "a resource has failed");
            Err(StatusCode::INTERNAL_SERVER_ERROR)
        }
        Err(_) => {
            tracing::error!("a resource has panicked");
            Err(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// Waits for the first piece of a body; for all of it, when it says to be short.
async fn begin(mut body: Body) -> Beginning {
    let short = body
        .size_hint()
        .exact()
        .is_some_and(|size| size <= LONGEST_BODY as u64);
    if short {
        return match body.collect().await {
            Ok(whole) => Beginning::Whole(whole.to_bytes()),
            Err(error) => broken(&error),
        };
    }
    loop {
        match body.frame().await {
            None => return Beginning::Whole(Bytes::new()),
            Some(Err(error)) => return broken(&error),
            // Trailers behind nothing tell nothing.
            Some(Ok(frame)) => match frame.into_data() {
                Ok(piece) if !piece.is_empty() => return Beginning::Piece(piece, body),
                Ok(_) | Err(_) => {}
            },
        }
    }
}

fn broken(error: &axum::Error) -> Beginning {
    tracing::warn!(%error, "a resource broke off before its answer began");
    Beginning::Broken
}

/// Adds what every paid answer carries.
fn complete(headers: &mut HeaderMap, paywall: &Paywall, price: Price, receipt: &Receipt) {
    answer::keep_private(headers);
    headers.extend(paywall.seller.headers(price));
    headers.extend(answer::receipt(receipt));
}

/// The part of a receipt that is known only at the end.
pub(crate) fn trailers(receipt: &Receipt) -> HeaderMap {
    let mut trailers = answer::receipt(receipt);
    trailers.remove(headers::SENDER_ADDRESS);
    trailers.remove(headers::SENDER_BALANCE);
    trailers
}
