//! What the state file must be: ours, of a version that we know, and bound to what it is opened for.

use super::checksum::{self, FileId};
use super::columns::Bytes;
use super::{accounts, chain};
use crate::error::OpenError;
use crate::store::Binding;
use microraiden_protocol::Escrow;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, params};
use rusqlite_migration::{HookResult, M, Migrations};
use std::path::Path;

/// Marks a file as a state file, in SQLite's header.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"uRdn");
/// The schema's version that this program writes.
const VERSION: i64 = 4;
/// The log is copied into the file when it has this many pages.
const CHECKPOINT_PAGES: i32 = 1000;

/// Opens an existing file, which may be empty, and brings it to this version.
pub(super) fn open(path: &Path, binding: Binding) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    check_identity(&connection, path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.wal_hook(Some(checkpoint));
    let found = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > VERSION {
        let path = path.to_owned();
        return Err(OpenError::NewerVersion { path, found });
    }
    let bind = move |transaction: &Transaction<'_>| write_binding(transaction, &binding);
    let schema = M::up_with_hook(include_str!("schema.sql"), bind);
    let closes = M::up(include_str!("task_kinds.sql"));
    let halts = M::up(include_str!("halts.sql"));
    let integrity = M::up_with_hook(include_str!("integrity.sql"), sum_up);
    Migrations::new(vec![schema, closes, halts, integrity]).to_latest(&mut connection)?;
    check_binding(&connection, &binding)?;
    checksum::define(&connection, file_id(&connection)?)?;
    Ok(connection)
}

fn file_id(connection: &Connection) -> rusqlite::Result<FileId> {
    connection.query_one("SELECT file_id FROM integrity", [], |row| row.get(0).map(FileId))
}

/// Writes the checksums of all rows.
fn sum_up(transaction: &Transaction<'_>) -> HookResult {
    checksum::define(transaction, file_id(transaction)?)?;
    transaction.execute_batch(accounts::SUM_UP)?;
    transaction.execute_batch(chain::SUM_UP)?;
    Ok(())
}

/// The mark is the first thing that is written into a file, so a file without it is not ours.
fn check_identity(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let pages = connection.pragma_query_value(None, "page_count", |row| row.get::<_, i64>(0));
    let id = match pages {
        Ok(0) => {
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            return Ok(());
        }
        Ok(_) => connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0)),
        Err(error) => Err(error),
    };
    match id {
        Ok(APPLICATION_ID) => Ok(()),
        Err(error) if error.sqlite_error_code() != Some(ErrorCode::NotADatabase) => Err(error.into()),
        _ => Err(OpenError::NotAStateFile {
            path: path.to_owned(),
        }),
    }
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

fn check_binding(connection: &Connection, binding: &Binding) -> Result<(), OpenError> {
    let found = connection.query_one("SELECT * FROM binding", [], |row| {
        Ok(Binding {
            escrow: Escrow {
                chain_id: row.get("chain_id")?,
                contract: row.get::<_, Bytes<_>>("contract")?.0,
            },
            receiver: row.get::<_, Bytes<_>>("receiver")?.0,
        })
    })?;
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
