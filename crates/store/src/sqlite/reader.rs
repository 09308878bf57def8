//! Reading a state file or a backup, also while a process uses it. Nothing in it is changed.

use super::checksum;
use super::connection::{self, Kind};
use super::file::{self, beside};
use super::integrity;
use crate::contents::Contents;
use crate::error::{OpenError, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads a state file, or a backup, as it is now, also while a process uses it.
///
/// Beside a state file it may leave an empty `-wal` and a `-shm`, which do no harm.
///
/// # Errors
/// When it is none, of another version, damaged, or its log is missing.
pub fn inspect(path: &Path) -> Result<Contents, OpenError> {
    let source = Source::open(path)?;
    source.check_log()?;
    if source.version < connection::VERSION {
        let (path, found) = (source.path, source.version);
        return Err(OpenError::OlderVersion { path, found });
    }
    contents(&source.connection, &source.path)
}

/// A state file or a backup, opened for reading.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    pub(super) kind: Kind,
    pub(super) version: i64,
}

impl Source {
    /// Opens one of a version that is known.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let path = path.canonicalize().map_err(|source| OpenError::File {
            path: path.to_owned(),
            source,
        })?;
        if file::length(&path)? == Some(0) {
            return Err(OpenError::NotAStateFile { path });
        }
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&path, flags)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            let kind = connection::kind(&connection, &path)?;
            let version = connection::version(&connection, &path)?;
            if version == 0 {
                // Its making was interrupted.
                return Err(OpenError::NotAStateFile { path: path.clone() });
            }
            Ok((connection, kind, version))
        };
        let (connection, kind, version) = open().map_err(|error: OpenError| error.at(&path))?;
        Ok(Self {
            path,
            connection,
            kind,
            version,
        })
    }

    /// Whether the log is there if it is a part of the state.
    ///
    /// As long as we read, nobody can take it away.
    pub(super) fn check_log(&self) -> Result<(), OpenError> {
        if self.version < connection::VERSION {
            return Ok(());
        }
        let standing = integrity::standing(&self.connection);
        let in_use = standing
            .map_err(|error| OpenError::from(error).at(&self.path))?
            .in_use;
        let log = file::length(&beside(&self.path, "-wal"))?;
        if in_use && log.is_none_or(|bytes| bytes == 0) {
            let path = self.path.clone();
            return Err(OpenError::LogMissing { path });
        }
        Ok(())
    }
}

/// Checks and reads everything, at one moment. `path` is what the errors are about.
pub(super) fn contents(connection: &Connection, path: &Path) -> Result<Contents, OpenError> {
    let read = || {
        // So that all tables are of one moment; it ends when it is dropped.
        let transaction = connection.unchecked_transaction()?;
        integrity::check_pages(&transaction, path)?;
        checksum::define(&transaction, integrity::standing(&transaction)?.mark.file)?;
        Ok(Contents {
            binding: connection::binding(&transaction)?,
            version: connection::version(&transaction, path)?,
            backup_of: made_at(&transaction)?,
            moving: connection::moving(&transaction, path)?,
            snapshot: super::load(&transaction).map_err(|error| unreadable(path, error))?,
        })
    };
    read().map_err(|error: OpenError| error.at(path))
}

fn unreadable(path: &Path, error: StoreError) -> OpenError {
    let found = match error {
        StoreError::Corrupt(row) => row.to_string(),
        StoreError::Damaged { table, cause } => format!("{table}: {cause}"),
        other => other.to_string(),
    };
    connection::damaged(path, found)
}

/// When a backup was made.
fn made_at(connection: &Connection) -> rusqlite::Result<Option<SystemTime>> {
    if !connection.table_exists(Some("main"), "backup")? {
        return Ok(None);
    }
    let seconds: u64 = connection.query_one("SELECT made_at FROM backup", [], |row| row.get(0))?;
    Ok(UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
}
