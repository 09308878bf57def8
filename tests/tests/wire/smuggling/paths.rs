//! Targets: nobody gets what is behind one path by the price of another.

use super::dice::Dice;
use super::wire::{Recorder, bytes, exchange, status};
use super::{lines, request, shop};
use crate::shop::expect;
use http::StatusCode;
use microraiden_proxy::Route;

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_could_be_another_buys_nothing_and_costs_nothing() {
    let upstream = Recorder::start();
    let shop = shop(&upstream, |_| {}).await;
    let payment = lines(&shop.pays(1, 1));
    for target in [
        // To leave what is free, or cheap.
        "/free/../paid/x",
        "/free/%2e%2e/paid/x",
        "/free/%2E./paid/x",
        "/free/%252e%252e/paid/x",
        "/free/%25252e%25252e/paid/x",
        "/free/%%32%65%%32%65/paid/x",
        "/free/..%2fpaid/x",
        "/free/..%252fpaid/x",
        "/free/..\\paid\\x",
        "/free/..%5cpaid%5cx",
        "/free/..;/paid/x",
        "/free/..;a=b/paid/x",
        "/free/..%3b/paid/x",
        "/free/..%20/paid/x",
        "/free/..%00/paid/x",
        "/free/%c0%ae%c0%ae/paid/x",
        "/free/%c0%ae%c0%ae%c0%afpaid/x",
        "/free/%e0%80%ae%e0%80%ae/paid/x",
        "/free/./x",
        "/./paid/x",
        "/%2e/paid/x",
        "http://shop.example/free/../paid/x",
        // To look like something else.
        "/paid%2fx",
        "/paid%252fx",
        "/paid%5cx",
        "/paid\\x",
        "/paid%c0%afx",
        "/paid;a/x",
        "/paid%3ba/x",
        "/p%%36%31id/x",
        "/Paid/x",
        "/%50AID/x",
        "/other;/..;/paid/x",
        "/paid/x%00",
        "/free/x%00.html",
        "/free%2fx",
        "/free/x\u{80}",
        "/free/\u{c0}\u{ae}\u{c0}\u{ae}/paid/x",
        "paid/x",
        "?/paid/x",
        "*",
        "",
    ] {
        let answer = exchange(&shop, bytes(&request(&format!("GET {target}"), &payment))).await;
        assert_eq!(status(&answer), 400, "{target}: {answer}");
        assert_eq!(upstream.taken(), [""; 0], "{target}");
    }
    // None has spent the payment.
    let bought = exchange(&shop, request("GET /other", &payment)).await;
    assert_eq!(status(&bought), 200, "{bought}");
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_targets_reach_the_upstream_as_they_were_priced() {
    let upstream = Recorder::start();
    let shop = shop(&upstream, |_| {}).await;
    for (target, seen) in [
        ("/free/x", "/free/x"),
        ("//free/x", "/free/x"),
        ("/%66ree/%78", "/free/x"),
        ("/free/x/", "/free/x/"),
        ("/free//x", "/free//x"),
        ("/free/x#/../../paid/x", "/free/x"),
        ("/free/x?/../paid/x&%2e%2e/", "/free/x?/../paid/x&%2e%2e/"),
        (
            "/free/a%20b%0d%0aRDN-Price:%201",
            "/free/a%20b%0d%0aRDN-Price:%201",
        ),
        ("/free/a;b=c/d%2Fe%5cf", "/free/a;b=c/d%2Fe%5cf"),
        ("/free/.../x..y/.z", "/free/.../x..y/.z"),
        ("http://elsewhere/free/x", "/free/x"),
    ] {
        let answer = exchange(&shop, bytes(&request(&format!("GET {target}"), ""))).await;
        assert_eq!(status(&answer), 200, "{target}: {answer}");
        let first = format!("GET {seen} HTTP/1.1\r\n");
        assert!(upstream.only().starts_with(&first), "{target}");
    }
    for target in [
        "/paid/x",
        "/paid//x",
        "/paid/x/",
        "//paid/x",
        "/%70aid/x",
        "http://free/paid/x",
    ] {
        let answer = exchange(&shop, request(&format!("GET {target}"), "")).await;
        assert_eq!(status(&answer), 402, "{target}: {answer}");
        assert!(answer.contains("rdn-price: 5\r\n"), "{target}: {answer}");
    }
    assert_eq!(upstream.taken(), [""; 0]);
    shop.receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_is_the_one_that_was_paid_for() {
    let upstream = Recorder::start();
    let url = upstream.url();
    let shop = shop(&upstream, move |config| {
        let prices = [("GET", 1), ("POST", 5)];
        let mut route = Route::new("/{*rest}", 0, url);
        route.prices = prices
            .map(|(method, price)| (method.parse().unwrap(), price.into()))
            .into_iter()
            .collect();
        config.site.routes = vec![route];
    })
    .await;
    let payment = lines(&shop.pays(1, 1));
    for method in ["get", "DELETE", "PATCH", "POST", "PoSt"] {
        let answer = exchange(&shop, request(&format!("{method} /x"), &payment)).await;
        let refused = if method == "POST" { 402 } else { 405 };
        assert_eq!(status(&answer), refused, "{method}: {answer}");
    }
    let overriding = "X-HTTP-Method-Override: POST\r\nX-HTTP-Method: POST\r\nX-Method-Override: POST\r\n\
                      X_HTTP_Method_Override: POST\r\nX-Original-URL: /paid\r\nX-Rewrite-URL: /paid\r\n\
                      Path_Info: /paid\r\nScript_Name: /paid\r\n";
    let answer = exchange(&shop, request("GET /x", &(payment + overriding))).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let seen = upstream.only();
    assert!(seen.starts_with("GET /x HTTP/1.1\r\n"), "{seen}");
    assert!(!seen.contains("POST") && !seen.contains("/paid"), "{seen}");
    let standing = shop.get("/x", shop.pays(1, 1)).await;
    expect(
        &standing,
        StatusCode::PAYMENT_REQUIRED,
        &[("RDN-Sender-Balance", "1")],
    );
    shop.receiver.stop().await;
}

const NAMES: [&str; 12] = [
    "paid",
    "PAID",
    "free",
    "x",
    "..",
    ".",
    "",
    "...",
    "%",
    "a=b",
    "25",
    "\u{c3}\u{a9}",
];
const SEPARATORS: [&str; 10] = ["/", "/", "/", "//", "\\", ";", "?", "#", "/./", "/../"];

/// One of the ways in which a byte can be written.
fn written(dice: &mut Dice, byte: u8) -> String {
    let plain = char::from(byte);
    match dice.roll(9) {
        0 => format!("%{byte:02x}"),
        1 => format!("%{byte:02X}"),
        2 => format!("%25{byte:02x}"),
        3 => format!("%2525{byte:02X}"),
        4 => format!(
            "%%{:02x}%{:02x}",
            format!("{byte:02x}").as_bytes()[0],
            format!("{byte:02x}").as_bytes()[1]
        ),
        5 if byte < 0x80 => format!("%{:02x}%{:02x}", 0xc0 | byte >> 6, 0x80 | byte & 0x3f),
        6 if byte < 0x80 => format!("%e0%{:02x}%{:02x}", 0x80 | byte >> 6, 0x80 | byte & 0x3f),
        _ => plain.to_string(),
    }
}

fn target(dice: &mut Dice) -> String {
    let mut target = String::from("/");
    for _ in 0..1 + dice.roll(4) {
        let clear = dice.roll(3) > 0;
        let piece = dice.pick(&NAMES).to_owned() + dice.pick(&SEPARATORS);
        for byte in bytes(&piece) {
            target += &match clear {
                true => char::from(byte).to_string(),
                false => written(dice, byte),
            };
        }
    }
    target + "paid/x"
}

/// Whether this path, with encodings decoded any number of times, leads into what is paid for.
fn is_paid(path: &str) -> bool {
    let mut path = bytes(path);
    for _ in 0..10 {
        let text: String = path.iter().map(|byte| char::from(*byte)).collect();
        let text = text
            .replace("\u{c0}\u{ae}", ".")
            .replace("\u{c0}\u{af}", "/")
            .replace("\u{e0}\u{80}\u{ae}", ".")
            .replace("\u{e0}\u{80}\u{af}", "/")
            .replace('\\', "/")
            .to_ascii_lowercase();
        let mut names = Vec::new();
        for segment in text.split('?').next().unwrap().split('/') {
            match segment.split(';').next().unwrap() {
                "" | "." => {}
                ".." => drop(names.pop()),
                name => names.push(name),
            }
        }
        if names.len() > 1 && names[0] == "paid" {
            return true;
        }
        path = decoded(&path);
    }
    false
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let digit = |at: usize| path.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < path.len() {
        match (path[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap());
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_given_away_is_not_what_is_sold() {
    let upstream = Recorder::start();
    let shop = shop(&upstream, |config| {
        for route in &mut config.site.routes[1..] {
            route.prices = 0.into();
        }
    })
    .await;
    let mut dice = Dice(7);
    let (mut passed, mut unpaid, mut refused) = (0, 0, 0);
    for _ in 0..1500 {
        let target = target(&mut dice);
        let answer = exchange(&shop, bytes(&request(&format!("GET {target}"), ""))).await;
        let taken = upstream.taken();
        match status(&answer) {
            200 => {
                let [request] = &taken[..] else {
                    panic!("{target}: {taken:?}");
                };
                let seen = request.split(' ').nth(1).unwrap();
                assert!(!is_paid(seen.split('?').next().unwrap()), "{target}: {request}");
                passed += 1;
            }
            402 => unpaid += 1,
            // There is no route for `/`.
            400 | 404 => refused += 1,
            other => panic!("{target}: {other}"),
        }
        assert!(status(&answer) == 200 || taken.is_empty(), "{target}: {taken:?}");
    }
    assert!(
        passed > 100 && unpaid > 20 && refused > 500,
        "{passed} {unpaid} {refused}"
    );
    shop.receiver.stop().await;
}
