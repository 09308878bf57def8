//! What survives when the process or the disk fails, and what happens when it cannot keep up.
//!
//! The processes that fail are this test program itself, started again for one ignored test.

#![allow(clippy::unwrap_used, reason = "a test")]

mod channels;

use channels::{Channel, batch, binding, commit, load, rows, submit, wait};
use microraiden_protocol::ledger::AccountRow;
use microraiden_store::{ChannelStore, OpenError, SqliteStore, StoreError};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How many batches the failing processes keep waiting.
const IN_FLIGHT: usize = 64;

/// Two channels that always change in the same batch.
fn pair() -> [Channel; 2] {
    [Channel::new(1), Channel::new(2)]
}

fn versions(store: &SqliteStore) -> [u64; 2] {
    let rows = rows(store);
    pair().map(|channel| rows[&channel.id()].version.number)
}

fn prepare(path: &Path) {
    let store = SqliteStore::open(path, binding()).unwrap();
    let mut channels = pair();
    let opened = channels.each_mut().map(|channel| channel.open(u64::MAX));
    commit(&store, batch(opened)).unwrap();
    let paid = channels.each_mut().map(|channel| channel.pay(9, 5));
    commit(&store, batch(paid)).unwrap();
}

/// Starts this program for one test; `shell` runs before it in the same process.
fn start(test: &str, path: &Path, shell: &str) -> Child {
    Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("STATE_FILE", path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The last versions that a process told to have handed in, and to be durable.
#[derive(Debug, Default)]
struct Told {
    submitted: u64,
    durable: u64,
}

impl Told {
    /// The last line may be torn; then it is none of these.
    fn hear(&mut self, line: &str) {
        let number = |word: &str| line.strip_prefix(word)?.strip_suffix('.')?.parse().ok();
        self.submitted = number("submitted ").unwrap_or(self.submitted);
        self.durable = number("durable ").unwrap_or(self.durable);
    }
}

fn tell(word: &str, version: u64) {
    // Begins with a line's end: the test harness has begun a line before us.
    println!("\n{word} {version}.");
}

/// Hands in version after version, [`IN_FLIGHT`] ahead of what is durable, until the store stops.
fn commit_on_and_on(store: &SqliteStore) -> StoreError {
    let mut channels = pair();
    let snapshot = load(store);
    channels.iter_mut().for_each(|channel| channel.resume(&snapshot));
    let mut waiting = VecDeque::new();
    let mut stopped = None;
    while stopped.is_none() {
        let transitions = channels.each_mut().map(Channel::touch);
        let version = transitions[0].after().version().number;
        tell("submitted", version);
        match store.commit(batch(transitions)) {
            Ok(ticket) => waiting.push_back((version, ticket)),
            Err(error) => stopped = Some(error),
        }
        if waiting.len() > IN_FLIGHT {
            let (version, ticket) = waiting.pop_front().unwrap();
            match wait(ticket) {
                Ok(()) => tell("durable", version),
                Err(error) => stopped = Some(error),
            }
        }
    }
    let mut durable = true;
    for (version, ticket) in waiting {
        match wait(ticket) {
            Ok(()) if durable => tell("durable", version),
            Err(StoreError::Stopped { .. }) => durable = false,
            other => panic!("{other:?} after a failure"),
        }
    }
    stopped.unwrap()
}

fn open_told_file() -> SqliteStore {
    let path = PathBuf::from(std::env::var("STATE_FILE").unwrap());
    SqliteStore::open(&path, binding()).unwrap()
}

#[test]
#[ignore = "run by a_killed_process_loses_nothing_acknowledged"]
fn commits_until_it_is_killed() {
    commit_on_and_on(&open_told_file());
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    prepare(&path);
    for acknowledged in [1, 30, 300, 1000, 3000] {
        let mut child = start("commits_until_it_is_killed", &path, "");
        let mut told = Told::default();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut count = 0;
        while count < acknowledged {
            let line = lines.next().unwrap().unwrap();
            told.hear(&line);
            count += u64::from(line.starts_with("durable"));
        }
        let refused = SqliteStore::open(&path, binding()).unwrap_err();
        assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
        child.kill().unwrap();
        child.wait().unwrap();
        lines.for_each(|line| told.hear(&line.unwrap()));
        assert!(told.submitted > told.durable, "no commit was in flight: {told:?}");
        let [one, other] = versions(&SqliteStore::open(&path, binding()).unwrap());
        assert_eq!(one, other, "half a batch was written");
        assert!((told.durable..=told.submitted).contains(&one), "{one}: {told:?}");
    }
}

#[test]
#[ignore = "run by a_failed_write_stops_the_store"]
fn commits_until_the_disk_fails() {
    let store = open_told_file();
    let stopped = commit_on_and_on(&store);
    assert!(
        matches!(stopped, StoreError::Stopped { .. }) && !stopped.is_transient(),
        "{stopped}"
    );
    for _ in 0..2 {
        let again = store.commit(microraiden_store::Batch::default());
        assert!(matches!(again, Err(StoreError::Stopped { .. })));
        assert!(matches!(wait(store.load()), Err(StoreError::Stopped { .. })));
    }
    tell("stopped", 0);
}

/// A limit on the size of files makes a write of the log fail for real.
#[test]
fn a_failed_write_stops_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    prepare(&path);
    let child = start(
        "commits_until_the_disk_fails",
        &path,
        "trap '' XFSZ; ulimit -f 1000;",
    );
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("\nstopped 0.\n"),
        "{text}"
    );
    let mut told = Told::default();
    text.lines().for_each(|line| told.hear(line));
    assert!(told.durable > 10, "it failed too early to tell: {told:?}");
    let store = SqliteStore::open(&path, binding()).unwrap();
    let [one, other] = versions(&store);
    assert_eq!(one, other, "half a batch was written");
    assert!((told.durable..=told.submitted).contains(&one), "{one}: {told:?}");
    // With room on the disk it goes on.
    let mut channels = pair();
    let snapshot = load(&store);
    channels.iter_mut().for_each(|channel| channel.resume(&snapshot));
    commit(&store, batch(channels.each_mut().map(Channel::touch))).unwrap();
}

#[test]
fn a_full_queue_takes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let store = SqliteStore::open(&path, binding()).unwrap();
    let mut channel = Channel::new(1);
    commit(&store, batch([channel.open(7)])).unwrap();
    // While somebody else writes, the queue is not emptied.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut tickets = Vec::new();
    let refused = loop {
        match store.commit(batch([channel.touch()])) {
            Ok(ticket) => tickets.push(ticket),
            Err(error) => break error,
        }
        assert!(tickets.len() < 10_000, "the queue has no end");
    };
    assert!(
        matches!(refused, StoreError::Busy) && refused.is_transient(),
        "{refused}"
    );
    other.execute_batch("ROLLBACK").unwrap();
    let taken = u64::try_from(tickets.len()).unwrap();
    for ticket in tickets {
        wait(ticket).unwrap();
    }
    // The refused one is not there, and the store goes on without it.
    let stored: AccountRow = rows(&store).remove(&channel.id()).unwrap();
    assert_eq!(stored.version.number, 1 + taken);
    channel.resume(&load(&store));
    wait(submit(&store, &channel.touch())).unwrap();
}
