//! What others have written: everything at start, and then what has changed.
//!
//! Each row names the transaction that wrote it. Of the transactions below the oldest one that ran when we
//! looked, all have ended and were seen; so the next look begins there, and misses nothing.

use super::columns::{Counter, TransactionId};
use super::error::{DatabaseError, Fault};
use super::session::{Database, Session, server};
use super::{accounts, chain};
use crate::error::StoreError;
use crate::shared::{Changes, Reading};
use crate::store::Snapshot;
use futures_util::TryStreamExt;
use microraiden_protocol::ChannelId;
use microraiden_protocol::ledger::{Account, Version};
use std::collections::HashMap;
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

type BoxError = Box<dyn Error + Send + Sync>;

/// How long the next row is waited for; there may be many.
const PATIENCE: Duration = Duration::from_secs(10);

/// All queries see the same state. Nobody waits for who only reads, so it may take its time.
pub(super) const BEGIN: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;
    SET LOCAL statement_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = '1min'";

/// Another server may lack the last transactions, and their numbers begin again there.
const SELECT_NOW: &str = concat!(
    "SELECT pg_snapshot_xmin(pg_current_snapshot()) AS cursor, number AS generation, ",
    server!(),
    " AS server FROM generation"
);

/// Reads what is new.
pub(super) struct Feed {
    session: Option<Session>,
    /// Told of notifications.
    heard: Arc<Notify>,
    seen: Seen,
}

/// What was told already.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// By which run of the server.
    server: i64,
    /// Rows of earlier transactions were told.
    cursor: TransactionId,
    /// The generation of the tasks and halts.
    generation: Option<u64>,
    /// Of rows of later transactions, the versions that were told.
    versions: HashMap<ChannelId, Version>,
}

/// Why nothing was read.
pub(super) enum Unread {
    /// A query failed.
    Failed(Fault),
    /// What was read is damaged.
    Damaged(StoreError),
}

impl From<Fault> for Unread {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

impl From<StoreError> for Unread {
    fn from(error: StoreError) -> Self {
        Self::Damaged(error)
    }
}

impl Feed {
    /// Listens to notifications from now on.
    pub(super) async fn open(database: &Database, heard: Arc<Notify>) -> Result<Self, DatabaseError> {
        Ok(Self {
            session: Some(listen(database, &heard).await?),
            heard,
            seen: Seen::default(),
        })
    }

    /// Reads everything; what changes later is told by [`changes`](Self::changes).
    pub(super) async fn load(&mut self, database: &Database) -> Result<Snapshot, StoreError> {
        let session = self.session(database).await?;
        let read = load(&session).await;
        self.keep(database, session, read)
    }

    /// Reads what has changed since the last look.
    pub(super) async fn changes(
        &mut self,
        database: &Database,
        reading: Reading,
    ) -> Result<Changes, StoreError> {
        let session = self.session(database).await?;
        let read = changes(&session, &self.seen, reading).await;
        self.keep(database, session, read)
    }

    /// Remembers what was seen, and keeps the session where it can be used again.
    fn keep<T>(
        &mut self,
        database: &Database,
        session: Session,
        read: Result<(T, Seen), Unread>,
    ) -> Result<T, StoreError> {
        match read {
            Ok((read, seen)) => {
                self.session = Some(session);
                self.seen = seen;
                Ok(read)
            }
            Err(Unread::Failed(fault)) => {
                database.lose(session);
                Err(fault.away())
            }
            Err(Unread::Damaged(error)) => Err(error),
        }
    }

    async fn session(&mut self, database: &Database) -> Result<Session, StoreError> {
        match self.session.take().filter(Session::is_open) {
            Some(session) => Ok(session),
            None => {
                let session = listen(database, &self.heard).await;
                session.map_err(|error| Fault::of_connecting(error).away())
            }
        }
    }
}

async fn listen(database: &Database, heard: &Arc<Notify>) -> Result<Session, DatabaseError> {
    let session = database.session(Some(heard.clone())).await?;
    let listening = session.run("LISTEN microraiden").await;
    listening.map_err(|fault| DatabaseError::Unreachable { cause: fault.cause })?;
    Ok(session)
}

impl Seen {
    /// What is seen from now on.
    async fn now(session: &Session) -> Result<Self, Fault> {
        let row = session
            .within(PATIENCE, session.client.query_typed_one(SELECT_NOW, &[]))
            .await?;
        Ok(Self {
            server: row.try_get("server")?,
            cursor: row.try_get("cursor")?,
            generation: Some(row.try_get::<_, Counter>("generation")?.0),
            versions: HashMap::new(),
        })
    }

    /// Remembers what will be read again.
    fn note(&mut self, account: &Account, changed: TransactionId) {
        if changed >= self.cursor {
            self.versions.insert(*account.channel(), account.version());
        }
    }
}

async fn load(session: &Session) -> Result<(Snapshot, Seen), Unread> {
    session.run(BEGIN).await?;
    let mut seen = Seen::now(session).await?;
    let snapshot = snapshot(session, |account, changed| seen.note(account, changed)).await?;
    session.commit().await?;
    Ok((snapshot, seen))
}

/// Reads everything in the transaction that has begun.
pub(super) async fn snapshot(
    session: &Session,
    mut note: impl FnMut(&Account, TransactionId),
) -> Result<Snapshot, Unread> {
    let mut accounts = Vec::new();
    read_accounts(session, TransactionId::default(), |account, changed| {
        note(&account, changed);
        accounts.push(account);
    })
    .await?;
    Ok(Snapshot {
        accounts,
        blocks: read(session, "blocks", chain::SELECT_BLOCKS, chain::read_block).await?,
        events: read(session, "events", chain::SELECT_EVENTS, chain::read_event).await?,
        tasks: read(session, "tasks", chain::SELECT_TASKS, chain::read_task).await?,
        halts: read(session, "halts", chain::SELECT_HALTS, chain::read_halt).await?,
    })
}

async fn changes(session: &Session, seen: &Seen, reading: Reading) -> Result<(Changes, Seen), Unread> {
    session.run(BEGIN).await?;
    let mut now = Seen::now(session).await?;
    // A machine that was taken back has the same server, at an earlier moment.
    let is_all = now.server != seen.server || now.cursor < seen.cursor;
    let mut changes = Changes {
        is_all,
        ..Changes::default()
    };
    let cursor = match is_all {
        true => TransactionId::default(),
        false => seen.cursor,
    };
    read_accounts(session, cursor, |account, changed| {
        now.note(&account, changed);
        if is_all || seen.versions.get(account.channel()) != Some(&account.version()) {
            changes.accounts.push(account.row().clone());
        }
    })
    .await?;
    if is_all || reading == Reading::TasksAndHalts || now.generation != seen.generation {
        changes.tasks = Some(read(session, "tasks", chain::SELECT_TASKS, chain::read_task).await?);
        changes.halts = Some(read(session, "halts", chain::SELECT_HALTS, chain::read_halt).await?);
    }
    session.commit().await?;
    Ok((changes, now))
}

async fn read_accounts(
    session: &Session,
    since: TransactionId,
    mut take: impl FnMut(Account, TransactionId),
) -> Result<(), Unread> {
    let take = |row: &Row| {
        let changed = row
            .try_get("changed")
            .map_err(|error| damaged("accounts", error.into()))?;
        take(accounts::read(row)?, changed);
        Ok(())
    };
    read_rows(session, accounts::SELECT_CHANGED, &[(&since, Type::XID8)], take).await
}

/// Reads all rows of a table.
async fn read<T>(
    session: &Session,
    table: &'static str,
    query: &str,
    read: impl Fn(&Row) -> Result<T, BoxError>,
) -> Result<Vec<T>, Unread> {
    let mut values = Vec::new();
    let take = |row: &Row| {
        values.push(read(row).map_err(|error| damaged(table, error))?);
        Ok(())
    };
    read_rows(session, query, &[], take).await?;
    Ok(values)
}

fn damaged(table: &'static str, error: BoxError) -> StoreError {
    let cause = Arc::from(error);
    StoreError::Damaged { table, cause }
}

async fn read_rows(
    session: &Session,
    query: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
    mut take: impl FnMut(&Row) -> Result<(), StoreError>,
) -> Result<(), Unread> {
    let parameters = parameters.iter().map(|(value, kind)| (*value, kind.clone()));
    let rows = session.client.query_typed_raw(query, parameters);
    let mut rows = pin!(session.within(PATIENCE, rows).await?);
    while let Some(row) = session.within(PATIENCE, rows.try_next()).await? {
        take(&row)?;
    }
    Ok(())
}
