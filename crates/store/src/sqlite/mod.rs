//! A store in one SQLite file.
//!
//! One thread owns the only connection that writes. It takes all batches that wait as one group
//! into one transaction, of which a refused batch is no part, and answers them when the group's
//! commit has reached the disk (WAL, `synchronous = FULL`).
//!
//! In reading order: [`file`] (who may use the file), [`connection`] (what the file must be),
//! [`integrity`], [`mark`] and [`checksum`] (whether it is whole), [`writer`] and [`group`] (group
//! commit), [`accounts`] and [`chain`] (the tables), [`columns`] (the values), [`reader`] and [`copy`]
//! (backups), [`moving`] (to and from a database).

mod accounts;
mod chain;
mod checksum;
mod columns;
mod connection;
mod copy;
mod file;
mod group;
mod integrity;
mod mark;
mod moving;
mod reader;
mod writer;

pub use copy::{backup, restore};
pub(crate) use moving::{SourceFile, TargetFile};
pub use reader::inspect;

use crate::error::{OpenError, StoreError};
use crate::store::{Batch, Binding, BoxFuture, ChannelStore, Snapshot, Ticket};
use file::Lock;
use mark::HighWaterMark;
use rusqlite::Connection;
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use tokio::sync::oneshot;
use writer::{Message, Writer};

/// How many batches may wait; the next one is [`StoreError::Busy`].
const QUEUED_BATCHES: usize = 4096;

/// Keeps the state in one file, which belongs to one process at a time.
///
/// Dropping it finishes what was handed in, which blocks for a moment.
#[derive(Debug)]
pub struct SqliteStore {
    // Dropped in this order: no more messages, the writer finishes, the lock is given back.
    messages: SyncSender<Message>,
    _writer: Joined,
    stopped: Arc<OnceLock<StoreError>>,
    _lock: Lock,
}

/// A thread that is waited for.
#[derive(Debug)]
struct Joined(Option<JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        let panicked = self.0.take().is_some_and(|thread| thread.join().is_err());
        if panicked {
            tracing::error!("the thread that writes the state file has panicked");
        }
    }
}

/// Why a batch is not written.
enum Failure {
    /// It does not fit what is stored; others are not affected.
    Refused(StoreError),
    /// The file cannot be written.
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

/// Reads all tables and checks every row.
fn load(connection: &Connection) -> Result<Snapshot, StoreError> {
    Ok(Snapshot {
        accounts: accounts::load(connection)?,
        blocks: chain::load_blocks(connection)?,
        events: chain::load_events(connection)?,
        tasks: chain::load_tasks(connection)?,
        halts: chain::load_halts(connection)?,
    })
}

impl SqliteStore {
    /// Opens the state file, or creates it, readable by its owner only.
    ///
    /// Beside it lie `<file>-wal` and `<file>-shm`, which belong to it, and `<file>.lock`. They
    /// stay where they are while the file is in use, and until it was closed in order.
    ///
    /// # Errors
    /// When another process uses the file; when other users could read it; when it belongs to
    /// another chain, contract or receiver, to a newer version of this program, or is none; when it
    /// is damaged, or not all there.
    pub fn open(path: &Path, binding: Binding) -> Result<Self, OpenError> {
        let file = file::claim(path)?;
        let (connection, mark) = connection::open(&file, binding).map_err(|error| error.at(&file.path))?;
        let failed = |source| OpenError::File {
            path: file.path.clone(),
            source,
        };
        let mark = HighWaterMark::set(&file.lock, mark).map_err(failed)?;
        let (messages, queue) = sync_channel(QUEUED_BATCHES);
        let stopped = Arc::new(OnceLock::new());
        let writer = Writer {
            connection,
            mark: Some(mark),
            messages: queue,
            stopped: stopped.clone(),
        };
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(|| writer.run())
            .map_err(OpenError::Thread)?;
        Ok(Self {
            messages,
            _writer: Joined(Some(thread)),
            stopped,
            _lock: file.lock,
        })
    }

    fn send(&self, message: Message) -> Result<(), StoreError> {
        if let Some(stopped) = self.stopped.get() {
            return Err(stopped.clone());
        }
        self.messages.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::stopped(TrySendError::Disconnected(())),
        })
    }
}

impl ChannelStore for SqliteStore {
    fn load(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        Box::pin(async {
            let (answer, snapshot) = oneshot::channel();
            self.send(Message::Load(answer))?;
            snapshot
                .await
                .unwrap_or_else(|gone| Err(StoreError::stopped(gone)))
        })
    }

    fn commit(&self, batch: Batch) -> Result<Ticket, StoreError> {
        let (answer, ticket) = oneshot::channel();
        self.send(Message::Commit(batch, answer))?;
        Ok(ticket.into())
    }
}
