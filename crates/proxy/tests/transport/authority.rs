//! A certificate authority of the test's own, and the files that it writes.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use microraiden_proxy::{Authorities, Certificates};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// An authority, and a folder for certificates of `localhost`.
pub(crate) struct Authority {
    pub(crate) files: TempDir,
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        let authority = Self {
            files: tempfile::tempdir().unwrap(),
            root,
            issuer: Issuer::new(params, key),
        };
        fs::write(authority.path("ca.pem"), pem("CERTIFICATE", &authority.root)).unwrap();
        authority.issue("certificate.pem", "key.pem");
        authority
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Writes a new certificate and its key; gives the certificate.
    pub(crate) fn issue(&self, certificate: &str, key: &str) -> CertificateDer<'static> {
        let pair = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let issued = params.signed_by(&pair, &self.issuer).unwrap();
        fs::write(self.path(certificate), pem("CERTIFICATE", issued.der())).unwrap();
        private(&self.path(key), &pem("PRIVATE KEY", &pair.serialize_der()));
        issued.der().clone()
    }

    /// What a server shows.
    pub(crate) fn certificates(&self) -> Certificates {
        Certificates::load(self.path("certificate.pem"), self.path("key.pem")).unwrap()
    }

    /// What an upstream's certificate is checked with.
    pub(crate) fn authorities(&self) -> Authorities {
        Authorities::load(&self.path("ca.pem")).unwrap()
    }

    /// What a client trusts, and which protocols it knows.
    pub(crate) fn client(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// Writes a file that its owner alone can read.
pub(crate) fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
