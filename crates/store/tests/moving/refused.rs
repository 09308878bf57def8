//! What cannot be moved, and where nothing can be moved to; both stay as they are.

#![allow(clippy::unwrap_used, reason = "a test")]

use crate::channels::{batch, binding, commit};
use crate::states::State;
use crate::{Place, open};
use microraiden_protocol::{Address, Escrow};
use microraiden_store::{
    Batch, Bid, Binding, CopyError, DatabaseError, Halt, HaltChange, HaltKind, MoveError, Moving, OpenError,
    Progress, SharedStore, SqliteStore, Word, backup, move_to_database, move_to_file,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

fn with_state() -> Place {
    let place = Place::new();
    State::with_everything().write(&open(&place.path("receiver.db")).unwrap());
    place
}

fn private(place: &Place, name: &str, text: &str) {
    fs::write(place.path(name), text).unwrap();
    fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

/// All that a database says, but for what comes and goes with each look.
fn dump(place: &Place) -> String {
    let tables = place.sql(
        "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace",
    );
    let rows = |table| place.sql(&format!("SELECT t::text FROM {table} AS t ORDER BY 1"));
    let all = [
        "binding",
        "accounts",
        "blocks",
        "events",
        "tasks",
        "halts",
        "generation",
    ];
    match tables.contains("binding") {
        true => tables + &all.map(rows).join("\n"),
        false => tables,
    }
}

/// A database that was left in the midst of a move from the file.
fn left_unfinished(place: &Place, file: &Path) {
    let crashed = |step| assert!(step != Progress::Verified, "left here");
    let moving = || crate::wait(move_to_database(file, &place.url(), crashed));
    assert!(catch_unwind(AssertUnwindSafe(moving)).is_err());
    assert!(matches!(place.contents().unwrap().moving, Some(Moving::From(_))));
}

#[test]
fn what_is_no_state_file_is_not_moved_and_the_database_stays_empty() {
    let place = with_state();
    let file = place.path("receiver.db");
    let of = |name: &str| place.fill_database(&place.path(name)).unwrap_err();
    let opening = |error| match error {
        MoveError::File(CopyError::State(error)) => error,
        error => panic!("{error:?}"),
    };

    let refused = of("nothing.db");
    assert!(matches!(opening(refused), OpenError::File { .. }));
    assert!(!place.path("nothing.db").exists() && !place.path("nothing.db.lock").exists());
    private(&place, "empty.db", "");
    assert!(matches!(opening(of("empty.db")), OpenError::NotAStateFile { .. }));
    private(&place, "diary", &"Dear diary, ".repeat(1000));
    assert!(matches!(opening(of("diary")), OpenError::NotAStateFile { .. }));
    assert!(!place.path("diary.lock").exists());

    backup(&file, &place.path("kept"), false).unwrap();
    let refused = opening(of("kept"));
    assert!(matches!(refused, OpenError::Backup { .. }));
    assert!(
        refused.to_string().contains("microraiden restore --from"),
        "{refused}"
    );

    let store = open(&file).unwrap();
    assert!(matches!(opening(of("receiver.db")), OpenError::Locked { .. }));
    drop(store);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(
        opening(of("receiver.db")),
        OpenError::InsecureStateFile { .. }
    ));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();

    fs::copy(&file, place.path("damaged.db")).unwrap();
    let damaged = rusqlite::Connection::open(place.path("damaged.db")).unwrap();
    damaged
        .execute(
            "UPDATE accounts SET deposit = balance WHERE balance > refund AND balance <> deposit",
            [],
        )
        .unwrap();
    drop(damaged);
    assert!(matches!(opening(of("damaged.db")), OpenError::Damaged { .. }));

    assert_eq!((place.contents(), dump(&place)), (None, String::new()));
    place.fill_database(&file).unwrap();
    assert!(matches!(opening(of("receiver.db")), OpenError::Moved { .. }));
    let other = Place::new();
    assert!(matches!(
        opening(other.fill_database(&file).unwrap_err()),
        OpenError::Moved { .. }
    ));
    assert_eq!(dump(&other), "");
}

#[test]
fn a_database_that_has_something_is_not_moved_to() {
    let place = with_state();
    let file = place.path("receiver.db");
    let filled = |sql: &str, check: &dyn Fn(MoveError)| {
        let target = Place::new();
        drop(target.connect().unwrap());
        target.sql(sql);
        let before = dump(&target);
        let refused = crate::wait(move_to_database(&file, &target.url(), |_| ())).unwrap_err();
        check(refused);
        assert_eq!(dump(&target), before, "{sql}");
        drop(open(&file).unwrap());
    };
    let not_empty = |error| assert!(matches!(error, MoveError::NotEmpty), "{error:?}");
    filled("INSERT INTO halts VALUES ('restored', 5)", &not_empty);
    filled("INSERT INTO blocks VALUES (5, sha256('x'))", &not_empty);
    filled(
        "INSERT INTO tasks VALUES (substring(sha256('x') for 20), substring(sha256('x') for 20), 5, 'close', NULL, 0)",
        &not_empty,
    );
    let address = |error: &MoveError| error.to_string();
    filled("UPDATE binding SET chain_id = 5", &|error| {
        assert!(address(&error).contains("belongs to chain 5"), "{error:?}");
    });
    filled(
        "UPDATE binding SET contract = substring(sha256('x') for 20)",
        &|error| {
            assert!(
                address(&error).contains("belongs to channel contract"),
                "{error:?}"
            );
        },
    );
    filled(
        "UPDATE binding SET receiver = substring(sha256('x') for 20)",
        &|error| {
            assert!(address(&error).contains("belongs to receiver"), "{error:?}");
        },
    );
    filled("UPDATE binding SET schema_version = 99", &|error| {
        assert!(
            matches!(
                error,
                MoveError::Database(DatabaseError::NewerVersion { found: 99 })
            ),
            "{error:?}"
        );
    });
    filled("DELETE FROM binding", &|error| {
        assert!(
            matches!(error, MoveError::Database(DatabaseError::Incomplete)),
            "{error:?}"
        );
    });

    let foreign = Place::new();
    foreign.sql("CREATE TABLE accounts (name text)");
    let refused = crate::wait(move_to_database(&file, &foreign.url(), |_| ())).unwrap_err();
    assert!(
        matches!(refused, MoveError::Database(DatabaseError::Foreign { .. })),
        "{refused:?}"
    );
    assert_eq!(dump(&foreign), "accounts");

    // A proxy has just begun with it.
    let target = Place::new();
    let store = target.connect().unwrap();
    crate::wait(store.bid(Bid::Lead(Word::default()))).unwrap();
    let refused = crate::wait(move_to_database(&file, &target.url(), |_| ())).unwrap_err();
    assert!(matches!(refused, MoveError::InUse), "{refused:?}");
    crate::wait(store.bid(Bid::Resign)).unwrap();
    drop(store);
    place.sql("SELECT 1");
    crate::wait(move_to_database(&file, &target.url(), |_| ())).unwrap();
}

#[test]
fn a_name_that_is_taken_is_not_moved_to() {
    let place = with_state();
    place.fill_database(&place.path("receiver.db")).unwrap();
    let before = dump(&place);
    let taken = |name: &str| {
        let bytes = fs::read(place.path(name)).unwrap();
        let refused = place.fill_file(&place.path(name)).unwrap_err();
        let MoveError::File(CopyError::Exists { path }) = &refused else {
            panic!("{name}: {refused:?}")
        };
        assert_eq!(path, &place.path(name));
        assert_eq!(fs::read(place.path(name)).unwrap(), bytes);
    };
    // The one that it came from.
    taken("receiver.db");
    drop(open(&place.path("other.db")).unwrap());
    taken("other.db");
    fs::write(place.path("diary"), "Dear diary").unwrap();
    taken("diary");
    assert!(!place.path("diary.lock").exists());
    fs::write(place.path("new.db-wal"), "a log").unwrap();
    let refused = place.fill_file(&place.path("new.db")).unwrap_err();
    assert!(
        matches!(refused, MoveError::File(CopyError::Exists { .. })),
        "{refused:?}"
    );
    let refused = place.fill_file(&place.path("nowhere/new.db")).unwrap_err();
    assert!(
        matches!(refused, MoveError::File(CopyError::State(OpenError::File { .. }))),
        "{refused:?}"
    );
    assert_eq!(dump(&place), before);
    drop(place.connect().unwrap());
}

#[test]
fn what_is_no_state_in_a_database_is_not_moved_and_no_file_is_made() {
    let place = Place::new();
    let to = place.path("receiver.db");
    let database = |error| match error {
        MoveError::Database(error) => error,
        error => panic!("{error:?}"),
    };
    assert!(matches!(
        database(place.fill_file(&to).unwrap_err()),
        DatabaseError::Empty
    ));
    place.sql("CREATE TABLE binding (name text)");
    assert!(matches!(
        database(place.fill_file(&to).unwrap_err()),
        DatabaseError::Foreign { .. }
    ));
    let nowhere = "postgres://postgres@127.0.0.1:1/shop".parse().unwrap();
    let refused = crate::wait(move_to_file(&nowhere, &to, |_| ())).unwrap_err();
    assert!(matches!(database(refused), DatabaseError::Unreachable { .. }));

    let place = with_state();
    let file = place.path("receiver.db");
    left_unfinished(&place, &file);
    let refused = database(place.fill_file(&to).unwrap_err());
    assert!(matches!(refused, DatabaseError::Unfinished { .. }), "{refused:?}");
    place.fill_database(&file).unwrap();
    place.sql("UPDATE accounts SET spent = 14, refund = 76 WHERE balance = 90");
    let refused = place.fill_file(&to).unwrap_err();
    assert!(matches!(refused, MoveError::State(_)), "{refused:?}");
    assert!(!to.exists());
}

/// What was not all moved may be the newest there is.
#[test]
fn what_another_move_has_left_is_not_overwritten() {
    let place = with_state();
    let file = place.path("receiver.db");
    left_unfinished(&place, &file);
    let before = dump(&place);

    let copy = place.path("copy.db");
    fs::copy(&file, &copy).unwrap();
    let refused = place.fill_database(&copy).unwrap_err();
    assert!(
        matches!(&refused, MoveError::OtherMove { from, .. } if *from == file.display().to_string()),
        "{refused:?}"
    );
    // An older state at the same place.
    let kept = place.path("kept.db");
    fs::rename(&file, &kept).unwrap();
    fs::remove_file(place.path("receiver.db.lock")).unwrap();
    drop(open(&file).unwrap());
    let refused = place.fill_database(&file).unwrap_err();
    assert!(matches!(refused, MoveError::Newer { .. }), "{refused:?}");
    assert_eq!(dump(&place), before);
    fs::remove_file(&file).unwrap();
    fs::rename(&kept, &file).unwrap();
    fs::remove_file(place.path("receiver.db.lock")).unwrap();
    place.fill_database(&file).unwrap();

    let back = place.path("back.db");
    let crashed = |step| assert!(step != Progress::Verified, "left here");
    let moving = || crate::wait(move_to_file(&place.url(), &back, crashed));
    assert!(catch_unwind(AssertUnwindSafe(moving)).is_err());
    let bytes = fs::read(&back).unwrap();
    let other = with_state();
    other.fill_database(&other.path("receiver.db")).unwrap();
    let refused = other.fill_file(&back).unwrap_err();
    assert!(
        matches!(&refused, MoveError::OtherMove { from, .. } if *from == place.url().to_string()),
        "{refused:?}"
    );
    assert_eq!(fs::read(&back).unwrap(), bytes);
    place.fill_file(&back).unwrap();
}

#[test]
fn tables_without_rows_are_good_for_a_move() {
    let place = with_state();
    drop(place.connect().unwrap());
    place.fill_database(&place.path("receiver.db")).unwrap();
    let other = Binding {
        escrow: Escrow {
            chain_id: 1337,
            contract: Address::repeat_byte(1),
        },
        ..binding()
    };
    let file = place.path("other.db");
    let halt = Halt {
        kind: HaltKind::Reorganised,
        block: None,
    };
    let store = SqliteStore::open(&file, other).unwrap();
    let halted = Batch {
        halts: vec![HaltChange::Set(halt)],
        ..batch([])
    };
    commit(&store, halted).unwrap();
    drop(store);
    let refused = place.fill_database(&file).unwrap_err();
    assert!(
        matches!(refused, MoveError::Database(DatabaseError::OtherContract { .. })),
        "{refused:?}"
    );
}
