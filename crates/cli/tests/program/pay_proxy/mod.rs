//! `pay-proxy`, as programs that cannot pay use it.

mod kill;
mod openai;
mod shop;

use crate::operate::until_earned;
use crate::place::{failed, said, succeeded};
use crate::process::PATIENCE;
use crate::state::config;
use microraiden_devchain::{Config, Mining};
use shop::{PRICE, Shop, curl, fetch, refused};
use std::fs;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn curl_pays_in_both_modes() {
    let shop = Shop::open(config(31337)).await;
    let (program, url) = shop.pay_proxy(&["--target", &shop.paid]);
    let (status, head, body) = fetch(&[&format!("{url}/echo/hello?a=b")]).await;
    assert_eq!((status, body.as_slice()), (200, &b"hello"[..]));
    assert!(head.contains(&format!("\r\nrdn-cost: {PRICE}")), "{head}");
    assert_eq!(head.matches("\r\nrdn-").count(), 1, "{head}");
    assert!(program.signal("TERM"));
    assert_eq!(shop.until_owed(PRICE).await, 1);

    let (program, url) = shop.pay_proxy(&["--allow", "127.0.0.1", "--close"]);
    let proxied = ["-x", &url, &format!("{}/echo/again", shop.paid)];
    let (status, _, body) = fetch(&proxied).await;
    assert_eq!((status, body.as_slice()), (200, &b"again"[..]));
    // The channel of the run before pays on.
    assert_eq!(shop.until_owed(2 * PRICE).await, 1);
    let by_another_name = |url: &str| url.replace("127.0.0.1", "localhost");
    let not_allowed = ["-x", &url, &by_another_name(&shop.paid)];
    refused(&not_allowed, 402, "host_not_allowed", "--allow localhost").await;
    let mirror = format!("{}/mirror", by_another_name(&shop.unpaid));
    let (status, head, body) = fetch(&["-x", &url, "-d", "free", "-H", "rdn-balance: 1", &mirror]).await;
    assert_eq!((status, body.as_slice()), (200, &b"free"[..]));
    assert!(head.contains("x-own: 1") && !head.contains("x-hop"), "{head}");
    assert!(!head.contains("\r\nrdn-"), "{head}");
    assert!(!shop.seen.headers.lock().unwrap().contains_key("rdn-balance"));
    let tunnel = curl(&["--verbose", "-x", &url, "https://127.0.0.1:1/"]).await;
    assert!(!tunnel.status.success());
    let words = "405 Encrypted connections cannot be paid for, use --target";
    assert!(said(&tunnel).contains(words), "{}", said(&tunnel));
    refused(&[&url], 400, "no_host", "curl -x").await;
    assert!(program.signal("INT"));
    until_earned(&shop.place, 2 * PRICE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_host_has_a_budget_and_each_request_a_limit() {
    let shop = Shop::open(config(31337)).await;
    let budget = (2 * PRICE).to_string();
    let (program, url) = shop.pay_proxy(&["--allow", "*", "--budget", &budget]);
    let here = format!("{}/echo/a", shop.paid);
    let other = here.replace("127.0.0.1", "localhost");
    for _ in 0..2 {
        assert_eq!(fetch(&["-x", &url, &here]).await.0, 200);
    }
    let words = "is used up: 0 TKN is left, and 0.000000000000000005 TKN more would be signed away";
    let kind = refused(&["-x", &url, &here], 402, "budget_used_up", words).await;
    assert_eq!(kind, "payment_error");
    assert_eq!(fetch(&["-x", &url, &other]).await.0, 200);
    assert!(program.signal("TERM"));
    shop.until_owed(3 * PRICE).await;

    let (_program, url) = shop.pay_proxy(&["--target", &shop.paid, "--max-price", "4"]);
    let words =
        "asks 0.000000000000000005 TKN for this request, and --max-price allows 0.000000000000000004 TKN";
    refused(&[&format!("{url}/echo/a")], 402, "price_too_high", words).await;
    shop.until_owed(3 * PRICE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_a_request_unpayable_is_said() {
    let shop = Shop::open(config(31337)).await;
    let (_, url) = {
        let gone = shop.pay_proxy(&["--target", "http://127.0.0.1:1"]);
        refused(
            &[&format!("{}/a", gone.1)],
            502,
            "no_answer",
            "the server does not answer",
        )
        .await;
        gone
    };
    assert!(!curl(&[&url]).await.status.success());

    let (program, url) = shop.pay_proxy(&["--target", &shop.unpaid]);
    let words = "asks for a payment that cannot be understood";
    refused(&[&format!("{url}/asks")], 402, "unknown_payment", words).await;
    assert!(program.signal("TERM"));

    let accounts = shop.place.chain.accounts();
    shop.place.secret("poor.key", &accounts[5].secret_key.to_string());
    let poor = shop.place.path("poor.key");
    let (_program, url) = shop.pay_proxy(&["--target", &shop.paid, "--private-key", poor.to_str().unwrap()]);
    let words = format!("{} holds 0 TKN", accounts[5].address);
    refused(&[&format!("{url}/echo/a")], 402, "no_tokens", &words).await;

    succeeded(&shop.place.deploy(&["--deployment-file", "other.json"]).await);
    let other = shop.place.path("other.json");
    let (_program, url) = shop.pay_proxy(&[
        "--target",
        &shop.paid,
        "--deployment-file",
        other.to_str().unwrap(),
    ]);
    let words = "wants to be paid through contract";
    refused(&[&format!("{url}/echo/a")], 402, "foreign_contract", words).await;

    let run = async |options: &[&str]| {
        let options = shop.options(options);
        shop.place
            .run(&options.iter().map(String::as_str).collect::<Vec<_>>())
            .await
    };
    failed(&run(&[]).await, 2, "--target");
    let secret = run(&["--target", "http://ann:secret@127.0.0.1"]).await;
    failed(&secret, 2, "without a name and a password");
    let target = ["--target", &shop.paid];
    let everywhere = run(&[&target[..], &["--listen", "0.0.0.0:0"]].concat()).await;
    failed(&everywhere, 1, "--let-others-spend");
    failed(
        &run(&[&target[..], &["--budget", "4"]].concat()).await,
        1,
        "cannot be less than --max-price",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_and_other_names_are_refused_and_nothing_is_spent() {
    let shop = Shop::open(config(31337)).await;
    let (_program, url) = shop.pay_proxy(&["--target", &shop.paid]);
    let here = format!("{url}/echo/a");
    for (header, status, code, words) in [
        (
            "Origin: http://evil.example",
            403,
            "web_page",
            "comes from a web page",
        ),
        ("Origin: null", 403, "web_page", "comes from a web page"),
        (
            "Sec-Fetch-Site: cross-site",
            403,
            "web_page",
            "comes from a web page",
        ),
        ("Host: evil.example:4021", 421, "host", "by its address"),
        (
            "Via: 1.0 a, 1.1 microraiden-pay-proxy",
            508,
            "loop",
            "asked by itself",
        ),
    ] {
        let kind = refused(&["-H", header, &here], status, code, words).await;
        assert_eq!(kind, "invalid_request_error");
        refused(
            &["-X", "POST", "-d", "a", "-H", header, &here],
            status,
            code,
            words,
        )
        .await;
    }
    let page = ["-X", "OPTIONS", "-H", "Origin: http://evil.example", &here];
    let (_, head, _) = fetch(&page).await;
    assert!(!head.contains("access-control"), "{head}");
    assert_eq!(shop.until_owed(0).await, 0);
    assert_eq!(fetch(&[&here.replace("127.0.0.1", "localhost")]).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_go_through_byte_by_byte_up_to_the_limit() {
    const MIB: usize = 1 << 20;
    let shop = Shop::open(config(31337)).await;
    let (_program, url) = shop.pay_proxy(&["--target", &shop.paid, "--max-body", "1"]);
    let mirror = format!("{url}/mirror");
    let bytes: Vec<u8> = (0..=255).cycle().take(MIB + 1).collect();
    let [whole, larger] = [("whole", &bytes[..MIB]), ("larger", &bytes[..])].map(|(name, bytes)| {
        fs::write(shop.place.path(name), bytes).unwrap();
        format!("@{}", shop.place.path(name).to_str().unwrap())
    });
    let chunked = ["-H", "transfer-encoding: chunked"];
    for options in [&["-H", "content-type: a/b"][..], &["-H", "expect:"], &chunked] {
        let own = [
            "-H",
            "rdn-balance: 1",
            "-H",
            "authorization: Bearer own",
            "--data-binary",
            &whole,
            &mirror,
        ];
        let (status, head, body) = fetch(&[options, &own].concat()).await;
        assert_eq!(status, 200, "{head}");
        assert!(body == bytes[..MIB], "{} bytes came back", body.len());
        assert!(head.contains("x-own: 1") && !head.contains("x-hop"), "{head}");
        assert!(!head.contains("rdn-anything"), "{head}");
        let seen = shop.seen.headers.lock().unwrap().clone();
        assert_eq!(seen["authorization"], "Bearer own");
        assert_eq!(seen["content-length"], MIB.to_string().as_str());
        assert_eq!(seen["host"], shop.unpaid.strip_prefix("http://").unwrap());
        assert_eq!(seen.get_all("content-type").iter().count(), 1);

        let large = [options, &["--data-binary", &larger, &mirror]].concat();
        refused(&large, 413, "body_too_large", "at most 1 MiB").await;
    }
    assert_eq!(shop.until_owed(3 * PRICE).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pay_at_the_same_time() {
    const MANY: u64 = 300;
    let shop = Shop::open(config(31337)).await;
    let (_program, url) = shop.pay_proxy(&["--target", &shop.paid]);
    let http = reqwest::Client::new();
    let requests: Vec<_> = (0..MANY)
        .map(|number| {
            let request = http.post(format!("{url}/mirror")).body(number.to_string());
            tokio::spawn(async move {
                let answer = request.send().await.unwrap();
                let status = answer.status().as_u16();
                assert_eq!((status, answer.text().await.unwrap()), (200, number.to_string()));
            })
        })
        .collect();
    for request in requests {
        request.await.unwrap();
    }
    assert_eq!(shop.until_owed(MANY * PRICE).await, 1);
}

/// Waits until so many answers have begun at the server.
async fn until_begun(shop: &Shop, answers: u64) {
    let begin = Instant::now();
    while shop.seen.begun.load(Ordering::SeqCst) < answers {
        assert!(begin.elapsed() < PATIENCE, "they do not begin");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_arrive_as_they_are_sent_and_who_hangs_up_has_paid() {
    let shop = Shop::open(config(31337)).await;
    let (program, url) = shop.pay_proxy(&["--target", &shop.paid, "--close"]);
    let slow = format!("{url}/slow");
    let mut hangs_up = reqwest::get(&slow).await.unwrap();
    assert_eq!(hangs_up.chunk().await.unwrap().unwrap(), "one");
    drop(hangs_up);

    let mut answer = reqwest::get(&slow).await.unwrap();
    for piece in ["one", "two", "three"] {
        assert_eq!(answer.chunk().await.unwrap().unwrap(), piece);
        shop.seen.gate.open(1);
    }
    assert_eq!(answer.chunk().await.unwrap(), None);
    shop.until_owed(2 * PRICE).await;

    // Half an answer is not passed on as a whole one.
    let mut broken = reqwest::get(format!("{url}/broken")).await.unwrap();
    assert_eq!(broken.chunk().await.unwrap().unwrap(), "half");
    shop.seen.gate.open(1);
    assert!(broken.chunk().await.is_err());

    // What has begun is finished at the end, and only then the channel is closed.
    let mut last = reqwest::get(&slow).await.unwrap();
    assert_eq!(last.chunk().await.unwrap().unwrap(), "one");
    until_begun(&shop, 3).await;
    let ending = tokio::task::spawn_blocking(|| program.signal("TERM"));
    while curl(&[&format!("{url}/echo/a")]).await.status.success() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shop.seen.gate.open(9);
    assert_eq!(last.bytes().await.unwrap(), "twothree");
    assert!(ending.await.unwrap());
    until_earned(&shop.place, 4 * PRICE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_while_a_channel_is_opened_does_not_open_another() {
    let mining = Mining {
        instant: false,
        interval: Some(Duration::from_millis(100)),
    };
    let chain = Config {
        mining,
        ..Config::default()
    };
    let shop = Shop::open(chain).await;
    let (_program, url) = shop.pay_proxy(&["--target", &shop.paid]);
    shop.mine_every(0).await;
    for _ in 0..4 {
        let impatient = curl(&["--max-time", "0.3", &format!("{url}/echo/a")]).await;
        assert_eq!(impatient.status.code(), Some(28), "{}", said(&impatient));
    }
    shop.mine_every(1).await;
    assert_eq!(fetch(&[&format!("{url}/echo/b")]).await.2, b"b");
    // All five were asked for, and are paid.
    assert_eq!(shop.until_owed(5 * PRICE).await, 1);
}
