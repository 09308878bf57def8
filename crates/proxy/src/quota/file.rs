//! The file of free quotas: a small SQLite database for one process at a time.

use super::counts::{Change, Counts, Name};
use super::period::Period;
use crate::client::ClientKey;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Marks a file as one of ours, in SQLite's header.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"uRdq");
/// The format that this program writes.
const VERSION: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE quotas (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        period TEXT NOT NULL,
        -- The number of the period since 1970.
        window INTEGER NOT NULL,
        UNIQUE (name, period)
    ) STRICT;
    CREATE TABLE used (
        quota INTEGER NOT NULL REFERENCES quotas (id),
        -- 4 bytes of an IPv4 address, or the first 8 of an IPv6 address.
        client BLOB NOT NULL,
        requests INTEGER NOT NULL,
        PRIMARY KEY (quota, client)
    ) STRICT, WITHOUT ROWID;
";

/// Why a file of free quotas was not opened.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// It cannot be created or examined.
    #[error("cannot open {path}; check that its folder exists and is writable")]
    File {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// Others than its owner could read the addresses of clients.
    #[error(
        "{path} (mode {mode:o}) must be private to the user that runs this process; run `chmod 600 {path}`"
    )]
    Insecure {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process has it open.
    #[error(
        "the file of free quotas {path} is in use; stop the other process, or give this one a file of its own"
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Something else.
    #[error("{path} is not a file of free quotas; name another file, or move this one away")]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// A newer program has written it.
    #[error(
        "the file of free quotas {path} is of the newer format {found}; use the program that wrote it, or move \
         the file away, which gives all clients their free requests once more"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// It is not what was written.
    #[error(
        "the file of free quotas {path} is damaged ({found}); no money is in it: move it away to begin anew, \
         which gives all clients their free requests once more"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// It cannot be read or written.
    #[error("cannot use the file of free quotas {path}; check the disk")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: rusqlite::Error,
    },
}

/// A file that is open, and locked for this process until it is dropped.
#[derive(Debug)]
pub(super) struct File {
    connection: Connection,
    /// Dropped after the connection.
    _lock: Lock,
}

impl File {
    /// Opens a file, or begins one, and reads into `counts` what was used in periods that are not over.
    pub(super) fn open(path: &Path, counts: &mut Counts, now: SystemTime) -> Result<Self, QuotaError> {
        let (lock, is_new) = claim(path)?;
        let connection = connect(path, is_new).map_err(|error| refused(path, error))?;
        check(&connection, path)?;
        let file = Self {
            connection,
            _lock: lock,
        };
        file.begin().map_err(|error| refused(path, error))?;
        if is_new {
            tracing::info!(path = %path.display(), "a new file of free quotas: no client has used any");
        }
        file.load(path, counts, now)?;
        Ok(file)
    }

    /// Writes the schema into a file that has none.
    fn begin(&self) -> rusqlite::Result<()> {
        // The log needs no shared memory where there is one process.
        self.connection.pragma_update(None, "journal_mode", "WAL")?;
        // A kill loses nothing that was written; a power cut may lose the last seconds.
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        if version(&self.connection)? == 0 {
            let transaction = self.connection.unchecked_transaction()?;
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        }
        Ok(())
    }

    /// Reads what was used, and deletes what is of earlier periods.
    fn load(&self, path: &Path, counts: &mut Counts, now: SystemTime) -> Result<(), QuotaError> {
        let damaged = |found: &str| QuotaError::Damaged {
            path: path.to_owned(),
            found: found.to_owned(),
        };
        let failed = |error| refused(path, error);
        for (id, name, period, window) in self.quotas().map_err(failed)? {
            let per = Period::named(&period).ok_or_else(|| damaged("a period has another name"))?;
            let window = u64::try_from(window).map_err(|_| damaged("a period is before 1970"))?;
            if window < per.window(now) {
                self.delete(id).map_err(failed)?;
                continue;
            }
            for (client, requests) in self.used(id).map_err(failed)? {
                let client = client_key(&client).ok_or_else(|| damaged("a client has no address"))?;
                let requests = u32::try_from(requests).ok().filter(|requests| *requests > 0);
                let requests = requests.ok_or_else(|| damaged("a count is none"))?;
                let name = name.clone();
                counts.load(Name { name, per }, window, client, requests);
            }
        }
        Ok(())
    }

    fn quotas(&self) -> rusqlite::Result<Vec<(i64, String, String, i64)>> {
        let mut select = self
            .connection
            .prepare("SELECT id, name, period, window FROM quotas")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        rows.collect()
    }

    fn used(&self, quota: i64) -> rusqlite::Result<Vec<(Vec<u8>, i64)>> {
        let mut select = self
            .connection
            .prepare("SELECT client, requests FROM used WHERE quota = ?1")?;
        let rows = select.query_map([quota], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }

    fn delete(&self, quota: i64) -> rusqlite::Result<()> {
        self.connection
            .execute("DELETE FROM used WHERE quota = ?1", [quota])?;
        self.connection
            .execute("DELETE FROM quotas WHERE id = ?1", [quota])?;
        Ok(())
    }

    /// Writes all of it, or nothing; what was used in an earlier period is deleted.
    pub(super) fn write(&mut self, changes: &[Change]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        for Change { quota, window, used } in changes {
            let (name, period) = (&quota.name, quota.per.name());
            // Below 2⁶³ until the end of days.
            let window = window.cast_signed();
            transaction.execute(
                "DELETE FROM used WHERE quota IN (SELECT id FROM quotas WHERE name = ?1 AND period = ?2 AND window <> ?3)",
                params![name, period, window],
            )?;
            let quota: i64 = transaction.query_row(
                "INSERT INTO quotas (name, period, window) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET window = excluded.window RETURNING id",
                params![name, period, window],
                |row| row.get(0),
            )?;
            let mut put = transaction
                .prepare_cached("REPLACE INTO used (quota, client, requests) VALUES (?1, ?2, ?3)")?;
            let mut remove =
                transaction.prepare_cached("DELETE FROM used WHERE quota = ?1 AND client = ?2")?;
            for (client, requests) in used {
                match *requests {
                    0 => remove.execute(params![quota, bytes(client)])?,
                    requests => put.execute(params![quota, bytes(client), requests])?,
                };
            }
        }
        transaction.commit()
    }
}

/// Keeps other processes from the file until it is dropped. SQLite's own locks would be lost when
/// this process opens the file a second time and closes it.
#[derive(Debug)]
struct Lock(fs::File);

impl Drop for Lock {
    /// To close the file is not enough where a child of this process, just forked, has it open too.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the lock of the file of free quotas was not given back");
        }
    }
}

/// Locks the file, which is for this user alone and made where there is none; whether nothing is in it.
fn claim(path: &Path) -> Result<(Lock, bool), QuotaError> {
    let failed = |source| QuotaError::File {
        path: path.to_owned(),
        source,
    };
    let path = path.to_owned();
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).mode(0o600);
    let file = options.create(true).truncate(false).open(&path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(QuotaError::Insecure { path, mode });
    }
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(QuotaError::Locked { path }),
        Err(TryLockError::Error(source)) => return Err(QuotaError::File { path, source }),
    }
    let lock = Lock(file);
    let is_new = metadata.len() == 0;
    if !is_new && !is_ours(&lock.0).map_err(failed)? {
        return Err(QuotaError::NotOurs { path });
    }
    Ok((lock, is_new))
}

/// Whether SQLite's header says so. It is read as it stands there: to open another's database would
/// already change it, and a state file whose log is gone is refused by its own program.
fn is_ours(file: &fs::File) -> io::Result<bool> {
    let mut header = [0; 72];
    match file.read_exact_at(&mut header, 0) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
        Ok(()) => {
            Ok(header.starts_with(b"SQLite format 3\0") && header.ends_with(&APPLICATION_ID.to_be_bytes()))
        }
    }
}

fn connect(path: &Path, is_new: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::ZERO)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    // Makes sure that nobody reads it now, who would keep it from being written later.
    connection.execute_batch("BEGIN EXCLUSIVE")?;
    if is_new {
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    connection.execute_batch("COMMIT")?;
    Ok(connection)
}

/// Whether the file is of a format that we know, and whole.
fn check(connection: &Connection, path: &Path) -> Result<(), QuotaError> {
    let failed = |error| refused(path, error);
    let path = path.to_owned();
    let found = version(connection).map_err(failed)?;
    if found > VERSION {
        return Err(QuotaError::Newer { path, found });
    }
    let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match found.map_err(failed)? {
        found if found == "ok" => Ok(()),
        found => Err(QuotaError::Damaged { path, found }),
    }
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// What an error of SQLite says of the file.
fn refused(path: &Path, error: rusqlite::Error) -> QuotaError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => QuotaError::Locked { path },
        Some(ErrorCode::NotADatabase) => QuotaError::NotOurs { path },
        // Without a code, a value is none of its kind; with one, a table is not there.
        None | Some(ErrorCode::DatabaseCorrupt | ErrorCode::Unknown) => QuotaError::Damaged {
            path,
            found: error.to_string(),
        },
        Some(_) => QuotaError::Disk { path, source: error },
    }
}

fn client_key(bytes: &[u8]) -> Option<ClientKey> {
    let v4 = bytes.try_into().ok().map(ClientKey::V4);
    v4.or_else(|| bytes.try_into().ok().map(ClientKey::V6))
}

const fn bytes(client: &ClientKey) -> &[u8] {
    match client {
        ClientKey::V4(bytes) => bytes,
        ClientKey::V6(bytes) => bytes,
    }
}
