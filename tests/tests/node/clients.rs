//! The suites of viem and ethers, as they are, on each node.

use microraiden_tests::{NodeKind, TestNode};
use std::path::Path;
use tokio::process::Command;

async fn passes(suite: &str, kind: NodeKind) {
    let node = TestNode::start_quiet(kind).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let url = node.url();
    let run = Command::new("node")
        .args(["--test", "--test-reporter=tap"])
        .arg(folder.join(suite))
        .env("NODE_URL", url.as_str().trim_end_matches('/'))
        .kill_on_drop(true)
        .output()
        .await
        .expect("Node.js runs, as `cargo xtask test` checks");
    let output = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{suite} on {kind:?}:\n{output}");
    let passed = output.lines().find_map(|line| line.strip_prefix("# pass "));
    let passed: u32 = passed.unwrap().parse().unwrap();
    assert!(
        passed > 40,
        "{suite} on {kind:?} ran only {passed} tests:\n{output}"
    );
}

#[tokio::test]
async fn viem_on_devchain() {
    passes("viem.test.mjs", NodeKind::Devchain).await;
}

#[tokio::test]
async fn viem_on_anvil() {
    passes("viem.test.mjs", NodeKind::Anvil).await;
}

#[tokio::test]
async fn ethers_on_devchain() {
    passes("ethers.test.mjs", NodeKind::Devchain).await;
}

#[tokio::test]
async fn ethers_on_anvil() {
    passes("ethers.test.mjs", NodeKind::Anvil).await;
}
