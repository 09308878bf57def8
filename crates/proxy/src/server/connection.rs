//! One connection: HTTP/1.1 on a socket whose other end is not trusted.

use super::Current;
use super::activity::{Activity, AnswerBody};
use super::body::RequestBody;
use super::limits::Limits;
use super::room::Place;
use crate::target::{Unusable, normalise};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse;
use http::{Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::fmt::Display;
use std::future::poll_fn;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::ServiceExt;

/// What one connection is served by.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) router: Current,
    pub(super) limits: Arc<Limits>,
}

impl Service {
    /// Serves one connection to its end, or to the end of its request when everything stops, or
    /// until it has to leave.
    pub(super) async fn serve(
        self,
        stream: TcpStream,
        peer: SocketAddr,
        place: Place,
        mut stopping: watch::Receiver<bool>,
    ) {
        // Answers are small; without this the last packet of each may wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let leave = place.leave();
        let activity = Arc::new(Activity::new(self.limits.clone(), place));
        let limits = self.limits.clone();
        let respond = {
            let activity = activity.clone();
            tower::service_fn(move |request| self.clone().answer(request, peer, activity.clone()))
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
            .serve_connection(TokioIo::new(socket), TowerToHyperService::new(respond));
        let mut connection = pin!(connection);
        let mut deadline = pin!(Deadline::new(&activity));
        let mut stopped = pin!(async { drop(stopping.wait_for(|stop| *stop).await) });
        let mut left = pin!(leave.notified());
        let mut stops = false;
        let end = poll_fn(|cx| {
            if !stops && stopped.as_mut().poll(cx).is_ready() {
                stops = true;
                connection.as_mut().graceful_shutdown();
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

    /// Gives a request to the routes, unless it is none that they can judge.
    async fn answer(
        self,
        request: Request<Incoming>,
        peer: SocketAddr,
        activity: Arc<Activity>,
    ) -> Result<Response<AnswerBody>, Infallible> {
        if !activity.begin() {
            // The connection ends at once; a payment would be for nothing.
            std::future::pending::<()>().await;
        }
        let response = self.route(request, peer, &activity).await;
        Ok(response.map(|inner| AnswerBody { inner, activity }))
    }

    async fn route(
        self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
        activity: &Arc<Activity>,
    ) -> Response<Body> {
        let length = request.body().size_hint().lower();
        let limits = &*self.limits;
        let target = normalise(request.method(), request.uri());
        request.extensions_mut().insert(ConnectInfo(peer));
        let mut request = request.map(|body| RequestBody::new(body, limits, Arc::downgrade(activity)));
        if head_bytes(&request) > limits.head_bytes {
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
        let Ok(response) = self.router.get().oneshot(request.map(Body::new)).await;
        response
    }
}

/// The size of what was read as the request's head; its reader stops only near the limit.
fn head_bytes<B>(request: &Request<B>) -> usize {
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let headers = request.headers().iter();
    // With a colon, a space and the end of the line.
    let lines = headers.map(|(name, value)| name.as_str().len() + value.len() + 4);
    lines.sum::<usize>() + target
}

fn too_large(status: StatusCode, what: &str, most: impl Display) -> Response<Body> {
    (status, format!("a {what} has at most {most} bytes here\n")).into_response()
}

impl IntoResponse for Unusable {
    fn into_response(self) -> Response<Body> {
        (self.status(), format!("{self}\n")).into_response()
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

/// A socket that tells the activity what moves on it.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    activity: Arc<Activity>,
}

impl Socket {
    fn note(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(bytes)) => self.activity.written(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.waits_to_write(),
        }
    }

    /// Reads and throws away until the other side ends.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.received();
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // The HTTP implementation flushes the socket only when it has nothing more to write.
        self.activity.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        if self.activity.lingers() {
            ready!(self.poll_drain(cx));
        }
        Poll::Ready(Ok(()))
    }
}
