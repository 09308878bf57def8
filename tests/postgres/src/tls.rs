//! A certificate for the server, and the authority that has signed it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub(crate) const AUTHORITY: &str = "authority.pem";
/// From the folder of the data.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("ssl", "on"),
    ("ssl_cert_file", "../certificate.pem"),
    ("ssl_key_file", "../key.pem"),
];

/// Gives the path of the key, which must belong to who runs the server.
pub(crate) fn write_certificates(folder: &Path) -> PathBuf {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    // Another name than the server's has.
    params
        .distinguished_name
        .push(DnType::CommonName, "The authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("randomness");
    let authority = params.self_signed(&key).expect("a valid certificate");
    let issuer = Issuer::new(params, key);

    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let params = CertificateParams::new(names).expect("valid names");
    let key = KeyPair::generate().expect("randomness");
    let certificate = params.signed_by(&key, &issuer).expect("a valid certificate");

    let write = |name: &str, label: &str, der: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, pem(label, der)).expect("the folder is ours");
        path
    };
    write(AUTHORITY, "CERTIFICATE", authority.der());
    write("certificate.pem", "CERTIFICATE", certificate.der());
    let key = write("key.pem", "PRIVATE KEY", &key.serialize_der());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("the folder is ours");
    key
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
