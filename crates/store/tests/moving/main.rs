//! States that are moved from a file into a database and back, and what is left of both.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../channels/mod.rs"]
mod channels;
mod crash;
#[path = "../conformance/histories.rs"]
mod histories;
mod refused;
mod restored;
mod states;
mod writers;

use channels::{batch, binding, commit, load, wait};
use microraiden_store::{
    Contents, DatabaseError, DatabaseUrl, MoveError, OpenError, PostgresStore, Progress, Snapshot,
    SqliteStore, inspect, inspect_database, move_to_database, move_to_file,
};
use microraiden_test_postgres::{Database, Options, Server};
use states::State;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;
use tempfile::TempDir;

/// A server that nobody kills.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        Server::start(Options {
            fsync: false,
            ..Options::default()
        })
    })
}

/// A database without anything, and where files can be.
struct Place {
    folder: TempDir,
    database: Database,
}

impl Place {
    fn new() -> Self {
        Self::on(server().database())
    }

    fn on(database: Database) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            database,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn url(&self) -> DatabaseUrl {
        self.database.url.parse().unwrap()
    }

    fn sql(&self, statements: &str) -> String {
        server().sql(&self.database.name, statements)
    }

    /// Moves a state file into the database.
    fn fill_database(&self, from: &Path) -> Result<Contents, MoveError> {
        wait(move_to_database(from, &self.url(), |_| ()))
    }

    /// Moves the database into a file.
    fn fill_file(&self, to: &Path) -> Result<Contents, MoveError> {
        wait(move_to_file(&self.url(), to, |_| ()))
    }

    /// What is in the database, if there is something.
    fn contents(&self) -> Option<Contents> {
        match wait(inspect_database(&self.url())) {
            Ok(contents) => Some(contents),
            Err(MoveError::Database(DatabaseError::Empty)) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    fn connect(&self) -> Result<PostgresStore, DatabaseError> {
        wait(async { PostgresStore::connect(&self.database.url, binding()).await })
    }
}

/// In an order that says nothing.
fn sorted(snapshot: &Snapshot) -> Snapshot {
    let mut snapshot = snapshot.clone();
    snapshot.accounts.sort_by_key(|account| *account.channel());
    snapshot.tasks.sort_by_key(|task| (task.channel, task.kind));
    snapshot.halts.sort_by_key(|halt| halt.kind);
    snapshot
}

fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(path, binding())
}

#[test]
fn a_state_with_everything_is_the_same_there_and_back_again() {
    let place = Place::new();
    let file = place.path("receiver.db");
    let mut state = State::with_everything();
    let store = open(&file).unwrap();
    state.write(&store);
    histories::keeps_random_histories(&store);
    let stored = sorted(&load(&store));
    assert!(stored.accounts.len() > 100, "{}", stored.accounts.len());
    drop(store);

    let mut steps = Vec::new();
    let moved = wait(move_to_database(&file, &place.url(), |step| steps.push(step))).unwrap();
    let accounts = stored.accounts.len();
    assert_eq!(
        steps,
        [
            Progress::Read { accounts },
            Progress::Writing {
                done: accounts,
                of: accounts
            },
            Progress::Written,
            Progress::Verified,
            Progress::Marked,
            Progress::Finished,
        ]
    );
    assert_eq!(
        (moved.binding, moved.moving, moved.backup_of),
        (binding(), None, None)
    );
    assert_eq!(sorted(&moved.snapshot), stored);
    // What the database itself holds, to the last digit.
    assert_eq!(
        place.sql("SELECT max(balance) FROM accounts"),
        "6277101735386680763835789423207666416102355444464034512895"
    );
    let store = place.connect().unwrap();
    assert_eq!(sorted(&load(&store)), stored);
    // The file still has all of it, and says so.
    assert_eq!(sorted(&inspect(&file).unwrap().snapshot), stored);

    // It goes on there.
    let touched = state.channel().touch();
    commit(&store, batch([touched])).unwrap();
    let later = sorted(&load(&store));
    assert_ne!(later, stored);
    drop(store);

    // By the name that it had before, beside which there is still its lock.
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("receiver.db{suffix}");
        std::fs::rename(place.path(&name), place.path(&format!("old.db{suffix}"))).unwrap();
    }
    let back = file;
    let moved = place.fill_file(&back).unwrap();
    assert_eq!(
        (moved.binding, moved.moving, moved.backup_of),
        (binding(), None, None)
    );
    assert_eq!(sorted(&moved.snapshot), later);
    let store = open(&back).unwrap();
    assert_eq!(sorted(&load(&store)), later);
    let touched = state.channel().touch();
    commit(&store, batch([touched])).unwrap();
    drop(store);
    assert_eq!(sorted(&place.contents().unwrap().snapshot), later);
    // And it can be opened again, with what it says of itself.
    let store = open(&back).unwrap();
    assert_ne!(sorted(&load(&store)), later);
}

#[test]
fn who_reads_is_not_held_up_by_a_move() {
    let place = Place::new();
    let file = place.path("receiver.db");
    State::with_everything().write(&open(&file).unwrap());
    place.fill_database(&file).unwrap();
    let reading = |step| {
        if step == Progress::Written {
            assert_eq!(
                place.sql("SET statement_timeout = '1s'; SELECT count(*) FROM accounts"),
                "5"
            );
        }
    };
    wait(move_to_file(&place.url(), &place.path("back.db"), reading)).unwrap();
}

/// A new receiver has nothing but what it belongs to.
#[test]
fn a_state_without_anything_is_moved_too() {
    let place = Place::new();
    let (file, back) = (place.path("receiver.db"), place.path("back.db"));
    drop(open(&file).unwrap());
    place.fill_database(&file).unwrap();
    assert_eq!(place.contents().unwrap().snapshot, Snapshot::default());
    place.fill_file(&back).unwrap();
    assert_eq!(load(&open(&back).unwrap()), Snapshot::default());
}

/// The way in asks for a password, and nobody ever sees it.
#[test]
fn a_password_is_written_nowhere() {
    let server = Server::start(Options {
        fsync: false,
        password: true,
        ..Options::default()
    });
    let database = server.database();
    let url: DatabaseUrl = database.url.parse().unwrap();
    assert!(url.has_password());
    let folder = tempfile::tempdir().unwrap();
    let [file, back] = ["receiver.db", "back.db"].map(|name| folder.path().join(name));
    State::with_everything().write(&open(&file).unwrap());
    wait(move_to_database(&file, &url, |_| ())).unwrap();
    let refused = open(&file).unwrap_err();
    assert!(refused.to_string().contains(&url.to_string()), "{refused}");
    assert!(matches!(&refused, OpenError::Moved { to, .. } if *to == url.to_string()));
    wait(move_to_file(&url, &back, |_| ())).unwrap();
    let secret = microraiden_test_postgres::PASSWORD;
    for entry in folder.path().read_dir().unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()));
    }
    let notes = server.sql(&database.name, "SELECT * FROM binding");
    assert!(!notes.contains(secret) && notes.contains("back.db"), "{notes}");
}

#[test]
#[ignore = "takes half a minute without optimisation"]
fn a_hundred_thousand_accounts_move_in_seconds() {
    let place = Place::new();
    let (file, back) = (place.path("receiver.db"), place.path("back.db"));
    let store = open(&file).unwrap();
    states::write_many(&store, 100_000);
    drop(store);
    // Not by `println!`, which the test runner keeps to itself when all is well.
    let mut report = std::io::stdout();
    let mut timed = |what: &str, work: &dyn Fn() -> Result<Contents, MoveError>| {
        let begin = Instant::now();
        assert_eq!(work().unwrap().snapshot.accounts.len(), 100_000);
        let time = begin.elapsed();
        writeln!(report, "100,000 accounts {what}: {time:?}").unwrap();
        // Without optimisation the figures are of no use to anybody.
        assert!(cfg!(debug_assertions) || time.as_secs() < 30);
    };
    timed("into a database", &|| place.fill_database(&file));
    timed("into a file", &|| place.fill_file(&back));
}
