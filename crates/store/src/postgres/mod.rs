//! A store in a PostgreSQL database, which several instances write.
//!
//! One task owns a connection for batches and takes all that wait as one group per round trip. Payments
//! become one statement, which writes what is still at the version that it was decided on; what is not was
//! written by another instance. After a failure the store comes back by itself, and says of each batch
//! whether it is stored, is not, or may be.
//!
//! In reading order: [`url`], [`password`] and [`tls`] (the way in), [`session`] (a connection, and what
//! holds for all), [`migrate`] (the tables), [`error`] (what has become of a statement), [`columns`],
//! [`accounts`] and [`chain`] (values and tables), [`transaction`] (one batch), [`batcher`] (group commit),
//! [`pool`] and [`hold`] (accounts that nobody else changes), [`feed`] (what others have written), [`lease`]
//! (who leads), [`moving`] (to and from a file).

mod accounts;
mod batcher;
mod chain;
mod columns;
mod error;
mod feed;
mod hold;
mod lease;
mod migrate;
mod moving;
mod password;
mod pool;
mod session;
mod tls;
mod transaction;
mod url;

pub use error::DatabaseError;
pub(crate) use moving::{SourceDatabase, TargetDatabase};
pub use moving::{database_binding, inspect_database, restored_database};

use crate::error::StoreError;
use crate::shared::{Bid, Changes, Held, Leadership, Purpose, Reading, SharedStore};
use crate::store::{Batch, Binding, BoxFuture, ChannelStore, Snapshot, Ticket};
use batcher::{Batcher, Desk, Handed};
use error::{Fault, FaultKind};
use feed::Feed;
use lease::Bidder;
use microraiden_protocol::ChannelId;
use pool::Pool;
use session::Database;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc, oneshot};
use transaction::{Lead, NotWritten};
use url::Target;

/// How many batches may wait; the next one is [`StoreError::Busy`].
const QUEUED_BATCHES: usize = 4096;
/// How many can hold accounts for sales at the same time.
const SALE_CONNECTIONS: usize = 4;

/// Keeps the state in a PostgreSQL database, which several instances share.
///
/// It needs the tokio runtime that it was connected in for as long as it lives, and up to eight connections.
/// Dropping it finishes what was handed in, and gives the lead back, as far as the runtime lives on.
pub struct PostgresStore {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Handed>,
    sales: Arc<Pool>,
    chain: Arc<Pool>,
    feed: AsyncMutex<Feed>,
    heard: Arc<Notify>,
    bidder: Arc<AsyncMutex<Bidder>>,
}

/// What the tasks of a store have in common.
struct Shared {
    database: Database,
    /// Set once, by the first write that can never succeed.
    stopped: OnceLock<StoreError>,
    /// Why there is no connection for batches, while there is none.
    away: Mutex<Option<StoreError>>,
    /// As of the last bid.
    lead: Mutex<Option<Lead>>,
}

impl Shared {
    fn stopped(&self) -> Option<StoreError> {
        self.stopped.get().cloned()
    }

    fn away(&self) -> Option<StoreError> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_away(&self, away: Option<StoreError>) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = away;
    }

    fn lead(&self) -> Option<Lead> {
        *self.lead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_lead(&self, lead: Option<Lead>) {
        *self.lead.lock().unwrap_or_else(PoisonError::into_inner) = lead;
    }

    /// What is answered after a write; and the fault, if the connection is of no use any more. A defect stops
    /// the store.
    fn judge(&self, written: Result<(), NotWritten>) -> (Result<(), StoreError>, Option<Fault>) {
        match written {
            Ok(()) => (Ok(()), None),
            Err(NotWritten::Refused(error)) => (Err(error), None),
            Err(NotWritten::Failed(fault)) if fault.kind == FaultKind::Defect => {
                tracing::error!(error = %fault, "a write to the database is refused; the store has stopped");
                let cause = fault.cause;
                let stopped = self.stopped.get_or_init(|| StoreError::Stopped { cause });
                (Err(stopped.clone()), None)
            }
            Err(NotWritten::Failed(fault)) => {
                let outcome = Err(fault.of_writing());
                (outcome, Some(fault).filter(|fault| !fault.spares_session()))
            }
        }
    }
}

impl PostgresStore {
    /// Connects to the database that a URL names, and makes the tables if there are none.
    ///
    /// The URL is one as `psql` takes: `postgres://user:password@host:5432/database?sslmode=verify-full`, with
    /// several hosts too, of which the one that can be written to is used. With `sslmode=require` or
    /// `verify-full`, the server's certificate must be good for the host; authorities are the system's, or
    /// those in `sslrootcert`. A password that is not in the URL is taken from `PGPASSWORD`, or from the file
    /// that `PGPASSFILE` names, or `~/.pgpass`.
    ///
    /// One database, or one schema by `options=-csearch_path%3D…`, holds the state of one chain, contract and
    /// receiver.
    ///
    /// # Errors
    /// When the database cannot be reached, does not let us in, or is older than PostgreSQL 14; when it
    /// belongs to another chain, contract or receiver, to a newer version of this program, or to something
    /// else.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub async fn connect(url: &str, binding: Binding) -> Result<Self, DatabaseError> {
        let database = Database::new(Target::of_url(url)?, binding);
        let shared = Arc::new(Shared {
            database,
            stopped: OnceLock::new(),
            away: Mutex::default(),
            lead: Mutex::default(),
        });
        let session = shared.database.connect(None).await?;
        migrate::prepare(&session, &binding).await?;
        shared.database.warn(&session).await;
        let desk = Desk::on(&shared, session).await;
        let desk = desk.map_err(|fault| DatabaseError::Unreachable { cause: fault.cause })?;
        let heard = Arc::new(Notify::new());
        let feed = Feed::open(&shared.database, heard.clone()).await?;
        let (queue, handed) = mpsc::channel(QUEUED_BATCHES);
        let batcher = Batcher {
            shared: shared.clone(),
            queue: handed,
        };
        shared.database.runtime.spawn(batcher.run(desk));
        Ok(Self {
            queue,
            sales: Pool::new(shared.clone(), SALE_CONNECTIONS),
            chain: Pool::new(shared.clone(), 1),
            feed: AsyncMutex::new(feed),
            heard,
            bidder: Arc::new(AsyncMutex::new(Bidder::new())),
            shared,
        })
    }

    /// Waits until all that was handed in is answered.
    async fn barrier(&self) -> Result<(), StoreError> {
        self.commit(Batch::default())?.await
    }
}

impl ChannelStore for PostgresStore {
    fn load(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        Box::pin(async {
            self.barrier().await?;
            self.feed.lock().await.load(&self.shared.database).await
        })
    }

    fn commit(&self, batch: Batch) -> Result<Ticket, StoreError> {
        let hindrance = self.shared.stopped().or_else(|| self.shared.away());
        if let Some(hindrance) = hindrance {
            return Err(hindrance);
        }
        let (answer, ticket) = oneshot::channel();
        let lead = self.shared.lead();
        let handed = Handed { batch, lead, answer };
        self.queue.try_send(handed).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Closed(_) => StoreError::stopped(TrySendError::Closed(())),
        })?;
        Ok(ticket.into())
    }

    fn shared(self: Arc<Self>) -> Option<Arc<dyn SharedStore>> {
        Some(self)
    }
}

impl SharedStore for PostgresStore {
    fn hold(&self, channels: Vec<ChannelId>, purpose: Purpose) -> BoxFuture<'_, Result<Held, StoreError>> {
        Box::pin(async move {
            self.barrier().await?;
            let pool = match purpose {
                Purpose::Sale => &self.sales,
                Purpose::Chain => &self.chain,
            };
            hold::hold(&self.shared, pool, &channels).await
        })
    }

    fn changes(&self, reading: Reading) -> BoxFuture<'_, Result<Changes, StoreError>> {
        Box::pin(async move {
            let mut feed = self.feed.lock().await;
            feed.changes(&self.shared.database, reading).await
        })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.heard.notified())
    }

    fn bid(&self, bid: Bid) -> BoxFuture<'_, Result<Leadership, StoreError>> {
        Box::pin(async move {
            let mut bidder = self.bidder.lock().await;
            let (leadership, lead) = bidder.bid(&self.shared.database, bid).await?;
            self.shared.set_lead(lead);
            Ok(leadership)
        })
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        if self.shared.lead().is_none() {
            return;
        }
        let (shared, bidder) = (self.shared.clone(), self.bidder.clone());
        let runtime = shared.database.runtime.clone();
        runtime.spawn(async move {
            let resigned = bidder.lock().await.bid(&shared.database, Bid::Resign).await;
            if let Err(error) = resigned {
                tracing::debug!(%error, "the lead is not given back; it ends by itself");
            }
        });
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Where it is, and above all the password, stays inside.
        f.debug_struct("PostgresStore")
            .field("binding", &self.shared.database.binding)
            .finish_non_exhaustive()
    }
}
