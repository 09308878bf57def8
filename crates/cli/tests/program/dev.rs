//! `proxy --dev`: something to sell on, without anything at hand.

use crate::process::Program;
use microraiden_tests::Upstream;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A proxy on a development chain; its address, and the command that it prints to pay by.
fn start(upstream: &Upstream) -> (Program, String, String) {
    let mut program = Program::start(&[
        "proxy",
        "--dev",
        "--upstream",
        upstream.url().as_str(),
        "--price",
        "9 TKN",
        "--port",
        "0",
    ]);
    program.wait_for("warning", |line| {
        line.contains("everybody knows its keys").then_some(())
    });
    let unpaid = program.wait_for("curl command", |line| {
        line.trim().strip_prefix("curl -i ").map(str::to_owned)
    });
    let command = program.wait_for_get_command();
    (program, unpaid, command)
}

fn argument<'a>(command: &'a str, option: &str) -> &'a str {
    let mut words = command.split_whitespace();
    words.find(|word| *word == option).expect(option);
    words.next().expect(option)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_try_needs_nothing_and_leaves_nothing() {
    let upstream = Upstream::start().await;
    let (program, url, command) = start(&upstream);
    let unpaid = reqwest::get(format!("{url}echo/hello")).await.unwrap();
    assert_eq!(unpaid.status().as_u16(), 402);
    assert_eq!(unpaid.headers()["rdn-price"], "9000000000000000000");
    let folder = PathBuf::from(argument(&command, "--private-key"));
    let folder = folder.parent().unwrap();
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o7777, 0o700);

    // At once, from a channel that it opens; and once more from the same channel.
    let command = command.replacen(&url, &format!("{url}echo/hello"), 1);
    for left in ["81 TKN left", "72 TKN left"] {
        let paid = Command::new("sh").args(["-c", &command]).output().unwrap();
        let told = String::from_utf8_lossy(&paid.stderr);
        assert!(paid.status.success(), "{command}: {told}");
        assert_eq!(String::from_utf8_lossy(&paid.stdout), "hello");
        assert!(told.contains("paid 9 TKN") && told.contains(left), "{told}");
    }
    assert_eq!(upstream.served(), 2);
    assert!(program.signal("TERM"));
    assert!(!folder.exists(), "{} stays", folder.display());
}

/// The second one finds the usual port taken, by the first or by somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn two_can_run_side_by_side() {
    let upstream = Upstream::start().await;
    let (first, second) = (start(&upstream), start(&upstream));
    let node = |(_, _, command): &(Program, String, String)| argument(command, "--rpc-provider").to_owned();
    assert_ne!(node(&first), node(&second));
    for node in [node(&first), node(&second)] {
        assert!(node.starts_with("http://127.0.0.1:"), "{node}");
    }
    for (program, ..) in [first, second] {
        assert!(program.signal("INT"));
    }
}

#[test]
fn what_comes_with_the_chain_cannot_be_given() {
    for (option, value) in [
        ("--rpc-provider", "http://127.0.0.1:1"),
        ("--private-key", "receiver.key"),
        ("--state-file", "receiver.db"),
        ("--deployment-file", "deployment.json"),
        (
            "--channel-manager-address",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_microraiden"))
            .args([
                "proxy",
                "--dev",
                "--upstream",
                "http://127.0.0.1:1",
                "--price",
                "5",
                option,
                value,
            ])
            .current_dir(Path::new("/"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--dev") && said.contains(option), "{said}");
    }
}
