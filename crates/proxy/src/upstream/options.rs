//! How an upstream is reached: its address, TLS, and the protocol.

use axum::body::Body;
use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower::Service;
use url::Url;

/// How long nothing may move on a connection before the system asks whether the other side is there,
/// and how long it may leave unanswered.
const SILENCE: Duration = Duration::from_secs(30);
/// What an upstream may send of one answer before its client takes it.
const STREAM_WINDOW: u32 = 512 << 10;
/// The same for all answers on one connection: so much that no client can stop the others by not
/// taking its own.
const CONNECTION_WINDOW: u32 = 1 << 30;

/// How an [`Upstream`](super::Upstream) is reached, and how long it may take.
#[derive(Debug, Clone)]
pub struct UpstreamOptions {
    /// How long it may take until the first byte of its answer's body, and then for each next piece.
    /// While a client's body is waited for, the time stands still. 60 s by default.
    pub timeout: Duration,
    /// How long connecting may take, the name's resolution and the TLS handshake included. 5 s by
    /// default.
    pub connect_timeout: Duration,
    /// HTTP/2 and nothing else, without asking first: for servers of gRPC. Otherwise an upstream of
    /// `http://` gets HTTP/1.1, and one of `https://` what it prefers of both.
    pub http2: bool,
    /// The only authorities whose certificates are accepted; `None` for those that the system trusts.
    pub ca: Option<Authorities>,
    /// What it reads in `Host`.
    pub host: HostHeader,
}

impl Default for UpstreamOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(5),
            http2: false,
            ca: None,
            host: HostHeader::Upstream,
        }
    }
}

/// What an upstream reads in `Host`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostHeader {
    /// The host of its own address.
    #[default]
    Upstream,
    /// The one that the client has asked for. Only over HTTP/1.1, which is then all that is offered.
    Client,
}

/// Why an upstream cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// There is no way to it.
    #[error("the address of an upstream begins with http:// or https://, not {0}://")]
    Scheme(String),
    /// The request brings its own.
    #[error("the address of an upstream has no query and no fragment: take away what follows the path")]
    BehindPath,
    /// They would be shown with the configuration.
    #[error(
        "the address of an upstream holds no user and no password: set a header for it, with the value from the environment"
    )]
    Credentials,
    /// It cannot be requested.
    #[error("the address of an upstream cannot be requested")]
    Address(#[source] http::Error),
    /// With HTTP/2 the host belongs to the address.
    #[error("an upstream over HTTP/2 cannot be given the client's host")]
    HostOverHttp2,
    /// The file with authorities.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// Which one.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file holds nothing of use.
    #[error("{} holds no certificate of an authority in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// There is nothing that a certificate could be checked with.
    #[error(
        "this system has no list of certificate authorities: install one (on Debian: the package ca-certificates), \
         or name a file for the upstream"
    )]
    NoAuthorities,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Authorities whose certificates are accepted.
#[derive(Debug, Clone)]
pub struct Authorities(Arc<RootCertStore>);

impl Authorities {
    /// Reads a file of certificates in PEM form.
    ///
    /// # Errors
    /// When it cannot be read, or holds none.
    pub fn load(file: &Path) -> Result<Self, UpstreamError> {
        let pem = std::fs::read(file).map_err(|source| UpstreamError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let added = certificate.ok().map(|certificate| roots.add(certificate));
            if !matches!(added, Some(Ok(()))) {
                return Err(UpstreamError::NoCertificate(file.to_owned()));
            }
        }
        if roots.is_empty() {
            return Err(UpstreamError::NoCertificate(file.to_owned()));
        }
        Ok(Self(Arc::new(roots)))
    }

    /// Those that the system trusts.
    fn of_the_system() -> Result<Self, UpstreamError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(UpstreamError::NoAuthorities);
        }
        Ok(Self(Arc::new(roots)))
    }
}

/// Refuses what an upstream's address cannot be.
pub(super) fn check(base: &Url, options: &UpstreamOptions) -> Result<(), UpstreamError> {
    if !["http", "https"].contains(&base.scheme()) {
        return Err(UpstreamError::Scheme(base.scheme().to_owned()));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(UpstreamError::BehindPath);
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err(UpstreamError::Credentials);
    }
    if options.http2 && options.host == HostHeader::Client {
        return Err(UpstreamError::HostOverHttp2);
    }
    Ok(())
}

/// What makes connections to an upstream, and keeps them for the next request.
pub(super) type Client = legacy::Client<Connector, Body>;

/// Prepares connections to an address that was checked.
pub(super) fn client(base: &Url, options: &UpstreamOptions) -> Result<Client, UpstreamError> {
    let authorities = match &options.ca {
        _ if base.scheme() == "http" => Authorities(Arc::new(RootCertStore::empty())),
        Some(authorities) => authorities.clone(),
        // Reading them takes a while.
        None => Authorities::of_the_system()?,
    };
    let mut tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities.0)
        .with_no_client_auth();
    let offered: &[&[u8]] = match (options.http2, options.host) {
        (true, _) => &[b"h2"],
        (false, HostHeader::Client) => &[b"http/1.1"],
        (false, HostHeader::Upstream) => &[b"h2", b"http/1.1"],
    };
    tls.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(options.connect_timeout));
    // A piece of a request goes out when it comes in.
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(SILENCE));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(SILENCE));
    let connector = Connector {
        https: HttpsConnector::from((tcp, tls)),
        timeout: options.connect_timeout,
    };
    let client = legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .http2_only(options.http2)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .build(connector);
    Ok(client)
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Makes connections, with TLS where the address asks for it, within a time limit for all of it.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    https: HttpsConnector<HttpConnector>,
    timeout: Duration,
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, limit) = (self.https.call(uri), self.timeout);
        Box::pin(async move { tokio::time::timeout(limit, connecting).await? })
    }
}
