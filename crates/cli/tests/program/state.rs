//! State files: which are refused and with what words, backups, and what is restored from them.

use crate::place::{Place, failed, said, succeeded, text};
use crate::process::{PATIENCE, Program};
use microraiden_devchain::{Config, Mining};
use microraiden_tests::Upstream;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Blocks come by themselves, so that channels are confirmed.
pub(crate) fn config(chain_id: u64) -> Config {
    let mining = Mining {
        instant: true,
        interval: Some(Duration::from_millis(100)),
    };
    Config {
        chain_id,
        mining,
        ..Config::default()
    }
}

/// The options of a proxy that sells in a place; its files are found from the place's folder.
pub(crate) fn proxy(
    place: &Place,
    key: &str,
    deployment: &str,
    upstream: &str,
    state: Option<&str>,
) -> Vec<String> {
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let mut options: Vec<_> = [
        "proxy",
        "--rpc-provider",
        &place.url,
        "--private-key",
        &path(key),
        "--deployment-file",
        &path(deployment),
        "--upstream",
        upstream,
        "--price",
        "5",
        "--port",
        "0",
        "--poll-interval",
        "30",
    ]
    .map(str::to_owned)
    .into();
    options.extend(
        state
            .map(|state| ["--state-file".to_owned(), path(state)])
            .into_iter()
            .flatten(),
    );
    options
}

pub(crate) const NO_UPSTREAM: &str = "http://127.0.0.1:1";

/// Starts a proxy, and waits until it has read the chain; its address.
pub(crate) async fn start(options: &[String]) -> (Program, String) {
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let mut program = Program::start(&options);
    let address = program.wait_for("address", |line| {
        line.starts_with("http://").then(|| line.to_owned())
    });
    // Answered when everything has started.
    reqwest::get(format!("{address}/api/1/stats")).await.unwrap();
    (program, address)
}

/// A place with a contract and a state file that was used.
async fn place_with_state() -> Place {
    let place = Place::new(config(31337)).await;
    succeeded(&place.deploy(&[]).await);
    let (program, _) = start(&usual(&place)).await;
    assert!(program.signal("TERM"));
    place
}

fn usual(place: &Place) -> Vec<String> {
    proxy(
        place,
        "receiver.key",
        "deployment.json",
        NO_UPSTREAM,
        Some("state.db"),
    )
}

async fn run(place: &Place, options: &[String]) -> Output {
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    place.run(&options).await
}

/// Makes sure that a proxy ends with status 1 and these words, and leaves the state file as it is.
async fn refused(place: &Place, options: &[String], words: &str) {
    let before = fs::read(place.path("state.db")).unwrap();
    let output = run(place, options).await;
    failed(&output, 1, words);
    assert!(
        fs::read(place.path("state.db")).unwrap() == before,
        "{words}: the file has changed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_file_of_something_else_is_refused() {
    let place = place_with_state().await;
    refused(
        &place,
        &proxy(
            &place,
            "owner.key",
            "deployment.json",
            NO_UPSTREAM,
            Some("state.db"),
        ),
        "belongs to receiver",
    )
    .await;
    succeeded(&place.deploy(&["--deployment-file", "second.json"]).await);
    refused(
        &place,
        &proxy(
            &place,
            "receiver.key",
            "second.json",
            NO_UPSTREAM,
            Some("state.db"),
        ),
        "belongs to channel contract",
    )
    .await;
    // The same contract, at the same address, on another chain.
    let other = Place::new(config(1337)).await;
    succeeded(&other.deploy(&[]).await);
    let contract = |place: &Place| text(&place.deployment(), "/contract/address").to_owned();
    assert_eq!(contract(&other), contract(&place));
    fs::copy(place.path("state.db"), other.path("state.db")).unwrap();
    refused(&other, &usual(&other), "belongs to chain 31337, not to 1337").await;

    // And it is still good.
    let (program, _) = start(&usual(&place)).await;
    let at_once = [usual(&place), ["--start-timeout", "0"].map(str::to_owned).into()].concat();
    let second = run(&place, &at_once).await;
    failed(&second, 1, "is in use; stop the other process");
    assert!(program.signal("TERM"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_file_that_is_not_as_it_was_written_is_refused() {
    let place = place_with_state().await;
    let (path, options) = (place.path("state.db"), usual(&place));
    let whole = fs::read(&path).unwrap();

    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    refused(&place, &options, "chmod 600").await;
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    // Only root can give files away.
    if chown(&path, Some(65534), None).is_ok() {
        refused(&place, &options, "chown").await;
        chown(&path, Some(0), None).unwrap();
    }
    let change = |change: &dyn Fn(&fs::File)| {
        fs::write(&path, &whole).unwrap();
        change(&fs::OpenOptions::new().write(true).open(&path).unwrap());
    };
    // SQLite's user_version.
    change(&|file| file.write_all_at(&9_u32.to_be_bytes(), 60).unwrap());
    refused(
        &place,
        &options,
        "has the newer format 9; install the version that wrote it",
    )
    .await;
    change(&|file| file.write_all_at(&[0; 4096], 2 * 4096).unwrap());
    refused(&place, &options, "is damaged").await;
    refused(&place, &options, "restore a backup by `microraiden restore`").await;
    change(&|file| file.set_len(4096).unwrap());
    refused(&place, &options, "is damaged").await;
    change(&|file| file.set_len(0).unwrap());
    refused(&place, &options, "has vanished").await;
    fs::write(&path, "Dear diary, ".repeat(1000)).unwrap();
    refused(&place, &options, "is not a state file").await;
    fs::write(&path, &whole).unwrap();
    let (program, _) = start(&options).await;
    assert!(program.signal("TERM"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_name_the_state_is_in_the_users_folder() {
    let place = Place::new(config(31337)).await;
    let deployment = succeeded(&place.deploy(&[]).await);
    let options = proxy(&place, "receiver.key", "deployment.json", NO_UPSTREAM, None);
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_microraiden"));
        command.args(&options).current_dir(&place.folder);
        command.env_remove("HOME").env_remove("XDG_DATA_HOME");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    let mut homeless = command();
    let output = tokio::task::spawn_blocking(move || homeless.output()).await;
    failed(&output.unwrap().unwrap(), 1, "name one with --state-file");

    let receiver = place.chain.accounts()[1].address.to_string();
    let contract = text(&deployment, "/contract/address");
    let name = format!("{}_{}.db", &contract[..10], &receiver[..10]);
    let check = |variable: &str, folder: PathBuf| {
        let mut child = command()
            .env(variable, place.path("home"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        let lock = folder.join(format!("{name}.lock"));
        while !fs::metadata(&lock).is_ok_and(|lock| lock.len() > 0) {
            assert!(begin.elapsed() < PATIENCE, "{} does not come", lock.display());
            assert!(child.try_wait().unwrap().is_none(), "the proxy has ended");
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&folder), mode(&folder.join(&name))), (0o700, 0o600));
    };
    let home = place.path("home");
    check("XDG_DATA_HOME", home.join("microraiden"));
    let data = match cfg!(target_os = "macos") {
        true => "Library/Application Support",
        false => ".local/share",
    };
    check("HOME", home.join(data).join("microraiden"));
}

/// Pays once for what the proxy sells.
pub(crate) async fn pay(place: &Place, proxy: &str) {
    let paid = place
        .run(&[
            "get",
            &format!("{proxy}/echo/paid"),
            "--private-key",
            "owner.key",
            "--rpc-provider",
            &place.url,
            "--deployment-file",
            "deployment.json",
            "--max-price",
            "5",
        ])
        .await;
    assert!(paid.status.success(), "{}", said(&paid));
}

async fn state(place: &Place, file: &str) -> Value {
    succeeded(&place.run(&["state", "--state-file", file]).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_state_is_restored_from_the_backup_of_a_running_proxy() {
    let place = Place::new(config(31337)).await;
    let deployment = succeeded(&place.deploy(&[]).await);
    let upstream = Upstream::start().await;
    let options = proxy(
        &place,
        "receiver.key",
        "deployment.json",
        upstream.url().as_str(),
        Some("state.db"),
    );
    let (program, address) = start(&options).await;
    pay(&place, &address).await;

    let backup = ["backup", "--state-file", "state.db", "--to", "state.backup"];
    let made = succeeded(&place.run(&backup).await);
    assert_eq!(made["file"], "state.backup");
    assert_eq!(made["chain_id"], 31337);
    assert_eq!(made["contract"], deployment["contract"]["address"]);
    assert_eq!(made["channels"]["open"], 1);
    assert_eq!(made["balance_sum"], "5");
    let size = fs::metadata(place.path("state.backup")).unwrap();
    assert_eq!(made["bytes"], size.len());
    assert_eq!(size.permissions().mode() & 0o7777, 0o600);
    assert!(made["backup_made_at"].as_u64().unwrap() > 1_500_000_000);
    assert!(made["head"].as_u64().unwrap() > 0);
    failed(&place.run(&backup).await, 1, "state.backup exists already");
    succeeded(&place.run(&[&backup[..], &["--force"]].concat()).await);
    let onto_itself = [
        "backup",
        "--state-file",
        "state.db",
        "--to",
        "state.db",
        "--force",
    ];
    failed(&place.run(&onto_itself).await, 1, "is not a backup");

    pay(&place, &address).await;
    assert_eq!(state(&place, "state.db").await["balance_sum"], "10");
    assert_eq!(state(&place, "state.backup").await["balance_sum"], "5");
    let restore = ["restore", "--from", "state.backup", "--state-file", "state.db"];
    failed(&place.run(&restore).await, 1, "state.db exists already");
    program.kill();
    fs::rename(place.path("state.db-wal"), place.path("log")).unwrap();
    refused(&place, &options, "lacks the last").await;
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(place.path(&format!("state.db{suffix}"))).unwrap();
    }
    let gone = run(&place, &options).await;
    failed(&gone, 1, "has vanished");
    fs::copy(place.path("state.backup"), place.path("state.db")).unwrap();
    refused(
        &place,
        &options,
        "is a backup; make a state file of it by `microraiden restore",
    )
    .await;
    fs::remove_file(place.path("state.db")).unwrap();

    let output = place.run(&restore).await;
    let restored = succeeded(&output);
    assert_eq!(restored["balance_sum"], "5");
    assert_eq!(restored["halts"], json!([{ "kind": "restored", "block": null }]));
    let made_at = &state(&place, "state.backup").await["backup_made_at"];
    assert_eq!(&restored["backup_made_at"], made_at);
    for words in ["1 of them in the backup", "--resume-selling", "content twice"] {
        // As one line, wherever it is broken.
        let told = said(&output).replace('\n', " ");
        assert!(told.contains(words), "{told}");
    }
    let (program, address) = start(&options).await;
    let list = reqwest::get(format!("{address}/api/1/channels")).await.unwrap();
    let list: Value = serde_json::from_str(&list.text().await.unwrap()).unwrap();
    assert_eq!(list[0]["balance"], "5", "{list}");
    assert!(program.signal("TERM"));
}
