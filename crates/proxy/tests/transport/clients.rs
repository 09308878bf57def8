//! Clients of one connection each.

use crate::authority::Authority;
use crate::soon;
use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) type Http1 = http1::SendRequest<Body>;
pub(crate) type Http2 = http2::SendRequest<Body>;

/// A TLS connection to a server on this machine.
pub(crate) async fn tls(
    address: SocketAddr,
    authority: &Authority,
    protocols: &[&str],
) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(authority.client(protocols));
    let connecting = connector.connect("localhost".try_into().unwrap(), stream);
    soon(connecting).await.unwrap()
}

/// Speaks HTTP/1.1 on a connection.
pub(crate) async fn http1(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Http1 {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Speaks HTTP/2 on a connection.
pub(crate) async fn http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Http2 {
    http2_with(stream, |_| {}).await
}

/// Speaks HTTP/2 with other settings.
pub(crate) async fn http2_with(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    change: impl FnOnce(&mut http2::Builder<TokioExecutor>),
) -> Http2 {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    change(&mut builder);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Speaks HTTP/2 over TLS.
pub(crate) async fn secure_http2(address: SocketAddr, authority: &Authority) -> Http2 {
    http2(tls(address, authority, &["h2"]).await).await
}

/// A request without a body, in the form of HTTP/2.
pub(crate) fn get(path: &str) -> Request<Body> {
    let uri = format!("https://localhost{path}");
    Request::get(uri).body(Body::empty()).unwrap()
}

/// The same in the form of HTTP/1.1.
pub(crate) fn get1(path: &str) -> Request<Body> {
    let request = Request::get(path).header("host", "localhost");
    request.body(Body::empty()).unwrap()
}

/// A body that is sent when the test wants it.
pub(crate) fn slow_body() -> (Sender<Bytes, Infallible>, Body) {
    let (sender, body) = Channel::new(1);
    (sender, Body::new(body))
}

/// The next piece of a body as text; `None` at its end.
pub(crate) async fn piece(body: &mut Incoming) -> Option<String> {
    loop {
        let data = soon(body.frame()).await?.unwrap().into_data().unwrap();
        // HTTP/2 may say in an empty one that it was the last.
        if !data.is_empty() {
            return Some(String::from_utf8(data.to_vec()).unwrap());
        }
    }
}

/// All of an answer's body.
pub(crate) async fn text(response: Response<Incoming>) -> String {
    let bytes = soon(response.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}
