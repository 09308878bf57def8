//! A state that goes from a file into a database and back, as an operator has it moved, and databases that were restored.

use crate::place::{Place, failed, said, succeeded};
use crate::process::Program;
use crate::state::{config, pay, proxy, start};
use microraiden_test_postgres::{Database, Options, PASSWORD, Server};
use microraiden_tests::Upstream;
use serde_json::{Value, json};
use std::fs;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        Server::start(Options {
            fsync: false,
            ..Options::default()
        })
    })
}

/// A receiver with a contract, content, a state that was paid once, and an empty database.
struct Shop {
    place: Place,
    upstream: Upstream,
    database: Database,
}

impl Shop {
    async fn new() -> Self {
        let place = Place::new(config(31337)).await;
        succeeded(&place.deploy(&[]).await);
        let shop = Self {
            place,
            upstream: Upstream::start().await,
            database: server().database(),
        };
        let (program, address) = start(&shop.on_file("state.db")).await;
        pay(&shop.place, &address).await;
        assert!(program.signal("TERM"));
        shop
    }

    fn on(&self, key: &str, state_file: Option<&str>, more: &[&str]) -> Vec<String> {
        let upstream = self.upstream.url();
        let mut options = proxy(&self.place, key, "deployment.json", upstream.as_str(), state_file);
        options.extend(more.iter().map(|option| (*option).to_owned()));
        options
    }

    fn on_file(&self, name: &str) -> Vec<String> {
        self.on("receiver.key", Some(name), &[])
    }

    fn on_database(&self) -> Vec<String> {
        self.with_key("receiver.key")
    }

    /// On the database, with this key.
    fn with_key(&self, key: &str) -> Vec<String> {
        self.on(key, None, &["--store", &self.database.url])
    }

    async fn migrate(&self, from: &str, to: &str) -> Output {
        self.place.run(&["migrate", "--from", from, "--to", to]).await
    }

    async fn state(&self, option: &str, which: &str) -> Value {
        succeeded(&self.place.run(&["state", option, which]).await)
    }

    /// What `proxy check --online` says of the database to the receiver with this key.
    async fn checked(&self, key: &str) -> Value {
        let mut options = self.with_key(key);
        options.splice(1..1, ["check", "--online", "--json"].map(str::to_owned));
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        let output = self.place.run(&options).await;
        let told: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
        let mut findings = told["findings"].as_array().unwrap().iter();
        let finding = findings.find(|finding| finding["name"] == "database").unwrap();
        let is_bad = finding["verdict"] == "bad";
        assert_eq!(said(&output).contains("database"), is_bad, "{}", said(&output));
        finding.clone()
    }

    /// A proxy with these options ends at once, and says why.
    async fn refused(&self, options: &[String], words: &str) {
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        failed(&self.place.run(&options).await, 1, words);
    }

    /// Tries to pay a proxy for a moment, which does not take it.
    async fn pay_in_vain(&self, proxy: &str) {
        let url = format!("{proxy}/echo/paid");
        let sender = ["--private-key", "owner.key", "--rpc-provider", &self.place.url];
        let limits = ["--deployment-file", "deployment.json", "--max-price", "5"];
        let mut get = Command::new(env!("CARGO_BIN_EXE_microraiden"));
        get.args(["get", &url])
            .args(sender)
            .args(limits)
            .current_dir(&self.place.folder)
            .env("XDG_DATA_HOME", self.place.path("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut get = get.spawn().unwrap();
        let begin = Instant::now();
        let ended = loop {
            let ended = get.try_wait().unwrap();
            if ended.is_some() || begin.elapsed() > Duration::from_secs(4) {
                break ended;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        // It goes on asking for longer than anybody wants to wait.
        let _ = get.kill();
        get.wait().unwrap();
        assert!(ended.is_none_or(|status| !status.success()));
    }
}

/// The same state, wherever it is.
fn without_place(mut state: Value) -> Value {
    let fields = state.as_object_mut().unwrap();
    for name in ["format", "from", "to", "seconds", "compared"] {
        fields.remove(name);
    }
    state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_moves_into_a_database_and_back_and_sells_on() {
    let shop = Shop::new().await;
    let url = &shop.database.url;
    let in_file = shop.state("--state-file", "state.db").await;
    assert_eq!(
        (&in_file["balance_sum"], &in_file["moved_to"]),
        (&json!("5"), &Value::Null)
    );

    let empty = json!("empty; the first proxy makes the tables");
    let checked = shop.checked("receiver.key").await;
    assert_eq!((&checked["verdict"], &checked["value"]), (&json!("good"), &empty));
    let output = shop.migrate("state.db", url).await;
    let moved = succeeded(&output);
    assert_eq!((&moved["from"], &moved["to"]), (&json!("state.db"), &json!(url)));
    assert_eq!(moved["compared"]["accounts"], 1);
    assert!(moved["compared"]["events"].as_u64().unwrap() > 0);
    assert!(moved["seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(without_place(moved), without_place(in_file));
    let told = said(&output);
    for words in ["read back and compared", "What next", "--store", "pg_restore"] {
        assert!(told.contains(words), "{told}");
    }
    let moved_to = format!("was moved to {url}");
    shop.refused(&shop.on_file("state.db"), &moved_to).await;
    let backup = ["backup", "--state-file", "state.db", "--to", "state.backup"];
    failed(&shop.place.run(&backup).await, 1, &moved_to);
    assert_eq!(
        shop.state("--state-file", "state.db").await["moved_to"],
        json!(url)
    );
    failed(&shop.migrate("state.db", url).await, 1, &moved_to);

    let (program, address) = start(&shop.on_database()).await;
    pay(&shop.place, &address).await;
    // Beside the proxy.
    let checked = shop.checked("receiver.key").await;
    let told = checked["value"].as_str().unwrap();
    assert!(
        checked["verdict"] == "good" && told.contains("has the state of receiver 0x"),
        "{checked}"
    );
    let another = shop.checked("owner.key").await;
    assert_eq!(
        (&another["verdict"], &another["value"]),
        (&json!("bad"), &json!(told))
    );
    let shared = shop.state("--store", url).await;
    assert_eq!(
        (&shared["balance_sum"], &shared["channels"]["open"]),
        (&json!("10"), &json!(1))
    );

    // And away from under it.
    let output = shop.migrate(url, "back.db").await;
    let moved = succeeded(&output);
    assert_eq!(moved["balance_sum"], "10");
    assert!(
        said(&output).contains("Stop the proxies that still run"),
        "{}",
        said(&output)
    );
    shop.pay_in_vain(&address).await;
    let back = shop.place.path("back.db").canonicalize().unwrap();
    let left = shop.state("--store", url).await;
    assert_eq!(
        (&left["balance_sum"], &left["moved_to"]),
        (&json!("10"), &json!(back))
    );
    program.signal("TERM");
    let moved_to = format!("was moved to {}", back.display());
    let checked = shop.checked("receiver.key").await;
    let told = checked["value"].as_str().unwrap();
    assert!(
        checked["verdict"] == "bad" && told.contains(&moved_to),
        "{checked}"
    );
    shop.refused(&shop.on_database(), &moved_to).await;

    let (program, address) = start(&shop.on_file("back.db")).await;
    pay(&shop.place, &address).await;
    assert_eq!(shop.state("--state-file", "back.db").await["balance_sum"], "15");
    assert_eq!(shop.state("--store", url).await["balance_sum"], "10");
    failed(&shop.migrate("back.db", url).await, 1, "is in use");
    assert!(program.signal("TERM"));
    // A database that was left takes nothing in; another does.
    failed(&shop.migrate("back.db", url).await, 1, "was moved to");
    let another = server().database();
    assert_eq!(
        succeeded(&shop.migrate("back.db", &another.url).await)["balance_sum"],
        "15"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_cannot_be_is_refused_with_what_to_do() {
    let place = Place::new(config(31337)).await;
    let url = server().database().url;
    let run = async |arguments: &[&str]| place.run(arguments).await;
    let migrate = async |from: &str, to: &str| place.run(&["migrate", "--from", from, "--to", to]).await;
    for (from, to) in [("one.db", "two.db"), (&url, &url)] {
        failed(
            &migrate(from, to).await,
            2,
            "one of --from and --to is a state file, and the other",
        );
    }
    failed(
        &migrate("one.db", "mysql://here/there").await,
        2,
        "postgres://user@host",
    );
    for option in ["--from", "--to"] {
        let other = if option == "--to" { "--from" } else { "--to" };
        let secret = "postgres://me:correct-horse@127.0.0.1/shop";
        let output = run(&["migrate", option, secret, other, "one.db"]).await;
        failed(&output, 2, "leave the password out");
        assert!(!said(&output).contains(PASSWORD), "{}", said(&output));
    }
    for command in ["state", "restore"] {
        let output = run(&[
            command,
            "--store",
            "postgres://127.0.0.1/shop?password=correct-horse",
        ])
        .await;
        failed(&output, 2, "leave the password out");
        assert!(!said(&output).contains(PASSWORD), "{}", said(&output));
        failed(
            &run(&[command, "--store", &url]).await,
            1,
            "there is no state in the database",
        );
    }
    failed(
        &run(&["state", "--store", &url, "--state-file", "one.db"]).await,
        2,
        "cannot be used with",
    );
    failed(&run(&["state"]).await, 2, "required");
    failed(
        &run(&["restore", "--from", "one.backup"]).await,
        2,
        "--state-file",
    );
    failed(
        &run(&["restore", "--store", &url, "--from", "one.backup"]).await,
        2,
        "cannot be used with",
    );

    failed(&migrate("nothing.db", &url).await, 1, "cannot open nothing.db");
    place.secret("diary", &"Dear diary, ".repeat(1000));
    failed(&migrate("diary", &url).await, 1, "is not a state file");
    failed(
        &migrate(&url, "new.db").await,
        1,
        "there is no state in the database",
    );
    let nowhere = "postgres://me@127.0.0.1:1/shop";
    failed(
        &migrate(nowhere, "new.db").await,
        1,
        "the database cannot be reached",
    );
    assert!(!place.path("new.db").exists());
}

/// The program is killed, and called again, until it says that everything is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_was_killed_goes_on() {
    let shop = Shop::new().await;
    let (url, file) = (&shop.database.url, shop.place.path("state.db"));
    let file = file.to_str().unwrap();
    for line in ["written; reading it back", "the source says where its state is"] {
        let mut program = Program::start(&["migrate", "--from", file, "--to", url]);
        program.wait_for("step", |told| (told == line).then_some(()));
        // It may be done already.
        program.send("KILL");
        program.end();
    }
    let again = shop.migrate("state.db", url).await;
    match again.status.success() {
        true => assert_eq!(succeeded(&again)["balance_sum"], "5"),
        false => failed(&again, 1, "was moved to"),
    }
    let state = shop.state("--store", url).await;
    assert_eq!(
        (&state["balance_sum"], &state["arriving_from"]),
        (&json!("5"), &Value::Null)
    );
    let (program, address) = start(&shop.on_database()).await;
    pay(&shop.place, &address).await;
    assert!(program.signal("TERM"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_restored_sells_only_on_new_channels() {
    let shop = Shop::new().await;
    let url = &shop.database.url;
    succeeded(&shop.migrate("state.db", url).await);
    let output = shop.place.run(&["restore", "--store", url]).await;
    let restored = succeeded(&output);
    assert_eq!(restored["store"], json!(url));
    assert_eq!(restored["balance_sum"], "5");
    assert_eq!(restored["halts"], json!([{ "kind": "restored", "block": null }]));
    let told = said(&output).replace('\n', " ");
    for words in ["1 of them in the backup", "with this database", "content twice"] {
        assert!(told.contains(words), "{told}");
    }
    let (program, address) = start(&shop.on_database()).await;
    shop.pay_in_vain(&address).await;
    let state = shop.state("--store", url).await;
    assert!(state["halts"][0]["block"].as_u64().unwrap() > 0, "{state}");
    assert_eq!(state["balance_sum"], "5");
    assert!(program.signal("TERM"));
    let (program, address) =
        start(&shop.on("receiver.key", None, &["--store", url, "--resume-selling"])).await;
    pay(&shop.place, &address).await;
    assert_eq!(shop.state("--store", url).await["halts"], json!([]));
    assert!(program.signal("TERM"));
    // The file is still what it was, and is refused.
    assert!(fs::metadata(shop.place.path("state.db")).is_ok());
    shop.refused(&shop.on_file("state.db"), "was moved to").await;
}
