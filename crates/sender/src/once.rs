//! Single requests, each with a session of its own.
//!
//! For more than one request make a [`Session`]: it remembers prices and keeps connections.

use crate::client::Client;
use crate::session::{Paid, Session, SessionConfig, SessionError};
use bytes::Bytes;
use http::{HeaderMap, Method};
use reqwest::IntoUrl;

/// Makes one request and pays for it within the limits; see [`Session::request`]. The channel stays
/// open.
///
/// # Errors
/// See [`Session::request`].
pub async fn request(
    client: &Client,
    config: SessionConfig,
    method: Method,
    url: impl IntoUrl,
    headers: HeaderMap,
    body: impl Into<Bytes>,
) -> Result<Paid, SessionError> {
    let session = Session::new(client.clone(), config)?;
    session.request(method, url, headers, body).await
}

macro_rules! without_body {
    ($($name:ident $method:ident),*) => {$(
        #[doc = concat!("Requests a URL by ", stringify!($method), "; see [`request`].")]
        ///
        /// # Errors
        /// See [`Session::request`].
        pub async fn $name(client: &Client, config: SessionConfig, url: impl IntoUrl) -> Result<Paid, SessionError> {
            request(client, config, Method::$method, url, HeaderMap::new(), Bytes::new()).await
        }
    )*};
}

macro_rules! with_body {
    ($($name:ident $method:ident),*) => {$(
        #[doc = concat!("Sends a body by ", stringify!($method), "; see [`request`].")]
        ///
        /// # Errors
        /// See [`Session::request`].
        pub async fn $name(
            client: &Client,
            config: SessionConfig,
            url: impl IntoUrl,
            body: impl Into<Bytes>,
        ) -> Result<Paid, SessionError> {
            request(client, config, Method::$method, url, HeaderMap::new(), body).await
        }
    )*};
}

without_body!(get GET, head HEAD, options OPTIONS, delete DELETE);
with_body!(post POST, put PUT, patch PATCH);
