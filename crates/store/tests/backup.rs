//! Backups, and states restored from them.

#![allow(clippy::unwrap_used, reason = "a test")]

mod channels;

use channels::state::StateFile;
use channels::{Channel, batch, binding, commit, load, rows, wait};
use microraiden_store::{
    Batch, ChannelStore, CopyError, Halt, HaltKind, OpenError, Snapshot, SqliteStore, backup, inspect,
    restore,
};
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

const RESTORED: Halt = Halt {
    kind: HaltKind::Restored,
    block: None,
};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn assert_private(path: &Path) {
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o600);
}

/// A state in use, with a backup and what was in it.
fn backed_up() -> (StateFile, SqliteStore, PathBuf, Snapshot) {
    let file = StateFile::new();
    let store = file.open().unwrap();
    let to = file.path.with_file_name("backup");
    backup(&file.path, &to, false).unwrap();
    let stored = load(&store);
    (file, store, to, stored)
}

#[test]
fn a_backup_holds_everything_and_is_restored_as_such() {
    let before = SystemTime::now() - Duration::from_secs(1);
    let (mut file, store, to, stored) = backed_up();
    assert_private(&to);
    commit(&store, batch([file.channel.pay(60, 10)])).unwrap();
    assert_ne!(load(&store), stored);

    let held = inspect(&to).unwrap();
    assert_eq!((held.binding, &held.snapshot), (binding(), &stored));
    let made_at = held.backup_of.unwrap();
    assert!(before <= made_at && made_at <= SystemTime::now());
    let now = inspect(&file.path).unwrap();
    assert_eq!((now.backup_of, now.snapshot), (None, load(&store)));

    let path = file.path.with_file_name("restored");
    let restored = restore(&to, &path).unwrap();
    assert_private(&path);
    let known = Snapshot {
        halts: vec![RESTORED],
        ..stored
    };
    assert_eq!((restored.backup_of, &restored.snapshot), (Some(made_at), &known));
    assert_eq!(inspect(&path).unwrap().backup_of, None);
    drop(store);
    let store = SqliteStore::open(&path, binding()).unwrap();
    assert_eq!(load(&store), known);
    // It is as good as any, also for the next backup.
    file.channel.resume(&known);
    commit(&store, batch([file.channel.touch()])).unwrap();
    let again = backup(&path, &to, true).unwrap();
    assert_eq!(again.snapshot, load(&store));
}

#[test]
fn a_backup_is_no_state_file() {
    let (_file, _store, to, _) = backed_up();
    let contents = fs::read(&to).unwrap();
    let refused = SqliteStore::open(&to, binding()).unwrap_err();
    assert!(matches!(refused, OpenError::Backup { .. }), "{refused}");
    assert!(
        refused.to_string().contains("microraiden restore --from"),
        "{refused}"
    );
    let refused = backup(&to, &to.with_file_name("another"), false).unwrap_err();
    assert!(
        matches!(refused, CopyError::State(OpenError::Backup { .. })),
        "{refused}"
    );
    assert_eq!(fs::read(&to).unwrap(), contents);
}

/// Two channels change in each batch; no backup may hold half of one, or less than was acknowledged.
#[test]
fn backups_beside_a_busy_writer_are_of_one_moment() {
    let file = StateFile::new();
    let store = file.open().unwrap();
    let mut pair = [Channel::new(2), Channel::new(3)];
    let ids = pair.each_ref().map(Channel::id);
    commit(&store, batch(pair.each_mut().map(|channel| channel.open(7)))).unwrap();
    let (acknowledged, stop) = (AtomicU64::new(1), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let mut last = None;
                for _ in 0..20 {
                    let both = pair.each_mut().map(Channel::touch);
                    let version = both[0].after().version().number;
                    last = Some((version, store.commit(batch(both)).unwrap()));
                }
                let (version, ticket) = last.unwrap();
                wait(ticket).unwrap();
                acknowledged.store(version, Ordering::SeqCst);
            }
        });
        let mut versions = Vec::new();
        while versions.len() < 20 {
            let to = file.path.with_file_name(format!("backup {}", versions.len()));
            let durable = acknowledged.load(Ordering::SeqCst);
            let copied = backup(&file.path, &to, false).unwrap().snapshot.accounts;
            let version = |id| {
                copied
                    .iter()
                    .find(|account| account.channel() == id)
                    .unwrap()
                    .version()
            };
            let [one, other] = ids.each_ref().map(|id| version(id).number);
            assert_eq!(one, other, "half a batch was copied");
            assert!(one >= durable, "{one} is older than {durable}");
            versions.push(one);
        }
        stop.store(true, Ordering::SeqCst);
        assert!(versions.is_sorted() && versions[0] < versions[19], "{versions:?}");
    });
    assert_eq!(rows(&store)[&ids[0]].version.number, acknowledged.into_inner());
}

#[test]
fn nothing_but_a_backup_is_replaced_by_one() {
    let (file, store, to, stored) = backed_up();
    let text = file.path.with_file_name("text");
    fs::write(&text, "precious").unwrap();
    for existing in [&to, &text, &file.path] {
        let refused = backup(&file.path, existing, false).unwrap_err();
        assert!(matches!(refused, CopyError::Exists { .. }), "{refused}");
    }
    for precious in [&text, &file.path] {
        let refused = backup(&file.path, precious, true).unwrap_err();
        assert!(matches!(refused, CopyError::NotABackup { .. }), "{refused}");
    }
    assert_eq!(fs::read_to_string(&text).unwrap(), "precious");
    backup(&file.path, &to, true).unwrap();
    assert_eq!(inspect(&to).unwrap().snapshot, stored);
    assert_eq!(load(&store), stored);
    let nowhere = file.path.with_file_name("no such folder").join("backup");
    let refused = backup(&file.path, &nowhere, false).unwrap_err();
    assert!(matches!(refused, CopyError::Write { .. }), "{refused}");
    let missing = backup(&file.path.with_file_name("missing"), &nowhere, false).unwrap_err();
    assert!(
        matches!(missing, CopyError::State(OpenError::File { .. })),
        "{missing}"
    );
    let text = backup(&text, &nowhere, false).unwrap_err();
    assert!(
        matches!(text, CopyError::State(OpenError::NotAStateFile { .. })),
        "{text}"
    );
}

#[test]
fn a_state_is_restored_only_where_there_is_none() {
    let (file, store, to, _) = backed_up();
    let refused = restore(&to, &file.path).unwrap_err();
    assert!(matches!(refused, CopyError::Exists { .. }), "{refused}");
    for suffix in ["-wal", "-shm", "-journal"] {
        let rest = file.path.with_file_name(format!("other{suffix}"));
        fs::write(&rest, "").unwrap();
        let refused = restore(&to, &file.path.with_file_name("other")).unwrap_err();
        assert!(
            matches!(&refused, CopyError::Exists { path } if *path == rest),
            "{refused}"
        );
        fs::remove_file(rest).unwrap();
    }
    // Nor is a second one made of a state that is in use.
    let refused = restore(&file.path, &file.path.with_file_name("other")).unwrap_err();
    assert!(
        matches!(refused, CopyError::State(OpenError::Locked { .. })),
        "{refused}"
    );
    drop(store);
    let names_before = names(file.path.parent().unwrap());
    assert_eq!(names_before, ["backup", "state", "state.lock"]);
}

/// The lock file still tells of the state that was lost.
#[test]
fn a_state_is_restored_in_the_place_of_the_one_that_was_lost() {
    let (mut file, store, to, mut stored) = backed_up();
    commit(&store, batch([file.channel.pay(60, 10)])).unwrap();
    drop(store);
    fs::remove_file(&file.path).unwrap();
    let refused = file.open().unwrap_err();
    assert!(matches!(refused, OpenError::Vanished { .. }), "{refused}");
    assert!(!file.path.exists());
    // Whoever copies the backup by hand gets no further.
    fs::copy(&to, &file.path).unwrap();
    let refused = file.open().unwrap_err();
    assert!(matches!(refused, OpenError::Backup { .. }), "{refused}");
    fs::remove_file(&file.path).unwrap();
    restore(&to, &file.path).unwrap();
    stored.halts = vec![RESTORED];
    assert_eq!(load(&file.open().unwrap()), stored);
}

/// After a crash nothing has put the log into the file yet, and reading does not do it either.
#[test]
fn a_state_that_has_crashed_is_read_with_its_log() {
    let (file, _store, _, stored) = backed_up();
    let crashed = file.path.with_file_name("crashed");
    let files = ["", "-wal"];
    let bytes = || files.map(|suffix| fs::read(crashed.with_file_name(format!("crashed{suffix}"))).unwrap());
    for suffix in files {
        let [from, to] = ["state", "crashed"].map(|name| file.path.with_file_name(name.to_owned() + suffix));
        fs::copy(from, to).unwrap();
    }
    let before = bytes();
    assert_eq!(inspect(&crashed).unwrap().snapshot, stored);
    let copied = backup(&crashed, &crashed.with_file_name("copied"), false).unwrap();
    assert_eq!(copied.snapshot, stored);
    assert!(bytes() == before, "it has changed");
}

#[test]
fn what_is_left_without_the_log_is_restored_but_not_backed_up() {
    let mut file = StateFile::new();
    let store = file.open().unwrap();
    let in_the_file = load(&store);
    commit(&store, batch([file.channel.pay(60, 10)])).unwrap();
    let copy = file.path.with_file_name("copied by hand");
    fs::copy(&file.path, &copy).unwrap();
    let to = file.path.with_file_name("backup");
    let refused = backup(&copy, &to, false).unwrap_err();
    assert!(
        matches!(refused, CopyError::State(OpenError::LogMissing { .. })),
        "{refused}"
    );
    assert!(matches!(inspect(&copy), Err(OpenError::LogMissing { .. })));
    let restored = restore(&copy, &file.path.with_file_name("restored")).unwrap();
    let known = Snapshot {
        halts: vec![RESTORED],
        ..in_the_file
    };
    assert_eq!(restored.snapshot, known);
}

#[test]
fn damage_is_neither_backed_up_nor_restored() {
    let (file, store, to, _) = backed_up();
    drop(store);
    let spoil = |path: &Path| {
        let file = Connection::open(path).unwrap();
        let spoilt = file.execute("UPDATE accounts SET deposit = replace(deposit, '100', '900')", []);
        assert_eq!(spoilt, Ok(1));
    };
    spoil(&file.path);
    spoil(&to);
    let before = names(file.path.parent().unwrap());
    let another = file.path.with_file_name("another");
    for refused in [backup(&file.path, &another, false), restore(&to, &another)] {
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, CopyError::State(OpenError::Damaged { .. })),
            "{refused}"
        );
        assert!(refused.to_string().contains("checksum"), "{refused}");
    }
    for path in [&file.path, &to] {
        assert!(matches!(inspect(path), Err(OpenError::Damaged { .. })));
        // Pages that cannot be read.
        let page = 4096 * (fs::metadata(path).unwrap().len() / 4096 / 2);
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..usize::try_from(page).unwrap()]).unwrap();
    }
    for refused in [backup(&file.path, &another, false), restore(&to, &another)] {
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, CopyError::State(OpenError::Damaged { .. })),
            "{refused}"
        );
    }
    let mut after = names(file.path.parent().unwrap());
    // What reading leaves beside a state file.
    after.retain(|name| name != "state-wal" && name != "state-shm");
    assert_eq!(after, before);
}

/// A limit on the size of files makes writing fail for real.
#[test]
fn a_backup_that_finds_no_room_leaves_nothing_behind() {
    let (file, store, to, stored) = backed_up();
    let transitions = (2..302).map(|number| Channel::new(number).open(7)).collect();
    let more = Batch {
        transitions,
        ..Batch::default()
    };
    commit(&store, more).unwrap();
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "finds_no_room_for_the_backup", "--ignored"])
        .env("STATE_FILE", &file.path)
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(inspect(&to).unwrap().snapshot, stored, "the earlier backup");
    let names = names(file.path.parent().unwrap());
    assert_eq!(names, ["backup", "state", "state-shm", "state-wal", "state.lock"]);
}

#[test]
#[ignore = "run by a_backup_that_finds_no_room_leaves_nothing_behind"]
fn finds_no_room_for_the_backup() {
    let path = PathBuf::from(std::env::var("STATE_FILE").unwrap());
    let failed = backup(&path, &path.with_file_name("backup"), true).unwrap_err();
    assert!(matches!(failed, CopyError::Write { .. }), "{failed}");
}
