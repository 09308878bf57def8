//! The options of `proxy` for operators and web pages, and the hash of a password.

use crate::place::{Place, failed, said};
use crate::process::Program;
use microraiden_devchain::Config;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::process::{Command, Output, Stdio};

pub(crate) const PASSWORD: &str = "of the tests alone";

pub(crate) fn hash(input: &str) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_microraiden"))
        .arg("hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    program.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    program.wait_with_output().unwrap()
}

#[test]
fn a_password_is_hashed_from_the_first_line() {
    let output = hash(&format!("{PASSWORD}\nanother line\n"));
    assert!(output.status.success(), "{}", said(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.starts_with("$argon2id$v=19$") && printed.ends_with('\n'),
        "{printed}"
    );
    assert_eq!(printed.lines().count(), 1);
    for empty in ["", "\n", "\r\nx"] {
        failed(&hash(empty), 1, "empty");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_logs_in_at_the_real_program() {
    let place = Place::new(Config::default()).await;
    let deployed = place.deploy(&[]).await;
    assert!(deployed.status.success(), "{}", said(&deployed));
    let hash = String::from_utf8(hash(PASSWORD).stdout).unwrap();
    place.secret("operator.hash", &hash);
    place.secret("no.hash", PASSWORD);
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let (key, state) = (path("receiver.key"), path("receiver.db"));
    let (deployment, hash_file) = (path("deployment.json"), path("operator.hash"));
    let proxy = [
        "proxy",
        // Nobody is there, so the next one is used.
        "--rpc-provider",
        "http://127.0.0.1:1",
        "--rpc-provider",
        &place.url,
        "--private-key",
        &key,
        "--deployment-file",
        &deployment,
        "--upstream",
        "http://127.0.0.1:1",
        "--price",
        "5",
        "--state-file",
        &state,
        "--port",
        "0",
    ];
    let with = |options: &[&'static str]| [&proxy[..], options].concat();
    let alone = place.run(&with(&["--operator", "ann"])).await;
    failed(&alone, 2, "--operator-password-hash-file");
    let options = ["--operator", "ann", "--operator-password-hash-file", "no.hash"];
    let bad = place.run(&with(&options)).await;
    failed(&bad, 2, "hash-password");
    assert!(!said(&bad).contains(PASSWORD), "{}", said(&bad));
    let bad = place.run(&with(&["--cors-origin", "shop.example"])).await;
    failed(&bad, 2, "an origin is written as a browser sends it");

    let options = [
        "--operator",
        "ann",
        "--operator-password-hash-file",
        &hash_file,
        "--legacy-close",
        "--cors-origin",
        "https://shop.example",
    ];
    let mut program = Program::start(&[&proxy[..], &options].concat());
    // The two come in no fixed order.
    let (address, warned) = (RefCell::new(None), Cell::new(false));
    let address = program.wait_for("address and warning", |line| {
        if line.starts_with("http://") {
            address.replace(Some(line.to_owned()));
        }
        warned.set(warned.get() || line.contains("legacy close is on"));
        address.borrow().clone().filter(|_| warned.get())
    });
    let http = reqwest::Client::new();
    let admin = http.get(format!("{address}/api/1/admin"));
    let admin = admin.header("origin", "https://shop.example");
    let answer = admin.basic_auth("ann", Some(PASSWORD)).send().await.unwrap();
    assert_eq!(
        answer.headers()["access-control-allow-origin"],
        "https://shop.example"
    );
    assert_eq!(answer.text().await.unwrap(), "\"NOTHING TO SEE HERE, GO AWAY\"\n");
    assert!(program.signal("TERM"));
}
