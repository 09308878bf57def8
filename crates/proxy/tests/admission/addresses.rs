//! Clients by where they come from, and how often they come.

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use microraiden_proxy::admission::{Admission, AdmissionLayer, Limiters};
use microraiden_proxy::{Client, ClientLayer, Server};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;

/// A server that answers with the client's address, and counts what comes through.
struct Door {
    server: Server,
    http: reqwest::Client,
    passed: Arc<AtomicUsize>,
}

impl Door {
    /// Before everything the one, before `/route` the other.
    async fn open(trusted: &[&str], all: Admission, route: Admission, limiters: &Limiters) -> Self {
        let passed = Arc::new(AtomicUsize::new(0));
        let count = passed.clone();
        let answer = move |request: axum::extract::Request| async move {
            count.fetch_add(1, Ordering::SeqCst);
            Client::of(request.extensions()).address.to_string()
        };
        let trusted: Vec<_> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let router = Router::new()
            .route("/", get(answer.clone()))
            .route(
                "/route",
                get(answer).layer(AdmissionLayer::new(route, "/route", limiters)),
            )
            .layer(AdmissionLayer::new(all, "all", limiters))
            .layer(ClientLayer::new(trusted));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            server: Server::start(listener, router),
            http: reqwest::Client::new(),
            passed,
        }
    }

    /// A request that other proxies have passed on, or none.
    async fn ask(&self, path: &str, forwarded: &[&str]) -> reqwest::Response {
        let address: SocketAddr = self.server.address().unwrap();
        let mut request = self.http.get(format!("http://{address}{path}"));
        for line in forwarded {
            request = request.header("x-forwarded-for", *line);
        }
        request.send().await.unwrap()
    }

    async fn status(&self, path: &str, forwarded: &[&str]) -> StatusCode {
        self.ask(path, forwarded).await.status()
    }

    async fn text(&self, forwarded: &[&str]) -> String {
        self.ask("/", forwarded).await.text().await.unwrap()
    }

    fn passed(&self) -> usize {
        self.passed.load(Ordering::SeqCst)
    }
}

fn admission(allow: &[&str], deny: &[&str], rate: Option<&str>) -> Admission {
    Admission {
        allow: allow.iter().map(|rule| rule.parse().unwrap()).collect(),
        deny: deny.iter().map(|rule| rule.parse().unwrap()).collect(),
        rate: rate.map(|rate| rate.parse().unwrap()),
    }
}

#[tokio::test]
async fn the_client_is_the_other_end_unless_a_trusted_proxy_says_whom_it_speaks_for() {
    let open = async |trusted: &[&str]| {
        let limiters = Limiters::default();
        Door::open(trusted, Admission::default(), Admission::default(), &limiters).await
    };
    let door = open(&[]).await;
    assert_eq!(door.text(&[]).await, "127.0.0.1");
    assert_eq!(door.text(&["192.0.2.1"]).await, "127.0.0.1");
    let door = open(&["127.0.0.0/8", "10.0.0.1"]).await;
    assert_eq!(door.text(&[]).await, "127.0.0.1");
    assert_eq!(door.text(&["6.6.6.6, 192.0.2.1"]).await, "192.0.2.1");
    assert_eq!(
        door.text(&["6.6.6.6", "192.0.2.1:99", "10.0.0.1"]).await,
        "192.0.2.1"
    );
    assert_eq!(door.text(&["[2001:db8::1]:443, 10.0.0.1"]).await, "2001:db8::1");
    assert_eq!(door.text(&["192.0.2.1, unknown"]).await, "127.0.0.1");
}

#[tokio::test]
async fn who_may_not_come_is_told_so_in_a_line() {
    let all = admission(&[], &["192.0.2.66", "2001:db8:bad::/48"], None);
    let route = admission(&["192.0.2.0/24"], &[], None);
    let door = Door::open(&["127.0.0.1"], all, route, &Limiters::default()).await;
    let refused = door.ask("/", &["192.0.2.66"]).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(
        refused
            .headers()
            .keys()
            .all(|name| !name.as_str().starts_with("rdn-"))
    );
    let text = refused.text().await.unwrap();
    assert_eq!(
        text,
        "requests from 192.0.2.66 are not served here; nothing was charged\n"
    );
    assert_eq!(
        door.status("/", &["2001:db8:bad:1::1"]).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        door.status("/route", &["192.0.2.66"]).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        door.status("/route", &["198.51.100.1"]).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        door.status("/nowhere", &["192.0.2.66"]).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(door.passed(), 0);
    assert_eq!(door.status("/route", &["192.0.2.1"]).await, StatusCode::OK);
    assert_eq!(door.status("/", &["198.51.100.1"]).await, StatusCode::OK);
    // Nobody gets in by what it says of itself.
    assert_eq!(
        door.status("/route", &["192.0.2.1, 198.51.100.1"]).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(door.passed(), 2);
}

#[tokio::test]
async fn who_comes_too_often_is_told_when_to_come_back() {
    let all = admission(&[], &[], Some("3 per hour"));
    let route = admission(&[], &[], Some("1 per minute"));
    let door = Door::open(&["127.0.0.1"], all, route, &Limiters::default()).await;
    let waits = async |path, client| {
        let refused = door.ask(path, &[client]).await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        let wait = refused.headers()["retry-after"].to_str().unwrap().to_owned();
        let text = refused.text().await.unwrap();
        assert_eq!(
            text,
            format!("too many requests; nothing was charged, try again in {wait} s\n")
        );
        wait.parse::<u64>().unwrap()
    };
    assert_eq!(door.status("/route", &["192.0.2.1"]).await, StatusCode::OK);
    // The route has a limit of its own, and what it refuses has counted for all.
    assert!((50..=60).contains(&waits("/route", "192.0.2.1").await));
    assert_eq!(door.status("/", &["192.0.2.1"]).await, StatusCode::OK);
    assert!((1_190..=1_200).contains(&waits("/", "192.0.2.1").await));
    assert!((1_190..=1_200).contains(&waits("/nowhere", "192.0.2.1").await));
    assert_eq!(door.passed(), 2);
    // Others are others; a network of IPv6 is one client.
    assert_eq!(door.status("/route", &["192.0.2.2"]).await, StatusCode::OK);
    assert_eq!(door.status("/route", &["2001:db8::1"]).await, StatusCode::OK);
    assert!(waits("/route", "2001:db8::ffff:1").await <= 60);
    assert_eq!(door.status("/route", &["2001:db8:0:1::1"]).await, StatusCode::OK);
}

#[tokio::test]
async fn a_new_router_goes_on_with_what_was_counted() {
    let limiters = Limiters::default();
    let rate = |rate| admission(&[], &[], Some(rate));
    let open = async |all| Door::open(&[], all, Admission::default(), &limiters).await;
    let old = open(rate("2 per hour")).await;
    assert_eq!(old.status("/", &[]).await, StatusCode::OK);
    let new = open(rate("2 per hour")).await;
    old.server.stop();
    old.server.join().await;
    drop(old);
    assert_eq!(new.status("/", &[]).await, StatusCode::OK);
    assert_eq!(new.status("/", &[]).await, StatusCode::TOO_MANY_REQUESTS);
    let other = open(rate("3 per hour")).await;
    assert_eq!(other.status("/", &[]).await, StatusCode::OK);
}
