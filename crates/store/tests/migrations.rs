//! State files of earlier versions.

#![allow(clippy::unwrap_used, reason = "a test")]

mod channels;

use channels::state::StateFile;
use channels::{Channel, binding, commit, load};
use microraiden_store::{Batch, OpenError, Snapshot, SqliteStore, backup, inspect};
use rusqlite::Connection;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// What made a file of each version from one of the version before.
const SCRIPTS: [&str; 3] = [
    include_str!("../src/sqlite/schema.sql"),
    include_str!("../src/sqlite/task_kinds.sql"),
    include_str!("../src/sqlite/halts.sql"),
];
/// Its number on Linux, and elsewhere.
const SIGXFSZ: i32 = 25;

fn columns(connection: &Connection, table: &str) -> Vec<String> {
    let query = format!("SELECT name FROM pragma_table_info('{table}', 'main')");
    let mut statement = connection.prepare(&query).unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.collect::<Result<_, _>>().unwrap()
}

/// Makes a file as a program of an earlier version would have, with what it knew of a newer one's contents.
fn as_of_version(version: i64, newer: &Path) -> PathBuf {
    let path = newer.with_file_name(format!("version {version}"));
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .unwrap();
    let old = Connection::open(&path).unwrap();
    old.pragma_update(None, "application_id", i32::from_be_bytes(*b"uRdn"))
        .unwrap();
    old.pragma_update(None, "journal_mode", "WAL").unwrap();
    for script in SCRIPTS.iter().take(version.try_into().unwrap()) {
        old.execute_batch(script).unwrap();
    }
    old.execute("ATTACH ?1 AS newer", [newer.to_str().unwrap()])
        .unwrap();
    for table in ["binding", "accounts", "blocks", "events", "tasks", "halts"] {
        let names = columns(&old, table).join(", ");
        if !names.is_empty() {
            let copy = format!("INSERT INTO main.{table} SELECT {names} FROM newer.{table}");
            assert!(old.execute(&copy, []).unwrap() > 0, "{table} is empty");
        }
    }
    old.pragma_update(None, "user_version", version).unwrap();
    path
}

fn user_version(path: &Path) -> i64 {
    let file = Connection::open(path).unwrap();
    file.pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

#[test]
fn files_of_every_earlier_version_are_taken_over() {
    let mut file = StateFile::new();
    let newest = load(&file.open().unwrap());
    for version in 1..=3 {
        let path = as_of_version(version, &file.path);
        let mut known = newest.clone();
        if version < 3 {
            known.tasks[0].not_before.0 = 0;
            known.halts.clear();
        }
        // It is backed up as it is, and the backup is of this version.
        let unread = inspect(&path).unwrap_err();
        assert!(matches!(unread, OpenError::OlderVersion { found, .. } if found == version));
        let copied = backup(&path, &path.with_extension("backup"), false).unwrap();
        assert_eq!((copied.version, copied.snapshot), (4, known.clone()));
        assert_eq!(user_version(&path), version);

        let store = SqliteStore::open(&path, binding()).unwrap();
        assert_eq!(load(&store), known, "version {version}");
        file.channel.resume(&known);
        commit(&store, channels::batch([file.channel.touch()])).unwrap();
        drop(store);
        let reopened = load(&SqliteStore::open(&path, binding()).unwrap());
        assert_eq!(reopened.accounts[0].row(), &file.channel.row());
        assert_eq!(user_version(&path), 4);
    }
}

/// A file of the third version whose migration writes more than a tenth of a megabyte; and what is in it.
fn large_old_file() -> (StateFile, PathBuf, Snapshot) {
    let file = StateFile::new();
    let store = file.open().unwrap();
    let mut channels: Vec<_> = (2..302).map(Channel::new).collect();
    let transitions = channels.iter_mut().map(|channel| channel.open(7)).collect();
    let opened = Batch {
        transitions,
        ..Batch::default()
    };
    commit(&store, opened).unwrap();
    let contents = load(&store);
    drop(store);
    let path = as_of_version(3, &file.path);
    (file, path, contents)
}

/// Opens a file in a process that may not write beyond 50 kB of any; `shell` runs before it.
fn open_with_little_room(path: &Path, shell: &str) -> ExitStatus {
    Command::new("sh")
        .args([
            "-c",
            &format!("{shell} ulimit -c 0; ulimit -f 100; exec \"$0\" \"$@\""),
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "finds_no_room_for_the_migration", "--ignored"])
        .env("STATE_FILE", path)
        .status()
        .unwrap()
}

#[test]
#[ignore = "run by the tests below"]
fn finds_no_room_for_the_migration() {
    let path = PathBuf::from(std::env::var("STATE_FILE").unwrap());
    let refused = SqliteStore::open(&path, binding()).unwrap_err();
    assert!(matches!(refused, OpenError::Migration(_)), "{refused}");
}

fn assert_untouched_and_usable(path: &Path, contents: &Snapshot) {
    assert_eq!(user_version(path), 3);
    let old = Connection::open(path).unwrap();
    assert!(!columns(&old, "accounts").contains(&"line_checksum".to_owned()));
    assert!(columns(&old, "integrity").is_empty());
    drop(old);
    assert_eq!(&load(&SqliteStore::open(path, binding()).unwrap()), contents);
    assert_eq!(user_version(path), 4);
}

/// The signal for a file that grows beyond the limit kills the process while it writes.
#[test]
fn a_process_killed_in_the_middle_of_a_migration_leaves_the_old_version() {
    let (_file, path, contents) = large_old_file();
    let status = open_with_little_room(&path, "");
    assert_eq!(status.signal(), Some(SIGXFSZ), "{status}");
    assert_untouched_and_usable(&path, &contents);
}

#[test]
fn a_migration_that_fails_leaves_the_old_version() {
    let (_file, path, contents) = large_old_file();
    let status = open_with_little_room(&path, "trap '' XFSZ;");
    assert!(status.success(), "{status}");
    assert_untouched_and_usable(&path, &contents);
}
