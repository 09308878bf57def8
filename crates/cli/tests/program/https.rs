//! Paying a server whose connections are encrypted.

use crate::place::{Place, failed, said, succeeded};
use crate::shop::Shop;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use std::fs;
use std::process::{Command, Output};
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Puts TLS before a server; its port, and its certificate for `localhost`.
async fn encrypt(server: String) -> (u16, String) {
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
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                // Who does not trust the certificate hangs up.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut server = TcpStream::connect(server).await.unwrap();
                // Either side may end it.
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    let text = BASE64_STANDARD.encode(cert.der());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    (port, pem)
}

/// Runs the program where only this authority is trusted.
async fn run(place: &Place, authority: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_microraiden"));
    command
        .args(arguments)
        .current_dir(place.path("."))
        .env("XDG_DATA_HOME", place.path("data"))
        .env("SSL_CERT_FILE", place.path(authority))
        .env_remove("SSL_CERT_DIR");
    let run = tokio::task::spawn_blocking(move || command.output());
    run.await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_proves_who_it_is_is_paid_and_another_is_not() {
    let Shop {
        place,
        upstream,
        address,
        ..
    } = &Shop::open().await;
    let server = address.strip_prefix("http://").unwrap().to_owned();
    let (port, certificate) = encrypt(server.clone()).await;
    let (_, other) = encrypt(server).await;
    fs::write(place.path("authority.pem"), certificate).unwrap();
    fs::write(place.path("other.pem"), other).unwrap();

    let base = format!("https://localhost:{port}");
    let url = format!("{base}/echo/hello");
    let get = [
        "get",
        &url,
        "--private-key",
        "owner.key",
        "--rpc-provider",
        &place.url,
        "--deployment-file",
        "deployment.json",
        "--max-price",
        "5",
    ];
    let refused = run(place, "other.pem", &get).await;
    failed(&refused, 1, "certificate");
    assert_eq!(upstream.served(), 0);
    let paid = run(place, "authority.pem", &[&get[..], &["--close"]].concat()).await;
    assert!(paid.status.success(), "{}", said(&paid));
    assert_eq!(paid.stdout, b"hello");
    assert!(
        said(&paid).contains("paid 0.000000000000000005 TKN"),
        "{}",
        said(&paid)
    );
    let stats = run(place, "authority.pem", &["stats", &base]).await;
    assert_eq!(
        succeeded(&stats)["contract"],
        place.deployment()["contract"]["address"]
    );
}
