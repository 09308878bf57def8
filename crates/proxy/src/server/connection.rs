//! One connection: HTTP/1.1 or HTTP/2 on a socket whose other end is not trusted.

use super::activity::{Activity, AnswerBody};
use super::body::RequestBody;
use super::head::{self, Ambiguous};
use super::limits::Limits;
use super::room::Place;
use super::socket::Socket;
use super::streams::{PIECE, StreamBody, Streams};
use super::tls::{self, Certificates};
use crate::target::{Unusable, normalise};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse;
use http::uri::Scheme;
use http::{Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fmt::Display;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, Sleep, sleep_until};
use tower::ServiceExt;

/// What a client may send of one body over HTTP/2 before it is read.
const BODY_WINDOW: u32 = 64 << 10;

/// What all connections are served by.
#[derive(Debug)]
pub(super) struct Service {
    /// For the next request.
    pub(super) routes: RwLock<Router>,
    pub(super) limits: Arc<Limits>,
    /// Turns for the requests that are not the only one of their connection.
    pub(super) more: Arc<Semaphore>,
}

/// One client, and how long it is served.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) peer: SocketAddr,
    pub(super) place: Place,
    pub(super) stopping: watch::Receiver<bool>,
}

/// Where requests of one connection come from.
#[derive(Debug, Clone, Copy)]
struct Origin {
    peer: SocketAddr,
    is_encrypted: bool,
}

impl Service {
    /// Answers by these routes from the next request on.
    pub(super) fn replace(&self, router: Router) {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *routes, router);
        // It may be the last one of much, which takes a while to let go.
        drop(routes);
        drop(old);
    }

    /// Serves one connection to its end, or to the end of its request when everything stops, or
    /// until it has to leave.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream, visit: Visit) {
        self.http1(stream, visit, Instant::now(), false).await;
    }

    /// As [`serve`](Self::serve), with TLS. `runs` is held by each request.
    pub(super) async fn serve_encrypted(
        self: Arc<Self>,
        stream: TcpStream,
        mut visit: Visit,
        certificates: Certificates,
        runs: mpsc::Sender<Infallible>,
    ) {
        let (begun, leave) = (Instant::now(), visit.place.leave());
        let accepting = tokio::time::timeout(self.limits.head, certificates.accept(stream));
        let accepted = tokio::select! {
            accepted = accepting => accepted.map_err(std::io::Error::from).flatten(),
            () = leave.notified() => return,
            _ = visit.stopping.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok(stream) if tls::speaks_http2(&stream) => {
                Box::pin(self.http2(stream, visit, begun, runs)).await;
            }
            Ok(stream) => self.http1(stream, visit, begun, true).await,
            Err(error) => tracing::debug!(peer = %visit.peer, %error, "a connection has not begun"),
        }
    }

    async fn http1<S>(self: Arc<Self>, stream: S, visit: Visit, begun: Instant, is_encrypted: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Visit {
            peer,
            place,
            stopping,
        } = visit;
        let leave = place.leave();
        let limits = self.limits.clone();
        let activity = Arc::new(Activity::new(limits.clone(), place, begun, false));
        let origin = Origin { peer, is_encrypted };
        let respond = {
            let activity = activity.clone();
            service_fn(move |request| self.clone().answer(request, origin, activity.clone()))
        };
        let socket = Socket {
            stream,
            activity: activity.clone(),
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // The activity has limits of its own, which know a head from a pause.
            .header_read_timeout(None)
            .max_buf_size(limits.head_buffer())
            .max_headers(limits.headers)
            .serve_connection(TokioIo::new(socket), respond);
        let left = leave.notified();
        let graceful = http1::Connection::graceful_shutdown;
        drive(connection, graceful, &activity, left, stopping, peer).await;
    }

    async fn http2<S>(
        self: Arc<Self>,
        stream: S,
        visit: Visit,
        begun: Instant,
        runs: mpsc::Sender<Infallible>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Visit {
            peer,
            place,
            stopping,
        } = visit;
        let leave = place.leave();
        let limits = self.limits.clone();
        let activity = Arc::new(Activity::new(limits.clone(), place, begun, true));
        let origin = Origin {
            peer,
            is_encrypted: true,
        };
        let first = Arc::new(Semaphore::new(1));
        let respond = {
            let activity = activity.clone();
            service_fn(move |request| {
                self.clone()
                    .answer_shared(request, origin, activity.clone(), first.clone())
            })
        };
        let streams = Streams {
            limits: limits.clone(),
            runs,
        };
        let socket = Socket {
            stream,
            activity: activity.clone(),
        };
        let connection = http2::Builder::new(streams)
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(limits.head_list())
            .max_send_buf_size(PIECE)
            .initial_stream_window_size(BODY_WINDOW)
            // A body that nobody reads yet must not stop the others.
            .initial_connection_window_size(BODY_WINDOW.saturating_mul(limits.streams).min(1 << 30))
            .serve_connection(TokioIo::new(socket), respond);
        let left = leave.notified();
        let graceful = http2::Connection::graceful_shutdown;
        drive(connection, graceful, &activity, left, stopping, peer).await;
    }

    /// Gives a request to the routes, unless it is none that they can judge.
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        origin: Origin,
        activity: Arc<Activity>,
    ) -> Result<Response<AnswerBody>, Infallible> {
        if !activity.begin() {
            // The connection ends at once; a payment would be for nothing.
            std::future::pending::<()>().await;
        }
        let response = self.route(request, origin, Arc::downgrade(&activity)).await;
        Ok(response.map(|inner| AnswerBody { inner, activity }))
    }

    /// As [`answer`](Self::answer), for a request that may not be the only one of its connection.
    async fn answer_shared(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        origin: Origin,
        activity: Arc<Activity>,
        first: Arc<Semaphore>,
    ) -> Result<Response<StreamBody>, Infallible> {
        let Some(flight) = activity.begin_shared() else {
            // As above.
            return std::future::pending().await;
        };
        let turn = self.turn(first).await;
        head::join_cookies(&mut request);
        let response = if request.headers().len() > self.limits.headers {
            too_many_headers(self.limits.headers)
        } else {
            // A stream whose body is not read ends alone.
            self.route(request, origin, Weak::new()).await
        };
        Ok(response.map(|inner| StreamBody::new(inner, flight, turn)))
    }

    /// Waits for the connection's own turn, or one of those for all.
    async fn turn(&self, first: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let turn = tokio::select! {
            biased;
            turn = first.acquire_owned() => turn,
            turn = self.more.clone().acquire_owned() => turn,
        };
        // They are never closed.
        turn.ok()
    }

    async fn route(
        &self,
        mut request: Request<Incoming>,
        origin: Origin,
        activity: Weak<Activity>,
    ) -> Response<Body> {
        let length = request.body().size_hint().lower();
        let limits = &*self.limits;
        let target = normalise(request.method(), request.uri());
        let host = head::settle_host(&mut request);
        request.extensions_mut().insert(ConnectInfo(origin.peer));
        if origin.is_encrypted {
            request.extensions_mut().insert(Scheme::HTTPS);
        }
        let mut request = request.map(|body| RequestBody::new(body, limits, activity));
        if head::bytes(&request) > limits.head_bytes {
            return too_large(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "head",
                limits.head_bytes,
            );
        }
        if length > limits.body_bytes {
            return too_large(StatusCode::PAYLOAD_TOO_LARGE, "body", limits.body_bytes);
        }
        match target {
            Ok(target) => *request.uri_mut() = target,
            Err(unusable) => return unusable.into_response(),
        }
        if let Err(ambiguous) = host {
            return ambiguous.into_response();
        }
        head::remove_pretended(request.headers_mut());
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Ok(response) = routes.oneshot(request.map(Body::new)).await;
        response
    }
}

/// Polls a connection to its end.
async fn drive<C>(
    connection: C,
    graceful_shutdown: impl Fn(Pin<&mut C>),
    activity: &Activity,
    left: impl Future<Output = ()>,
    mut stopping: watch::Receiver<bool>,
    peer: SocketAddr,
) where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    let mut deadline = pin!(Deadline::new(activity));
    let mut stopped = pin!(async { drop(stopping.wait_for(|stop| *stop).await) });
    let mut left = pin!(left);
    let mut stops = false;
    let end = poll_fn(|cx| {
        if !stops && stopped.as_mut().poll(cx).is_ready() {
            stops = true;
            activity.stops();
            graceful_shutdown(connection.as_mut());
        }
        if left.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok("it made room for another"));
        }
        if let Poll::Ready(result) = connection.as_mut().poll(cx) {
            return Poll::Ready(result.map(|()| "it is complete"));
        }
        // Whatever has happened has happened above.
        let over = deadline.as_mut().poll(cx);
        over.map(|()| Ok("the client was too slow"))
    });
    match end.await {
        Ok(why) => tracing::trace!(%peer, why, "a connection has ended"),
        Err(error) => tracing::debug!(%peer, %error, "a connection has ended"),
    }
}

fn too_large(status: StatusCode, what: &str, most: impl Display) -> Response<Body> {
    (status, format!("a {what} has at most {most} bytes here\n")).into_response()
}

fn too_many_headers(most: usize) -> Response<Body> {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    (status, format!("a request has at most {most} headers here\n")).into_response()
}

impl IntoResponse for Unusable {
    fn into_response(self) -> Response<Body> {
        (self.status(), format!("{self}\n")).into_response()
    }
}

impl IntoResponse for Ambiguous {
    fn into_response(self) -> Response<Body> {
        (StatusCode::BAD_REQUEST, format!("{self}\n")).into_response()
    }
}

/// Resolves when what the connection does has taken too long.
#[derive(Debug)]
struct Deadline<'a> {
    activity: &'a Activity,
    timer: Pin<Box<Sleep>>,
}

impl<'a> Deadline<'a> {
    fn new(activity: &'a Activity) -> Self {
        let first = activity.deadline().unwrap_or_else(Instant::now);
        Self {
            activity,
            timer: Box::pin(sleep_until(first)),
        }
    }
}

impl Future for Deadline<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.activity.watch(cx);
        let Some(deadline) = self.activity.deadline() else {
            return Poll::Pending;
        };
        // Mostly it has moved on: then the timer may ring too early, which costs less than to set it.
        if deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
        }
        ready!(self.timer.as_mut().poll(cx));
        if self.timer.deadline() < deadline {
            self.timer.as_mut().reset(deadline);
            return self.timer.as_mut().poll(cx);
        }
        Poll::Ready(())
    }
}
