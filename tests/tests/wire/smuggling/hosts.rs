//! Hosts: a request is for one, and is sold by its routes.

use super::wire::{Recorder, bytes, exchange, status, values};
use super::{lines, shop};
use microraiden_proxy::Route;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_sold_by_the_host_that_it_names() {
    let upstream = Recorder::start();
    let url = upstream.url();
    let shop = shop(&upstream, move |config| {
        let mut paid = Route::new("/{*rest}", 5, url.clone());
        paid.hosts = vec!["paid.example".parse().unwrap(), "*.paid.example".parse().unwrap()];
        config.site.routes = vec![paid, Route::new("/{*rest}", 0, url)];
    })
    .await;
    let asked = async |line: &str, hosts: &str| {
        let sent = format!("{line}\r\n{hosts}Connection: close\r\n\r\n");
        exchange(&shop, bytes(&sent)).await
    };
    for host in [
        "paid.example",
        "PAID.Example",
        "paid.example.",
        "paid.example:80",
        "paid.example.:8080",
        "paid.example:",
        " paid.example\t",
        "a.b.paid.example",
    ] {
        let answer = asked("GET /x HTTP/1.1", &format!("Host: {host}\r\n")).await;
        assert_eq!(status(&answer), 402, "{host}: {answer}");
    }
    // The target's host counts, if it has one.
    let answer = asked("GET http://paid.example/x HTTP/1.1", "Host: free.example\r\n").await;
    assert_eq!(status(&answer), 402, "{answer}");
    assert_eq!(upstream.taken(), [""; 0]);
    let answer = asked("GET http://free.example:80/x HTTP/1.1", "Host: paid.example\r\n").await;
    assert_eq!(status(&answer), 200, "{answer}");
    let seen = upstream.only();
    assert_eq!(values(&seen, "host"), [upstream.url().authority()], "{seen}");
    assert_eq!(values(&seen, "x-forwarded-host"), ["free.example:80"], "{seen}");
    assert!(!seen.contains("paid"), "{seen}");

    for hosts in [
        "",
        "Host:\r\n",
        "Host: free.example\r\nHost: paid.example\r\n",
        "Host: paid.example\r\nHost: paid.example\r\n",
        "Host: free.example, paid.example\r\n",
        "Host: free.example paid.example\r\n",
        "Host: paid.example@free.example\r\n",
        "Host: free.example:80@paid.example\r\n",
        "Host: free.example:x\r\n",
        "Host: free.example:+80\r\n",
        "Host: free.example/paid.example\r\n",
        "Host: free.example?paid.example\r\n",
        "Host: paid%2eexample\r\n",
        "Host: paid\u{ff}.example\r\n",
        "Host: http://paid.example\r\n",
        "Host : paid.example\r\n",
        "Host: free.example\r\n paid.example\r\n",
    ] {
        let answer = asked("GET /x HTTP/1.1", hosts).await;
        assert_eq!(status(&answer), 400, "{hosts:?}: {answer}");
    }
    for target in [
        "http://user@free.example/x",
        "http://paid.example@free.example/x",
        "http:///x",
        "http://",
    ] {
        let answer = asked(&format!("GET {target} HTTP/1.1"), "Host: free.example\r\n").await;
        assert_eq!(status(&answer), 400, "{target}: {answer}");
    }
    assert_eq!(upstream.taken(), [""; 0]);

    // Only HTTP/1.0 may do without, and then it is for no host in particular.
    let old = asked("GET /x HTTP/1.0", "").await;
    assert_eq!(status(&old), 200, "{old}");
    let answer = asked("GET /x HTTP/1.0", "Host: paid.example\r\n").await;
    assert_eq!(status(&answer), 402, "{answer}");
    assert!(upstream.only().starts_with("GET /x HTTP/1.1\r\n"));

    // What was paid for on one host is not given again on another.
    let payment = lines(&shop.pays(5, 5));
    let answer = asked("GET /x HTTP/1.1", &format!("Host: paid.example\r\n{payment}")).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let again = asked("GET /x HTTP/1.1", &format!("Host: b.paid.example\r\n{payment}")).await;
    assert_eq!(status(&again), 402, "{again}");
    shop.receiver.stop().await;
}
