//! Heads of requests: what an upstream gets of them, and that nobody gets to see what is added.

use super::dice::Dice;
use super::wire::{Recorder, exchange, status, values};
use super::{lines, request, shop};
use http::HeaderMap;
use microraiden_proxy::rewrite::{HeaderRules, expand};

const SECRET: &str = "s3cret-of-the-operator";

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_the_operators_goes_upstream_and_nowhere_else() {
    let upstream = Recorder::start();
    let shop = shop(&upstream, |config| {
        let secret = expand("${KEY}", |_| Some(SECRET.to_owned())).unwrap();
        let set = vec![("x-api-key".parse().unwrap(), secret)];
        for route in &mut config.site.routes {
            route.request_headers = HeaderRules::new(set.clone(), Vec::new()).unwrap();
        }
    })
    .await;
    for (line, refused) in [
        ("TRACE /free/x", 405),
        ("trace /free/x", 405),
        ("TRACK /free/x", 405),
        ("TRACE /paid/x", 405),
        ("TRACE *", 400),
        ("CONNECT shop.example:80", 405),
        ("CONNECT /free/x", 405),
        ("connect /free/x", 405),
        ("OPTIONS /free/x", 200),
        ("OPTIONS /paid/x", 200),
        ("OPTIONS *", 400),
    ] {
        let answer = exchange(&shop, request(line, "Max-Forwards: 0\r\n")).await;
        assert_eq!(status(&answer), refused, "{line}: {answer}");
        assert!(!answer.contains(SECRET), "{line}: {answer}");
        assert_eq!(upstream.taken(), [""; 0], "{line}");
    }
    for headers in [
        "",
        "X-Api-Key: mine\r\n",
        "X-Api-Key: mine\r\nX_Api_Key: mine\r\nX-API_Key: mine\r\nx.api.key: mine\r\n",
        "Connection: X-Api-Key\r\nX-Api-Key: mine\r\n",
        "Connection: close, x-api-key, x_api_key\r\n",
    ] {
        let answer = exchange(&shop, request("GET /free/x", headers)).await;
        assert_eq!(status(&answer), 200, "{headers}: {answer}");
        let seen = upstream.only();
        assert_eq!(values(&seen, "x-api-key"), [SECRET], "{seen}");
        assert!(!seen.contains("mine"), "{seen}");
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_ends_at_the_paywall_and_other_cookies_pass_to_the_letter() {
    let upstream = Recorder::start();
    let shop = shop(&upstream, |_| {}).await;
    // By headers, which `Connection` cannot take away before they are read.
    let named = "Connection: RDN-Balance-Signature, rdn-sender-balance, x-hop\r\nX-Hop: 1\r\n\
                 RDN_Sender_Balance: 9\r\nRDN.Price: 9\r\nrdn-anything: 9\r\nX-Own: 1\r\n\
                 Cookie: a=b;c = \"d\" ; RDN-Price=9;\u{e9}=f;;rdn_x=9\r\nCookie: g=RDN-Price\r\n";
    let answer = exchange(&shop, request("GET /paid/x", &(lines(&shop.pays(5, 5)) + named))).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(values(&answer, "rdn-cost"), ["5"]);
    let seen = upstream.only();
    assert_eq!(values(&seen, "x-own"), ["1"]);
    assert_eq!(values(&seen, "x-hop"), [""; 0]);
    // The letter is two bytes on the wire.
    let cookies = ["a=b;c = \"d\" ;\u{c3}\u{a9}=f;", "g=RDN-Price"];
    assert_eq!(values(&seen, "cookie"), cookies, "{seen}");
    let rest = seen.replace("g=RDN-Price", "").to_ascii_lowercase();
    assert!(!rest.contains("rdn"), "{seen}");

    // By cookies alone, and mixed.
    let payment = shop.pays(10, 5);
    let cookie = |name: &str| format!("{name}={}", payment[name].to_str().unwrap());
    let cookies = [
        "session=1".to_owned(),
        cookie("rdn-sender-address"),
        cookie("rdn-open-block"),
        "theme=dark".to_owned(),
        cookie("rdn-sender-balance"),
        cookie("rdn-balance-signature"),
    ];
    let headers = format!(
        "Cookie: {}\r\nAuthorization: Basic UkROOlJETg==\r\n",
        cookies.join("; ")
    );
    let answer = exchange(&shop, request("GET /paid/x", &headers)).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let seen = upstream.only();
    assert_eq!(values(&seen, "cookie"), ["session=1; theme=dark"], "{seen}");
    assert_eq!(values(&seen, "authorization"), ["Basic UkROOlJETg=="], "{seen}");
    assert!(!seen.to_ascii_lowercase().contains("rdn-"), "{seen}");

    // Where nothing is paid for, too.
    let headers = lines(&shop.pays(15, 5)) + &headers;
    let answer = exchange(&shop, request("GET /free/x", &headers)).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let seen = upstream.only();
    assert_eq!(values(&seen, "cookie"), ["session=1; theme=dark"], "{seen}");
    assert!(!seen.to_ascii_lowercase().contains("rdn-"), "{seen}");
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_say_who_asks_in_the_place_of_the_proxy() {
    let upstream = Recorder::start();
    let shop = shop(&upstream, |_| {}).await;
    let claims = "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: admin.example\r\n\
                  X-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /admin\r\nX-Forwarded-Port: 1\r\n\
                  Forwarded: for=10.0.0.1\r\nX-Real-IP: 10.0.0.1\r\nX_Real_IP: 10.0.0.1\r\n\
                  X_Forwarded_For: 10.0.0.1\r\nProxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\n\
                  Connection: x-forwarded-for, x-forwarded-host\r\n";
    let answer = exchange(&shop, request("GET /free/x", claims)).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let seen = upstream.only();
    assert_eq!(values(&seen, "x-forwarded-for"), ["127.0.0.1"], "{seen}");
    assert_eq!(values(&seen, "x-forwarded-host"), ["shop.example"], "{seen}");
    assert_eq!(values(&seen, "x-forwarded-proto"), ["http"], "{seen}");
    for claim in [
        "10.0.0.1",
        "admin",
        "eDp5",
        "forwarded-port",
        "real-ip",
        "proxy-",
        "_",
    ] {
        assert!(!seen.to_ascii_lowercase().contains(claim), "{claim}: {seen}");
    }
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_protocol_is_agreed_on() {
    let upstream = Recorder::start();
    let shop = shop(&upstream, |_| {}).await;
    for headers in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Upgrade: h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
    ] {
        // What follows would be for the upstream, if the connection had become a tunnel.
        let follows = "GET /paid/x HTTP/1.1\r\nHost: x\r\n\r\n";
        let answer = exchange(&shop, request("GET /free/x", headers) + follows).await;
        assert_eq!(status(&answer), 200, "{headers}: {answer}");
        let seen = upstream.only().to_ascii_lowercase();
        assert!(
            !seen.contains("upgrade") && !seen.contains("http2-settings"),
            "{seen}"
        );
    }
    let preface = exchange(&shop, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(matches!(status(&preface), 0 | 400 | 505), "{preface}");
    assert_eq!(upstream.taken(), [""; 0]);
    shop.receiver.stop().await;
}

/// A name of the payment protocol, spelt in some way.
fn name(dice: &mut Dice) -> String {
    let sign = |dice: &mut Dice| {
        dice.pick(&["-", "-", "_", ".", "~", "!", "+", "'", "|"])
            .to_owned()
    };
    let words = [
        "Sender",
        "Balance",
        "Payment",
        "Price",
        "Signature",
        "Anything",
        "x",
        "",
    ];
    let mut name = dice.pick(&["RDN", "rdn", "Rdn", "rDN"]).to_owned() + &sign(dice) + dice.pick(&words);
    for _ in 0..dice.roll(3) {
        name = name + &sign(dice) + dice.pick(&words);
    }
    name
}

/// Headers among which are some of the payment protocol's, all with this value.
fn named(dice: &mut Dice, value: &str, cookie: &str) -> String {
    let mut headers = String::new();
    for _ in 0..1 + dice.roll(5) {
        let name = name(dice);
        headers += &match dice.roll(6) {
            0 => format!("{cookie}: {name}={value}; Path=/\r\n"),
            1 => format!("{cookie}:\t= {name}={value}\r\n"),
            2 => format!("Connection: {name}\r\n{name}: {value}\r\n"),
            3 => format!("X-Own: {}\r\n", dice.roll(100)),
            _ => format!("{name}: {value}\r\n"),
        };
    }
    headers
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_of_the_payment_passes_in_any_spelling_up_or_down() {
    const UP: &str = "said-by-the-client";
    const DOWN: &str = "said-by-the-upstream";
    let upstream = Recorder::start();
    let shop = shop(&upstream, |_| {}).await;
    let mut dice = Dice(11);
    let mut balance = 0;
    let mut passed = 0;
    for _ in 0..150 {
        let trailers = named(&mut dice, DOWN, "Set-Cookie");
        let chunked =
            "Transfer-Encoding: chunked\r\nTrailer: RDN-Price, RDN-Cost, X-Sum\r\n\r\n2\r\nok\r\n0\r\n";
        let head = named(&mut dice, DOWN, "Set-Cookie");
        let said =
            format!("HTTP/1.1 200 OK\r\n{head}{chunked}RDN-Price: {DOWN}\r\nX-Sum: 1\r\n{trailers}\r\n");
        upstream.goes_on_saying(said.as_bytes());
        let is_paid = dice.roll(2) == 0;
        let (path, payment) = match is_paid {
            true => ("/paid/x", shop.pays(balance + 5, 5)),
            false => ("/free/x", HeaderMap::new()),
        };
        let headers = format!(
            "{}{}TE: trailers\r\nConnection: te\r\nTrailer: RDN-Price, X-Sum\r\nTransfer-Encoding: chunked\r\n",
            named(&mut dice, UP, "Cookie"),
            lines(&payment),
        );
        let body = format!(
            "2\r\nhi\r\n0\r\nRDN-Price: {UP}\r\n{}X-Sum: 1\r\n\r\n",
            named(&mut dice, UP, "Cookie")
        );
        let answer = exchange(&shop, request(&format!("POST {path}"), &headers) + &body).await;
        if status(&answer) == 409 {
            // It has read one of them, which is no payment.
            assert_eq!(upstream.taken(), [""; 0]);
            continue;
        }
        assert_eq!(status(&answer), 200, "{headers}: {said}: {answer}");
        if is_paid {
            balance += 5;
        }
        passed += 1;
        assert!(!answer.contains(DOWN), "{answer}");
        assert!(answer.contains("\r\nok\r\n"), "{answer}");
        let seen = upstream.only();
        let lower = seen.to_ascii_lowercase();
        assert!(!seen.contains(UP), "{seen}");
        assert!(
            !lower.replace("trailer: rdn-price, x-sum", "").contains("rdn"),
            "{seen}"
        );
        assert!(seen.contains("\r\nhi\r\n"), "{seen}");
    }
    assert!(passed > 100, "{passed}");
    shop.receiver.stop().await;
}
