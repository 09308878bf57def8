//! The file of a channel book: its owner's alone, and one process at a time.

use super::{BookError, Owner};
use microraiden_protocol::BlockNumber;
use rusqlite::{Connection, OpenFlags, params};
use rusqlite_migration::{M, Migrations};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Marks a book of ours in SQLite's header.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"uRds");
const SCHEMA: &[M<'_>] = &[M::up(include_str!("book.sql"))];
/// How often a lock is tried that another process holds.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// Opens a book for writing; creates it if there is none. The lock goes with the file.
pub(super) fn open(
    path: &Path,
    owner: &Owner,
    scan_from: BlockNumber,
    wait: Duration,
) -> Result<(Connection, File), BookError> {
    let lock = lock(path, wait)?;
    let failed = |source| BookError::file(path, source);
    match private().create_new(true).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let is_new = check_private(path)? == 0;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    if is_new {
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    check_content(&connection, path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Migrations::from_slice(SCHEMA)
        .to_latest(&mut connection)
        .map_err(|_| BookError::Version { path: path.into() })?;
    let Owner {
        chain_id,
        contract,
        sender,
        genesis,
    } = owner;
    connection.execute(
        "INSERT INTO owner VALUES (1, ?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        params![
            i64::try_from(*chain_id).unwrap_or(i64::MAX),
            contract.to_string(),
            sender.to_string(),
            genesis.to_string(),
            i64::try_from(scan_from.0.saturating_sub(1)).unwrap_or(i64::MAX),
        ],
    )?;
    owner.check(&super::rows::owner(&connection)?, path)?;
    Ok((connection, lock))
}

/// Opens a book to look at it, also while another process writes it.
pub(super) fn look(path: &Path) -> Result<Connection, BookError> {
    check_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    check_content(&connection, path)?;
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match usize::try_from(version) {
        Ok(version) if version == SCHEMA.len() => Ok(connection),
        _ => Err(BookError::Version { path: path.into() }),
    }
}

fn check_content(connection: &Connection, path: &Path) -> Result<(), BookError> {
    let found: i32 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(|_| BookError::NotABook { path: path.into() })?;
    if found != APPLICATION_ID {
        return Err(BookError::NotABook { path: path.into() });
    }
    let sound: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    match sound.as_str() {
        "ok" => Ok(()),
        _ => Err(BookError::Damaged {
            path: path.into(),
            what: "its pages do not fit together".to_owned(),
        }),
    }
}

/// Two processes that pay with one channel would sign the same balance for two things.
fn lock(path: &Path, wait: Duration) -> Result<File, BookError> {
    let lock_path = lock_path(path);
    let failed = |source| BookError::file(&lock_path, source);
    let opened = private().read(true).truncate(false).create(true).open(&lock_path);
    let lock = opened.map_err(failed)?;
    let started = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if started.elapsed() < wait => std::thread::sleep(LOCK_POLL),
            Err(TryLockError::WouldBlock) => return Err(BookError::Locked { path: path.into() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

/// Beside the book itself, so that whoever uses a link finds the same lock.
fn lock_path(path: &Path) -> PathBuf {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let mut name = real.into_os_string();
    name.push(".lock");
    name.into()
}

/// The mode is given when a file is made: there is no moment at which others can open it.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The length of a file that nobody else can read or write.
fn check_private(path: &Path) -> Result<u64, BookError> {
    let failed = |source| BookError::file(path, source);
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::from(ErrorKind::InvalidInput)));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
        if !is_ours || metadata.mode() & 0o077 != 0 {
            return Err(BookError::Exposed { path: path.into() });
        }
    }
    Ok(metadata.len())
}
