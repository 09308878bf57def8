//! Databases that were made of a dump.

#![allow(clippy::unwrap_used, reason = "a test")]

use crate::channels::{batch, commit, load};
use crate::states::State;
use crate::{Place, open, sorted, wait};
use microraiden_store::{
    Batch, DatabaseError, Halt, HaltChange, HaltKind, MoveError, Reading, SharedStore, Snapshot,
    restored_database,
};
use std::path::Path;
use std::process::{Command, Output};

const RESTORED: Halt = Halt {
    kind: HaltKind::Restored,
    block: None,
};

/// Runs a program of PostgreSQL's beside psql.
fn run(place: &Place, name: &str, arguments: &[&str]) -> Output {
    let psql = crate::server().psql("", "");
    let program = Path::new(psql.get_program()).with_file_name(name);
    let mut command = Command::new(program);
    for (name, value) in psql.get_envs() {
        command.env(name, value.unwrap());
    }
    let output = command
        .args(arguments)
        .current_dir(&place.folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A state without halts in a database, and a dump of it.
fn dumped() -> (Place, State) {
    let place = Place::new();
    let file = place.path("receiver.db");
    let mut state = State::with_everything();
    let store = open(&file).unwrap();
    state.write(&store);
    let halts = [HaltKind::Reorganised, HaltKind::Restored]
        .map(HaltChange::Lift)
        .into();
    let lifted = Batch {
        halts,
        ..Batch::default()
    };
    commit(&store, lifted).unwrap();
    drop(store);
    place.fill_database(&file).unwrap();
    dump(&place);
    (place, state)
}

fn dump(place: &Place) {
    run(
        place,
        "pg_dump",
        &["-Fc", "-f", "dump", "-d", &place.database.name],
    );
}

/// A database that a dump was restored into.
fn restore(dumped: &Place) -> Place {
    let place = Place::new();
    run(dumped, "pg_restore", &["-d", &place.database.name, "dump"]);
    place
}

#[test]
fn a_state_from_a_dump_sells_nothing_that_may_have_been_sold() {
    let (place, mut state) = dumped();
    let stored = place.contents().unwrap().snapshot;
    let store = place.connect().unwrap();
    let paid = state.channel().pay(95, 5);
    commit(&store, batch([paid])).unwrap();

    let restored = restore(&place);
    let refused = restored.connect().unwrap_err();
    assert!(matches!(refused, DatabaseError::Dump), "{refused:?}");
    assert!(
        refused.to_string().contains("microraiden restore --store"),
        "{refused}"
    );
    let refused = restored.fill_file(&place.path("back.db")).unwrap_err();
    assert!(
        matches!(refused, MoveError::Database(DatabaseError::Dump)),
        "{refused:?}"
    );
    // As if the other server had made many more transactions than this one.
    restored.sql("UPDATE accounts SET changed = '1000000000000'");
    let told = wait(restored_database(&restored.url())).unwrap();
    let expected = Snapshot {
        halts: vec![RESTORED],
        ..stored
    };
    assert_eq!(sorted(&told.snapshot), sorted(&expected));
    let store = restored.connect().unwrap();
    assert_eq!(sorted(&load(&store)), sorted(&expected));
    drop(restored.connect().unwrap());
    // What is not new is not read again and again.
    let to_come = "SELECT count(*) FROM accounts WHERE changed > pg_current_xact_id()";
    assert_eq!(restored.sql(to_come), "0");
    state.channel().resume(&expected);
    let touched = state.channel().touch();
    commit(&store, batch([touched])).unwrap();
}

/// Also where they run already: they are told.
#[test]
fn who_runs_on_a_restored_database_hears_of_it() {
    let (place, _) = dumped();
    let store = place.connect().unwrap();
    assert_eq!(load(&store).halts, []);
    wait(restored_database(&place.url())).unwrap();
    let changes = wait(store.changes(Reading::Changed)).unwrap();
    assert_eq!(changes.halts, Some(vec![RESTORED]));
}

#[test]
fn a_dump_of_a_database_that_was_moved_away_says_so_until_it_is_restored() {
    let (place, mut state) = dumped();
    place.fill_file(&place.path("back.db")).unwrap();
    dump(&place);
    let restored = restore(&place);
    let refused = restored.connect().unwrap_err();
    assert!(matches!(refused, DatabaseError::Moved { .. }), "{refused:?}");
    // Nor does it take anything in.
    let refused = restored.fill_database(&place.path("back.db")).unwrap_err();
    assert!(
        matches!(refused, MoveError::Database(DatabaseError::Moved { .. })),
        "{refused:?}"
    );

    let told = wait(restored_database(&restored.url())).unwrap();
    assert_eq!((told.moving, &told.snapshot.halts), (None, &vec![RESTORED]));
    let store = restored.connect().unwrap();
    state.channel().resume(&load(&store));
    let touched = state.channel().touch();
    commit(&store, batch([touched])).unwrap();
    assert_eq!(place.contents().unwrap().snapshot.halts, []);
}

#[test]
fn what_is_no_state_is_not_restored() {
    let place = Place::new();
    let refused = wait(restored_database(&place.url())).unwrap_err();
    assert!(
        matches!(refused, MoveError::Database(DatabaseError::Empty)),
        "{refused:?}"
    );
    assert!(place.contents().is_none());
}
