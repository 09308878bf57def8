//! The server's certificate and key, and the beginning of an encrypted connection.

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{InconsistentKeys, ServerConfig};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

/// The protocol of HTTP/2 as TLS names it.
const HTTP2: &[u8] = b"h2";
/// What a TLS connection begins with.
const HANDSHAKE: u8 = 0x16;
/// To whom speaks plain HTTP to a server that does not.
const NOT_PLAIN: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 51\r\n\
    Connection: close\r\n\r\nthis is HTTPS: let the address begin with https://\n";

/// The certificate that a server shows, and its key. Clones are the same: all of them see a reload.
#[derive(Debug, Clone)]
pub struct Certificates(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    certificate: PathBuf,
    key: PathBuf,
    config: RwLock<Arc<ServerConfig>>,
}

/// Why a certificate or its key cannot be used. What is in the key's file is never told.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// A file is not there, or may not be read.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// Which one.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// The file holds something else.
    #[error("{} holds no private key in PEM form", .0.display())]
    NoKey(PathBuf),
    /// A password would have to be asked for at every start and reload.
    #[error("the key in {} is encrypted: store it without a password, readable by this program only", .0.display())]
    EncryptedKey(PathBuf),
    /// Whoever uses this machine may know it.
    #[error("everybody can read the key in {}: chmod 600 it, and make a new one if others are here", .0.display())]
    OpenKey(PathBuf),
    /// They are not of one pair.
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// The certificate, or the key, is of a kind that TLS does not use.
    #[error("the certificate in {} cannot be used: {source}", certificate.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// What the library says.
        source: rustls::Error,
    },
}

impl Certificates {
    /// Reads a certificate, followed by those between it and its authority, and its key, all in PEM
    /// form.
    ///
    /// # Errors
    /// When they cannot be read or used, or when everybody can read the key.
    pub fn load(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, CertificatesError> {
        let (certificate, key) = (certificate.into(), key.into());
        let config = RwLock::new(read(&certificate, &key)?);
        Ok(Self(Arc::new(Shared {
            certificate,
            key,
            config,
        })))
    }

    /// Reads the files again, for connections that begin from now on.
    ///
    /// # Errors
    /// As [`load`](Self::load); then everything stays as it is.
    pub fn reload(&self) -> Result<(), CertificatesError> {
        let config = read(&self.0.certificate, &self.0.key)?;
        *self.0.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Agrees on the encryption with a client.
    ///
    /// # Errors
    /// When the client does not go on, or speaks something else.
    pub(super) async fn accept(&self, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let mut first = [0];
        stream.peek(&mut first).await?;
        if first[0].is_ascii_alphabetic() && first[0] != HANDSHAKE {
            stream.write_all(NOT_PLAIN.as_bytes()).await?;
            stream.shutdown().await?;
            // Who is cut off while sending may never see the answer.
            while stream.read(&mut [0; 4096]).await? > 0 {}
            return Err(io::Error::other("it speaks plain HTTP"));
        }
        let config = self
            .0
            .config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// Whether HTTP/2 was agreed on.
pub(super) fn speaks_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

/// A configuration of its own for each reading, so that nobody resumes a session of another certificate.
fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, CertificatesError> {
    let unusable = |source| match source {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificatesError::Mismatch {
            key: key.to_owned(),
            certificate: certificate.to_owned(),
        },
        source => CertificatesError::Unusable {
            certificate: certificate.to_owned(),
            source,
        },
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(read_chain(certificate)?, read_key(key)?)
        .map_err(unusable)?;
    config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn unreadable(file: &Path) -> impl FnOnce(io::Error) -> CertificatesError {
    let file = file.to_owned();
    |source| CertificatesError::Unreadable { file, source }
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertificatesError> {
    let text = fs::read(file).map_err(unreadable(file))?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(CertificatesError::NoCertificate(file.to_owned())),
    }
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, CertificatesError> {
    let about = fs::metadata(file).map_err(unreadable(file))?;
    if about.permissions().mode() & 0o004 != 0 {
        return Err(CertificatesError::OpenKey(file.to_owned()));
    }
    let text = Zeroizing::new(fs::read(file).map_err(unreadable(file))?);
    let encrypted = [&b"ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"];
    if encrypted
        .iter()
        .any(|mark| text.windows(mark.len()).any(|part| part == *mark))
    {
        return Err(CertificatesError::EncryptedKey(file.to_owned()));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| CertificatesError::NoKey(file.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_is_whole() {
        let (head, body) = NOT_PLAIN.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
    }
}
