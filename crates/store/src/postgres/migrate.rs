//! The tables, and what the state in them must be: of a version that we know, and bound to what it is opened
//! for.

use super::columns::{Bytes, Counter};
use super::error::{DatabaseError, Fault, cause};
use super::session::{ROUND_TRIP, Session};
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
    INSERT INTO binding (schema_version, chain_id, contract, receiver) VALUES (0, $1, $2, $3)";

/// What was found in a database.
struct Found {
    version: usize,
    binding: Binding,
}

/// Brings the tables to this version, or makes them. Whoever is refused has changed nothing.
pub(super) async fn prepare(session: &Session, binding: &Binding) -> Result<(), DatabaseError> {
    match find(session).await {
        Ok(found) if found.version == SCRIPTS.len() => return compare(&found.binding, binding),
        Ok(_) | Err(DatabaseError::Incomplete) => {}
        Err(error) => return Err(error),
    }
    session
        .within(LIMIT, session.client.batch_execute(BEGIN))
        .await
        .map_err(failed)?;
    match migrate(session, binding).await {
        Ok(()) => session.commit().await.map_err(failed),
        Err(error) => {
            let _ = session.roll_back().await;
            Err(error)
        }
    }
}

async fn migrate(session: &Session, binding: &Binding) -> Result<(), DatabaseError> {
    let client = &session.client;
    let asked = client.query_typed_one("SELECT to_regclass('binding') IS NOT NULL AS is_there", &[]);
    let row = session.within(ROUND_TRIP, asked).await.map_err(failed)?;
    let version = match row.try_get("is_there").map_err(Fault::from).map_err(failed)? {
        true => {
            let found = find(session).await?;
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
    let found = find(session).await?;
    if found.version != SCRIPTS.len() {
        return Err(DatabaseError::Incomplete);
    }
    compare(&found.binding, binding)
}

/// What there is; [`DatabaseError::Incomplete`] where there are no tables yet.
async fn find(session: &Session) -> Result<Found, DatabaseError> {
    let query = "SELECT schema_version, chain_id, contract, receiver, moved_to FROM binding";
    let rows = session
        .within(ROUND_TRIP, session.client.query_typed(query, &[]))
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
    if let Some(to) = row.try_get("moved_to").map_err(foreign)? {
        return Err(DatabaseError::Moved { to });
    }
    let found: i32 = row.try_get("schema_version").map_err(foreign)?;
    let version = usize::try_from(found).unwrap_or_default();
    if version > SCRIPTS.len() {
        return Err(DatabaseError::NewerVersion { found });
    }
    let binding = read_binding(row).map_err(foreign)?;
    Ok(Found { version, binding })
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

fn compare(found: &Binding, wanted: &Binding) -> Result<(), DatabaseError> {
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
