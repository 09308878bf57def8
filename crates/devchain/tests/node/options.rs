//! Which web pages may call a node.

use microraiden_devchain::{Config, Cors, DevChain, StartError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A node that these web pages may call.
async fn start(cors: Cors) -> Result<DevChain, StartError> {
    DevChain::start(Config {
        cors,
        ..Config::default()
    })
    .await
}

#[tokio::test]
async fn only_the_allowed_pages_may_read_the_answers() {
    let allowed = async |cors: Cors| {
        let node = start(cors).await.unwrap();
        let request = "POST / HTTP/1.1\r\nhost: x\r\norigin: http://page.example\r\ncontent-type: application/json\r\n\
                       connection: close\r\ncontent-length: 2\r\n\r\n{}";
        let answer = crate::server::exchange(node.address(), request.to_owned())
            .await
            .to_lowercase();
        let header = "access-control-allow-origin: ";
        answer
            .lines()
            .find_map(|line| line.strip_prefix(header).map(str::to_owned))
    };
    assert_eq!(allowed(Cors::Any).await.as_deref(), Some("*"));
    let only = Cors::Only("http://page.example".to_owned());
    assert_eq!(allowed(only).await.as_deref(), Some("http://page.example"));
    assert_eq!(allowed(Cors::Off).await, None);
}

#[tokio::test]
async fn only_what_a_browser_sends_is_an_origin() {
    let start = async |origin: &str| start(Cors::Only(origin.to_owned())).await;
    for origin in [
        "http://localhost:3000",
        "https://page.example",
        "http://127.0.0.1:1",
        "http://[::1]:8080",
    ] {
        assert!(start(origin).await.is_ok(), "{origin}");
    }
    for wrong in [
        "",
        "*",
        "localhost",
        "localhost:3000",
        "http://localhost:3000/",
        "http://localhost:3000/app",
        "http://",
        "http://two words",
        "http://line\nbreak",
    ] {
        match start(wrong).await {
            Err(StartError::Origin { origin }) => assert_eq!(origin, wrong),
            other => panic!("{wrong:?} gives {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_page_of_another_origin_gets_no_preflight_granted() {
    let granted = async |cors: Cors| {
        let node = start(cors).await.unwrap();
        let request = "OPTIONS / HTTP/1.1\r\nhost: x\r\norigin: http://page.example\r\nconnection: close\r\n\
                       access-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n\r\n";
        let answer = crate::server::exchange(node.address(), request.to_owned()).await;
        answer.contains("access-control-allow-origin: http://page.example\r\n")
    };
    assert!(granted(Cors::Only("http://page.example".to_owned())).await);
    assert!(!granted(Cors::Only("http://other.example".to_owned())).await);
    assert!(!granted(Cors::Off).await);
}

#[tokio::test]
async fn a_page_that_may_not_read_answers_opens_no_websocket() {
    let opens = async |cors: Cors, origin: &str| {
        let node = start(cors).await.unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nhost: x\r\n{origin}connection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        let mut connection = tokio::net::TcpStream::connect(node.address()).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        connection.read_exact(&mut status).await.unwrap();
        match &status {
            b"HTTP/1.1 101" => true,
            b"HTTP/1.1 405" => false,
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
    };
    let page = "origin: http://page.example\r\n";
    let only = |origin: &str| Cors::Only(origin.to_owned());
    assert!(opens(Cors::Any, page).await);
    assert!(opens(only("http://page.example"), page).await);
    assert!(!opens(only("http://other.example"), page).await);
    assert!(!opens(Cors::Off, page).await);
    // Programs are no pages.
    assert!(opens(only("http://other.example"), "").await);
    assert!(opens(Cors::Off, "").await);
}
