//! One connection to the database, and what holds for all of them.

use super::error::{DatabaseError, Fault, FaultKind, cause};
use super::migrate;
use super::url::Target;
use crate::store::Binding;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::task::JoinHandle;
use tokio::time;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Config};

/// For how long one answer is waited for.
pub(super) const ROUND_TRIP: Duration = Duration::from_secs(5);
/// The oldest server that has all that is used.
const OLDEST_VERSION: i32 = 140_000;

/// Locks are waited for a little longer than somebody who hangs may hold them, so that we do not give up first;
/// statements are a little shorter than a round trip, so that the server says itself that it gives up. Rows
/// are found by their keys, whatever the server thinks of the size of the tables.
const SETTINGS: &str = "
    SET statement_timeout = '4s';
    SET lock_timeout = '3s';
    SET idle_in_transaction_session_timeout = '2s';
    SET idle_session_timeout = 0;
    SET default_transaction_isolation = 'read committed';
    SET client_min_messages = 'warning';
    SET jit = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')";

/// The time when it began tells a session from a later one of the same number.
const IDENTITY: &str = "
    SELECT pid, (extract(epoch FROM backend_start) * 1000000)::bigint AS started,
        current_setting('server_version_num')::integer AS version_number,
        current_setting('server_version') AS version,
        current_setting('transaction_read_only') = 'on' AS is_read_only
    FROM pg_stat_activity WHERE pid = pg_backend_pid()";

/// Waits until the session is gone, for a moment.
const END: &str = "
    SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity
    WHERE pid = $1 AND (extract(epoch FROM backend_start) * 1000000)::bigint = $2";

/// Tells a server, as long as it runs, from one that has taken over.
macro_rules! server {
    () => {
        "(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint"
    };
}
pub(super) use server;

/// Where the state is, and what it belongs to.
pub(super) struct Database {
    target: Target,
    pub(super) binding: Binding,
    /// Where connections live, whoever makes them.
    pub(super) runtime: Handle,
    /// Sessions that were lost, and may still be at work over there.
    lost: Mutex<Vec<Backend>>,
    /// One at a time ends them.
    ending: AsyncMutex<()>,
}

/// The server's side of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Backend {
    number: i32,
    started: i64,
}

impl Database {
    /// Takes the current runtime.
    pub(super) fn new(target: Target, binding: Binding) -> Self {
        Self {
            target,
            binding,
            runtime: Handle::current(),
            lost: Mutex::default(),
            ending: AsyncMutex::default(),
        }
    }

    /// Opens a connection to whichever server can be written to, and makes sure that the state there is ours.
    /// `heard` is told of notifications, and of the end.
    pub(super) async fn session(&self, heard: Option<Arc<Notify>>) -> Result<Session, DatabaseError> {
        let session = self.connect(heard).await?;
        migrate::check(&session, &self.binding).await?;
        Ok(session)
    }

    /// Opens a connection, whatever there is.
    pub(super) async fn connect(&self, heard: Option<Arc<Notify>>) -> Result<Session, DatabaseError> {
        connect(&self.target, &self.runtime, heard).await
    }

    /// Tells of what is better otherwise.
    pub(super) async fn warn(&self, session: &Session) {
        if self.target.is_exposed() {
            tracing::warn!(
                "others between here and the database could pass as it; use sslmode=verify-full in its URL"
            );
        }
        let asked = session
            .client
            .query_typed_one("SELECT current_setting('fsync') = 'on'", &[]);
        let row = session.within(ROUND_TRIP, asked).await.ok();
        if row.and_then(|row| row.try_get(0).ok()) == Some(false) {
            tracing::warn!("the database server has fsync off: what was paid is lost when its machine fails");
        }
    }

    /// Throws a session away whose last statement may still be at work on the server.
    pub(super) fn lose(&self, session: Session) {
        session.driver.abort();
        self.lost().extend(session.backend);
    }

    /// Ends what was lost, as far as it can be, so that it writes nothing after this.
    pub(super) async fn end_lost(&self, session: &Session) -> Result<(), Fault> {
        let _turn = self.ending.lock().await;
        loop {
            let next = self.lost().last().copied();
            let Some(backend) = next else { return Ok(()) };
            let parameters = [
                (&backend.number as _, Type::INT4),
                (&backend.started as _, Type::INT8),
            ];
            let ended = session.within(ROUND_TRIP, session.client.execute_typed(END, &parameters));
            match ended.await {
                Err(fault) if !fault.spares_session() => return Err(fault),
                Err(fault) => tracing::warn!(error = %fault, "a lost session cannot be ended"),
                Ok(_) => {}
            }
            self.lost().retain(|lost| *lost != backend);
        }
    }

    fn lost(&self) -> MutexGuard<'_, Vec<Backend>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a connection to whichever server can be written to, whatever there is.
pub(super) async fn connect(
    target: &Target,
    runtime: &Handle,
    heard: Option<Arc<Notify>>,
) -> Result<Session, DatabaseError> {
    let mut refused = None;
    for (server, limit) in target.servers() {
        match connect_to(target, server, limit, runtime, heard.clone()).await {
            Ok(session) => return Ok(session),
            Err(error) => refused = Some(error),
        }
    }
    // There is at least one server.
    Err(refused.unwrap_or(DatabaseError::ReadOnly))
}

async fn connect_to(
    target: &Target,
    server: &Config,
    limit: Duration,
    runtime: &Handle,
    heard: Option<Arc<Notify>>,
) -> Result<Session, DatabaseError> {
    let unreachable = |fault: Fault| DatabaseError::Unreachable { cause: fault.cause };
    let connecting = time::timeout(limit, server.connect(target.tls.clone()));
    let (client, mut connection) = connecting
        .await
        .map_err(|_| unreachable(Fault::too_slow()))?
        .map_err(DatabaseError::of_connecting)?;
    let driver = runtime.spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let (AsyncMessage::Notification(_), Some(heard)) = (message, &heard) {
                heard.notify_one();
            }
        }
        if let Some(heard) = heard {
            heard.notify_one();
        }
    });
    let mut session = Session {
        client,
        driver,
        backend: None,
    };
    session.introduce().await?;
    Ok(session)
}

/// One connection.
pub(super) struct Session {
    pub(super) client: Client,
    driver: JoinHandle<()>,
    backend: Option<Backend>,
}

impl Session {
    /// Makes the settings, and sees who is at the other end.
    async fn introduce(&mut self) -> Result<(), DatabaseError> {
        let settings = self.client.batch_execute(SETTINGS);
        let identity = self.client.query_typed_one(IDENTITY, &[]);
        let asked = self.within(ROUND_TRIP, async { tokio::try_join!(biased; settings, identity) });
        let (_, row) = asked
            .await
            .map_err(|fault| DatabaseError::Unreachable { cause: fault.cause })?;
        let failed = |error| DatabaseError::Unreachable { cause: cause(error) };
        if row.try_get::<_, i32>("version_number").map_err(failed)? < OLDEST_VERSION {
            let found = row.try_get("version").map_err(failed)?;
            return Err(DatabaseError::OldServer { found });
        }
        if row.try_get("is_read_only").map_err(failed)? {
            return Err(DatabaseError::ReadOnly);
        }
        self.backend = Some(Backend {
            number: row.try_get("pid").map_err(failed)?,
            started: row.try_get("started").map_err(failed)?,
        });
        Ok(())
    }

    /// Waits for an answer, up to a limit.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Fault> {
        match time::timeout(limit, work).await {
            Ok(answer) => answer.map_err(Fault::from),
            Err(_) => Err(Fault::too_slow()),
        }
    }

    /// Sends statements that take no parameters.
    pub(super) async fn run(&self, statements: &str) -> Result<(), Fault> {
        self.within(ROUND_TRIP, self.client.batch_execute(statements))
            .await
    }

    /// Begins a transaction. Nothing is to be sent before it has begun: it would be a transaction of its own.
    pub(super) async fn begin(&self) -> Result<(), Fault> {
        self.run("BEGIN").await
    }

    /// Ends a transaction in which everything went well. Where this fails, nobody knows.
    pub(super) async fn commit(&self) -> Result<(), Fault> {
        let committed = self.run("COMMIT").await;
        committed.map_err(|fault| Fault {
            kind: FaultKind::Lost,
            ..fault
        })
    }

    /// Ends a transaction as if it had not been.
    pub(super) async fn roll_back(&self) -> Result<(), Fault> {
        self.run("ROLLBACK").await
    }

    /// Resolves when the connection is no more.
    pub(super) async fn ended(&mut self) {
        if !self.driver.is_finished() {
            let _ = (&mut self.driver).await;
        }
    }

    /// Whether a statement can still be sent.
    pub(super) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }
}
