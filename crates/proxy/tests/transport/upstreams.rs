//! Upstreams over HTTPS and HTTP/2.

use crate::authority::Authority;
use crate::clients::{get1, http1, text};
use crate::plain::{Gate, Plain, cleartext_http2, listener, passing_on};
use crate::{about, millis, soon};
use http::StatusCode;
use microraiden_proxy::{Authorities, HostHeader, Limits, Server, Upstream, UpstreamError, UpstreamOptions};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

/// What a proxy in front of that upstream answers.
async fn asked(base: Url, options: UpstreamOptions, path: &str) -> (StatusCode, String) {
    let proxy = Server::start(listener().await, passing_on(base, options));
    let mut client = http1(TcpStream::connect(proxy.address().unwrap()).await.unwrap()).await;
    let answer = soon(client.send_request(get1(path))).await.unwrap();
    (answer.status(), text(answer).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_over_https_has_to_prove_who_it_is() {
    let (authority, other) = (Authority::new(), Authority::new());
    let upstream = Plain::encrypted(&authority, Limits::default()).await;
    let base: Url = format!("https://localhost:{}/", upstream.address.port())
        .parse()
        .unwrap();
    let trusting = |authority: &Authority| UpstreamOptions {
        ca: Some(authority.authorities()),
        ..UpstreamOptions::default()
    };
    let (status, seen) = asked(base.clone(), trusting(&authority), "/about?x").await;
    assert_eq!(status, StatusCode::OK);
    let host = format!("host=localhost:{} ", upstream.address.port());
    assert!(seen.starts_with("version=2 path=/about?x "), "{seen}");
    assert!(seen.contains(&host), "{seen}");
    let forwarded = "x-forwarded-for=127.0.0.1 x-forwarded-host=localhost x-forwarded-proto=http";
    assert!(seen.contains(forwarded), "{seen}");

    // The client's host belongs to HTTP/1.1.
    let options = UpstreamOptions {
        host: HostHeader::Client,
        ..trusting(&authority)
    };
    let (_, seen) = asked(base.clone(), options, "/about").await;
    assert!(
        seen.starts_with("version=1 ") && seen.contains("host=localhost "),
        "{seen}"
    );

    let (status, _) = asked(base.clone(), trusting(&other), "/about").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    let by_number = format!("https://127.0.0.1:{}", upstream.address.port());
    let (status, _) = asked(by_number.parse().unwrap(), trusting(&authority), "/").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "it is for another name");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_may_speak_nothing_but_http2() {
    let base = cleartext_http2(&Gate::default()).await;
    let options = UpstreamOptions {
        http2: true,
        ..UpstreamOptions::default()
    };
    let base = base.join("/about/../").unwrap();
    let (status, seen) = asked(base.clone(), options, "/about").await;
    assert_eq!(status, StatusCode::OK);
    assert!(seen.starts_with("version=2 "), "{seen}");
    // It does not understand the other one.
    let (status, _) = asked(base, UpstreamOptions::default(), "/about").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_of_http_1_0_does_not_end_the_clients_connection() {
    let old = listener().await;
    let base = format!("http://{}", old.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = old.accept().await {
            // What a proxy makes of a connection that fails is not looked at here.
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream
                .write_all(b"HTTP/1.0 200 OK\r\n\r\nold, and to its end")
                .await;
        }
    });
    let proxy = Server::start(listener().await, passing_on(base, UpstreamOptions::default()));
    let mut client = http1(TcpStream::connect(proxy.address().unwrap()).await.unwrap()).await;
    for _ in 0..2 {
        client.ready().await.unwrap();
        let answer = soon(client.send_request(get1("/"))).await.unwrap();
        assert_eq!(text(answer).await, "old, and to its end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_has_its_time() {
    // Connections are accepted, and nobody shakes hands.
    let silent = listener().await;
    let base = format!("https://localhost:{}", silent.local_addr().unwrap().port());
    let limit = millis(300);
    let options = UpstreamOptions {
        connect_timeout: limit,
        ca: Some(Authority::new().authorities()),
        ..UpstreamOptions::default()
    };
    let begin = Instant::now();
    let (status, _) = asked(base.parse().unwrap(), options, "/").await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    about(begin.elapsed(), limit);
}

#[test]
fn addresses_that_cannot_be_used_say_why() {
    let refused = |base: &str, options: UpstreamOptions| {
        let upstream = Upstream::with_options(base.parse().unwrap(), options);
        upstream.unwrap_err().to_string()
    };
    let usual = UpstreamOptions::default;
    for (base, why) in [
        ("ftp://a/", "begins with http:// or https://, not ftp://"),
        ("http://a/b?c=d", "no query"),
        ("http://a/b#c", "no fragment"),
        ("http://user@a/", "no user and no password"),
        ("https://user:secret@a/", "no user and no password"),
    ] {
        let error = refused(base, usual());
        assert!(
            error.contains(why) && !error.contains("secret"),
            "{base}: {error}"
        );
    }
    let both = UpstreamOptions {
        http2: true,
        host: HostHeader::Client,
        ..usual()
    };
    assert!(refused("http://a/", both).contains("HTTP/2"));
}

#[test]
fn a_file_without_authorities_is_refused() {
    let authority = Authority::new();
    let missing = Authorities::load(&authority.path("missing.pem"));
    assert!(
        matches!(missing, Err(UpstreamError::Unreadable { .. })),
        "{missing:?}"
    );
    let key = Authorities::load(&authority.path("key.pem"));
    assert!(matches!(key, Err(UpstreamError::NoCertificate(_))), "{key:?}");
}

/// The same service with an address that cannot be used.
#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_upstream_answers_that_it_is_none() {
    let upstream = Upstream::new("http://a/?b".parse().unwrap(), Duration::from_secs(1));
    let proxy = Server::start(listener().await, axum::Router::new().fallback_service(upstream));
    let mut client = http1(TcpStream::connect(proxy.address().unwrap()).await.unwrap()).await;
    let answer = soon(client.send_request(get1("/"))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
}
