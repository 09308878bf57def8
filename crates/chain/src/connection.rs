//! Where a node is, and connections to there: TCP, with TLS when its address asks for it.

use crate::error::ChainError;
use crate::rpc::RpcError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::uri::Scheme;
use http::{HeaderValue, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use rustls::crypto::ring;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tower_service::Service;
use url::Url;

/// How long connecting may take, the name's resolution and the TLS handshake included.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no connection to a node. Its address is never told.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The operating system's reason.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The node's certificate does not prove that it is the one of the address.
    #[error("the node's certificate is not accepted: {0}")]
    Certificate(&'static str),
    /// The encrypted connection could not be agreed on.
    #[error("TLS failed: {0}")]
    Tls(rustls::Error),
    /// There is nothing that a certificate could be checked with.
    #[error(
        "this system has no list of certificate authorities: install one (on Debian: the package ca-certificates), \
         or name a file by SSL_CERT_FILE"
    )]
    NoAuthorities,
    /// The node closed the connection, or does not speak the protocol.
    #[error("the node closed it, or does not speak the protocol")]
    Closed,
}

impl ConnectionError {
    /// The reason at the bottom of an error of a library.
    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut reason = Self::Closed;
        for cause in causes(error) {
            if let Some(error) = cause.downcast_ref::<rustls::Error>() {
                return Self::of_tls(error);
            }
            if let Some(error) = cause.downcast_ref::<io::Error>() {
                reason = Self::Io(match error.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(error.kind(), error.to_string()),
                });
            }
        }
        reason
    }

    fn of_tls(error: &rustls::Error) -> Self {
        let rustls::Error::InvalidCertificate(why) = error else {
            return Self::Tls(error.clone());
        };
        // Their own texts may hold names.
        Self::Certificate(match why {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "no authority that this system trusts has signed it"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "it is not valid yet"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "it is for another name"
            }
            CertificateError::Revoked => "it was revoked",
            _ => "it is invalid",
        })
    }
}

/// An error and what lies below it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        // Its source is that of the error inside, which would be passed over.
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

impl RpcError {
    /// What an error of a library means, as far as it may be told.
    pub(crate) fn of_connection(error: &(dyn Error + 'static)) -> Self {
        match causes(error).any(|cause| cause.is::<Elapsed>()) {
            true => Self::Timeout,
            false => Self::Connection(ConnectionError::of(error)),
        }
    }
}

/// Where a node is. It does not print: it may hold a password or an access key.
pub(crate) struct Location {
    /// Without user and password.
    pub(crate) uri: Uri,
    /// What these say.
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) is_websocket: bool,
    is_encrypted: bool,
}

impl Location {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// [`ChainError::Scheme`] for a scheme that no node is reached by.
    pub(crate) fn new(url: &Url) -> Result<Self, ChainError> {
        let (is_websocket, is_encrypted) = match url.scheme() {
            "http" => (false, false),
            "https" => (false, true),
            "ws" => (true, false),
            "wss" => (true, true),
            other => return Err(ChainError::Scheme(other.to_owned())),
        };
        let mut bare = url.clone();
        // These fail for addresses without host only, which these schemes do not have.
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        bare.set_fragment(None);
        Ok(Self {
            uri: bare.as_str().parse().map_err(|_| ChainError::Address)?,
            authorization: authorization(url)?,
            is_websocket,
            is_encrypted,
        })
    }

    /// What to connect to for a WebSocket, which begins as HTTP.
    pub(crate) fn server(&self) -> Uri {
        let mut parts = self.uri.clone().into_parts();
        parts.scheme = Some(match self.is_encrypted {
            true => Scheme::HTTPS,
            false => Scheme::HTTP,
        });
        // Only the scheme is another one.
        Uri::from_parts(parts).unwrap_or_else(|_| self.uri.clone())
    }
}

fn authorization(url: &Url) -> Result<Option<HeaderValue>, ChainError> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let mut credentials: Vec<u8> = percent_decode_str(url.username()).collect();
    credentials.push(b':');
    credentials.extend(percent_decode_str(url.password().unwrap_or_default()));
    let text = format!("Basic {}", BASE64_STANDARD.encode(credentials));
    let mut value = HeaderValue::from_str(&text).map_err(|_| ChainError::Address)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// A connection to a server.
pub type Connection = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Makes connections of TCP, with TLS where the address asks for it, within a time limit.
///
/// A certificate must come from an authority that the operating system trusts.
#[derive(Clone)]
pub struct Connector {
    https: HttpsConnector<HttpConnector>,
    timeout: Duration,
}

impl Connector {
    /// To a node.
    pub(crate) fn to(location: &Location) -> Result<Self, ConnectionError> {
        Self::new(location.is_encrypted, CONNECT_TIMEOUT)
    }

    /// Connections that may be encrypted, or that never are: reading the list of authorities takes a while. The limit
    /// is for the name's resolution and the TLS handshake as well.
    ///
    /// # Errors
    /// [`ConnectionError::NoAuthorities`] when a certificate could not be checked.
    pub fn new(is_encrypted: bool, timeout: Duration) -> Result<Self, ConnectionError> {
        let mut authorities = RootCertStore::empty();
        if is_encrypted {
            authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if authorities.is_empty() {
                return Err(ConnectionError::NoAuthorities);
            }
        }
        Self::trusting(authorities, timeout)
    }

    fn trusting(authorities: RootCertStore, timeout: Duration) -> Result<Self, ConnectionError> {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(ConnectionError::Tls)?
            .with_root_certificates(authorities)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(timeout));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls);
        let https = connector.https_or_http().enable_http1().wrap_connector(tcp);
        Ok(Self { https, timeout })
    }
}

type BoxError = Box<dyn Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, limit) = (self.https.call(uri), self.timeout);
        Box::pin(async move { timeout(limit, connecting).await? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node;
    use microraiden_devchain::{Config, DevChain};
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::ServerConfig;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use serde_json::json;
    use std::net::SocketAddr;
    use tokio::io::copy_bidirectional;
    use tokio::net::TcpListener;
    use tokio::sync::watch;
    use tokio_rustls::TlsAcceptor;

    /// Puts TLS before a node, until the test is over; its port, and the certificate for `localhost`.
    async fn encrypt(node: SocketAddr) -> (u16, CertificateDer<'static>) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".into()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut node = TcpStream::connect(node).await.unwrap();
                    // Either side may end it.
                    let _ = copy_bidirectional(&mut stream, &mut node).await;
                });
            }
        });
        (port, cert.der().clone())
    }

    /// What a node at this address says its chain id is, when this authority alone is trusted.
    async fn chain_id(url: &str, authority: &CertificateDer<'static>) -> Result<String, RpcError> {
        let mut authorities = RootCertStore::empty();
        authorities.add(authority.clone()).unwrap();
        let location = Location::new(&url.parse().unwrap()).unwrap();
        let connector = Connector::trusting(authorities, CONNECT_TIMEOUT).unwrap();
        let node = node::transport(location, connector, CONNECT_TIMEOUT, &watch::Sender::default());
        let answer = node.request("eth_chainId", json!([])).await?;
        Ok(answer.unwrap().get().to_owned())
    }

    #[tokio::test]
    async fn a_node_must_prove_by_its_certificate_who_it_is() {
        let chain = DevChain::start(Config::default()).await.unwrap();
        let (port, certificate) = encrypt(chain.address()).await;
        let (_, other) = encrypt(chain.address()).await;
        let by_name = format!("https://user:s3cret@localhost:{port}/s3cret");
        let by_number = format!("https://user:s3cret@127.0.0.1:{port}/s3cret");
        let by_socket = by_name.replace("https", "wss");
        for url in [&by_name, &by_socket] {
            assert_eq!(chain_id(url, &certificate).await.unwrap(), "\"0x7a69\"");
        }
        for (url, authority, why) in [
            (
                &by_socket,
                &other,
                "no authority that this system trusts has signed it",
            ),
            (
                &by_name,
                &other,
                "no authority that this system trusts has signed it",
            ),
            (&by_number, &certificate, "it is for another name"),
        ] {
            let error = chain_id(url, authority).await.unwrap_err();
            let told = format!("the connection failed: the node's certificate is not accepted: {why}");
            assert_eq!(error.to_string(), told);
            let told = format!("{error:?}");
            assert!(!told.contains("s3cret") && !told.contains("127.0.0.1"), "{told}");
        }
    }

    #[tokio::test]
    async fn a_node_that_speaks_no_tls_is_told_from_one_that_is_away() {
        let chain = DevChain::start(Config::default()).await.unwrap();
        let (_, certificate) = encrypt(chain.address()).await;
        let url = format!("https://127.0.0.1:{}", chain.address().port());
        let error = chain_id(&url, &certificate).await.unwrap_err();
        assert!(
            matches!(error, RpcError::Connection(ConnectionError::Tls(_))),
            "{error}"
        );
        chain.stop().await;
        let error = chain_id(&url, &certificate).await.unwrap_err();
        let RpcError::Connection(ConnectionError::Io(why)) = &error else {
            panic!("{error}")
        };
        assert_eq!(why.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.is_transient());
    }

    #[test]
    fn user_and_password_leave_the_address() {
        let url = "http://al%40ice:p%3Ass@node.example:8545/key?x=1#top"
            .parse()
            .unwrap();
        let location = Location::new(&url).unwrap();
        assert_eq!(location.uri, "http://node.example:8545/key?x=1");
        let expected = format!("Basic {}", BASE64_STANDARD.encode("al@ice:p:ss"));
        assert_eq!(location.authorization.unwrap(), expected.as_str());
        let other = Location::new(&"ftp://node.example".parse().unwrap());
        assert!(matches!(other, Err(ChainError::Scheme(scheme)) if scheme == "ftp"));
    }
}
