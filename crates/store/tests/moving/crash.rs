//! A process that moves a state is killed at every step, and at any moment: either the source can be used, or the
//! same move finishes what it has begun; never both, and nothing is lost.
//!
//! The processes that are killed are this test program itself, started again for one ignored test.

#![allow(clippy::unwrap_used, reason = "a test")]

use crate::channels::{Channel, batch, commit, load, runtime};
use crate::states::{FIRST, State};
use crate::{Place, open, server, sorted};
use microraiden_store::{
    ChannelStore, DatabaseError, MoveError, Moving, OpenError, Progress, SqliteStore, inspect,
    move_to_database, move_to_file,
};
use microraiden_test_postgres::{Database, Options, Server};
use rustix::process::{Signal, getpid, kill_process};
use std::cell::Cell;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// From where to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    IntoDatabase,
    IntoFile,
}

use Direction::{IntoDatabase, IntoFile};

/// What can be used of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usable {
    Source,
    Target,
    Neither,
}

/// Something to be moved, which is sold on meanwhile where that is possible.
struct Stage {
    place: Place,
    direction: Direction,
    channel: Channel,
    /// What was stored of it last.
    version: Option<u64>,
}

impl Stage {
    fn new(direction: Direction) -> Self {
        Self::on(server().database(), direction)
    }

    fn on(database: Database, direction: Direction) -> Self {
        let stage = Self {
            place: Place::on(database),
            direction,
            channel: Channel::new(FIRST),
            version: None,
        };
        let first = match direction {
            IntoDatabase => stage.file(),
            IntoFile => stage.place.path("first.db"),
        };
        State::with_everything().write(&open(&first).unwrap());
        if direction == IntoFile {
            stage.place.fill_database(&first).unwrap();
        }
        stage
    }

    fn file(&self) -> PathBuf {
        self.place.path("receiver.db")
    }

    /// Starts a process that moves, and kills itself at a step.
    fn start(&self, step: usize) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::moves_until_it_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env("MOVE_FILE", self.file())
            .env("MOVE_DATABASE", &self.place.database.url)
            .env("MOVE_DIRECTION", format!("{:?}", self.direction))
            .env("MOVE_STEP", step.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn open_file(&self) -> Result<SqliteStore, OpenError> {
        // What a database says first does not make a file.
        inspect(&self.file())?;
        open(&self.file())
    }

    /// Finds out what can be used, by using it.
    fn usable(&mut self) -> Usable {
        let file = match self.open_file() {
            Ok(store) => Some(Box::new(store) as Box<dyn ChannelStore>),
            Err(error) => {
                let is_expected = match self.direction {
                    IntoDatabase => matches!(error, OpenError::Moved { .. }),
                    // There is none yet, or not all of it.
                    IntoFile => matches!(error, OpenError::Unfinished { .. } | OpenError::File { .. }),
                };
                assert!(is_expected, "{error:?}");
                None
            }
        };
        let database = match self.place.contents().map(|contents| contents.moving) {
            Some(None) => Some(Box::new(self.place.connect().unwrap()) as Box<dyn ChannelStore>),
            Some(Some(moving)) => {
                let refused = self.place.connect().unwrap_err();
                match moving {
                    Moving::To(_) => assert!(matches!(refused, DatabaseError::Moved { .. })),
                    Moving::From(_) => assert!(matches!(refused, DatabaseError::Unfinished { .. })),
                }
                None
            }
            None => None,
        };
        let (store, usable) = match (file, database, self.direction) {
            (Some(_), Some(_), _) => panic!("both can be used"),
            (None, None, _) => return Usable::Neither,
            (Some(file), None, IntoDatabase) => (file, Usable::Source),
            (Some(file), None, IntoFile) => (file, Usable::Target),
            (None, Some(database), IntoDatabase) => (database, Usable::Target),
            (None, Some(database), IntoFile) => (database, Usable::Source),
        };
        // It has all that was stored, and goes on.
        self.check(&*store);
        let touched = self.channel.touch();
        self.version = Some(touched.after().version().number);
        commit(&*store, batch([touched])).unwrap();
        usable
    }

    /// Whether a store has what was stored last.
    fn check(&mut self, store: &dyn ChannelStore) {
        let stored = sorted(&load(store));
        let version = stored
            .accounts
            .iter()
            .find(|account| *account.channel() == self.channel.id())
            .map(|account| account.version().number);
        assert!(version.is_some());
        assert!(
            self.version.is_none() || version == self.version,
            "{version:?}, not {:?}",
            self.version
        );
        assert_eq!(
            (stored.accounts.len(), stored.tasks.len(), stored.halts.len()),
            (5, 3, 2)
        );
        self.channel.resume(&stored);
    }

    /// The same move once more, which finishes, whatever there is.
    fn finish(&mut self) {
        let before = self.usable();
        let moved = match self.direction {
            IntoDatabase => self.place.fill_database(&self.file()),
            IntoFile => self.place.fill_file(&self.file()),
        };
        match (before, moved) {
            (Usable::Source | Usable::Neither, Ok(_)) => {}
            // It says where it is.
            (Usable::Target, Err(error @ (MoveError::File(_) | MoveError::Database(_)))) => {
                let (file, url) = (self.file().display().to_string(), self.place.url().to_string());
                let told = error.to_string();
                assert!(told.contains(&file) || told.contains(&url), "{told}");
            }
            (before, moved) => panic!("{before:?}, then {moved:?}"),
        }
        assert_eq!(self.usable(), Usable::Target);
    }
}

#[test]
#[ignore = "run by the other tests"]
fn moves_until_it_is_killed() {
    let var = |name| std::env::var(name).unwrap();
    let (file, url) = (
        PathBuf::from(var("MOVE_FILE")),
        var("MOVE_DATABASE").parse().unwrap(),
    );
    let left = Cell::new(var("MOVE_STEP").parse::<usize>().unwrap());
    let step = |_| match left.get().checked_sub(1) {
        Some(less) => left.set(less),
        None => kill_process(getpid(), Signal::KILL).unwrap(),
    };
    println!("begins");
    match var("MOVE_DIRECTION").as_str() {
        "IntoDatabase" => drop(runtime().block_on(move_to_database(&file, &url, step)).unwrap()),
        _ => drop(runtime().block_on(move_to_file(&url, &file, step)).unwrap()),
    }
}

/// Kills at each step, as often as there are steps.
fn killed_at_every_step(direction: Direction) -> Vec<Usable> {
    let mut seen = Vec::new();
    loop {
        let mut stage = Stage::new(direction);
        assert_eq!(stage.usable(), Usable::Source);
        let output = stage.start(seen.len()).wait_with_output().unwrap();
        if output.status.success() {
            assert_eq!(stage.usable(), Usable::Target);
            return seen;
        }
        assert_eq!(output.status.signal(), Some(9), "{output:?}");
        seen.push(stage.usable());
        stage.finish();
    }
}

/// Read, written in part, written, verified, marked, finished.
const EXPECTED: [Usable; 6] = [
    Usable::Source,
    Usable::Source,
    Usable::Source,
    Usable::Source,
    Usable::Neither,
    Usable::Target,
];

#[test]
fn a_move_into_a_database_that_was_killed_at_any_step_is_finished_by_the_next() {
    assert_eq!(killed_at_every_step(IntoDatabase), EXPECTED);
}

#[test]
fn a_move_into_a_file_that_was_killed_at_any_step_is_finished_by_the_next() {
    assert_eq!(killed_at_every_step(IntoFile), EXPECTED);
}

/// Between two steps as well.
#[test]
fn a_move_that_was_killed_at_any_moment_is_finished_by_the_next() {
    for direction in [IntoDatabase, IntoFile] {
        let mut stage = Stage::new(direction);
        for moment in 0_u64.. {
            let mut child = stage.start(usize::MAX);
            let mut output = child.stdout.take().unwrap();
            let mut begun = Vec::new();
            while !begun.ends_with(b"begins") {
                let mut byte = [0];
                output.read_exact(&mut byte).unwrap();
                begun.push(byte[0]);
            }
            thread::sleep(Duration::from_millis(3 * moment));
            child.kill().unwrap();
            let status = child.wait().unwrap();
            let has_finished = status.success();
            assert!(
                has_finished || status.signal() == Some(9),
                "it has failed: {status}"
            );
            if stage.usable() == Usable::Source {
                assert!(!has_finished);
                continue;
            }
            stage.finish();
            if has_finished {
                assert!(moment > 3, "it was too fast to be killed");
                break;
            }
            stage = Stage::new(direction);
        }
    }
}

/// The database may fail as well as we.
#[test]
fn a_move_whose_database_fails_is_finished_when_it_is_back() {
    let server = Server::start(Options::default());
    for direction in [IntoDatabase, IntoFile] {
        for failing in [Progress::Written, Progress::Verified, Progress::Marked] {
            let mut stage = Stage::on(server.database(), direction);
            assert_eq!(stage.usable(), Usable::Source);
            let (file, url) = (stage.file(), stage.place.url());
            let step = |step| {
                if step == failing {
                    server.kill();
                }
            };
            let moved = match direction {
                IntoDatabase => runtime().block_on(move_to_database(&file, &url, step)),
                IntoFile => runtime().block_on(move_to_file(&url, &file, step)),
            };
            server.restart();
            // After the last word to the database, a file needs it no more.
            if (direction, failing) == (IntoFile, Progress::Marked) {
                moved.unwrap();
                assert_eq!(stage.usable(), Usable::Target);
                continue;
            }
            let failed = moved.unwrap_err();
            assert!(matches!(failed, MoveError::Failed { .. }), "{failed:?}");
            stage.finish();
        }
    }
}
