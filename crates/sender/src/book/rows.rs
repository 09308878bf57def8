//! What is in a channel book, row by row.

use super::{BookError, Owner};
use crate::line::{ChannelRecord, ChannelState};
use microraiden_protocol::ledger::StoredProof;
use microraiden_protocol::{Address, Amount, Balance, BlockNumber, ChannelId};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};
use std::collections::BTreeMap;
use std::error::Error;
use std::str::FromStr;

/// Whose book it is.
pub(super) fn owner(connection: &Connection) -> Result<Owner, BookError> {
    let owner = connection.query_one(
        "SELECT chain_id, contract, sender, genesis FROM owner",
        [],
        |row| {
            Ok(Owner {
                chain_id: number(row, 0)?,
                contract: text(row, 1)?,
                sender: text(row, 2)?,
                genesis: text(row, 3)?,
            })
        },
    );
    Ok(owner?)
}

/// The last block whose events have been looked at.
pub(super) fn scanned_to(connection: &Connection) -> rusqlite::Result<BlockNumber> {
    connection.query_one("SELECT scanned_to FROM owner", [], |row| {
        number(row, 0).map(BlockNumber)
    })
}

pub(super) fn write_scanned_to(connection: &Connection, block: BlockNumber) -> rusqlite::Result<()> {
    let block = i64::try_from(block.0).unwrap_or(i64::MAX);
    connection.execute("UPDATE owner SET scanned_to = ?1", [block])?;
    Ok(())
}

/// Every channel of the book, in the order of the key.
pub(super) fn channels(connection: &Connection, sender: Address) -> rusqlite::Result<Vec<ChannelRecord>> {
    let mut statement = connection.prepare(
        "SELECT receiver, open_block, deposit, state, seen, signed_balance, signature, position, credit,
                refund, served, unanswered, synced, agreed_balance, agreed_signature, server
         FROM channels ORDER BY receiver, open_block",
    )?;
    let rows = statement.query_map([], |row| channel(row, sender))?;
    rows.collect()
}

fn channel(row: &Row<'_>, sender: Address) -> rusqlite::Result<ChannelRecord> {
    let open_block: u32 = row.get(1)?;
    Ok(ChannelRecord {
        channel: ChannelId {
            sender,
            receiver: text(row, 0)?,
            open_block,
        },
        deposit: text(row, 2)?,
        state: text(row, 3)?,
        seen: BlockNumber(number(row, 4)?),
        signed: proof(row, 5)?,
        position: text(row, 7)?,
        credit: text(row, 8)?,
        refund: text(row, 9)?,
        served: text(row, 10)?,
        unanswered: unanswered(row, 11)?,
        synced: row.get(12)?,
        agreed: proof(row, 13)?,
        server: match row.get::<_, Option<String>>(15)? {
            Some(_) => Some(text(row, 15)?),
            None => None,
        },
    })
}

/// Writes a channel as it is now.
pub(super) fn write(connection: &Connection, record: &ChannelRecord) -> rusqlite::Result<()> {
    let ChannelRecord {
        channel,
        deposit,
        state,
        seen,
        signed,
        position,
        credit,
        refund,
        served,
        unanswered,
        synced,
        agreed,
        server,
    } = record;
    let lines: Vec<String> = unanswered
        .iter()
        .map(|(balance, pays)| format!("{balance}:{pays}"))
        .collect();
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO channels
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?;
    statement.execute(params![
        channel.receiver.to_string(),
        channel.open_block,
        deposit.to_string(),
        state.to_string(),
        i64::try_from(seen.0).unwrap_or(i64::MAX),
        signed.map(|proof| proof.balance.to_string()),
        signed.map(|proof| proof.signature.to_string()),
        position.to_string(),
        credit.to_string(),
        refund.to_string(),
        served.to_string(),
        lines.join("\n"),
        synced,
        agreed.map(|proof| proof.balance.to_string()),
        agreed.map(|proof| proof.signature.to_string()),
        server.as_ref().map(ToString::to_string),
    ])?;
    Ok(())
}

/// Removes a channel.
pub(super) fn remove(connection: &Connection, channel: &ChannelId) -> rusqlite::Result<()> {
    connection.execute(
        "DELETE FROM channels WHERE receiver = ?1 AND open_block = ?2",
        params![channel.receiver.to_string(), channel.open_block],
    )?;
    Ok(())
}

fn proof(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<StoredProof>> {
    if row.get::<_, Option<String>>(first)?.is_none() {
        return Ok(None);
    }
    Ok(Some(StoredProof {
        balance: text(row, first)?,
        signature: text(row, first + 1)?,
    }))
}

fn unanswered(row: &Row<'_>, column: usize) -> rusqlite::Result<BTreeMap<Balance, Amount>> {
    let lines: String = row.get(column)?;
    let parsed = lines.lines().map(|line| {
        let (balance, pays) = line.split_once(':')?;
        Some((balance.parse().ok()?, pays.parse().ok()?))
    });
    parsed
        .collect::<Option<_>>()
        .ok_or_else(|| malformed(column, "a list of payments".into()))
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| malformed(column, error.into()))
}

fn text<T: FromStr<Err: Error + Send + Sync + 'static>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse()
        .map_err(|error: T::Err| malformed(column, error.into()))
}

fn malformed(column: usize, why: Box<dyn Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, why)
}

/// The state as it is written.
#[derive(Debug, thiserror::Error)]
#[error("a state is open, settling or closed")]
pub struct StateError;

impl FromStr for ChannelState {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        [Self::Open, Self::Settling, Self::Closed]
            .into_iter()
            .find(|state| state.to_string() == text)
            .ok_or(StateError)
    }
}
