//! Backups of state files, and state files made of backups.

use super::connection::{self, Kind, damaged};
use super::file::{self, beside};
use super::mark::HighWaterMark;
use super::reader::{Source, contents};
use super::{chain, integrity};
use crate::contents::Contents;
use crate::error::CopyError;
use crate::store::{Halt, HaltChange, HaltKind};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction};
use std::error::Error;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::NamedTempFile;

/// Copies a state file, as it is at one moment, into a backup; also while a process uses it, which is
/// not disturbed.
///
/// The backup is private to the user that makes it, was read back, and is on the disk when this
/// returns. It cannot be used as a state file by mistake. An earlier backup there is replaced only
/// with `replace`, when everything has succeeded; other files never are.
///
/// # Errors
/// When the state cannot be read, is damaged, or has lost its log; when the backup cannot be written.
pub fn backup(state_file: &Path, to: &Path, replace: bool) -> Result<Contents, CopyError> {
    check_target(to, replace)?;
    let source = Source::open(state_file)?;
    connection::check_is_state(&source.connection, &source.path)?;
    source.check_log()?;
    let copy = NewFile::copy(&source, to)?;
    copy.change(|transaction| {
        transaction.execute_batch(
            "CREATE TABLE backup (made_at INTEGER NOT NULL) STRICT; UPDATE integrity SET in_use = 0;",
        )?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        transaction.execute("INSERT INTO backup VALUES (?1)", [now.as_secs()])?;
        transaction.pragma_update(None, "application_id", Kind::Backup.application_id())
    })?;
    let contents = copy.read()?;
    copy.put_in_place(replace)?;
    Ok(contents)
}

/// Makes a state file of a backup, or of what is left of a state file, also of one that was moved.
///
/// What was accepted after the backup is not known in it, so it says that it was restored
/// ([`HaltKind::Restored`]), and its channels sell nothing until the operator accepts the risk.
/// It is on the disk when this returns; what is returned also tells when the backup was made.
///
/// # Errors
/// When there is a state file, or a part of one; when the backup cannot be read, or is damaged; when
/// the state file cannot be written.
pub fn restore(from: &Path, state_file: &Path) -> Result<Contents, CopyError> {
    let exists = |path: PathBuf| match path.symlink_metadata() {
        Ok(_) => Err(CopyError::Exists { path }),
        Err(_) => Ok(()),
    };
    ["", "-wal", "-shm", "-journal"]
        .into_iter()
        .try_for_each(|suffix| exists(beside(state_file, suffix)))?;
    let source = Source::open(from)?;
    let _not_in_use = match source.kind {
        Kind::Backup => None,
        Kind::State | Kind::Moved | Kind::Arriving => Some(file::lock(&source.path)?),
    };
    let copy = NewFile::copy(&source, state_file)?;
    // Before the checksums are written anew.
    let backup_of = copy.read()?.backup_of;
    copy.change(|transaction| {
        transaction.execute_batch(
            "DROP TABLE IF EXISTS backup; UPDATE integrity SET (file_id, in_use) = (random(), 0);",
        )?;
        connection::sum_up(transaction)?;
        let halt = Halt {
            kind: HaltKind::Restored,
            block: None,
        };
        chain::write_halt(transaction, &HaltChange::Set(halt))?;
        connection::write_state(transaction)
    })?;
    let contents = copy.read()?;
    let lock = file::lock(state_file)?;
    // It may tell of the state that was there before.
    let standing = integrity::standing(&copy.connect()?).map_err(|error| copy.failed(error))?;
    HighWaterMark::set(&lock, standing.mark)
        .and_then(|mark| mark.sync())
        .map_err(|error| copy.failed(error))?;
    copy.put_in_place(false)?;
    Ok(Contents {
        backup_of,
        ..contents
    })
}

/// Nothing is in the way of a backup, or only a backup that may be replaced.
fn check_target(to: &Path, replace: bool) -> Result<(), CopyError> {
    let path = to.to_owned();
    match to.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(_) if !replace => Err(CopyError::Exists { path }),
        Ok(_) => match Source::open(to).map(|found| found.kind) {
            Ok(Kind::Backup) => Ok(()),
            _ => Err(CopyError::NotABackup { path }),
        },
    }
}

/// A copy under a name that is not yet the right one, in the same folder.
pub(super) struct NewFile {
    temporary: NamedTempFile,
    source: PathBuf,
    target: PathBuf,
}

impl NewFile {
    /// Copies what is there at one moment, and brings the copy to the newest version.
    fn copy(source: &Source, target: &Path) -> Result<Self, CopyError> {
        let copy = Self::empty(source.path.clone(), target)?;
        // One statement reads one state. SQLite's backup interface would begin again after each write.
        let name = copy.temporary.path().to_str();
        let name = name.ok_or_else(|| copy.failed(io::Error::from(io::ErrorKind::InvalidFilename)))?;
        source
            .connection
            .execute("VACUUM INTO ?1", [name])
            .map_err(|error| copy.blame(error))?;
        let mut connection = copy.connect()?;
        let binding = connection::binding(&connection).map_err(|error| copy.blame(error))?;
        connection::migrate(&mut connection, binding).map_err(|error| copy.failed(error))?;
        Ok(copy)
    }

    /// A file with nothing in it. `source` is what the errors are about when it cannot be read back.
    pub(super) fn empty(source: PathBuf, target: &Path) -> Result<Self, CopyError> {
        let temporary = tempfile::Builder::new()
            .prefix(".microraiden-")
            .tempfile_in(file::folder(target))
            .map_err(|error| write_failed(target, error))?;
        Ok(Self {
            temporary,
            source,
            target: target.to_owned(),
        })
    }

    pub(super) fn connect(&self) -> Result<Connection, CopyError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || -> rusqlite::Result<_> {
            let connection = Connection::open_with_flags(self.temporary.path(), flags)?;
            // Nobody will want half a copy.
            connection.pragma_update(None, "journal_mode", "MEMORY")?;
            Ok(connection)
        };
        open().map_err(|error| self.failed(error))
    }

    fn change(&self, change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>) -> Result<(), CopyError> {
        let mut connection = self.connect()?;
        let write = || -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            change(&transaction)?;
            transaction.commit()
        };
        write().map_err(|error| self.failed(error))
    }

    /// Reads everything back.
    fn read(&self) -> Result<Contents, CopyError> {
        Ok(contents(&self.connect()?, &self.source)?)
    }

    /// Gives it its name when it is on the disk, and waits until the name is, too.
    pub(super) fn put_in_place(self, replace: bool) -> Result<(), CopyError> {
        let Self {
            temporary, target, ..
        } = self;
        temporary
            .as_file()
            .sync_all()
            .map_err(|error| write_failed(&target, error))?;
        let renamed = match replace {
            true => temporary.persist(&target),
            false => temporary.persist_noclobber(&target),
        };
        renamed.map_err(|error| write_failed(&target, error.error))?;
        let folder = File::open(file::folder(&target)).and_then(|folder| folder.sync_all());
        folder.map_err(|error| write_failed(&target, error))
    }

    pub(super) fn failed(&self, cause: impl Error + Send + Sync + 'static) -> CopyError {
        write_failed(&self.target, cause)
    }

    /// Tells a damaged source from a target that cannot be written.
    fn blame(&self, error: rusqlite::Error) -> CopyError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                damaged(&self.source, error.to_string()).into()
            }
            _ => self.failed(error),
        }
    }
}

pub(super) fn write_failed(target: &Path, cause: impl Error + Send + Sync + 'static) -> CopyError {
    CopyError::Write {
        path: target.to_owned(),
        cause: Box::new(cause),
    }
}
