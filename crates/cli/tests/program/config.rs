//! A proxy with its settings in a file: what they mean, what `check` says of them, and changing them while it runs.

use crate::place::{Place, failed, said, succeeded};
use crate::process::Program;
use crate::waiting::place;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use microraiden_tests::Upstream;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::{Client, Response, StatusCode};
use std::fs;
use std::process::Command;
use std::time::Duration;

const SECRET: &str = "of the upstream alone";

/// A file with what every proxy here needs, and more.
fn write(place: &Place, more: &str) {
    let text = format!(
        "private_key = \"receiver.key\"\ndeployment_file = \"deployment.json\"\nstate_file = \"state.db\"\n\
         rpc_provider = \"{}\"\nport = 0\npoll_interval = 30\n{more}",
        place.url
    );
    fs::write(place.path("proxy.toml"), text).unwrap();
}

/// Starts the program in another folder than the file's.
fn start(place: &Place) -> (Program, String) {
    let mut program = Program::start_command(
        Command::new(env!("CARGO_BIN_EXE_microraiden"))
            .args(["proxy", "--config"])
            .arg(place.path("proxy.toml"))
            .env("UPSTREAM_SECRET", SECRET),
    );
    let address = program.wait_for("address", |line| {
        line.starts_with("http").then(|| line.to_owned())
    });
    (program, address)
}

/// Asks once the proxy sells, as it does when it answers.
async fn ask(client: &Client, url: String) -> Response {
    client.get(url).send().await.unwrap()
}

fn price(answer: &Response) -> &str {
    answer.headers()["rdn-price"].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_tells_what_is_sold_and_how() {
    let place = place().await;
    let upstream = Upstream::start().await;
    fs::create_dir(place.path("files")).unwrap();
    fs::write(place.path("files/a.txt"), "content").unwrap();
    fs::write(place.path("index.html"), "<p>welcome").unwrap();
    fs::create_dir(place.path("paywall")).unwrap();
    fs::write(place.path("paywall/index.html"), "<p>costs {price}").unwrap();
    fs::write(place.path("paywall/pay.js"), "pay()").unwrap();
    let url = upstream.url();
    let text = format!(
        "index_file = \"index.html\"\npaywall_info = \"paywall\"\ndeny = [\"192.0.2.0/24\"]\n\
         trusted_proxies = [\"127.0.0.1\"]\n\
         [[route]]\npath = \"/echo/{{text}}\"\nupstream = \"{url}\"\nprice = \"0.002 TKN\"\nfree = \"2 per day\"\n\
         request_headers = {{ set = {{ Authorization = \"Bearer ${{UPSTREAM_SECRET}}\" }} }}\n\
         response_headers = {{ set = {{ X-From = \"here\" }} }}\n\
         [[route]]\nhost = \"files.example\"\npath = \"/{{*rest}}\"\nfolder = \"files\"\nprice = 0\n\
         [[route]]\npath = \"/status/{{code}}\"\nupstream = \"{url}\"\nprices = {{ GET = 0, POST = 7 }}\nrate = \"3 per day\"\n"
    );
    write(&place, &text);
    let (program, address) = start(&place);
    let client = Client::new();

    // Two are free, and the upstream reads who asks by which secret.
    for _ in 0..2 {
        let answer = ask(&client, format!("{address}/echo/hello")).await;
        assert_eq!(
            (answer.status(), &answer.headers()["x-from"]),
            (StatusCode::OK, &"here".parse().unwrap())
        );
        assert_eq!(answer.text().await.unwrap(), "hello");
    }
    let headers = upstream.last_headers();
    assert_eq!(headers["authorization"], format!("Bearer {SECRET}"));
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    let paid = ask(&client, format!("{address}/echo/hello")).await;
    assert_eq!(
        (paid.status(), price(&paid)),
        (StatusCode::PAYMENT_REQUIRED, "2000000000000000")
    );
    // Another client has a quota of its own, and a third may not come.
    let from = |client_address: &str| {
        let request = client.get(format!("{address}/echo/hello"));
        request.header("X-Forwarded-For", client_address).send()
    };
    assert_eq!(from("198.51.100.7").await.unwrap().status(), StatusCode::OK);
    assert_eq!(upstream.last_headers()["x-forwarded-for"], "198.51.100.7");
    assert_eq!(from("192.0.2.7").await.unwrap().status(), StatusCode::FORBIDDEN);

    let page = client
        .get(format!("{address}/echo/x"))
        .header("Accept", "text/html")
        .send()
        .await
        .unwrap();
    assert!(page.text().await.unwrap().contains("<p>costs 0.002 TKN"));
    for (path, content) in [("/js/pay.js", "pay()"), ("/", "<p>welcome")] {
        assert_eq!(
            ask(&client, format!("{address}{path}"))
                .await
                .text()
                .await
                .unwrap(),
            content
        );
    }
    let of_host = |path: &str| {
        let request = client.get(format!("{address}{path}"));
        request.header("Host", "files.example").send()
    };
    assert_eq!(of_host("/a.txt").await.unwrap().text().await.unwrap(), "content");
    // It has no other routes, but the interface.
    assert_eq!(
        of_host("/echo/hello").await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(of_host("/api/1/stats").await.unwrap().status(), StatusCode::OK);
    assert_eq!(
        ask(&client, format!("{address}/a.txt")).await.status(),
        StatusCode::NOT_FOUND
    );

    assert_eq!(
        ask(&client, format!("{address}/status/204")).await.status(),
        StatusCode::NO_CONTENT
    );
    let post = client.post(format!("{address}/status/204")).send().await.unwrap();
    assert_eq!((post.status(), price(&post)), (StatusCode::PAYMENT_REQUIRED, "7"));
    let put = client.put(format!("{address}/status/204")).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::METHOD_NOT_ALLOWED);
    let often = ask(&client, format!("{address}/status/204")).await;
    assert_eq!(often.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(often.headers().contains_key("retry-after"));
    assert!(program.signal("TERM"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_drops_no_request_and_forgets_no_count() {
    let place = place().await;
    let upstream = Upstream::start().await;
    upstream.set_gate(false);
    let url = upstream.url();
    let with = |price: &str, more: &str| {
        write(
            &place,
            &format!(
                "{more}[[route]]\npath = \"/echo/{{text}}\"\nupstream = \"{url}\"\nprice = {price}\nfree = \"2 per day\"\n\
             [[route]]\npath = \"/wait/{{text}}\"\nupstream = \"{url}\"\nprice = 0\n"
            ),
        );
    };
    with("1", "");
    let (mut program, address) = start(&place);
    let client = Client::new();
    let echo = || ask(&client, format!("{address}/echo/hello"));
    assert_eq!(echo().await.status(), StatusCode::OK);
    let waiting = tokio::spawn(client.get(format!("{address}/wait/long")).send());
    while upstream.waiting() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Requests go on all the while, over connections that stay open.
    let asking = {
        let (client, url) = (client.clone(), format!("{address}/wait-not"));
        tokio::spawn(async move {
            let mut answered = 0;
            loop {
                match client.get(&url).send().await {
                    Ok(answer) if answer.status() == StatusCode::NOT_FOUND => answered += 1,
                    other => return (answered, other),
                }
            }
        })
    };
    with("3", "confirmations = 9\n");
    program.send("HUP");
    program.wait_for("warning", |line| {
        (line.contains("only after a restart") && line.contains("confirmations")).then_some(())
    });
    program.wait_for("message", |line| line.contains("were read again").then_some(()));
    // The second of the two that are free.
    assert_eq!(echo().await.status(), StatusCode::OK);
    let paid = echo().await;
    assert_eq!((paid.status(), price(&paid)), (StatusCode::PAYMENT_REQUIRED, "3"));

    // A file that is wrong changes nothing, and is told with its line.
    with("\"0.5\"", "");
    program.send("HUP");
    program.wait_for("error", |line| line.contains("proxy.toml:10:9").then_some(()));
    assert_eq!(price(&echo().await), "3");
    assert!(!asking.is_finished(), "{:?}", asking.await);
    asking.abort();
    upstream.set_gate(true);
    assert_eq!(waiting.await.unwrap().unwrap().text().await.unwrap(), "long");
    assert!(program.signal("TERM"));

    // A restart has not forgotten, either.
    with("3", "");
    let (program, address) = start(&place);
    let answer = ask(&client, format!("{address}/echo/hello")).await;
    assert_eq!(answer.status(), StatusCode::PAYMENT_REQUIRED);
    assert!(program.signal("TERM"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_begun_is_finished_unless_it_is_told_twice_to_end() {
    let place = place().await;
    let upstream = Upstream::start().await;
    let url = upstream.url();
    write(&place, &format!("upstream = \"{url}\"\nprice = 0\n"));
    for twice in [false, true] {
        upstream.set_gate(false);
        let before = upstream.waiting();
        let (mut program, address) = start(&place);
        let waiting = tokio::spawn(Client::new().get(format!("{address}/wait/long")).send());
        while upstream.waiting() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        program.send("TERM");
        program.wait_for("message", |line| {
            line.contains("what was paid is answered first").then_some(())
        });
        if twice {
            program.send("TERM");
            assert_eq!(program.end().code(), Some(1));
            assert!(waiting.await.unwrap().is_err());
            continue;
        }
        // It takes no more.
        while Client::new()
            .get(format!("{address}/echo/x"))
            .send()
            .await
            .is_ok()
        {}
        upstream.set_gate(true);
        assert_eq!(waiting.await.unwrap().unwrap().text().await.unwrap(), "long");
        assert!(program.end().success());
    }
}

/// A certificate for `localhost`, and its key, in files.
fn certify(place: &Place) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".into()]).unwrap();
    let pem = |name: &str, der: &[u8]| {
        let text = BASE64_STANDARD.encode(der);
        format!("-----BEGIN {name}-----\n{text}\n-----END {name}-----\n")
    };
    fs::write(place.path("certificate.pem"), pem("CERTIFICATE", cert.der())).unwrap();
    place.secret(
        "certificate.key",
        &pem("PRIVATE KEY", &signing_key.serialize_der()),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_served_and_its_certificate_changed() {
    let place = place().await;
    let upstream = Upstream::start().await;
    certify(&place);
    let url = upstream.url();
    write(
        &place,
        &format!(
            "upstream = \"{url}\"\nprice = 0\nssl_cert = \"certificate.pem\"\nssl_key = \"certificate.key\"\n"
        ),
    );
    let (mut program, address) = start(&place);
    assert!(address.starts_with("https://127.0.0.1:"), "{address}");
    let port = address.rsplit(':').next().unwrap().to_owned();
    let curl = |version: &str| {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", version, "--cacert"])
            .arg(place.path("certificate.pem"))
            .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
            .args([
                "--write-out",
                " %{http_version}",
                &format!("https://localhost:{port}/echo/hello"),
            ])
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    assert_eq!(curl("--http1.1"), (true, "hello 1.1".to_owned()));
    assert_eq!(curl("--http2"), (true, "hello 2".to_owned()));
    // The new one is trusted, but not served yet.
    certify(&place);
    assert!(!curl("--http2").0);
    program.send("HUP");
    program.wait_for("message", |line| line.contains("were read again").then_some(()));
    assert_eq!(curl("--http2"), (true, "hello 2".to_owned()));
    fs::write(place.path("certificate.key"), "no key").unwrap();
    program.send("HUP");
    program.wait_for("error", |line| {
        line.contains("the certificate of before is served").then_some(())
    });
    assert_eq!(curl("--http1.1").1, "hello 1.1");
    assert!(program.signal("TERM"));
    failed(
        &place.run(&["proxy", "--config", "proxy.toml"]).await,
        1,
        "certificate.key",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_explains_and_finds_what_is_wrong() {
    let place = place().await;
    let upstream = Upstream::start().await;
    let check = async |more: &[&str]| {
        place
            .run(&[&["proxy", "check", "--config", "proxy.toml"], more].concat())
            .await
    };
    let route = format!("upstream = \"{}\"\nprice = \"0.002 TKN\"\n", upstream.url());
    write(&place, &route);
    let output = check(&[]).await;
    let told = succeeded(&output);
    assert_eq!(told["routes"][0]["price"], "0.002 TKN");
    assert_eq!(told["routes"][0]["path"], "everything");
    assert_eq!(told["findings"].as_array().unwrap().len(), 0);

    let output = check(&["--online"]).await;
    let told = succeeded(&output);
    let finding = |name: &str| {
        let findings = told["findings"].as_array().unwrap();
        let found = findings.iter().find(|finding| finding["name"] == name);
        found.unwrap_or_else(|| panic!("{name}: {told}"))["value"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (name, words) in [
        ("node", "is on chain 31337"),
        ("chain_id", "a test chain"),
        ("contract", "our channel contract"),
        ("code_hash", "0x"),
        ("token", "(TKN, 18 decimals)"),
        ("prices", "can be expressed"),
        ("challenge_period", "500 blocks"),
        ("receiver", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        ("gas_money", "ether"),
        ("upstream", "answers 404"),
    ] {
        assert!(finding(name).contains(words), "{name}: {}", finding(name));
    }

    for (settings, more, words) in [
        (
            "upstream = \"http://127.0.0.1:1\"\nprice = 1\n",
            "",
            "as the proxy needs it: upstream",
        ),
        (&*route, "chain = 1\n", "proxy.toml:9:1: unknown field `chain`"),
        (
            "upstream = \"http://127.0.0.1:1\"\nprice = \"0.0000000000000000001 TKN\"\n",
            "",
            "prices",
        ),
        (
            "upstream = \"http://127.0.0.1:1\"\nprice = \"1 OTHER\"\n",
            "",
            "prices",
        ),
        (
            "upstream = \"http://ann:secret@127.0.0.1:1\"\nprice = 1\n",
            "",
            "proxy.toml:7:12: ",
        ),
        (
            "upstream = \"ftp://127.0.0.1:1\"\nprice = 1\n",
            "",
            "proxy.toml:7:12: ",
        ),
        ("price = 1\n", "", "--upstream"),
        (
            "[[route]]\nprice = 1\n",
            "",
            "proxy.toml:7:1: it is not said what is sold",
        ),
        (
            "[[route]]\nupstream = \"http://127.0.0.1:1\"\n",
            "",
            "proxy.toml:7:1: the route has no price",
        ),
        (
            "[[route]]\nprice = 1\nfolder = \"nowhere\"\npath = \"/a/{*rest}\"\n",
            "",
            "proxy.toml:9:10: ",
        ),
        (
            "[[route]]\nprice = 1\npath = \"/api/1/stats\"\nupstream = \"http://127.0.0.1:1\"\n",
            "",
            "proxy.toml:9:8: ",
        ),
        (
            "[[route]]\nprices = { get = 1 }\nupstream = \"http://127.0.0.1:1\"\n",
            "",
            "proxy.toml:8:18: \"get\" is not a method",
        ),
        (
            "ssl_cert = \"proxy.toml\"\nupstream = \"http://127.0.0.1:1\"\nprice = 1\n",
            "",
            "proxy.toml:7:12: this needs ssl_key too",
        ),
        (
            "operator = \"ann\"\nupstream = \"http://127.0.0.1:1\"\nprice = 1\n",
            "",
            "proxy.toml:7:12: this needs operator_password_hash_file too",
        ),
    ] {
        write(&place, &format!("{settings}{more}"));
        let output = check(&["--online"]).await;
        let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), said(&output));
        assert!(
            !output.status.success() && told.contains(words),
            "{settings}{more}: {told}"
        );
        assert!(!said(&output).contains("secret"), "{}", said(&output));
    }
    let nowhere = "0x00000000000000000000000000000000000000aa";
    write(&place, &route);
    let output = check(&["--online", "--channel-manager-address", nowhere]).await;
    failed(&output, 1, "contract");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_file_a_key_is_made_and_never_taken_from_the_command_line() {
    let place = place().await;
    let upstream = Upstream::start().await;
    let start = || {
        let mut program = Program::start_command(
            Command::new(env!("CARGO_BIN_EXE_microraiden"))
                .args([
                    "proxy",
                    "--port",
                    "0",
                    "--price",
                    "0.002 TKN",
                    "--rpc-provider",
                    &place.url,
                    "--upstream",
                ])
                .arg(upstream.url().as_str())
                .current_dir(&place.folder)
                .env("XDG_DATA_HOME", place.path("data")),
        );
        let address = program.wait_for("address", |line| {
            line.starts_with("http://").then(|| line.to_owned())
        });
        (program, address)
    };
    let client = Client::new();
    let mut receivers = Vec::new();
    for _ in 0..2 {
        let (program, address) = start();
        let unpaid = ask(&client, format!("{address}/echo/x")).await;
        assert_eq!(
            (unpaid.status(), price(&unpaid)),
            (StatusCode::PAYMENT_REQUIRED, "2000000000000000")
        );
        receivers.push(unpaid.headers()["rdn-receiver-address"].clone());
        assert!(program.signal("TERM"));
    }
    // The second time it is there.
    assert_eq!(receivers[0], receivers[1]);
    assert!(place.path("data/microraiden/receiver.key").exists());

    let key = format!("{:064x}", 0xfee1_dead_u64);
    let output = place
        .run(&[
            "proxy",
            "--private-key",
            &key,
            "--upstream",
            "http://127.0.0.1:1",
            "--price",
            "1",
        ])
        .await;
    failed(&output, 2, "in the place of its file");
    assert!(!said(&output).contains(&key), "{}", said(&output));
}
