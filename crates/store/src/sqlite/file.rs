//! Who may use the state file: its owner, and one process at a time.

use super::mark::Mark;
use crate::error::OpenError;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Keeps other processes from using a state file until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    /// To close the file is not enough where a child of this process, just forked, has it open too.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the lock of the state file was not given back");
        }
    }
}

impl Deref for Lock {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

/// A state file that is there, private, and ours as long as the lock lives.
pub(super) struct StateFile {
    /// Without symbolic links, so that everybody finds the same lock.
    pub(super) path: PathBuf,
    pub(super) lock: Lock,
    /// What the lock file tells.
    pub(super) mark: Option<Mark>,
    /// Whether nothing is in it, or it is missing.
    pub(super) is_empty: bool,
    /// The length of the log beside it; one that was used is never empty.
    pub(super) log_bytes: u64,
}

/// Takes hold of a state file; creates it if it is missing, unless the lock file tells of one.
pub(super) fn claim(path: &Path) -> Result<StateFile, OpenError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| OpenError::File { path, source }
    };
    let path = resolve(path).map_err(failed(path))?;
    let lock = lock(&path)?;
    let mark = Mark::read(&lock).map_err(failed(&beside(&path, ".lock")))?;
    if mark.is_none() {
        create(&path).map_err(failed(&path))?;
    }
    for suffix in ["-shm", "-journal"] {
        check_private(&beside(&path, suffix))?;
    }
    Ok(StateFile {
        is_empty: check_private(&path)?.unwrap_or(0) == 0,
        log_bytes: check_private(&beside(&path, "-wal"))?.unwrap_or(0),
        path,
        lock,
        mark,
    })
}

/// The path without symbolic links, also when only the folder is there.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    match (path.canonicalize(), path.file_name()) {
        (Err(error), Some(name)) if error.kind() == ErrorKind::NotFound => {
            Ok(folder(path).canonicalize()?.join(name))
        }
        (resolved, _) => resolved,
    }
}

/// Locks a state file, which need not be there.
pub(super) fn lock(path: &Path) -> Result<Lock, OpenError> {
    let lock_path = beside(path, ".lock");
    let failed = |source| OpenError::File {
        path: lock_path.clone(),
        source,
    };
    let mut options = private();
    let lock = options.read(true).truncate(false).create(true);
    let lock = lock.open(&lock_path).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(Lock(lock)),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// The mode is given when the file is made: there is no moment at which others can open it.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn create(path: &Path) -> io::Result<()> {
    match private().create_new(true).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Whether it is a file for this user alone; its length, if there is one.
pub(super) fn check_private(path: &Path) -> Result<Option<u64>, OpenError> {
    let Some(metadata) = metadata(path)? else {
        return Ok(None);
    };
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    let user = rustix::process::geteuid().as_raw();
    if mode & 0o077 != 0 || owner != user {
        return Err(OpenError::InsecureStateFile {
            path: path.to_owned(),
            mode,
            owner,
            user,
        });
    }
    Ok(Some(metadata.len()))
}

/// The length of a file, if there is one.
pub(super) fn length(path: &Path) -> Result<Option<u64>, OpenError> {
    Ok(metadata(path)?.map(|metadata| metadata.len()))
}

fn metadata(path: &Path) -> Result<Option<Metadata>, OpenError> {
    let path = path.to_owned();
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata)),
        Ok(_) => Err(OpenError::NotAStateFile { path }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpenError::File { path, source }),
    }
}

/// The folder that a file is in.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A file that belongs to another, by its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
