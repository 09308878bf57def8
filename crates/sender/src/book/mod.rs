//! The channel book: what a sender must not forget, in a file of its own.
//!
//! In reading order: `file` (whose it is, and its lock), `rows` (what is in it), and here the
//! thread that writes it.
//!
//! A channel's row is written whole, and the newest one wins; so what waits is written together, by
//! one transaction that is on disk when it ends. A payment is sent only after its row is. Once a
//! write has failed, nothing more is written, and nothing more is paid, until the book is opened anew.

mod file;
mod rows;

pub use rows::StateError;

use crate::line::ChannelRecord;
use microraiden_chain::{ChainError, Contract};
use microraiden_protocol::{Address, B256, BalanceProof, BlockNumber, ChannelId, ProofScheme};
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// How many changes are written by one transaction at most.
const LARGEST_BATCH: usize = 1024;

/// Whose channels a book holds: one sender's on one contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The chain.
    pub chain_id: u64,
    /// The channel contract.
    pub contract: Address,
    /// Who pays.
    pub sender: Address,
    /// The hash of the chain's first block, by which a development chain that began anew is told
    /// from the one before; zero where the node does not have it.
    pub genesis: B256,
}

impl Owner {
    /// A sender on a contract.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn of(contract: &Contract, sender: Address) -> Result<Self, ChainError> {
        let node = contract.node();
        let genesis = node.header(BlockNumber(0)).await?;
        Ok(Self {
            chain_id: node.chain_id(),
            contract: contract.address(),
            sender,
            genesis: genesis.map(|header| header.block.hash).unwrap_or_default(),
        })
    }

    fn check(&self, found: &Self, path: &Path) -> Result<(), BookError> {
        match found.is(self) {
            true => Ok(()),
            false => Err(BookError::OtherOwner {
                path: path.into(),
                found: Box::new(found.clone()),
                expected: Box::new(self.clone()),
            }),
        }
    }

    /// Whether both are the same, as far as is known.
    fn is(&self, other: &Self) -> bool {
        let parts = |owner: &Self| (owner.chain_id, owner.contract, owner.sender);
        let is_same_chain =
            self.genesis == other.genesis || self.genesis.is_zero() || other.genesis.is_zero();
        parts(self) == parts(other) && is_same_chain
    }
}

/// Why a channel book cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BookError {
    /// The file cannot be opened or made.
    #[error("cannot open {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Others can read or write the file, or it belongs to another user.
    #[error("{path} must belong to you, and nobody else may read it: run `chmod 600` on it")]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// Another process pays with these channels.
    #[error(
        "{path} is used by another process: wait until it ends, or pay through it (`microraiden pay-proxy`)"
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{path} is not a channel book: name another file")]
    NotABook {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer program.
    #[error("{path} was written by a newer version of this program: use that one")]
    Version {
        /// The file.
        path: PathBuf,
    },
    /// The book is of another sender, contract or chain.
    #[error(
        "{path} is the book of {} on contract {} of chain {} that begins with block {}, not of {} on {} of chain {} \
         that begins with {}: name another file, or remove it if that was a development chain",
        found.sender, found.contract, found.chain_id, found.genesis,
        expected.sender, expected.contract, expected.chain_id, expected.genesis
    )]
    OtherOwner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: Box<Owner>,
        /// Whose it should be.
        expected: Box<Owner>,
    },
    /// What is in it is not what was written.
    #[error("{path} is damaged ({what}): move it away; the chain and the receivers know what is needed")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It cannot be read or written.
    #[error("the channel book cannot be used, and without it nothing is paid: {0}")]
    Sqlite(#[source] Arc<rusqlite::Error>),
}

impl BookError {
    fn file(path: &Path, source: std::io::Error) -> Self {
        let (path, source) = (path.into(), Arc::new(source));
        Self::File { path, source }
    }
}

impl From<rusqlite::Error> for BookError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Arc::new(error))
    }
}

/// What is in a channel book.
#[derive(Debug, Clone)]
pub struct BookContents {
    /// Whose it is.
    pub owner: Owner,
    /// Every channel in it.
    pub channels: Vec<ChannelRecord>,
    /// The last block whose events have been looked at.
    pub scanned_to: BlockNumber,
}

impl BookContents {
    /// Reads a channel book without changing it, also while another process pays with it.
    ///
    /// # Errors
    /// When it is not a sound book of the file's owner.
    pub fn read(path: &Path) -> Result<Self, BookError> {
        let connection = file::look(path)?;
        Self::of(&connection, path)
    }

    /// As [`Self::read`], for the book of this owner; `None` when there is no file.
    ///
    /// # Errors
    /// As [`Self::read`], or when it is somebody else's.
    pub fn read_of(path: &Path, owner: &Owner) -> Result<Option<Self>, BookError> {
        if !path.exists() {
            return Ok(None);
        }
        let contents = Self::read(path)?;
        owner.check(&contents.owner, path)?;
        Ok(Some(contents))
    }

    fn of(connection: &rusqlite::Connection, path: &Path) -> Result<Self, BookError> {
        let damaged = |what| BookError::Damaged {
            path: path.into(),
            what,
        };
        let owner = rows::owner(connection)?;
        let channels =
            rows::channels(connection, owner.sender).map_err(|error| damaged(error.to_string()))?;
        let scheme = ProofScheme::DraftTypedData {
            contract: owner.contract,
        };
        for record in &channels {
            if !is_signed(record, &scheme) {
                return Err(damaged(format!(
                    "a signature of channel {} is not for its balance",
                    record.channel
                )));
            }
        }
        Ok(Self {
            owner,
            channels,
            scanned_to: rows::scanned_to(connection)?,
        })
    }
}

/// Whether the signatures of a channel are what they are said to be.
fn is_signed(record: &ChannelRecord, scheme: &ProofScheme) -> bool {
    let channel = record.channel;
    record.signed.is_none_or(|stored| {
        let proof = BalanceProof {
            channel,
            balance: stored.balance,
            signature: stored.signature,
        };
        proof.verify(scheme).is_ok()
    }) && record
        .agreed
        .is_none_or(|agreed| scheme.is_closing_signature(&agreed.signature, &channel, agreed.balance))
}

enum Change {
    Write(Box<ChannelRecord>),
    Remove(ChannelId),
    ScannedTo(BlockNumber),
}

struct Job {
    change: Change,
    done: oneshot::Sender<Result<(), BookError>>,
}

/// A change on its way to the disk. It goes its way whether somebody waits or not.
#[must_use = "a proof may be sent only after its row is on disk"]
pub(crate) struct Saving(Option<oneshot::Receiver<Result<(), BookError>>>);

impl Saving {
    /// Waits until the change is on disk.
    pub(crate) async fn done(self) -> Result<(), BookError> {
        match self.0 {
            None => Ok(()),
            Some(done) => done.await.unwrap_or_else(|_| Err(writer_is_gone())),
        }
    }

    /// Leaves it to the writer: what is lost by this is found out again from the receiver.
    pub(crate) fn unawaited(self) {}
}

/// The book of a client: a file, or nothing but memory.
pub(crate) struct Book(Option<Writer>);

struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Book {
    /// Nothing is kept.
    pub(crate) fn in_memory() -> Self {
        Self(None)
    }

    /// Opens a book, or makes one; waits so long for another process that has it. It blocks.
    pub(crate) fn open(
        path: &Path,
        owner: &Owner,
        scan_from: BlockNumber,
        wait: Duration,
    ) -> Result<(Self, BookContents), BookError> {
        let (connection, lock) = file::open(path, owner, scan_from, wait)?;
        let contents = BookContents::of(&connection, path)?;
        let (jobs, queue) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("channel-book".to_owned())
            .spawn(move || run(connection, lock, &queue))
            .map_err(|source| BookError::file(path, source))?;
        let writer = Writer {
            jobs: Mutex::new(Some(jobs)),
            thread: Some(thread),
        };
        Ok((Self(Some(writer)), contents))
    }

    /// Writes a channel as it is now. Call it under the channel's lock, so that rows come in order.
    pub(crate) fn save(&self, record: &ChannelRecord) -> Saving {
        self.change(|| Change::Write(Box::new(record.clone())))
    }

    pub(crate) fn remove(&self, channel: ChannelId) -> Saving {
        self.change(|| Change::Remove(channel))
    }

    pub(crate) fn set_scanned_to(&self, block: BlockNumber) -> Saving {
        self.change(|| Change::ScannedTo(block))
    }

    fn change(&self, change: impl FnOnce() -> Change) -> Saving {
        let Some(writer) = &self.0 else {
            return Saving(None);
        };
        let (done, waiting) = oneshot::channel();
        let jobs = writer.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = &*jobs {
            // Nobody there to take it: whoever waits learns of it.
            let _ = jobs.send(Job {
                change: change(),
                done,
            });
        }
        Saving(Some(waiting))
    }
}

impl Drop for Book {
    /// Everything is written, and the lock given back, before it returns.
    fn drop(&mut self) {
        let Some(writer) = &mut self.0 else { return };
        *writer.jobs.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(thread) = writer.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of the channel book has panicked");
        }
    }
}

fn writer_is_gone() -> BookError {
    rusqlite::Error::InvalidQuery.into()
}

/// Writes what comes, in batches, until nobody can send any more.
fn run(mut connection: rusqlite::Connection, _lock: File, queue: &mpsc::Receiver<Job>) {
    let mut broken = None;
    while let Ok(first) = queue.recv() {
        let mut batch = vec![first];
        batch.extend(queue.try_iter().take(LARGEST_BATCH - 1));
        if broken.is_none()
            && let Err(error) = write(&mut connection, &batch)
        {
            tracing::error!(%error, "the channel book cannot be written: nothing more is paid");
            broken = Some(BookError::from(error));
        }
        for job in batch {
            let outcome = broken.clone().map_or(Ok(()), Err);
            // Most do not wait.
            let _ = job.done.send(outcome);
        }
    }
}

fn write(connection: &mut rusqlite::Connection, batch: &[Job]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    // Of each channel only the last change counts.
    let mut last = HashMap::new();
    for job in batch {
        match &job.change {
            Change::Write(record) => _ = last.insert(record.channel, Some(record)),
            Change::Remove(channel) => _ = last.insert(*channel, None),
            Change::ScannedTo(block) => rows::write_scanned_to(&transaction, *block)?,
        }
    }
    for (channel, record) in last {
        match record {
            Some(record) => rows::write(&transaction, record)?,
            None => rows::remove(&transaction, &channel)?,
        }
    }
    transaction.commit()
}
