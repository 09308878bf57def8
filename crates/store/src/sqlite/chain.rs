//! The tables of blocks, events, tasks and halts.

use super::columns::{Bytes, Digits, read_channel};
use super::{Failure, checksum};
use crate::error::StoreError;
use crate::parts::{self, change_columns};
use crate::store::{Halt, HaltChange, HaltKind, KEPT_BLOCKS, Task, TaskChange, TaskKind};
use microraiden_protocol::{BlockNumber, BlockRef, ChainUpdate, ChannelChange, ChannelEvent, ChannelId};
use rusqlite::types::FromSqlError;
use rusqlite::{Connection, Row, params};

macro_rules! block_checksum {
    () => {
        "row_checksum(number, hash)"
    };
}

macro_rules! event_checksum {
    () => {
        "row_checksum(block, log_index, sender, receiver, open_block, kind, amount, receiver_tokens)"
    };
}

macro_rules! task_checksum {
    () => {
        "row_checksum(sender, receiver, open_block, kind, transaction_hash, not_before)"
    };
}

macro_rules! halt_checksum {
    () => {
        "row_checksum(kind, block)"
    };
}

const SELECT_BLOCKS: &str = concat!(
    "SELECT *, checksum = ",
    block_checksum!(),
    " AS is_whole FROM blocks ORDER BY number"
);

const SELECT_EVENTS: &str = concat!(
    "SELECT *, checksum = ",
    event_checksum!(),
    " AS is_whole FROM events ORDER BY block, log_index"
);

const SELECT_TASKS: &str = concat!(
    "SELECT *, checksum = ",
    task_checksum!(),
    " AS is_whole FROM tasks"
);

const SELECT_HALTS: &str = concat!(
    "SELECT *, checksum = ",
    halt_checksum!(),
    " AS is_whole FROM halts"
);

/// Writes all checksums anew.
pub(super) const SUM_UP: &str = concat!(
    "UPDATE blocks SET checksum = ",
    block_checksum!(),
    "; UPDATE events SET checksum = ",
    event_checksum!(),
    "; UPDATE tasks SET checksum = ",
    task_checksum!(),
    "; UPDATE halts SET checksum = ",
    halt_checksum!(),
);

/// Takes over what one look at the chain has added.
pub(super) fn write_update(connection: &Connection, update: &ChainUpdate) -> Result<(), Failure> {
    if let Some(last) = update.rewind_to {
        connection
            .prepare_cached("DELETE FROM events WHERE block > ?1")?
            .execute([last.0])?;
        connection
            .prepare_cached("DELETE FROM blocks WHERE number > ?1")?
            .execute([last.0])?;
    }
    for block in &update.blocks {
        write_block(connection, block)?;
    }
    for event in &update.events {
        write_event(connection, event)?;
    }
    connection
        .prepare_cached(
            "DELETE FROM blocks WHERE number <= \
             (SELECT number FROM blocks ORDER BY number DESC LIMIT 1 OFFSET ?1)",
        )?
        .execute([KEPT_BLOCKS])?;
    Ok(())
}

/// A block may be told again, with the same hash.
fn write_block(connection: &Connection, block: &BlockRef) -> Result<(), Failure> {
    let written = connection
        .prepare_cached(
            "INSERT INTO blocks (number, hash, checksum) VALUES (?1, ?2, row_checksum(?1, ?2)) \
             ON CONFLICT (number) DO UPDATE SET hash = hash WHERE hash = excluded.hash",
        )?
        .execute(params![block.number.0, Bytes(block.hash)])?;
    stored_unless_there(written, block.number)
}

fn write_event(connection: &Connection, event: &ChannelEvent) -> Result<(), Failure> {
    let (kind, amount, receiver_tokens) = change_columns(&event.change);
    let channel = event.channel;
    let written = connection
        .prepare_cached(
            "INSERT INTO events \
             (block, log_index, sender, receiver, open_block, kind, amount, receiver_tokens, checksum) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, row_checksum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)) \
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            event.block.0,
            event.log_index,
            Bytes(channel.sender),
            Bytes(channel.receiver),
            channel.open_block,
            kind,
            Digits(amount),
            receiver_tokens.map(Digits),
        ])?;
    stored_unless_there(written, event.block)
}

fn stored_unless_there(written: usize, block: BlockNumber) -> Result<(), Failure> {
    if written == 0 {
        return Err(Failure::Refused(StoreError::ChainConflict { block }));
    }
    Ok(())
}

/// Adds, replaces or removes a task.
pub(super) fn write_task(connection: &Connection, change: &TaskChange) -> Result<(), Failure> {
    let key = |channel: &ChannelId| (Bytes(channel.sender), Bytes(channel.receiver), channel.open_block);
    match change {
        TaskChange::Put(task) => {
            let (sender, receiver, open_block) = key(&task.channel);
            connection
                .prepare_cached(
                    "INSERT INTO tasks \
                     (sender, receiver, open_block, kind, transaction_hash, not_before, checksum) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, row_checksum(?1, ?2, ?3, ?4, ?5, ?6)) \
                     ON CONFLICT (sender, receiver, open_block, kind) \
                     DO UPDATE SET transaction_hash = ?5, not_before = min(not_before, ?6), \
                     checksum = row_checksum(?1, ?2, ?3, ?4, ?5, min(not_before, ?6))",
                )?
                .execute(params![
                    sender,
                    receiver,
                    open_block,
                    task.kind.name(),
                    task.transaction.map(Bytes),
                    task.not_before.0
                ])?;
        }
        TaskChange::Remove { channel, kind } => {
            let (sender, receiver, open_block) = key(channel);
            connection
                .prepare_cached(
                    "DELETE FROM tasks \
                     WHERE sender = ?1 AND receiver = ?2 AND open_block = ?3 AND kind = ?4",
                )?
                .execute(params![sender, receiver, open_block, kind.name()])?;
        }
    }
    Ok(())
}

/// Adds, replaces or removes a halt.
pub(super) fn write_halt(connection: &Connection, change: &HaltChange) -> rusqlite::Result<()> {
    match change {
        HaltChange::Set(Halt { kind, block }) => connection
            .prepare_cached(
                "INSERT INTO halts (kind, block, checksum) VALUES (?1, ?2, row_checksum(?1, ?2)) \
                 ON CONFLICT (kind) DO UPDATE SET (block, checksum) = (excluded.block, excluded.checksum)",
            )?
            .execute(params![kind.name(), block.map(|block| block.0)])?,
        HaltChange::Lift(kind) => connection
            .prepare_cached("DELETE FROM halts WHERE kind = ?1")?
            .execute([kind.name()])?,
    };
    Ok(())
}

/// Reads the kept blocks in increasing order.
pub(super) fn load_blocks(connection: &Connection) -> Result<Vec<BlockRef>, StoreError> {
    load(connection, "blocks", SELECT_BLOCKS, |row| {
        Ok(BlockRef {
            number: BlockNumber(row.get("number")?),
            hash: row.get::<_, Bytes<_>>("hash")?.0,
        })
    })
}

/// Reads all events in the order of the chain.
pub(super) fn load_events(connection: &Connection) -> Result<Vec<ChannelEvent>, StoreError> {
    load(connection, "events", SELECT_EVENTS, |row| {
        Ok(ChannelEvent {
            channel: read_channel(row)?,
            block: BlockNumber(row.get("block")?),
            log_index: row.get("log_index")?,
            change: read_change(row)?,
        })
    })
}

fn read_change(row: &Row<'_>) -> rusqlite::Result<ChannelChange> {
    let amount: Digits<_> = row.get("amount")?;
    let receiver_tokens: Option<Digits<_>> = row.get("receiver_tokens")?;
    let receiver_tokens = receiver_tokens.map(|tokens| tokens.0);
    let kind = row.get_ref("kind")?.as_str()?;
    Ok(parts::change(kind, amount.0, receiver_tokens).map_err(FromSqlError::other)?)
}

/// Reads all tasks.
pub(super) fn load_tasks(connection: &Connection) -> Result<Vec<Task>, StoreError> {
    load(connection, "tasks", SELECT_TASKS, |row| {
        let transaction: Option<Bytes<_>> = row.get("transaction_hash")?;
        Ok(Task {
            channel: read_channel(row)?,
            kind: TaskKind::of_name(row.get_ref("kind")?.as_str()?).map_err(FromSqlError::other)?,
            transaction: transaction.map(|hash| hash.0),
            not_before: BlockNumber(row.get("not_before")?),
        })
    })
}

/// Reads all halts.
pub(super) fn load_halts(connection: &Connection) -> Result<Vec<Halt>, StoreError> {
    load(connection, "halts", SELECT_HALTS, |row| {
        Ok(Halt {
            kind: HaltKind::of_name(row.get_ref("kind")?.as_str()?).map_err(FromSqlError::other)?,
            block: row.get::<_, Option<u64>>("block")?.map(BlockNumber),
        })
    })
}

fn load<T>(
    connection: &Connection,
    table: &'static str,
    query: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let read = |row: &Row<'_>| checksum::check(row).and_then(|()| read(row));
    let rows = || -> rusqlite::Result<_> { connection.prepare(query)?.query_map([], read)?.collect() };
    rows().map_err(|error| StoreError::from_sqlite(table, error))
}
