//! The READMEs of those examples that need nothing but this program, command by command; and the chain that all begin with.

use crate::place::said;
use crate::process::Program;
use microraiden_tests::Tour;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const MICRORAIDEN: &str = env!("CARGO_BIN_EXE_microraiden");

pub(crate) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}

/// A README whose commands run two folders below the repository's root.
pub(crate) async fn tour(readme: &str) -> Tour {
    let mut tour = Tour::begin(readme, MICRORAIDEN).await;
    tour.name("../../examples", root().join("examples").to_str().unwrap());
    tour
}

#[test]
fn the_chain_of_the_examples_is_set_up_as_their_readme_says() {
    let readme = include_str!("../../../../examples/README.md");
    let commands: Vec<_> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .collect();
    let [folder, node, steps @ ..] = &commands[..] else {
        panic!("{commands:?}")
    };
    assert!(
        folder.starts_with("mkdir ") && folder.contains(" && cd "),
        "{folder}"
    );
    let play = tempfile::tempdir().unwrap();
    let node: Vec<_> = node.strip_prefix("microraiden ").unwrap().split(' ').collect();
    let mut node = Program::start(&[&node[..], &["--port", "0"]].concat());
    let url = node.wait_for("address", |line| {
        let description: Value = serde_json::from_str(line).ok()?;
        Some(description["url"].as_str()?.to_owned())
    });
    let deploy = format!(" deploy --rpc-provider {url}");
    let script = steps.join(" && ").replace(" deploy", &deploy);
    let folder = Path::new(MICRORAIDEN).parent().unwrap().display();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(&play)
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {}", said(&output));
    for name in ["deployment.json", "sender.key", "receiver.key"] {
        assert!(play.path().join(name).exists(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wikipaydia_works_as_it_is_written() {
    let mut tour = tour(include_str!("../../../../examples/wikipaydia/README.md")).await;
    let _site = tour.start("127.0.0.1:8000").await;
    tour.run().await;
    tour.adapt("wikipaydia.toml");
    let proxy = tour.start("127.0.0.1:5000").await;
    for _ in 0..4 {
        tour.run().await;
    }
    proxy.stop().await;
    tour.end();
}
