//! The tables, and what the state in them must be: of a version that we know, and bound to what it is opened
//! for.

use super::columns::{Bytes, Counter};
use super::error::{DatabaseError, Fault, cause};
use super::session::{ROUND_TRIP, Session};
use crate::contents::Moving;
use crate::store::Binding;
use microraiden_protocol::Escrow;
use std::time::Duration;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

/// What leads from each version of the tables to the next.
const SCRIPTS: [&str; 1] = [include_str!("schema.sql")];
/// However large the tables are.
const LIMIT: Duration = Duration::from_secs(3600);

/// Others wait with the same number, so that each script runs once.
const BEGIN: &str = "
    BEGIN;
    SET LOCAL lock_timeout = 0;
    SET LOCAL statement_timeout = 0;
    SELECT pg_advisory_xact_lock(8244804512473083902)";

const BIND: &str = "
    INSERT INTO binding (schema_version, chain_id, contract, receiver, accounts_table)
    VALUES (0, $1, $2, $3, 'accounts'::regclass)";

const FIND: &str = "
    SELECT schema_version, chain_id, contract, receiver, moved_to, moved_from,
        accounts_table = to_regclass('accounts') AS is_original
    FROM binding";

/// What was found in a database.
pub(super) struct Found {
    pub(super) version: usize,
    pub(super) binding: Binding,
    pub(super) moving: Option<Moving>,
    /// Whether the tables are those that the state was written to; others were made of a dump.
    is_original: bool,
}

impl Found {
    /// Refuses a state that was moved, is on the way, or was made of a dump.
    pub(super) fn settled(self) -> Result<Self, DatabaseError> {
        match self.moving {
            None if self.is_original => Ok(self),
            None => Err(DatabaseError::Dump),
            Some(Moving::To(to)) => Err(DatabaseError::Moved { to }),
            Some(Moving::From(from)) => Err(DatabaseError::Unfinished { from }),
        }
    }
}

/// Brings the tables to this version, or makes them. Whoever is refused has changed nothing.
pub(super) async fn prepare(session: &Session, binding: &Binding) -> Result<(), DatabaseError> {
    match find(session).await.and_then(Found::settled) {
        Ok(found) if found.version == SCRIPTS.len() => return compare(&found.binding, binding),
        Ok(_) | Err(DatabaseError::Incomplete) => {}
        Err(error) => return Err(error),
    }
    begin(session).await.map_err(failed)?;
    match migrate(session, binding).await {
        Ok(()) => session.commit().await.map_err(failed),
        Err(error) => {
            let _ = session.roll_back().await;
            Err(error)
        }
    }
}

/// Begins a transaction, beside which nobody else makes or moves tables.
pub(super) async fn begin(session: &Session) -> Result<(), Fault> {
    session.within(LIMIT, session.client.batch_execute(BEGIN)).await
}

/// Whether there are tables.
pub(super) async fn exists(session: &Session) -> Result<bool, Fault> {
    let query = "SELECT to_regclass('binding') IS NOT NULL AS is_there";
    let asked = session.client.query_typed_one(query, &[]);
    Ok(session.within(ROUND_TRIP, asked).await?.try_get("is_there")?)
}

/// Brings the tables to this version, or makes them, in the transaction that has begun.
pub(super) async fn migrate(session: &Session, binding: &Binding) -> Result<(), DatabaseError> {
    let client = &session.client;
    let version = match exists(session).await.map_err(failed)? {
        true => {
            let found = find(session).await?.settled()?;
            compare(&found.binding, binding)?;
            found.version
        }
        false => 0,
    };
    for (script, number) in SCRIPTS.iter().zip(1_i32..).skip(version) {
        session
            .within(LIMIT, client.batch_execute(script))
            .await
            .map_err(failed)?;
        if number == 1 {
            session
                .within(ROUND_TRIP, bind(client, binding))
                .await
                .map_err(failed)?;
        }
        let noted = format!("UPDATE binding SET schema_version = {number}");
        session.run(&noted).await.map_err(failed)?;
    }
    Ok(())
}

fn failed(fault: Fault) -> DatabaseError {
    let cause = fault.cause;
    match fault.code {
        Some(SqlState::DUPLICATE_TABLE | SqlState::DUPLICATE_OBJECT) => DatabaseError::Foreign { cause },
        Some(_) => DatabaseError::Migration { cause },
        None => DatabaseError::Unreachable { cause },
    }
}

async fn bind(client: &Client, binding: &Binding) -> Result<u64, tokio_postgres::Error> {
    let Binding { escrow, receiver } = binding;
    client
        .execute_typed(
            BIND,
            &[
                (&Counter(escrow.chain_id), Type::INT8),
                (&Bytes(escrow.contract), Type::BYTEA),
                (&Bytes(receiver), Type::BYTEA),
            ],
        )
        .await
}

/// Makes sure that the state is of this version, and ours.
pub(super) async fn check(session: &Session, binding: &Binding) -> Result<(), DatabaseError> {
    let found = find(session).await?.settled()?;
    if found.version != SCRIPTS.len() {
        return Err(DatabaseError::Incomplete);
    }
    compare(&found.binding, binding)
}

/// What there is; [`DatabaseError::Incomplete`] where there are no tables yet.
pub(super) async fn find(session: &Session) -> Result<Found, DatabaseError> {
    let rows = session
        .within(ROUND_TRIP, session.client.query_typed(FIND, &[]))
        .await;
    let rows = rows.map_err(|Fault { code, cause, .. }| match code {
        Some(SqlState::UNDEFINED_TABLE) => DatabaseError::Incomplete,
        Some(SqlState::UNDEFINED_COLUMN) => DatabaseError::Foreign { cause },
        Some(SqlState::INSUFFICIENT_PRIVILEGE) => DatabaseError::Denied { cause },
        _ => DatabaseError::Unreachable { cause },
    })?;
    let [row] = rows.as_slice() else {
        return Err(DatabaseError::Incomplete);
    };
    let foreign = |error| DatabaseError::Foreign { cause: cause(error) };
    let found: i32 = row.try_get("schema_version").map_err(foreign)?;
    let version = usize::try_from(found).unwrap_or_default();
    if version > SCRIPTS.len() {
        return Err(DatabaseError::NewerVersion { found });
    }
    let binding = read_binding(row).map_err(foreign)?;
    let is_original = row.try_get::<_, Option<bool>>("is_original");
    // Unknown where the other table is missing.
    let is_original = is_original.map_err(foreign)?.ok_or(DatabaseError::Incomplete)?;
    let (to, from): (Option<_>, Option<_>) = (
        row.try_get("moved_to").map_err(foreign)?,
        row.try_get("moved_from").map_err(foreign)?,
    );
    Ok(Found {
        version,
        binding,
        moving: to.map(Moving::To).or(from.map(Moving::From)),
        is_original,
    })
}

fn read_binding(row: &Row) -> Result<Binding, tokio_postgres::Error> {
    Ok(Binding {
        escrow: Escrow {
            chain_id: row.try_get::<_, Counter>("chain_id")?.0,
            contract: row.try_get::<_, Bytes<_>>("contract")?.0,
        },
        receiver: row.try_get::<_, Bytes<_>>("receiver")?.0,
    })
}

pub(super) fn compare(found: &Binding, wanted: &Binding) -> Result<(), DatabaseError> {
    if found.escrow.chain_id != wanted.escrow.chain_id {
        return Err(DatabaseError::OtherChain {
            found: found.escrow.chain_id,
            wanted: wanted.escrow.chain_id,
        });
    }
    if found.escrow.contract != wanted.escrow.contract {
        return Err(DatabaseError::OtherContract {
            found: found.escrow.contract,
            wanted: wanted.escrow.contract,
        });
    }
    if found.receiver != wanted.receiver {
        return Err(DatabaseError::OtherReceiver {
            found: found.receiver,
            wanted: wanted.receiver,
        });
    }
    Ok(())
}
