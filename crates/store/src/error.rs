//! Why nothing was stored or read.

use microraiden_protocol::ledger::CorruptRow;
use microraiden_protocol::{Address, BlockNumber, ChannelId};
use rusqlite::ErrorCode;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a batch was not stored, or a state not read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Too many batches wait; nothing of this one was taken.
    #[error("too many changes wait to be stored; try again in a moment")]
    Busy,
    /// A write failed that cannot be repeated. Whether the batches in it are durable is unknown, and what
    /// would be read back now proves nothing: only a new start does.
    #[error("the store has stopped after a failed write; check the disk, or the database, and restart")]
    Stopped {
        /// What failed.
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
    /// The store cannot be reached for now, and nothing was stored.
    #[error("the store cannot be reached; nothing was stored, and it is tried again")]
    Away {
        /// What failed.
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
    /// The store was lost sight of while it wrote: the batch may be stored, or may not.
    #[error("the store was lost sight of; whether the change is stored is unknown")]
    Unknown {
        /// What failed.
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
    /// Another instance reads the chain now. Nothing of the batch was stored.
    #[error("another instance follows the chain now")]
    NotLeading,
    /// The account is at another version than the one that the change was decided on. Nothing of
    /// the batch was stored.
    #[error("the account of channel {channel} has changed meanwhile; load it and decide again")]
    Conflict {
        /// The channel.
        channel: ChannelId,
    },
    /// The block, or an event at the same place in it, is stored already and differs. Nothing of
    /// the batch was stored.
    #[error("block {block} is stored already, with other contents; rewind the chain below it first")]
    ChainConflict {
        /// The block.
        block: BlockNumber,
    },
    /// An account is older than it was, or is not there any more: what the store has said is stored is lost.
    #[error(
        "channel {channel} is older in the database than it was: the database has lost what it had confirmed, as \
         after a failover to a replica that was behind"
    )]
    WentBack {
        /// The channel.
        channel: ChannelId,
    },
    /// An account that the ledger cannot have produced.
    #[error("the stored state is damaged; restore it from a backup")]
    Corrupt(#[from] CorruptRow),
    /// A value that is none of its kind.
    #[error("the stored {table} are damaged; restore the state from a backup")]
    Damaged {
        /// Where it was found.
        table: &'static str,
        /// What is wrong with it.
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
    /// The state cannot be read.
    #[error("the state cannot be read; check the disk and restart")]
    Read {
        /// What failed.
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// Whether the same call may succeed in a moment.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Busy)
    }

    /// Whether it comes back by itself, as a database does that is shared with others.
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Busy | Self::Away { .. } | Self::Unknown { .. } | Self::NotLeading | Self::Conflict { .. }
        )
    }

    pub(crate) fn stopped(cause: impl Error + Send + Sync + 'static) -> Self {
        let cause = Arc::new(cause);
        Self::Stopped { cause }
    }

    /// Tells a file that cannot be read from one that has something else in it than was written.
    pub(crate) fn from_sqlite(table: &'static str, error: rusqlite::Error) -> Self {
        let unreadable = error.sqlite_error().is_some();
        let cause = Arc::new(error);
        if unreadable {
            Self::Read { cause }
        } else {
            Self::Damaged { table, cause }
        }
    }
}

/// Why a state file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It, or the lock beside it, cannot be created or examined.
    #[error("cannot open {path}; check that its folder exists and is writable")]
    File {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the state file {path} is in use; stop the other process, or give this one a file of its own")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Others than the user that runs this process could read it, or it is not this user's.
    #[error(
        "{path} (mode {mode:o}, owner {owner}) must be private to the user that runs this process; \
         as root, run `chown {user} {path}` and `chmod 600 {path}`"
    )]
    InsecureStateFile {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The number of the user that it belongs to.
        owner: u32,
        /// The number of the user that runs this process.
        user: u32,
    },
    /// Something else than a state file.
    #[error("{path} is not a state file; name another file")]
    NotAStateFile {
        /// The file.
        path: PathBuf,
    },
    /// Its pages, or what is in them, are not what was written.
    #[error(
        "the state file {path} is damaged ({found}); keep it, and restore a backup by `microraiden restore`"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// The file is gone, or empty, and the lock beside it tells that there was one.
    #[error(
        "the state file {path} has vanished; put it back with the {path}-wal that belongs to it, or restore a \
         backup; to begin anew, remove {path}.lock"
    )]
    Vanished {
        /// The file.
        path: PathBuf,
    },
    /// The lock beside it tells of another state file.
    #[error(
        "{path} is not the state file that was used here last; put that one back with its -wal file, or, if \
         this one belongs here, remove {path}.lock"
    )]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// It was not closed in order, and its log is not there.
    #[error(
        "{path}-wal is missing, which holds what was stored last; put it back, or take what is left by \
         `microraiden restore --from {path}`"
    )]
    LogMissing {
        /// The file.
        path: PathBuf,
    },
    /// Something is missing that was stored.
    #[error(
        "the state file {path} lacks the last {missing} changes that were stored: it is an old copy, or its \
         -wal file is damaged or not its own; put back the newest, or take what is left by \
         `microraiden restore --from {path}`"
    )]
    Behind {
        /// The file.
        path: PathBuf,
        /// How many changes of accounts are missing.
        missing: u64,
    },
    /// A backup, which nothing may be written to.
    #[error("{path} is a backup; make a state file of it by `microraiden restore --from {path}`")]
    Backup {
        /// The file.
        path: PathBuf,
    },
    /// The state is in a database now.
    #[error("the state in {path} was moved to {to}; use that, by --store in place of --state-file")]
    Moved {
        /// The file.
        path: PathBuf,
        /// The database's URL, without a password.
        to: String,
    },
    /// The state is still to be moved here.
    #[error(
        "the state is not all in {path} yet; finish its move by `microraiden migrate --from {from} --to {path}`"
    )]
    Unfinished {
        /// The file.
        path: PathBuf,
        /// The database that it comes from, as a URL without a password.
        from: String,
    },
    /// Written by an earlier version of this program, and only to be read.
    #[error(
        "{path} has the older format {found}; start the receiver once to bring it to the newest, or look at a \
         new backup of it"
    )]
    OlderVersion {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        found: i64,
    },
    /// Written by a newer version of this program.
    #[error("the state file {path} has the newer format {found}; install the version that wrote it")]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        found: i64,
    },
    /// It belongs to another chain.
    #[error("the state file belongs to chain {found}, not to {wanted}; use one state file per chain")]
    OtherChain {
        /// The file's chain id.
        found: u64,
        /// The one it was opened for.
        wanted: u64,
    },
    /// It belongs to another channel contract.
    #[error(
        "the state file belongs to channel contract {found}, not to {wanted}; use one state file per contract"
    )]
    OtherContract {
        /// The file's contract.
        found: Address,
        /// The one it was opened for.
        wanted: Address,
    },
    /// It belongs to another receiver.
    #[error("the state file belongs to receiver {found}, not to {wanted}; use one state file per receiver")]
    OtherReceiver {
        /// The file's receiver.
        found: Address,
        /// The one it was opened for.
        wanted: Address,
    },
    /// The file cannot be brought to this version.
    #[error("the state file cannot be prepared; check the disk, or restore it from a backup")]
    Migration(#[from] rusqlite_migration::Error),
    /// The file cannot be read or written.
    #[error("the state file cannot be used; check the disk, or restore it from a backup")]
    Sqlite(#[from] rusqlite::Error),
    /// The thread that writes cannot be started.
    #[error("cannot start the thread that writes the state file")]
    Thread(#[source] io::Error),
}

impl OpenError {
    /// Whether another process uses the file; once that has ended, it can be opened.
    pub const fn is_locked(&self) -> bool {
        matches!(self, Self::Locked { .. })
    }

    /// Tells a damaged file from one that cannot be read or written.
    pub(crate) fn at(self, path: &Path) -> Self {
        match self {
            Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                let (path, found) = (path.to_owned(), error.to_string());
                Self::Damaged { path, found }
            }
            other => other,
        }
    }
}

/// Why a state was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// What is to be copied cannot be, or somebody uses what it would become.
    #[error(transparent)]
    State(#[from] OpenError),
    /// There is something already.
    #[error("{path} exists already; move it away first, or name another file")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Only backups are replaced.
    #[error("{path} is not a backup, and is not replaced by one; name another file")]
    NotABackup {
        /// The file.
        path: PathBuf,
    },
    /// The copy cannot be written.
    #[error("cannot write {path}; check that its folder exists and is writable, and the room on the disk")]
    Write {
        /// The file.
        path: PathBuf,
        /// What failed.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
}
