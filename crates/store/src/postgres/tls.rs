//! Encryption of the connection, and to whom it leads.

use super::error::DatabaseError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// How a connection is protected.
pub(super) enum Protection {
    /// Not at all.
    Disable,
    /// Encrypted if the server offers it, to whomever it may be: against those who only listen.
    Prefer,
    /// Encrypted, to a server whose certificate is good for the host name.
    Verify {
        /// Who signs certificates; the system's authorities if `None`.
        roots: Option<PathBuf>,
    },
}

impl Protection {
    pub(super) const fn ssl_mode(&self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Verify { .. } => SslMode::Require,
        }
    }
}

/// What makes encrypted connections; `direct`: without asking for it in PostgreSQL's own way.
pub(super) fn connector(protection: &Protection, direct: bool) -> Result<MakeRustlsConnect, DatabaseError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| DatabaseError::Tls {
            cause: Arc::new(error),
        })?;
    let builder = match protection {
        Protection::Verify { roots } => builder.with_root_certificates(authorities(roots.as_deref())?),
        Protection::Disable | Protection::Prefer => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider))),
    };
    let mut config = builder.with_no_client_auth();
    if direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(MakeRustlsConnect::new(config))
}

fn authorities(file: Option<&Path>) -> Result<RootCertStore, DatabaseError> {
    let mut authorities = RootCertStore::empty();
    let Some(path) = file else {
        authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if authorities.is_empty() {
            return Err(DatabaseError::NoRootCertificates);
        }
        return Ok(authorities);
    };
    let failed = |cause| DatabaseError::RootCertificates {
        path: path.to_owned(),
        cause,
    };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(Arc::new(error)))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(Arc::new(error)))?;
        authorities
            .add(certificate)
            .map_err(|error| failed(Arc::new(error)))?;
    }
    if authorities.is_empty() {
        return Err(failed(Arc::new(Error::NoCertificatesPresented)));
    }
    Ok(authorities)
}

/// Takes any certificate, as `sslmode=prefer` does everywhere: whoever can answer in the server's place can
/// as well say that it has no encryption.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
