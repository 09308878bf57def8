//! What is left of the free quotas after a kill.

use microraiden_proxy::ClientKey;
use microraiden_proxy::quota::{FreeQuota, QuotaError, Quotas};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// Set for the process that is killed: its file.
const FILE: &str = "MICRORAIDEN_TEST_QUOTAS";
const CLIENT: ClientKey = ClientKey::V4([192, 0, 2, 1]);

fn take(quotas: &Quotas) -> bool {
    let quota: FreeQuota = "1000 ever".parse().unwrap();
    quotas.take("route", CLIENT, quota, SystemTime::now())
}

/// What the process does that is killed: it uses ten up, waits, and uses up more until it is gone.
fn use_up(path: &Path) {
    let quotas = Quotas::open(path).unwrap();
    assert!((0..10).all(|_| take(&quotas)));
    // Twice as long as it takes at most, since tests share their processors.
    std::thread::sleep(Duration::from_secs(2));
    println!("\nten are used");
    loop {
        take(&quotas);
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_kill_loses_only_what_was_used_just_before() {
    if let Some(path) = std::env::var_os(FILE) {
        return use_up(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quotas.db");
    let this = std::env::current_exe().unwrap();
    let mut process = Command::new(this)
        .args([
            "--exact",
            "kill::a_kill_loses_only_what_was_used_just_before",
            "--nocapture",
        ])
        .env(FILE, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let told = lines.map_while(Result::ok).any(|line| line == "ten are used");
    assert!(told, "the other process has ended");
    let in_use = Quotas::open(&path).unwrap_err();
    assert!(matches!(in_use, QuotaError::Locked { .. }), "{in_use}");
    process.kill().unwrap();
    process.wait().unwrap();
    let quotas = Quotas::open(&path).unwrap();
    let left = (0..2_000).filter(|_| take(&quotas)).count();
    assert!(left <= 990, "{left} are free again");
}
