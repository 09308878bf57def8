//! What a state file must be, and what damage is found in it.

#![allow(clippy::unwrap_used, reason = "a test")]

mod channels;

use channels::state::StateFile;
use channels::{Channel, batch, binding, commit, open_facts, rows, submit, wait};
use microraiden_protocol::{Address, ChainFacts, Escrow, Phase};
use microraiden_store::{Batch, Binding, ChannelStore, OpenError, SqliteStore, StoreError};
use rusqlite::Connection;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_state_survives_reopening() {
    let mut file = StateFile::new();
    let store = file.open().unwrap();
    let before = wait(store.load()).unwrap();
    assert_eq!(rows(&store)[&file.channel.id()], file.channel.row());
    drop(store);
    let store = file.open().unwrap();
    assert_eq!(wait(store.load()).unwrap(), before);
    commit(&store, batch([file.channel.touch()])).unwrap();
}

#[test]
fn dropping_a_store_finishes_what_was_handed_in() {
    let mut file = StateFile::new();
    let store = file.open().unwrap();
    let tickets: Vec<_> = (0..1000).map(|_| submit(&store, &file.channel.touch())).collect();
    drop(store);
    for ticket in tickets {
        wait(ticket).unwrap();
    }
    assert_eq!(
        rows(&file.open().unwrap())[&file.channel.id()],
        file.channel.row()
    );
}

#[test]
fn the_log_does_not_grow_without_end() {
    let file = StateFile::new();
    let store = file.open().unwrap();
    let mut channels: Vec<_> = (2..1002).map(Channel::new).collect();
    let transitions = channels.iter_mut().map(|channel| channel.open(7)).collect();
    let opened = Batch {
        transitions,
        ..Batch::default()
    };
    commit(&store, opened).unwrap();
    let log = file.path.with_file_name("state-wal");
    let mut size_after = |rounds: usize| {
        for _ in 0..rounds {
            let transitions = channels.iter_mut().map(Channel::touch).collect();
            let batch = Batch {
                transitions,
                ..Batch::default()
            };
            commit(&store, batch).unwrap();
        }
        fs::metadata(&log).unwrap().len()
    };
    let (early, late) = (size_after(20), size_after(60));
    assert!(late < 2 * early, "the log grew from {early} to {late} bytes");
}

#[test]
fn a_state_file_is_used_by_one_at_a_time() {
    let file = StateFile::new();
    let link = file.path.with_file_name("link");
    symlink(&file.path, &link).unwrap();
    let store = file.open().unwrap();
    for path in [&file.path, &link] {
        let refused = SqliteStore::open(path, binding()).unwrap_err();
        assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
        assert!(refused.to_string().contains("stop the other process"));
    }
    drop(store);
    SqliteStore::open(&link, binding()).unwrap();
}

#[test]
fn a_state_file_that_others_can_use_is_refused() {
    let file = StateFile::new();
    for bits in [0o640, 0o604, 0o620, 0o602, 0o610, 0o777] {
        fs::set_permissions(&file.path, Permissions::from_mode(bits)).unwrap();
        let refused = file.open().unwrap_err();
        assert!(
            matches!(refused, OpenError::InsecureStateFile { mode, .. } if mode == bits),
            "{refused}"
        );
        assert!(refused.to_string().contains("chmod 600"));
    }
    fs::set_permissions(&file.path, Permissions::from_mode(0o600)).unwrap();
    // A log that somebody else has put beside it.
    let log = file.path.with_file_name("state-wal");
    fs::write(&log, "").unwrap();
    fs::set_permissions(&log, Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(file.open(), Err(OpenError::InsecureStateFile { path, .. }) if path == log));
    fs::remove_file(&log).unwrap();
    // Only root can give files away.
    if chown(&file.path, Some(65534), None).is_ok() {
        let refused = file.open().unwrap_err();
        assert!(
            matches!(refused, OpenError::InsecureStateFile { owner: 65534, .. }),
            "{refused}"
        );
        assert!(refused.to_string().contains("chown"));
    }
}

#[test]
fn files_are_private_whatever_the_umask() {
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new("sh")
        .args(["-c", "umask 0; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "creates_private_files", "--ignored"])
        .env("STATE_FILE", folder.path().join("state"))
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(
        mode(&folder.path().join("state")),
        0o600,
        "the child was not at work"
    );
}

#[test]
#[ignore = "run by files_are_private_whatever_the_umask"]
fn creates_private_files() {
    let path = PathBuf::from(std::env::var("STATE_FILE").unwrap());
    let store = SqliteStore::open(&path, binding()).unwrap();
    commit(&store, batch([Channel::new(1).open(7)])).unwrap();
    for name in ["state", "state-wal", "state-shm", "state.lock"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
}

#[test]
fn a_state_file_is_bound_to_chain_contract_and_receiver() {
    let file = StateFile::new();
    let other = Address::repeat_byte(0x11);
    let Binding { escrow, receiver } = binding();
    let refused = |escrow: Escrow, receiver: Address, values: [String; 2]| {
        let refused = SqliteStore::open(&file.path, Binding { escrow, receiver }).unwrap_err();
        let message = refused.to_string();
        assert!(values.iter().all(|value| message.contains(value)), "{message}");
        refused
    };
    let elsewhere = Escrow {
        chain_id: 1,
        ..escrow
    };
    let values = ["chain 1337".to_owned(), "not to 1;".to_owned()];
    assert!(matches!(
        refused(elsewhere, receiver, values),
        OpenError::OtherChain {
            found: 1337,
            wanted: 1
        }
    ));
    let elsewhere = Escrow {
        contract: other,
        ..escrow
    };
    let values = [escrow.contract, other].map(|contract| contract.to_string());
    assert!(matches!(
        refused(elsewhere, receiver, values),
        OpenError::OtherContract { .. }
    ));
    let values = [receiver, other].map(|receiver| receiver.to_string());
    assert!(matches!(
        refused(escrow, other, values),
        OpenError::OtherReceiver { .. }
    ));
    file.open().unwrap();
}

#[test]
fn other_files_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other");
    let refused = |path: &Path| {
        let refused = SqliteStore::open(path, binding()).unwrap_err();
        assert!(matches!(refused, OpenError::NotAStateFile { .. }), "{refused}");
    };
    refused(folder.path());
    for contents in ["short", &"a text that is longer than a page ".repeat(200)] {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .unwrap();
        file.write_all(contents.as_bytes()).unwrap();
        refused(&path);
        assert_eq!(fs::read_to_string(&path).unwrap(), contents);
    }
    fs::write(&path, "").unwrap();
    let database = Connection::open(&path).unwrap();
    database.execute_batch("CREATE TABLE diary (page TEXT)").unwrap();
    drop(database);
    let contents = fs::read(&path).unwrap();
    refused(&path);
    assert_eq!(fs::read(&path).unwrap(), contents);
    let missing = folder.path().join("no such folder/state");
    assert!(matches!(
        SqliteStore::open(&missing, binding()),
        Err(OpenError::File { .. })
    ));
}

#[test]
fn a_newer_format_is_refused() {
    let file = StateFile::new();
    file.sql().pragma_update(None, "user_version", 5).unwrap();
    let refused = file.open().unwrap_err();
    assert!(
        matches!(refused, OpenError::NewerVersion { found: 5, .. }),
        "{refused}"
    );
    file.sql().pragma_update(None, "user_version", 4).unwrap();
    file.open().unwrap();
}

/// What the schema cannot know is found when the rows are read, the rest already when the file is opened.
#[test]
fn damaged_rows_are_refused() {
    let zero = "0".repeat(58);
    let nines = "9".repeat(58);
    for (sql, is_corrupt) in [
        ("UPDATE accounts SET unspent = '1-15,21-41'".to_owned(), true),
        ("UPDATE accounts SET unspent = ''".to_owned(), true),
        ("UPDATE accounts SET unspent = '1-15,99-99'".to_owned(), true),
        ("UPDATE accounts SET proofs = ''".to_owned(), true),
        (format!("UPDATE accounts SET spent = '{zero}'"), true),
        (format!("UPDATE accounts SET balance = '{nines}'"), false),
        (format!("UPDATE accounts SET deposit = '{nines}'"), false),
        ("UPDATE accounts SET unspent = '15-1'".to_owned(), false),
        ("UPDATE accounts SET proofs = 'garbage'".to_owned(), false),
        ("UPDATE accounts SET proofs = '50:0x00'".to_owned(), false),
        ("UPDATE accounts SET withdrawals = '1\n-2'".to_owned(), false),
        ("UPDATE accounts SET sent_withdrawals = '1,2'".to_owned(), false),
        (
            format!(
                "UPDATE accounts SET closing_at = balance, closing_signature = '{:z>132}'",
                ""
            ),
            false,
        ),
        ("UPDATE accounts SET phase = 'closed'".to_owned(), false),
        ("UPDATE accounts SET phase = 'settled'".to_owned(), false),
        ("UPDATE accounts SET version = -1".to_owned(), false),
        ("UPDATE events SET kind = 'exploded'".to_owned(), false),
        ("UPDATE events SET kind = 'settled'".to_owned(), false),
        ("UPDATE blocks SET hash = x'00'".to_owned(), false),
        ("UPDATE tasks SET kind = 'dance'".to_owned(), false),
    ] {
        let file = StateFile::new();
        let database = file.sql();
        database
            .pragma_update(None, "ignore_check_constraints", true)
            .unwrap();
        assert_eq!(database.execute(&sql, []).unwrap(), 1);
        drop(database);
        let store = match file.open() {
            Ok(store) => store,
            Err(OpenError::Damaged { found, .. }) => {
                assert!(!is_corrupt && found.contains("CHECK constraint failed"), "{sql}");
                continue;
            }
            Err(error) => panic!("{sql}: {error}"),
        };
        match wait(store.load()).unwrap_err() {
            StoreError::Corrupt(row) => assert!(is_corrupt && row.channel == file.channel.id(), "{sql}"),
            StoreError::Damaged { .. } => assert!(!is_corrupt, "{sql}"),
            refused => panic!("{sql}: {refused}"),
        }
    }
}

#[test]
fn a_file_without_its_binding_is_refused() {
    let file = StateFile::new();
    file.sql().execute("DELETE FROM binding", []).unwrap();
    assert!(matches!(file.open(), Err(OpenError::Sqlite(_))));
}

#[test]
fn the_schema_refuses_what_no_ledger_writes() {
    let digits = |number: &str| format!("{number:0>58}");
    let (five, ninety) = (digits("5"), digits("90"));
    let mut refused: Vec<String> = [
        "version = 0",
        "version = 'one'",
        "version = NULL",
        "spends = -1",
        "writer_sequence = -1",
        "sender = x'00'",
        "receiver = 'text'",
        "open_block = 4294967296",
        "open_block = -1",
        "unspent = '1-2 3-4'",
        "phase = 'closed'",
        "requested_at = 5",
        "settle_block = 5",
        "phase = 'challenged'",
        "phase = 'challenged', requested_at = 5, settle_block = 6",
        "phase = 'settled'",
        "phase = 'settled', settled_at = -1",
        "settled_at = 5",
        "closing_signature = '0x'",
    ]
    .map(str::to_owned)
    .into();
    let challenge = format!("phase = 'challenged', closing_balance = '{five}'");
    refused.extend([
        format!("spent = '{ninety}'"),
        format!("refund = '{ninety}'"),
        format!("closing_at = '{ninety}'"),
        format!("dispute_at = '{ninety}'"),
        format!("closing_balance = '{five}'"),
        format!("closing_signature = '{:0>132}'", ""),
        format!("{challenge}, requested_at = 6, settle_block = 5"),
    ]);
    for column in ["balance", "spent", "refund", "deposit", "unconfirmed_deposit"] {
        refused.extend(["'5'", "5", "NULL"].map(|value| format!("{column} = {value}")));
        refused.push(format!("{column} = '{}'", digits("+5")));
        refused.push(format!("{column} = '0{five}'"));
    }
    for column in ["closing_at", "dispute_at"] {
        refused.push(format!("{column} = '5'"));
        refused.push(format!("{column} = '{}'", digits("a")));
    }
    let mut refused: Vec<_> = refused
        .into_iter()
        .map(|set| format!("UPDATE accounts SET {set}"))
        .collect();
    refused.extend(
        [
            "UPDATE events SET kind = 'settled'",
            "UPDATE events SET kind = 'exploded'",
            "UPDATE events SET amount = '5'",
            "UPDATE events SET log_index = -1",
            "UPDATE blocks SET hash = x'00'",
            "UPDATE blocks SET number = -1",
            "UPDATE tasks SET kind = 'dance'",
            "UPDATE tasks SET transaction_hash = x'00'",
            "INSERT INTO binding SELECT 2, chain_id, contract, receiver FROM binding",
            "INSERT INTO accounts SELECT * FROM accounts",
        ]
        .map(str::to_owned),
    );
    let file = StateFile::new();
    let database = file.sql();
    for sql in refused {
        let error = database.execute(&sql, []).unwrap_err();
        assert_eq!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::ConstraintViolation),
            "{sql}: {error}"
        );
    }
    // The same statements pass when they make sense.
    let set = format!("{challenge}, requested_at = 5, settle_block = 6, closing_at = balance, version = 9");
    let changed = database.execute(&format!("UPDATE accounts SET {set}"), []);
    assert_eq!(changed, Ok(1));
    drop(database);
    // But no other program writes the checksum.
    let refused = wait(file.open().unwrap().load()).unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused}");
}

/// The file can be read with the `sqlite3` shell while it is in use.
#[test]
fn rows_are_readable_by_people() {
    let mut file = StateFile::new();
    let store = file.open().unwrap();
    let challenged = ChainFacts {
        phase: Phase::Challenged {
            requested_at: microraiden_protocol::BlockNumber(6),
            settle_block: microraiden_protocol::BlockNumber(506),
            closing_balance: 5.into(),
        },
        withdrawals: vec![1.into(), 3.into()],
        ..open_facts(100)
    };
    commit(&store, batch([file.channel.observe(challenged)])).unwrap();
    let read = |column: &str| -> String {
        file.sql()
            .query_one(
                &format!("SELECT CAST({column} AS TEXT) FROM accounts"),
                [],
                |row| row.get(0),
            )
            .unwrap()
    };
    let signature = file.channel.row().proofs[0].signature;
    for (column, text) in [
        ("balance", format!("{:0>58}", 50)),
        ("spent", format!("{:0>58}", 15)),
        ("unspent", "1-15,21-40".to_owned()),
        ("proofs", format!("50:{signature}")),
        ("withdrawals", "1\n3".to_owned()),
        ("phase", "challenged".to_owned()),
        ("settle_block", "506".to_owned()),
        ("version", "4".to_owned()),
    ] {
        assert_eq!(read(column), text, "{column}");
    }
}
