//! A state that is moved into a database or out of one, or that comes from a dump.
//!
//! Whoever moves has locked all tables against those who write. Where the state is not any more, or not all yet,
//! triggers refuse every write, also of those who were connected before.

use super::error::{DatabaseError, Fault, FaultKind};
use super::feed::{self, Unread};
use super::migrate::{self, Found};
use super::session::{self, ROUND_TRIP, Session};
use super::transaction::RAISE_GENERATION;
use super::url::Target;
use super::{accounts, chain};
use crate::contents::{Contents, Moving};
use crate::database_url::DatabaseUrl;
use crate::moving::{MoveError, PORTION, Progress, check_replaceable};
use crate::store::{Binding, Halt, HaltChange, HaltKind, Snapshot, TaskChange};
use microraiden_protocol::ledger::AccountRow;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

/// What the state is in, in the order in which a batch writes it: whoever is in the midst of one does not wait for
/// us then.
const TABLES: [&str; 7] = [
    "lease",
    "accounts",
    "events",
    "blocks",
    "tasks",
    "halts",
    "generation",
];

/// As long as others who write may hold a lock, and much longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often tables are locked again that others were in the way of.
const REPETITIONS: u32 = 10;
/// However much is written.
const LIMIT: Duration = Duration::from_secs(3600);

/// Nobody waits for an answer here, but for who moves.
const SETTINGS: &str = "
    SET LOCAL lock_timeout = '1min';
    SET LOCAL statement_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = 0";

/// The class of its code is one of those after which a store stops for good.
const REFUSE: &str = "
    CREATE OR REPLACE FUNCTION refuse_writes() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
        RAISE EXCEPTION USING ERRCODE = '23000', MESSAGE = (
            SELECT 'the state ' || coalesce('was moved to ' || moved_to, 'is not all here yet from ' || moved_from)
            FROM binding);
    END $$";

const NOTE_TO: &str = "UPDATE binding SET moved_to = $1";
const NOTE_FROM: &str = "UPDATE binding SET moved_from = $1";
const NOTE_NONE: &str = "UPDATE binding SET (moved_to, moved_from) = (NULL, NULL)";

const IS_EMPTY: &str = "
    SELECT NOT EXISTS (SELECT FROM accounts) AND NOT EXISTS (SELECT FROM events)
        AND NOT EXISTS (SELECT FROM blocks) AND NOT EXISTS (SELECT FROM tasks)
        AND NOT EXISTS (SELECT FROM halts) AS is_empty,
        EXISTS (SELECT FROM lease WHERE holder IS NOT NULL AND expires > clock_timestamp()) AS is_led";

const CLEAR: &str = "
    DELETE FROM accounts; DELETE FROM events; DELETE FROM blocks; DELETE FROM tasks; DELETE FROM halts";

/// These tables have the state from now on. In a dump are numbers of another server's transactions: those that are
/// still to come here would be read again at each look.
const ADOPT: &str = "
    UPDATE binding SET accounts_table = 'accounts'::regclass;
    UPDATE accounts SET changed = pg_current_xact_id() WHERE changed > pg_current_xact_id()";

impl From<Fault> for MoveError {
    fn from(fault: Fault) -> Self {
        let cause = fault.cause;
        match fault.code {
            Some(SqlState::INSUFFICIENT_PRIVILEGE) => Self::Denied { cause },
            _ => Self::Failed { cause },
        }
    }
}

impl From<Unread> for MoveError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Failed(fault) => fault.into(),
            Unread::Damaged(error) => error.into(),
        }
    }
}

/// A database to be moved away from, which nobody else writes as long as this lives.
pub(crate) struct SourceDatabase {
    place: String,
    contents: Contents,
    /// In a transaction.
    session: Session,
}

impl SourceDatabase {
    /// Takes hold of a database with a state, also of one whose move was not finished, and reads it.
    pub(crate) async fn open(url: &DatabaseUrl) -> Result<Self, MoveError> {
        let session = connect(url).await?;
        let found = find(&session).await?;
        if found.moving.is_none() {
            migrate::prepare(&session, &found.binding).await?;
        }
        begin(&session).await?;
        // Others may have been faster.
        let found = find(&session).await?;
        if let Some(Moving::From(from)) = found.moving {
            return Err(DatabaseError::Unfinished { from }.into());
        }
        Ok(Self {
            place: url.to_string(),
            contents: contents(&session, found).await?,
            session,
        })
    }

    pub(crate) const fn contents(&self) -> &Contents {
        &self.contents
    }

    /// What the database is called elsewhere.
    pub(crate) fn place(&self) -> String {
        self.place.clone()
    }

    /// Where its state is, if it was moved.
    pub(crate) fn moved_to(&self) -> Option<&str> {
        self.contents.moving.as_ref().map(Moving::place)
    }

    /// Says in the database that its state is somewhere else now, and lets others go on, who can write nothing any
    /// more. It is durable when this returns.
    pub(crate) async fn mark(&self, to: &str) -> Result<(), MoveError> {
        if self.moved_to().is_none() {
            close(&self.session, NOTE_TO, to).await?;
        }
        Ok(self.session.commit().await?)
    }
}

/// A database to be moved to.
pub(crate) struct TargetDatabase {
    place: String,
    session: Session,
}

impl TargetDatabase {
    pub(crate) async fn connect(url: &DatabaseUrl) -> Result<Self, DatabaseError> {
        Ok(Self {
            place: url.to_string(),
            session: connect(url).await?,
        })
    }

    /// What the database is called elsewhere.
    pub(crate) fn place(&self) -> String {
        self.place.clone()
    }

    /// Writes a state that cannot be used yet, into tables that are made if there are none. It is durable when this
    /// returns; and after an error nothing of it is there, unless the connection was lost.
    pub(crate) async fn write(
        &self,
        contents: &Contents,
        from: &str,
        report: &mut dyn FnMut(Progress),
    ) -> Result<(), MoveError> {
        let session = &self.session;
        begin(session).await?;
        let written = async {
            self.clear(contents, from).await?;
            migrate::migrate(session, &contents.binding).await?;
            write_snapshot(session, &contents.snapshot, report).await?;
            close(session, NOTE_FROM, from).await
        };
        match written.await {
            Ok(()) => Ok(session.commit().await?),
            Err(error) => {
                // What failed is more than that this fails too; the connection ends then, and the transaction with it.
                let _ = session.roll_back().await;
                Err(error)
            }
        }
    }

    /// Refuses a state that is there, and clears away what a move has left that was not finished.
    async fn clear(&self, new: &Contents, from: &str) -> Result<(), MoveError> {
        let session = &self.session;
        if !migrate::exists(session).await? {
            return Ok(());
        }
        let found = migrate::find(session).await?;
        migrate::compare(&found.binding, &new.binding)?;
        match &found.moving {
            Some(Moving::To(to)) => Err(DatabaseError::Moved { to: to.clone() }.into()),
            Some(Moving::From(_)) => {
                let begun = contents(session, found).await?;
                check_replaceable(&begun, new, from, &self.place)?;
                open(session).await?;
                Ok(session.within(LIMIT, session.client.batch_execute(CLEAR)).await?)
            }
            None => {
                let asked = session.client.query_typed_one(IS_EMPTY, &[]);
                let row = session.within(LIMIT, asked).await?;
                let (is_empty, is_led): (bool, bool) = (
                    row.try_get("is_empty").map_err(Fault::from)?,
                    row.try_get("is_led").map_err(Fault::from)?,
                );
                match (is_empty, is_led) {
                    (true, false) => Ok(()),
                    (true, true) => Err(MoveError::InUse),
                    (false, _) => Err(MoveError::NotEmpty),
                }
            }
        }
    }

    /// What is in the database.
    pub(crate) async fn read(&self) -> Result<Contents, MoveError> {
        read(&self.session).await
    }

    /// Lets the state be used. It is durable when this returns.
    pub(crate) async fn finish(&self) -> Result<(), MoveError> {
        begin(&self.session).await?;
        open(&self.session).await?;
        Ok(self.session.commit().await?)
    }
}

/// Reads the state in a database as it is now, also while others use it.
///
/// # Errors
/// When it cannot be reached, has no state, or another version's; when the state is damaged.
///
/// # Panics
/// Outside a tokio runtime with I/O and time.
pub async fn inspect_database(url: &DatabaseUrl) -> Result<Contents, MoveError> {
    read(&connect(url).await?).await
}

/// What the state in a database belongs to; `None` where there is none yet. Proxies may use it meanwhile.
///
/// # Errors
/// When a proxy could not use it: it cannot be reached, or its state is another version's, was moved or made of
/// a dump.
///
/// # Panics
/// Outside a tokio runtime with I/O and time.
pub async fn database_binding(url: &DatabaseUrl) -> Result<Option<Binding>, DatabaseError> {
    let session = connect(url).await?;
    match find(&session).await {
        Ok(found) => Ok(Some(found.settled()?.binding)),
        Err(DatabaseError::Empty) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says in a database that its state comes from a dump, or another that is older than what was paid.
///
/// What was accepted after it is not known in it, so its channels sell nothing until the operator accepts the risk
/// ([`HaltKind::Restored`]). A state that was moved away, or whose move was not finished, can be used again: the
/// other copy must never be. It is durable when this returns.
///
/// # Errors
/// When the database cannot be reached, has no state, or another version's; when the state is damaged.
///
/// # Panics
/// Outside a tokio runtime with I/O and time.
pub async fn restored_database(url: &DatabaseUrl) -> Result<Contents, MoveError> {
    let session = connect(url).await?;
    find(&session).await?;
    begin(&session).await?;
    let found = find(&session).await?;
    if found.moving.is_some() {
        open(&session).await?;
    }
    session.within(LIMIT, session.client.batch_execute(ADOPT)).await?;
    migrate::migrate(&session, &found.binding).await?;
    let halt = HaltChange::Set(Halt {
        kind: HaltKind::Restored,
        block: None,
    });
    let client = &session.client;
    session
        .within(ROUND_TRIP, chain::write_halts(client, &[halt]))
        .await?;
    session.run(RAISE_GENERATION).await?;
    let contents = contents(&session, find(&session).await?).await?;
    session.commit().await?;
    Ok(contents)
}

async fn connect(url: &DatabaseUrl) -> Result<Session, DatabaseError> {
    session::connect(&Target::of_url(url.reveal())?, &Handle::current(), None).await
}

/// What there is.
async fn find(session: &Session) -> Result<Found, DatabaseError> {
    let exists = migrate::exists(session).await;
    match exists.map_err(|fault| DatabaseError::Unreachable { cause: fault.cause })? {
        true => migrate::find(session).await,
        false => Err(DatabaseError::Empty),
    }
}

/// Begins a transaction, beside which nobody else writes.
async fn begin(session: &Session) -> Result<(), Fault> {
    let lock = format!(
        "{SETTINGS}; LOCK TABLE binding, {} IN EXCLUSIVE MODE",
        TABLES.join(", ")
    );
    let mut repetitions = 0..REPETITIONS;
    loop {
        migrate::begin(session).await?;
        if !migrate::exists(session).await? {
            return Ok(());
        }
        let locked = session.within(2 * PATIENCE, session.client.batch_execute(&lock));
        match locked.await {
            Err(fault) if fault.kind == FaultKind::Repeat && repetitions.next().is_some() => {
                session.roll_back().await?;
            }
            locked => return locked,
        }
    }
}

/// Reads everything, at one moment.
async fn read(session: &Session) -> Result<Contents, MoveError> {
    session.run(feed::BEGIN).await?;
    let found = find(session).await?;
    let contents = contents(session, found).await?;
    session.commit().await?;
    Ok(contents)
}

/// Reads everything in the transaction that has begun.
async fn contents(session: &Session, found: Found) -> Result<Contents, MoveError> {
    Ok(Contents {
        binding: found.binding,
        version: i64::try_from(found.version).unwrap_or(i64::MAX),
        backup_of: None,
        moving: found.moving,
        snapshot: feed::snapshot(session, |_, _| ()).await?,
    })
}

/// Closes the tables to everybody who writes, and notes why.
async fn close(session: &Session, note: &str, place: &str) -> Result<(), MoveError> {
    let place = [(&place as _, Type::TEXT)];
    session
        .within(ROUND_TRIP, session.client.execute_typed(note, &place))
        .await?;
    session.run(REFUSE).await?;
    for table in TABLES {
        let statement = format!(
            "CREATE OR REPLACE TRIGGER refuse_writes BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE \
             ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_writes()"
        );
        session.run(&statement).await?;
    }
    Ok(())
}

/// Opens them again.
async fn open(session: &Session) -> Result<(), MoveError> {
    session.run(NOTE_NONE).await?;
    for table in TABLES {
        let statement = format!("DROP TRIGGER IF EXISTS refuse_writes ON {table}");
        // Waits for those who read.
        let dropped = session.client.batch_execute(&statement);
        session.within(2 * PATIENCE, dropped).await?;
    }
    Ok(session.run("DROP FUNCTION IF EXISTS refuse_writes()").await?)
}

async fn write_snapshot(
    session: &Session,
    snapshot: &Snapshot,
    report: &mut dyn FnMut(Progress),
) -> Result<(), Fault> {
    let client = &session.client;
    let (mut done, of) = (0, snapshot.accounts.len());
    for portion in snapshot.accounts.chunks(PORTION) {
        let rows: Vec<&AccountRow> = portion.iter().map(|account| account.row()).collect();
        session.within(LIMIT, accounts::insert(client, &rows)).await?;
        done += portion.len();
        report(Progress::Writing { done, of });
    }
    for events in snapshot.events.chunks(PORTION) {
        session.within(LIMIT, chain::write_events(client, events)).await?;
    }
    session
        .within(LIMIT, chain::write_blocks(client, &snapshot.blocks))
        .await?;
    let tasks: Vec<_> = snapshot.tasks.iter().copied().map(TaskChange::Put).collect();
    for tasks in tasks.chunks(PORTION) {
        session.within(LIMIT, chain::write_tasks(client, tasks)).await?;
    }
    let halts: Vec<_> = snapshot.halts.iter().copied().map(HaltChange::Set).collect();
    session.within(LIMIT, chain::write_halts(client, &halts)).await?;
    session.run(RAISE_GENERATION).await
}
