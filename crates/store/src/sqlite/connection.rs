//! What the state file must be: ours, of a version that we know, and bound to what it is opened for.

use super::columns::Bytes;
use super::file::StateFile;
use super::mark::Mark;
use super::{accounts, chain, checksum, integrity};
use crate::contents::Moving;
use crate::error::OpenError;
use crate::store::Binding;
use microraiden_protocol::Escrow;
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, params};
use rusqlite_migration::{HookResult, M, Migrations};
use std::fs;
use std::path::Path;

/// What a file of ours is for; marked in SQLite's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A state file.
    State,
    /// A backup of one, which nothing is written to.
    Backup,
    /// What was a state file, until its state was moved into a database.
    Moved,
    /// What will be a state file, when the move from a database is finished.
    Arriving,
}

impl Kind {
    pub(super) const fn application_id(self) -> i32 {
        i32::from_be_bytes(match self {
            Self::State => *b"uRdn",
            Self::Backup => *b"uRdb",
            Self::Moved => *b"uRdm",
            Self::Arriving => *b"uRda",
        })
    }
}

/// The schema's version that this program writes.
pub(super) const VERSION: i64 = 4;
/// The log is copied into the file when it has this many pages.
const CHECKPOINT_PAGES: i32 = 1000;

/// Opens a state file, and brings it to this version. Where it is refused, nothing has changed.
pub(super) fn open(file: &StateFile, binding: Binding) -> Result<(Connection, Mark), OpenError> {
    integrity::check_presence(file)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&file.path, flags)?;
    // Who closes it would move the log into the file: only after an orderly end.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    check_identity(&connection, file)?;
    let version = version(&connection, &file.path)?;
    integrity::check_pages(&connection, &file.path)?;
    if version > 0 {
        check_binding(&self::binding(&connection)?, &binding)?;
    }
    let found = (version == VERSION).then(|| integrity::standing(&connection));
    integrity::check_end(file, found.transpose()?)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.wal_hook(Some(checkpoint));
    migrate(&mut connection, binding)?;
    let found = integrity::standing(&connection)?;
    checksum::define(&connection, found.mark.file)?;
    set_in_use(&connection, true)?;
    Ok((connection, found.mark))
}

/// Ends the use of a state file in order: everything is in the file, and the log is gone.
pub(super) fn close(connection: Connection) -> rusqlite::Result<()> {
    set_in_use(&connection, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    connection.close().map_err(|(_, error)| error)
}

/// Writes it down, and takes it from the log to the file itself unless somebody reads an older state.
fn set_in_use(connection: &Connection, in_use: bool) -> rusqlite::Result<()> {
    connection.execute("UPDATE integrity SET in_use = ?1", [in_use])?;
    connection.query_one("PRAGMA wal_checkpoint", [], |_| Ok(()))
}

/// The version of the schema, if we know it; 0 when there is none yet.
pub(super) fn version(connection: &Connection, path: &Path) -> Result<i64, OpenError> {
    let found = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > VERSION {
        let path = path.to_owned();
        return Err(OpenError::NewerVersion { path, found });
    }
    Ok(found)
}

/// Brings a database to this version.
pub(super) fn migrate(connection: &mut Connection, binding: Binding) -> rusqlite_migration::Result<()> {
    let bind = move |transaction: &Transaction<'_>| write_binding(transaction, &binding);
    let schema = M::up_with_hook(include_str!("schema.sql"), bind);
    let closes = M::up(include_str!("task_kinds.sql"));
    let halts = M::up(include_str!("halts.sql"));
    let integrity = M::up_with_hook(include_str!("integrity.sql"), |transaction: &Transaction<'_>| {
        Ok(sum_up(transaction)?)
    });
    Migrations::new(vec![schema, closes, halts, integrity]).to_latest(connection)
}

/// A state file that is not what was written.
pub(super) fn damaged(path: &Path, found: impl Into<String>) -> OpenError {
    OpenError::Damaged {
        path: path.to_owned(),
        found: found.into(),
    }
}

/// Writes the checksums of all rows.
pub(super) fn sum_up(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    checksum::define(transaction, integrity::standing(transaction)?.mark.file)?;
    transaction.execute_batch(accounts::SUM_UP)?;
    transaction.execute_batch(chain::SUM_UP)
}

/// The application's id is the first thing that is written into a file, so a file without it is not
/// ours.
fn check_identity(connection: &Connection, file: &StateFile) -> Result<(), OpenError> {
    let pages = connection.pragma_query_value(None, "page_count", |row| row.get::<_, i64>(0));
    // A file of one byte has no pages either.
    if pages == Ok(0) && fs::metadata(&file.path).is_ok_and(|metadata| metadata.len() == 0) {
        connection.pragma_update(None, "application_id", Kind::State.application_id())?;
        return Ok(());
    }
    check_is_state(connection, &file.path)
}

/// Refuses what is ours, but is no state file, or is none any more, or not yet.
pub(super) fn check_is_state(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let path = path.to_owned();
    match kind(connection, &path)? {
        Kind::State => Ok(()),
        Kind::Backup => Err(OpenError::Backup { path }),
        Kind::Moved => Err(OpenError::Moved {
            path,
            to: place(connection)?,
        }),
        Kind::Arriving => Err(OpenError::Unfinished {
            path,
            from: place(connection)?,
        }),
    }
}

/// What a file is for, if it is ours.
pub(super) fn kind(connection: &Connection, path: &Path) -> Result<Kind, OpenError> {
    let kinds = [Kind::State, Kind::Backup, Kind::Moved, Kind::Arriving];
    let id = connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0));
    let known = match id {
        Err(error) if error.sqlite_error_code() != Some(ErrorCode::NotADatabase) => return Err(error.into()),
        Err(_) => None,
        Ok(id) => kinds.into_iter().find(|kind| kind.application_id() == id),
    };
    known.ok_or_else(|| OpenError::NotAStateFile {
        path: path.to_owned(),
    })
}

/// Says in a file that its state was moved, or is on the way: to or from a place, as its kind says.
pub(super) fn write_moving(transaction: &Transaction<'_>, kind: Kind, place: &str) -> rusqlite::Result<()> {
    transaction.execute("CREATE TABLE moved (place TEXT NOT NULL) STRICT", [])?;
    transaction.execute("INSERT INTO moved VALUES (?1)", [place])?;
    transaction.pragma_update(None, "application_id", kind.application_id())
}

/// Makes a state file of whatever it was.
pub(super) fn write_state(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute("DROP TABLE IF EXISTS moved", [])?;
    transaction.pragma_update(None, "application_id", Kind::State.application_id())
}

/// Whether the state was moved, or is on the way.
pub(super) fn moving(connection: &Connection, path: &Path) -> Result<Option<Moving>, OpenError> {
    Ok(match kind(connection, path)? {
        Kind::State | Kind::Backup => None,
        Kind::Moved => Some(Moving::To(place(connection)?)),
        Kind::Arriving => Some(Moving::From(place(connection)?)),
    })
}

fn place(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_one("SELECT place FROM moved", [], |row| row.get(0))
}

/// Runs after a commit, as SQLite's own automatic checkpoint would; but that one passes over
/// failures in silence, and this one makes the commit fail.
fn checkpoint(wal: &Wal, pages: i32) -> rusqlite::Result<()> {
    if pages < CHECKPOINT_PAGES {
        return Ok(());
    }
    match wal.checkpoint() {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        result => result,
    }
}

fn write_binding(transaction: &Transaction<'_>, binding: &Binding) -> HookResult {
    transaction.execute(
        "INSERT INTO binding (id, chain_id, contract, receiver) VALUES (1, ?1, ?2, ?3)",
        params![
            binding.escrow.chain_id,
            Bytes(binding.escrow.contract),
            Bytes(binding.receiver)
        ],
    )?;
    Ok(())
}

/// What a state belongs to.
pub(super) fn binding(connection: &Connection) -> rusqlite::Result<Binding> {
    connection.query_one("SELECT * FROM binding", [], |row| {
        Ok(Binding {
            escrow: Escrow {
                chain_id: row.get("chain_id")?,
                contract: row.get::<_, Bytes<_>>("contract")?.0,
            },
            receiver: row.get::<_, Bytes<_>>("receiver")?.0,
        })
    })
}

fn check_binding(found: &Binding, binding: &Binding) -> Result<(), OpenError> {
    if found.escrow.chain_id != binding.escrow.chain_id {
        return Err(OpenError::OtherChain {
            found: found.escrow.chain_id,
            wanted: binding.escrow.chain_id,
        });
    }
    if found.escrow.contract != binding.escrow.contract {
        return Err(OpenError::OtherContract {
            found: found.escrow.contract,
            wanted: binding.escrow.contract,
        });
    }
    if found.receiver != binding.receiver {
        return Err(OpenError::OtherReceiver {
            found: found.receiver,
            wanted: binding.receiver,
        });
    }
    Ok(())
}
