//! One request: read, paid for, and answered piece by piece.

use super::door::{Destination, Mode};
use super::hosts::{Hosts, Limits};
use super::refusal::{Refusal, with_causes};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, LOCATION, VIA};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use microraiden_http::headers::COST;
use microraiden_http::is_payment_header;
use microraiden_proxy::remove_hop_by_hop;
use microraiden_sender::{Paid, Session, SessionError};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use url::Url;

/// How many requests are worked on at a time, bodies in memory; others wait.
const IN_FLIGHT: usize = 64;
/// How long the body of a request may take.
const BODY_TIME: Duration = Duration::from_secs(120);
/// How long the rest of a body is read that is refused: who is cut off while sending may never see the answer.
const LINGER: Duration = Duration::from_secs(2);
/// How long a request is carried on whose client has gone.
const AFTER_HANG_UP: Duration = Duration::from_secs(120);
/// By this name we know our own requests.
const OURS: &str = "1.1 microraiden-pay-proxy";

/// Everything that a request needs.
pub(super) struct Relay {
    mode: Mode,
    pub(super) limits: Limits,
    pub(super) hosts: Hosts,
    /// For hosts that are never paid.
    unpaid: reqwest::Client,
    /// In bytes.
    max_body: usize,
    in_flight: Arc<Semaphore>,
}

impl Relay {
    pub(super) fn new(
        mode: Mode,
        limits: Limits,
        hosts: Hosts,
        unpaid: reqwest::Client,
        max_body: usize,
    ) -> Self {
        Self {
            mode,
            limits,
            hosts,
            unpaid,
            max_body,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT)),
        }
    }

    /// The answer to a request, whatever happens.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<super::Body> {
        match self.try_answer(request).await {
            Ok(response) => response,
            Err(refusal) => {
                tracing::warn!(status = %refusal.status, "{}", refusal.message);
                refusal.response()
            }
        }
    }

    async fn try_answer(&self, request: Request<Incoming>) -> Result<Response<super::Body>, Refusal> {
        let (mut parts, body) = request.into_parts();
        let Destination { url, pays } = self.mode.admit(&parts)?;
        refuse_own_requests(&parts.headers)?;
        let in_flight = self.in_flight.clone().acquire_owned().await;
        let in_flight = in_flight.expect("never closed");
        let body = read_body(&parts.headers, body, self.max_body).await?;
        prepare(&mut parts);
        let (response, cost) = if pays {
            let paid = self.pay(parts, &url, body, in_flight).await?;
            let cost = paid.channel.is_some().then_some(paid.cost);
            (paid.response, cost)
        } else {
            (self.pass(parts, &url, body).await?, None)
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let message = format!("{} asks for another protocol", origin(&url));
            return Err(Refusal::new(StatusCode::BAD_GATEWAY, "protocol", message));
        }
        let (parts, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        // Neither its version nor its reason phrase is ours.
        let mut answer = Response::new(super::Body::new(body));
        *answer.status_mut() = parts.status;
        let mut headers = self.returned(parts.headers, &url);
        if let Some(cost) = cost {
            // As it was counted here, whatever the server says.
            let cost = HeaderValue::try_from(cost.to_string()).expect("digits are a header's value");
            headers.insert(COST, cost);
        }
        *answer.headers_mut() = headers;
        Ok(answer)
    }

    async fn pay(
        &self,
        parts: Parts,
        url: &Url,
        body: Bytes,
        in_flight: OwnedSemaphorePermit,
    ) -> Result<Paid, Refusal> {
        let session = self.hosts.session(url, &self.limits)?;
        let request = carry_through(session.clone(), parts, url.clone(), body, in_flight);
        let origin = origin(url);
        let paid = request
            .await
            .map_err(|_| {
                let message = "the request could not be made: see the log of microraiden pay-proxy";
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
            })?
            .map_err(|error| Refusal::of(&error, &origin, &self.limits))?;
        if paid.channel.is_some() {
            let show = |amount| self.limits.show(amount);
            let left = self
                .limits
                .budget
                .checked_sub(session.spent())
                .unwrap_or_default();
            tracing::info!(host = origin, cost = show(paid.cost), left = show(left), "paid");
            if !paid.lost.is_zero() {
                tracing::warn!(
                    host = origin,
                    lost = show(paid.lost),
                    "paid besides for an answer that was lost"
                );
            }
        }
        Ok(paid)
    }

    /// Asks a host that is never paid.
    async fn pass(&self, parts: Parts, url: &Url, body: Bytes) -> Result<reqwest::Response, Refusal> {
        let request = self.unpaid.request(parts.method, url.clone());
        let sent = request.headers(parts.headers).body(body).send().await;
        let response = sent.map_err(|error| {
            let status = if error.is_timeout() {
                StatusCode::GATEWAY_TIMEOUT
            } else {
                StatusCode::BAD_GATEWAY
            };
            let error = error.without_url();
            Refusal::new(
                status,
                "no_answer",
                format!("{}: {}", origin(url), with_causes(&error)),
            )
        })?;
        if response.status() != StatusCode::PAYMENT_REQUIRED {
            return Ok(response);
        }
        let message = format!(
            "{} asks to be paid, and no --allow names it; start microraiden pay-proxy with --allow {} to pay it",
            origin(url),
            url.host_str().unwrap_or_default()
        );
        Err(Refusal::new(
            StatusCode::PAYMENT_REQUIRED,
            "host_not_allowed",
            message,
        ))
    }

    /// What the caller gets of an answer's headers. Those of the payment belong to the session; the caller has no
    /// channel that they could be about.
    fn returned(&self, mut headers: HeaderMap, url: &Url) -> HeaderMap {
        remove_hop_by_hop(&mut headers);
        remove_payment_headers(&mut headers);
        if let Mode::Reverse { target, .. } = &self.mode
            && let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok())
            && let Some(here) = here(target, url, location)
        {
            headers.insert(LOCATION, here);
        }
        headers
    }
}

/// Makes the request in a task of its own, which goes on for a while when the caller hangs up: while a channel is
/// opened, the caller's next try would open another, and what is paid for already is better accounted for.
async fn carry_through(
    session: Arc<Session>,
    parts: Parts,
    url: Url,
    body: Bytes,
    in_flight: OwnedSemaphorePermit,
) -> Result<Result<Paid, SessionError>, oneshot::error::RecvError> {
    let (mut answer, answered) = oneshot::channel();
    tokio::spawn(async move {
        let _in_flight = in_flight;
        let mut request = pin!(session.request(parts.method, url, parts.headers, body));
        tokio::select! {
            paid = &mut request => drop(answer.send(paid)),
            () = answer.closed() => drop(timeout(AFTER_HANG_UP, request).await),
        }
    });
    answered.await
}

/// A request that has been here before would come again and again.
fn refuse_own_requests(headers: &HeaderMap) -> Result<(), Refusal> {
    let ours = |via: &HeaderValue| {
        let via = via.to_str().unwrap_or_default();
        via.split(',').any(|step| step.trim() == OURS)
    };
    if !headers.get_all(VIA).iter().any(ours) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::LOOP_DETECTED,
        "loop",
        "microraiden pay-proxy is asked by itself: start it without http_proxy in its environment, and with a --target \
         that is another server",
    ))
}

/// Makes of the caller's headers those that go out.
fn prepare(parts: &mut Parts) {
    let headers = &mut parts.headers;
    remove_hop_by_hop(headers);
    remove_payment_headers(headers);
    for name in [HOST, CONTENT_LENGTH, EXPECT] {
        headers.remove(name);
    }
    headers.append(VIA, HeaderValue::from_static(OURS));
}

fn remove_payment_headers(headers: &mut HeaderMap) {
    let names = headers.keys().filter(|name| is_payment_header(name));
    for name in names.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
}

/// The whole body, since the request may have to be repeated.
async fn read_body(headers: &HeaderMap, mut body: Incoming, most: usize) -> Result<Bytes, Refusal> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced <= most
        && let Some(whole) = collect(&mut body, most).await?
    {
        return Ok(whole);
    }
    let waits_for_our_word = announced > most && headers.contains_key(EXPECT);
    if !waits_for_our_word {
        let rest = async { while let Some(Ok(_)) = body.frame().await {} };
        // Whether it came to its end or not, the answer is the same.
        let _ = timeout(LINGER, rest).await;
    }
    let message = format!(
        "a request's body has at most {} MiB here; start microraiden pay-proxy with a larger --max-body",
        most >> 20
    );
    Err(Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        message,
    ))
}

/// A body to its end; `None` when it is too large.
async fn collect(body: &mut Incoming, most: usize) -> Result<Option<Bytes>, Refusal> {
    let read = async {
        let mut whole = Vec::new();
        while let Some(frame) = body.frame().await {
            let data = frame?.into_data().unwrap_or_default();
            if whole.len() + data.len() > most {
                return Ok(None);
            }
            whole.extend_from_slice(&data);
        }
        Ok(Some(whole.into()))
    };
    match timeout(BODY_TIME, read).await {
        Ok(Ok(whole)) => Ok(whole),
        Ok(Err::<_, hyper::Error>(_)) => {
            let message = "the request's body broke off";
            Err(Refusal::new(StatusCode::BAD_REQUEST, "body_broken", message))
        }
        Err(_) => {
            let message = "the request's body did not come in time";
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "body_slow", message))
        }
    }
}

/// Where a redirection below the target leads to here, so that what follows it is paid as well.
fn here(target: &Url, asked: &Url, location: &str) -> Option<HeaderValue> {
    let to = asked.join(location).ok()?;
    if to.origin() != target.origin() {
        return None;
    }
    let below = to.path().strip_prefix(target.path().trim_end_matches('/'))?;
    // Two slashes at its beginning would name a host.
    if !below.starts_with('/') || below.starts_with("//") {
        return None;
    }
    let query = to.query().map(|query| format!("?{query}")).unwrap_or_default();
    HeaderValue::try_from(format!("{below}{query}")).ok()
}

/// A URL without what may be secret in it.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_below_the_target_stay_here() {
        let target = "http://api.example:81/v1".parse().unwrap();
        let asked = "http://api.example:81/v1/a/b".parse().unwrap();
        for (location, expected) in [
            ("http://api.example:81/v1/a/b/?c", Some("/a/b/?c")),
            ("/v1/d", Some("/d")),
            ("d", Some("/a/d")),
            ("http://api.example/v1/d", None),
            ("//evil.example/v1/d", None),
            ("/v1//evil.example", None),
            ("/v2", None),
            ("/v10", None),
        ] {
            let found = here(&target, &asked, location);
            assert_eq!(
                found.as_ref().map(HeaderValue::as_bytes),
                expected.map(str::as_bytes),
                "{location}"
            );
        }
    }

    #[test]
    fn what_is_of_the_connection_or_of_payments_does_not_go_out() {
        let request = Request::post("/")
            .header("host", "localhost")
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("te", "trailers")
            .header("proxy-authorization", "Basic c2VjcmV0")
            .header("rdn-balance", "1")
            .header("rdn-anything", "1")
            .header("expect", "100-continue")
            .header("content-length", "3")
            .header("authorization", "Bearer own")
            .header("via", "1.1 another");
        let mut parts = request.body(()).unwrap().into_parts().0;
        prepare(&mut parts);
        let mut left: Vec<_> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        left.sort_unstable();
        let expected = [
            ("authorization", &b"Bearer own"[..]),
            ("via", b"1.1 another"),
            ("via", OURS.as_bytes()),
        ];
        assert_eq!(left, expected);
        assert!(refuse_own_requests(&parts.headers).is_err());
        assert!(refuse_own_requests(&HeaderMap::new()).is_ok());
    }
}
