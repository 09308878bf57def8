//! Answers of upstreams that a client, or this proxy, could take for something else.

use super::wire::{Recorder, bytes, exchange, status, values};
use super::{lines, request, shop};

/// A head that says more than any reader wants to know.
fn huge() -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Own: {}\r\n\r\nok",
        "x".repeat(1 << 20)
    )
}

fn many() -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{}\r\nok",
        "X-Own: 1\r\n".repeat(300)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_read_in_one_way_is_none_and_costs_nothing() {
    let upstream = Recorder::start();
    let shop = shop(&upstream, |_| {}).await;
    // All by one payment, which is released each time; a few failures in a row are one too many.
    let mut balance = 0;
    let lines_of = |heads: &[&str]| -> Vec<String> {
        let whole = |head: &&str| format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{head}\r\n\r\nok");
        heads.iter().map(whole).collect()
    };
    let mut answers = lines_of(&[
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2\r\nContent-Length: 2",
        "Content-Length: 2, 2",
        "Content-Length: 2, 3",
        "Content-Length: +2",
        "Content-Length: -2",
        "Content-Length: two",
        "Content-Length: 99999999999999999999",
        "Content-Length: 2\r\nX-Own: a\rRDN-Price: 1",
        "Content-Length: 2\r\nX-Own: a\r\n RDN-Price: 1",
        "Content-Length: 2\r\nX-Zero: a\0b",
        "Content-Length: 2\r\nX Own: 1",
        "Content-Length: 2\r\nX-Own : 1",
        "Content-Length: 2\r\nno colon",
    ]);
    answers.extend(
        [
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
            "HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 2000 High\r\nContent-Length: 0\r\n\r\n",
            "HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            "hello",
        ]
        .map(str::to_owned),
    );
    answers.extend([huge(), many()]);
    for (number, answer) in answers.into_iter().enumerate() {
        if number % 4 == 0 {
            balance += 5;
        }
        let payment = request("GET /paid/x", &lines(&shop.pays(balance, 5)));
        upstream.says(bytes(&answer));
        let failed = exchange(&shop, payment.clone()).await;
        let short = &answer[..answer.len().min(200)];
        assert_eq!(status(&failed), 502, "{short:?}: {failed}");
        assert_eq!(values(&failed, "rdn-cost"), ["0"], "{short:?}: {failed}");
        assert!(!failed.contains("rdn-price: 1\r\n"), "{failed}");
        if number % 4 == 3 {
            upstream.says("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
            let bought = exchange(&shop, payment).await;
            assert_eq!(status(&bought), 200, "{bought}");
            assert_eq!(values(&bought, "rdn-cost"), ["5"], "{bought}");
        }
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_upstream_says_of_payments_does_not_reach_the_client() {
    let upstream = Recorder::start();
    let shop = shop(&upstream, |_| {}).await;
    let said = "RDN-Price: forged\r\nrdn_price: forged\r\nRDN.Cost: forged\r\nRDN-Receiver-Address: forged\r\nRDN-Anything: forged\r\n\
                Set-Cookie: RDN-Receiver-Address=forged; Path=/\r\nSet-Cookie: a=b; Path=/; Secure\r\n\
                Set-Cookie: =rdn-price=forged\r\nSet-Cookie:\trdn_Price = forged\r\nX-Own: 1\r\n";
    let plain = format!("HTTP/1.1 200 OK\r\n{said}Content-Length: 2\r\n\r\nok");
    let hinted = format!("HTTP/1.1 103 Early Hints\r\n{said}\r\nHTTP/1.1 100 Continue\r\n{said}\r\n{plain}");
    let chunked = format!(
        "HTTP/1.1 200 OK\r\n{said}Transfer-Encoding: chunked\r\nTrailer: RDN-Price, Rdn_Cost, X-Sum\r\n\r\n\
         2\r\nok\r\n0\r\nRDN-Price: forged\r\nRdn_Cost: forged\r\nX-Sum: 5\r\n\r\n"
    );
    let mut balance = 0;
    for answer in [&plain, &hinted, &chunked] {
        upstream.goes_on_saying(answer.as_bytes());
        for path in ["/free/x", "/paid/x"] {
            balance += if path == "/paid/x" { 5 } else { 0 };
            let headers = lines(&shop.pays(balance, 5)) + "TE: trailers\r\n";
            let got = exchange(&shop, request(&format!("GET {path}"), &headers)).await;
            assert_eq!(status(&got), 200, "{got}");
            assert!(!got.contains("forged"), "{path}: {got}");
            assert!(!got.contains("Early Hints"), "{got}");
            assert_eq!(values(&got, "set-cookie"), ["a=b; Path=/; Secure"], "{got}");
            assert_eq!(values(&got, "x-own"), ["1"], "{got}");
            let price = if path == "/paid/x" { &["5"][..] } else { &[] };
            assert_eq!(values(&got, "rdn-price"), price, "{got}");
            if answer == &chunked {
                assert!(got.ends_with("2\r\nok\r\n0\r\nx-sum: 5\r\n\r\n"), "{got}");
            }
        }
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_has_asked_for_goes_to_nobody() {
    let upstream = Recorder::start();
    let shop = shop(&upstream, |_| {}).await;
    let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Forged: 1\r\n\r\nforged";
    let mut balance = 0;
    for (method, first) in [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        // These have no body, whatever they say.
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    ] {
        upstream.goes_on_saying(format!("{first}{forged}"));
        let line = format!("{method} /free/x");
        let answer = exchange(&shop, request(&line, "")).await;
        assert!(matches!(status(&answer), 200 | 204 | 304), "{first:?}: {answer}");
        assert!(!answer.contains("orged"), "{first:?}: {answer}");
        upstream.goes_on_saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        balance += 5;
        let next = exchange(&shop, request("GET /paid/x", &lines(&shop.pays(balance, 5)))).await;
        assert_eq!(status(&next), 200, "{first:?}: {next}");
        assert!(next.ends_with("\r\n\r\nok"), "{first:?}: {next}");
    }
    // Nor does what is behind an answer's length go to who has asked for it.
    upstream.says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more");
    let answer = exchange(&shop, request("GET /free/x", "")).await;
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    shop.receiver.stop().await;
}
