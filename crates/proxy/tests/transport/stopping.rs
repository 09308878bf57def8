//! The end of a server: what is in flight is finished, within the grace, and nothing else waits.

use crate::authority::Authority;
use crate::clients::{get, get1, http1, piece, secure_http2, text};
use crate::plain::Plain;
use crate::{about, millis, soon};
use http_body_util::BodyExt;
use microraiden_proxy::Limits;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_ends_whole_and_idlers_go_at_once() {
    let authority = Authority::new();
    for is_encrypted in [false, true] {
        let limits = Limits::default();
        let server = match is_encrypted {
            false => Plain::start(limits).await,
            true => Plain::encrypted(&authority, limits).await,
        };
        let ended = async |path: &str| match is_encrypted {
            false => {
                let mut client = http1(TcpStream::connect(server.address).await.unwrap()).await;
                soon(client.send_request(get1(path))).await.unwrap()
            }
            true => {
                let mut client = secure_http2(server.address, &authority).await;
                soon(client.send_request(get(path))).await.unwrap()
            }
        };
        let mut long = ended("/drip").await.into_body();
        assert_eq!(piece(&mut long).await.as_deref(), Some("data: 0\n\n"));
        let idle = ended("/").await;
        server.server.stop();
        let begin = Instant::now();
        tokio::time::sleep(millis(300)).await;
        assert!(TcpStream::connect(server.address).await.is_err(), "nobody new");
        server.gate.open(2);
        assert_eq!(piece(&mut long).await.as_deref(), Some("data: 1\n\n"));
        assert_eq!(piece(&mut long).await.as_deref(), Some("data: 2\n\n"));
        assert_eq!(piece(&mut long).await, None);
        soon(server.server.join()).await;
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        drop(idle);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_goaway_a_connection_takes_nothing_new() {
    let authority = Authority::new();
    let server = Plain::encrypted(&authority, Limits::default()).await;
    let mut client = secure_http2(server.address, &authority).await;
    let waiting = tokio::spawn(client.send_request(get("/wait")));
    server.gate.has_come(1).await;
    server.server.stop();
    soon(async {
        while !client.is_closed() && client.send_request(get("/")).await.is_ok() {
            tokio::time::sleep(millis(5)).await;
        }
    })
    .await;
    server.gate.open(1);
    assert_eq!(text(soon(waiting).await.unwrap().unwrap()).await, "at last");
    soon(server.server.join()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_grace_everything_is_cut_off() {
    let authority = Authority::new();
    let grace = millis(600);
    for is_encrypted in [false, true] {
        let limits = Limits {
            grace,
            ..Limits::default()
        };
        let server = match is_encrypted {
            false => Plain::start(limits).await,
            true => Plain::encrypted(&authority, limits).await,
        };
        let answer = match is_encrypted {
            false => {
                let mut client = http1(TcpStream::connect(server.address).await.unwrap()).await;
                soon(client.send_request(get1("/drip"))).await.unwrap()
            }
            true => {
                let mut client = secure_http2(server.address, &authority).await;
                soon(client.send_request(get("/drip"))).await.unwrap()
            }
        };
        let mut body = answer.into_body();
        assert_eq!(piece(&mut body).await.as_deref(), Some("data: 0\n\n"));
        server.server.stop();
        let begin = Instant::now();
        soon(server.server.join()).await;
        about(begin.elapsed(), grace);
        assert_eq!(server.gate.come(), 1);
        // Nothing of the request goes on behind its back.
        server.gate.has_left(1).await;
        assert!(soon(body.frame()).await.unwrap().is_err());
    }
}
