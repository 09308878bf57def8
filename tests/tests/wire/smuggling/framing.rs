//! Where a request ends: the upstream never gets a second one out of it.

use super::wire::{Recorder, bytes, exchange, status, values};
use super::{lines, request, shop};

const SMUGGLED: &str = "GET /paid/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_end_is_not_clear_is_refused() {
    let upstream = Recorder::start();
    let shop = shop(&upstream, |_| {}).await;
    for headers in [
        "Content-Length: 3\r\nContent-Length: 40\r\n",
        "Content-Length: 3, 40\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 3;\r\n",
        "Content-Length: 3 3\r\n",
        "Content-Length: \r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Content-Length : 3\r\n",
        "Content-Length\t: 3\r\n",
        " Content-Length: 3\r\n",
        "Content-Length:\r\n 3\r\n",
        "X-Folded: a\r\n b\r\nContent-Length: 3\r\n",
        "X-Zero: a\0b\r\nContent-Length: 3\r\n",
        "X-Return: a\rContent-Length: 3\r\n\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\0: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding: chunked\0\r\n",
        "No colon\r\n",
        ": no name\r\n",
        "X Own: 1\r\n",
        "X-\u{e9}: 1\r\n",
    ] {
        let sent = request("POST /free/x", headers) + "0\r\n\r\n" + SMUGGLED;
        let answer = exchange(&shop, bytes(&sent)).await;
        assert_eq!(status(&answer), 400, "{headers:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{headers:?}: {answer}");
        assert_eq!(upstream.taken(), [""; 0], "{headers:?}");
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_on_with_one_length_of_the_proxys_own() {
    let upstream = Recorder::start();
    let shop = shop(&upstream, |_| {}).await;
    let length = |length: &str| vec![length.to_owned()];
    let none: Vec<String> = Vec::new();
    for (headers, body, lengths, seen) in [
        // Chunks count; a length beside them is not passed on.
        (
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
            none.clone(),
            "0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 99\r\n",
            "0\r\n\r\n",
            none.clone(),
            "0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: Chunked\r\nContent-Length: x\r\n",
            "0\r\n\r\n",
            none.clone(),
            "0\r\n\r\n",
        ),
        (
            "Content-Length: 3\r\nContent-Length: 3\r\n",
            "abc",
            length("3"),
            "abc",
        ),
        ("Content-Length:  3 \r\n", "abc", length("3"), "abc"),
        ("Content-Length: 003\r\n", "abc", length("003"), "abc"),
        // What CGI would take for one is none.
        (
            "Content_Length: 99\r\nTransfer_Encoding: chunked\r\nContent-Length: 3\r\n",
            "abc",
            length("3"),
            "abc",
        ),
        ("Content_Length: 99\r\n", "", none.clone(), ""),
        // Named as one of the connection only.
        (
            "Connection: content-length, transfer-encoding\r\nContent-Length: 3\r\n",
            "abc",
            length("3"),
            "abc",
        ),
        // Extensions of chunks say nothing here.
        (
            "Transfer-Encoding: chunked\r\n",
            "3;x=\"y\";z\r\nabc\r\n0;last\r\n\r\n",
            none.clone(),
            "3\r\nabc\r\n0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: gzip, chunked\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            none.clone(),
            "3\r\nabc\r\n0\r\n\r\n",
        ),
    ] {
        let sent = request("POST /free/x", headers) + body + SMUGGLED;
        let answer = exchange(&shop, sent).await;
        assert_eq!(status(&answer), 200, "{headers:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{headers:?}: {answer}");
        let got = upstream.only();
        assert_eq!(values(&got, "content-length"), lengths, "{headers:?}: {got}");
        assert!(!got.contains('_'), "{got}");
        let (_, got_body) = got.split_once("\r\n\r\n").unwrap();
        assert_eq!(got_body, seen, "{headers:?}: {got}");
    }
    assert_eq!(upstream.taken(), [""; 0]);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_are_none_end_the_request() {
    let upstream = Recorder::start();
    let shop = shop(&upstream, |_| {}).await;
    for body in [
        "nonsense\r\n",
        "-1\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3 3\r\nabc\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3;x\ny\r\nabc\r\n0\r\n\r\n",
        "3\rabc\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
    ] {
        let sent = request("POST /free/x", "Transfer-Encoding: chunked\r\n") + body + SMUGGLED;
        let answer = exchange(&shop, sent).await;
        assert_eq!(status(&answer), 400, "{body:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{body:?}: {answer}");
    }
    let taken = upstream.taken();
    assert!(
        taken.iter().all(|request| !request.contains("smuggled")),
        "{taken:?}"
    );
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_no_request_whatever_its_method() {
    let upstream = Recorder::start();
    let shop = shop(&upstream, |_| {}).await;
    let chunk = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let counted = format!("Content-Length: {}\r\n", SMUGGLED.len());
    for method in ["GET", "HEAD", "DELETE", "POST", "X"] {
        for (headers, body) in [("Transfer-Encoding: chunked\r\n", &*chunk), (&*counted, SMUGGLED)] {
            let line = format!("{method} /free/x");
            let answer = exchange(&shop, request(&line, headers) + body).await;
            assert_eq!(status(&answer), 200, "{line} {headers}: {answer}");
            let seen = upstream.only();
            assert!(seen.starts_with(&line), "{seen}");
            // On the same connection, if it was kept.
            let answer = exchange(&shop, request("GET /free/next", "")).await;
            assert_eq!(status(&answer), 200, "{answer}");
            assert!(upstream.only().starts_with("GET /free/next "));
        }
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_a_row_are_judged_one_by_one() {
    let upstream = Recorder::start();
    let shop = shop(&upstream, |_| {}).await;
    let good = "GET /free/x HTTP/1.1\r\nHost: x\r\n\r\n";
    let payment = lines(&shop.pays(5, 5));
    let paid = format!("GET /paid/x HTTP/1.1\r\nHost: x\r\n{payment}\r\n");
    for (second, statuses, served) in [
        // The payment of one is not that of the next. Sent again, it gets the same answer again.
        (
            "GET /paid/y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            &[200, 200, 402][..],
            2,
        ),
        (
            "GET /free/../paid/y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            &[200, 200, 400],
            1,
        ),
        (
            "GET /paid/y HTTP/1.1\r\nHost : x\r\n\r\nGET /free/z HTTP/1.1\r\nHost: x\r\n\r\n",
            &[200, 200, 400],
            1,
        ),
        (
            "GET /free/y HTTP/1.0\r\n\r\nGET /free/z HTTP/1.1\r\nHost: x\r\n\r\n",
            &[200, 200, 200],
            2,
        ),
        (
            "\0\r\n\r\nGET /free/z HTTP/1.1\r\nHost: x\r\n\r\n",
            &[200, 200, 400],
            1,
        ),
    ] {
        let answer = exchange(&shop, good.to_owned() + &paid + second).await;
        let found: Vec<u16> = answer
            .match_indices("HTTP/1.")
            .map(|(at, _)| status(&answer[at..]))
            .collect();
        assert_eq!(found, statuses, "{second:?}: {answer}");
        assert_eq!(upstream.taken().len(), served, "{second:?}");
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_100_pays_before_it_sends() {
    let upstream = Recorder::start();
    let shop = shop(&upstream, |_| {}).await;
    let expecting = "Expect: 100-continue\r\nContent-Length: 3\r\n";
    let unpaid = exchange(&shop, request("POST /paid/x", expecting)).await;
    assert_eq!(status(&unpaid), 402, "{unpaid}");
    assert!(!unpaid.contains("100 Continue"), "{unpaid}");
    assert_eq!(upstream.taken(), [""; 0]);

    let headers = lines(&shop.pays(5, 5)) + expecting;
    let paid = exchange(&shop, request("POST /paid/x", &headers) + "abc").await;
    let (first, rest) = paid.split_once("\r\n\r\n").unwrap();
    assert_eq!(first, "HTTP/1.1 100 Continue", "{paid}");
    assert_eq!(status(rest), 200, "{paid}");
    assert!(upstream.only().ends_with("\r\n\r\nabc"));
    shop.receiver.stop().await;
}
