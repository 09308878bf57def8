//! State files whose state is moved into a database, or comes from one.

use super::connection::{self, Kind};
use super::copy::{NewFile, write_failed};
use super::file::{self, Lock, beside};
use super::mark::HighWaterMark;
use super::reader::{Source, contents, inspect};
use super::{Failure, accounts, chain, checksum, integrity};
use crate::contents::{Contents, Moving};
use crate::error::{CopyError, OpenError};
use crate::moving::{PORTION, Progress};
use crate::runs::Change;
use crate::store::{HaltChange, Snapshot, TaskChange};
use microraiden_protocol::ChainUpdate;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A state file to be moved away, which nobody else uses as long as this lives.
pub(crate) struct SourceFile {
    path: PathBuf,
    contents: Contents,
    /// None when its state was moved already: nothing is written then.
    connection: Option<Connection>,
    _lock: Lock,
}

impl SourceFile {
    /// Takes hold of a state file, also of one whose move was not finished, and reads it.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        // Refuses what is none before anything lies beside it.
        file::check_private(path)?;
        Source::open(path)?;
        let file = file::claim(path)?;
        let source = Source::open(&file.path)?;
        if source.kind == Kind::Moved {
            source.check_log()?;
            return Ok(Self {
                contents: contents(&source.connection, &file.path)?,
                path: file.path,
                connection: None,
                _lock: file.lock,
            });
        }
        let at = |error: OpenError| error.at(&file.path);
        connection::check_is_state(&source.connection, &file.path).map_err(at)?;
        let binding = connection::binding(&source.connection).map_err(|error| at(error.into()))?;
        drop(source);
        let (connection, _) = connection::open(&file, binding).map_err(at)?;
        let contents = contents(&connection, &file.path)?;
        Ok(Self {
            path: file.path,
            contents,
            connection: Some(connection),
            _lock: file.lock,
        })
    }

    pub(crate) const fn contents(&self) -> &Contents {
        &self.contents
    }

    /// What the file is called elsewhere.
    pub(crate) fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// Where its state is, if it was moved.
    pub(crate) fn moved_to(&self) -> Option<&str> {
        self.contents.moving.as_ref().map(Moving::place)
    }

    /// It was moved already.
    pub(crate) fn moved(&self, to: &str) -> OpenError {
        let (path, to) = (self.path.clone(), to.to_owned());
        OpenError::Moved { path, to }
    }

    /// Says in the file that its state is somewhere else now. It is on the disk when this returns.
    pub(crate) fn mark(&mut self, to: &str) -> Result<(), OpenError> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let mut write = || -> rusqlite::Result<()> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            connection::write_moving(&transaction, Kind::Moved, to)?;
            transaction.commit()
        };
        write().map_err(|error| OpenError::from(error).at(&self.path))
    }
}

impl Drop for SourceFile {
    fn drop(&mut self) {
        let closed = self.connection.take().map_or(Ok(()), connection::close);
        if let Err(error) = closed {
            tracing::warn!(%error, "the state file was not closed in order; leave its -wal file beside it");
        }
    }
}

/// Where a state file is to be, which nobody else can make as long as this lives.
pub(crate) struct TargetFile {
    path: PathBuf,
    /// Whether a move to it was begun and not finished.
    is_begun: bool,
    lock: Lock,
}

impl TargetFile {
    /// Takes hold of a name, where nothing is, or what a move has left that was not finished.
    pub(crate) fn claim(path: &Path) -> Result<Self, CopyError> {
        let resolved = file::resolve(path).map_err(|source| OpenError::File {
            path: path.to_owned(),
            source,
        });
        let path = resolved?;
        // Refuses what is there before a lock lies beside it.
        is_begun(&path)?;
        let lock = file::lock(&path)?;
        Ok(Self {
            is_begun: is_begun(&path)?,
            path,
            lock,
        })
    }

    /// What the file is called elsewhere.
    pub(crate) fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// What a move has left that was not finished.
    pub(crate) fn begun(&self) -> Result<Option<Contents>, OpenError> {
        self.is_begun.then(|| inspect(&self.path)).transpose()
    }

    /// Writes a state that cannot be used yet. It is on the disk when this returns.
    pub(crate) fn write(
        &self,
        contents: &Contents,
        from: &str,
        report: &mut dyn FnMut(Progress),
    ) -> Result<(), CopyError> {
        let file = NewFile::empty(self.path.clone(), &self.path)?;
        let mut connection = file.connect()?;
        connection::migrate(&mut connection, contents.binding).map_err(|error| file.failed(error))?;
        let mut write = || -> Result<(), Failure> {
            checksum::define(&connection, integrity::standing(&connection)?.mark.file)?;
            let transaction = connection.transaction()?;
            write_snapshot(&transaction, &contents.snapshot, report)?;
            connection::write_moving(&transaction, Kind::Arriving, from)?;
            transaction.commit()?;
            // From now on a write that is interrupted needs no repair before the file can be read.
            connection.pragma_update(None, "journal_mode", "WAL")?;
            Ok(())
        };
        write().map_err(|failure| match failure {
            Failure::Refused(error) => file.failed(error),
            Failure::Failed(error) => file.failed(error),
        })?;
        connection.close().map_err(|(_, error)| file.failed(error))?;
        if self.is_begun {
            self.clear()?;
        }
        file.put_in_place(false)
    }

    /// Takes away what a move has left that was not finished. The name goes last: what is beside it belongs to it.
    fn clear(&self) -> Result<(), CopyError> {
        for suffix in ["-wal", "-shm", ""] {
            match fs::remove_file(beside(&self.path, suffix)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(self.failed(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// What was written, read back.
    pub(crate) fn read(&self) -> Result<Contents, OpenError> {
        inspect(&self.path)
    }

    /// Makes it a state file as any other. It is on the disk when this returns.
    pub(crate) fn finish(&self) -> Result<(), CopyError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || -> rusqlite::Result<_> {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "fullfsync", true)?;
            let mark = integrity::standing(&connection)?.mark;
            Ok((connection, mark))
        };
        let (mut connection, mark) = open().map_err(|error| self.failed(error))?;
        // It may tell of another state that was there before.
        HighWaterMark::set(&self.lock, mark)
            .and_then(|mark| mark.sync())
            .map_err(|error| self.failed(error))?;
        let write = || -> rusqlite::Result<()> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            connection::write_state(&transaction)?;
            transaction.commit()?;
            connection.close().map_err(|(_, error)| error)
        };
        write().map_err(|error| self.failed(error))
    }

    fn failed(&self, error: impl Error + Send + Sync + 'static) -> CopyError {
        write_failed(&self.path, error)
    }
}

/// Whether a move to a name was begun and not finished; refuses everything else that is there.
fn is_begun(path: &Path) -> Result<bool, CopyError> {
    let exists = |path: PathBuf| match path.symlink_metadata() {
        Ok(_) => Err(CopyError::Exists { path }),
        Err(_) => Ok(()),
    };
    if Source::open(path).is_ok_and(|found| found.kind == Kind::Arriving) {
        return Ok(true);
    }
    ["", "-wal", "-shm", "-journal"]
        .into_iter()
        .try_for_each(|suffix| exists(beside(path, suffix)))?;
    Ok(false)
}

fn write_snapshot(
    transaction: &Transaction<'_>,
    snapshot: &Snapshot,
    report: &mut dyn FnMut(Progress),
) -> Result<(), Failure> {
    let (mut done, of) = (0, snapshot.accounts.len());
    for portion in snapshot.accounts.chunks(PORTION) {
        for account in portion {
            let change = Change {
                before: None,
                after: account.row(),
                line_only: false,
            };
            accounts::write_change(transaction, &change)?;
        }
        done += portion.len();
        report(Progress::Writing { done, of });
    }
    let update = ChainUpdate {
        rewind_to: None,
        blocks: snapshot.blocks.clone(),
        events: snapshot.events.clone(),
    };
    chain::write_update(transaction, &update)?;
    for task in &snapshot.tasks {
        chain::write_task(transaction, &TaskChange::Put(*task))?;
    }
    for halt in &snapshot.halts {
        chain::write_halt(transaction, &HaltChange::Set(*halt))?;
    }
    Ok(())
}
