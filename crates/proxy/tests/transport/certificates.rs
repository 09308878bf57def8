//! The server's certificate: files that are no good, and new ones while it runs.

use crate::authority::{Authority, pem, private};
use crate::clients::{get, get1, http1, http2, secure_http2, text, tls};
use crate::plain::Plain;
use crate::soon;
use microraiden_proxy::{Certificates, Limits};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_are_spoken_over_tls() {
    let authority = Authority::new();
    let server = Plain::encrypted(&authority, Limits::default()).await;
    for (offered, agreed, version) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..]), 2),
        (&["http/1.1"], Some(b"http/1.1"), 1),
        (&[], None, 1),
    ] {
        let stream = tls(server.address, &authority, offered).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed, "{offered:?}");
        let answer = match version {
            2 => soon(http2(stream).await.send_request(get("/about"))).await,
            _ => soon(http1(stream).await.send_request(get1("/about"))).await,
        };
        let seen = text(answer.unwrap()).await;
        let expected = format!("version={version} path=/about peer=true host=localhost ");
        assert!(seen.starts_with(&expected), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_plain_http_is_told_so() {
    let authority = Authority::new();
    let server = Plain::encrypted(&authority, Limits::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("HTTPS"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_for_new_connections() {
    let authority = Authority::new();
    let certificates = authority.certificates();
    let server = microraiden_proxy::Server::encrypted(
        crate::plain::listener().await,
        crate::plain::router(&crate::plain::Gate::default()),
        Limits::default(),
        certificates.clone(),
    );
    let address = server.address().unwrap();
    let mut old = secure_http2(address, &authority).await;
    assert_eq!(soon(old.send_request(get("/"))).await.unwrap().status(), 200);

    let shown = async || {
        let stream = tls(address, &authority, &["h2"]).await;
        let chain = stream.get_ref().1.peer_certificates().unwrap();
        chain[0].clone().into_owned()
    };
    let before = shown().await;
    let issued = authority.issue("certificate.pem", "key.pem");
    assert_eq!(shown().await, before, "nothing was said yet");
    certificates.reload().unwrap();
    assert_eq!(shown().await, issued);
    assert_eq!(soon(old.send_request(get("/"))).await.unwrap().status(), 200);

    // What cannot be used changes nothing.
    fs::write(authority.path("certificate.pem"), "").unwrap();
    assert!(certificates.reload().is_err());
    assert_eq!(shown().await, issued);
}

#[test]
fn files_that_are_no_good_say_why() {
    let authority = Authority::new();
    authority.issue("other.pem", "other-key.pem");
    fs::write(authority.path("empty.pem"), "\n").unwrap();
    private(
        &authority.path("encrypted.pem"),
        &pem("ENCRYPTED PRIVATE KEY", b"..."),
    );
    private(
        &authority.path("old-encrypted.pem"),
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    );
    private(&authority.path("nonsense.pem"), &pem("PRIVATE KEY", b"nonsense"));
    let key = fs::read_to_string(authority.path("key.pem")).unwrap();
    private(&authority.path("open-key.pem"), &key);
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(authority.path("open-key.pem"), open).unwrap();
    private(&authority.path("group-key.pem"), &key);
    let group = fs::Permissions::from_mode(0o640);
    fs::set_permissions(authority.path("group-key.pem"), group).unwrap();

    for (certificate, key, why) in [
        ("missing.pem", "key.pem", "missing.pem: No such file"),
        ("certificate.pem", "missing.pem", "missing.pem: No such file"),
        ("empty.pem", "key.pem", "empty.pem holds no certificate"),
        ("key.pem", "key.pem", "key.pem holds no certificate"),
        (
            "certificate.pem",
            "certificate-as-key.pem",
            "holds no private key",
        ),
        ("certificate.pem", "encrypted.pem", "is encrypted"),
        ("certificate.pem", "old-encrypted.pem", "is encrypted"),
        (
            "certificate.pem",
            "other-key.pem",
            "does not belong to the certificate",
        ),
        ("certificate.pem", "nonsense.pem", "cannot be used"),
        ("certificate.pem", "open-key.pem", "everybody can read the key"),
    ] {
        if key == "certificate-as-key.pem" {
            let text = fs::read_to_string(authority.path("certificate.pem")).unwrap();
            private(&authority.path(key), &text);
        }
        let loaded = Certificates::load(authority.path(certificate), authority.path(key));
        let error = loaded.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    Certificates::load(authority.path("certificate.pem"), authority.path("group-key.pem")).unwrap();
}
