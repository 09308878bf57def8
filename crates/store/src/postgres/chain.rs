//! The tables of blocks, events, tasks and halts.

use super::columns::{Bytes, Column, Counter, Digits, channel_columns, optional, read_channel};
use crate::parts::{self, change_columns};
use crate::store::{Halt, HaltChange, HaltKind, KEPT_BLOCKS, Task, TaskChange, TaskKind};
use microraiden_protocol::{BlockNumber, BlockRef, ChannelEvent, ChannelId};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::error::Error;
use tokio_postgres::types::Type;
use tokio_postgres::{Error as PgError, GenericClient, Row};

type BoxError = Box<dyn Error + Send + Sync>;

pub(super) const SELECT_BLOCKS: &str = "SELECT * FROM blocks ORDER BY number";
pub(super) const SELECT_EVENTS: &str = "SELECT * FROM events ORDER BY block, log_index";
pub(super) const SELECT_TASKS: &str = "SELECT * FROM tasks";
pub(super) const SELECT_HALTS: &str = "SELECT * FROM halts";

const INSERT_BLOCKS: &str = "
    INSERT INTO blocks (number, hash) SELECT * FROM unnest($1, $2) ON CONFLICT DO NOTHING";

const OTHER_BLOCK: &str = "
    SELECT number FROM blocks JOIN unnest($1, $2) AS told (number, hash) USING (number)
    WHERE blocks.hash <> told.hash LIMIT 1";

const FORGET_OLD_BLOCKS: &str = "
    DELETE FROM blocks
    WHERE number <= (SELECT number FROM blocks ORDER BY number DESC LIMIT 1 OFFSET $1)";

const INSERT_EVENTS: &str = "
    INSERT INTO events (sender, receiver, open_block, block, log_index, kind, amount, receiver_tokens)
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING block, log_index";

const PUT_TASKS: &str = "
    INSERT INTO tasks (sender, receiver, open_block, kind, transaction_hash, not_before)
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6)
    ON CONFLICT (sender, receiver, open_block, kind)
    DO UPDATE SET transaction_hash = excluded.transaction_hash,
        not_before = least(tasks.not_before, excluded.not_before)";

const REMOVE_TASKS: &str = "
    DELETE FROM tasks WHERE (sender, receiver, open_block, kind) IN (SELECT * FROM unnest($1, $2, $3, $4))";

const SET_HALTS: &str = "
    INSERT INTO halts (kind, block) SELECT * FROM unnest($1, $2)
    ON CONFLICT (kind) DO UPDATE SET block = excluded.block";

const LIFT_HALTS: &str = "DELETE FROM halts WHERE kind = ANY ($1)";

/// Forgets what lies above a block.
pub(super) async fn rewind(client: &impl GenericClient, last: Option<BlockNumber>) -> Result<(), PgError> {
    let Some(last) = last else {
        return Ok(());
    };
    let above = [(&Counter(last.0) as _, Type::INT8)];
    client
        .execute_typed("DELETE FROM events WHERE block > $1", &above)
        .await?;
    client
        .execute_typed("DELETE FROM blocks WHERE number > $1", &above)
        .await?;
    Ok(())
}

/// Adds blocks, of which some may be there; gives one that is there with another hash.
pub(super) async fn write_blocks(
    client: &impl GenericClient,
    blocks: &[BlockRef],
) -> Result<Option<BlockNumber>, PgError> {
    if blocks.is_empty() {
        return Ok(None);
    }
    let columns = [
        Column::of(blocks, Type::INT8_ARRAY, |block| Counter(block.number.0)),
        Column::of(blocks, Type::BYTEA_ARRAY, |block| Bytes(block.hash)),
    ];
    let columns = Column::typed(&columns);
    client.execute_typed(INSERT_BLOCKS, &columns).await?;
    let other = client.query_typed_opt(OTHER_BLOCK, &columns).await?;
    other
        .map(|row| Ok(BlockNumber(row.try_get::<_, Counter>(0)?.0)))
        .transpose()
}

/// Forgets all blocks but the newest.
pub(super) async fn forget_old_blocks(client: &impl GenericClient) -> Result<(), PgError> {
    let kept = Counter(KEPT_BLOCKS as u64);
    client
        .execute_typed(FORGET_OLD_BLOCKS, &[(&kept, Type::INT8)])
        .await?;
    Ok(())
}

/// Adds events; gives the block of one whose place was taken.
pub(super) async fn write_events(
    client: &impl GenericClient,
    events: &[ChannelEvent],
) -> Result<Option<BlockNumber>, PgError> {
    if events.is_empty() {
        return Ok(None);
    }
    let mut columns = channel_columns(events, |event| &event.channel);
    columns.extend([
        Column::of(events, Type::INT8_ARRAY, |event| Counter(event.block.0)),
        Column::of(events, Type::INT8_ARRAY, |event| Counter(event.log_index)),
        Column::of(events, Type::TEXT_ARRAY, |event| change_columns(&event.change).0),
        Column::of(events, Type::NUMERIC_ARRAY, |event| {
            Digits(change_columns(&event.change).1)
        }),
        Column::of(events, Type::NUMERIC_ARRAY, |event| {
            change_columns(&event.change).2.map(Digits)
        }),
    ]);
    let rows = client
        .query_typed(INSERT_EVENTS, &Column::typed(&columns))
        .await?;
    let place = |row: &Row| -> Result<_, PgError> {
        Ok((row.try_get::<_, Counter>(0)?.0, row.try_get::<_, Counter>(1)?.0))
    };
    let mut added = rows.iter().map(place).collect::<Result<HashSet<_>, _>>()?;
    let taken = events
        .iter()
        .find(|event| !added.remove(&(event.block.0, event.log_index)));
    Ok(taken.map(|event| event.block))
}

/// Adds, replaces or removes tasks, as if one after the other.
pub(super) async fn write_tasks(client: &impl GenericClient, changes: &[TaskChange]) -> Result<(), PgError> {
    let mut removed = BTreeSet::<(ChannelId, TaskKind)>::new();
    let mut put = BTreeMap::<(ChannelId, TaskKind), Task>::new();
    for change in changes {
        match *change {
            TaskChange::Put(task) => {
                let key = (task.channel, task.kind);
                put.insert(key, task.over(put.get(&key)));
            }
            TaskChange::Remove { channel, kind } => {
                removed.insert((channel, kind));
                put.remove(&(channel, kind));
            }
        }
    }
    let removed: Vec<_> = removed.into_iter().collect();
    let put: Vec<Task> = put.into_values().collect();
    if !removed.is_empty() {
        let mut columns = channel_columns(&removed, |(channel, _)| channel);
        columns.push(Column::of(&removed, Type::TEXT_ARRAY, |(_, kind)| kind.name()));
        client
            .execute_typed(REMOVE_TASKS, &Column::typed(&columns))
            .await?;
    }
    if !put.is_empty() {
        let mut columns = channel_columns(&put, |task| &task.channel);
        columns.extend([
            Column::of(&put, Type::TEXT_ARRAY, |task| task.kind.name()),
            Column::of(&put, Type::BYTEA_ARRAY, |task| task.transaction.map(Bytes)),
            Column::of(&put, Type::INT8_ARRAY, |task| Counter(task.not_before.0)),
        ]);
        client.execute_typed(PUT_TASKS, &Column::typed(&columns)).await?;
    }
    Ok(())
}

/// Adds, replaces or removes halts, as if one after the other.
pub(super) async fn write_halts(client: &impl GenericClient, changes: &[HaltChange]) -> Result<(), PgError> {
    let last: BTreeMap<HaltKind, Option<Halt>> = changes
        .iter()
        .map(|change| match *change {
            HaltChange::Set(halt) => (halt.kind, Some(halt)),
            HaltChange::Lift(kind) => (kind, None),
        })
        .collect();
    let lifted: Vec<_> = last
        .iter()
        .filter(|(_, halt)| halt.is_none())
        .map(|(kind, _)| *kind)
        .collect();
    let set: Vec<Halt> = last.into_values().flatten().collect();
    if !lifted.is_empty() {
        let kinds = [Column::of(&lifted, Type::TEXT_ARRAY, |kind| kind.name())];
        client.execute_typed(LIFT_HALTS, &Column::typed(&kinds)).await?;
    }
    if !set.is_empty() {
        let columns = [
            Column::of(&set, Type::TEXT_ARRAY, |halt| halt.kind.name()),
            Column::of(&set, Type::INT8_ARRAY, |halt| {
                halt.block.map(|block| Counter(block.0))
            }),
        ];
        client.execute_typed(SET_HALTS, &Column::typed(&columns)).await?;
    }
    Ok(())
}

pub(super) fn read_block(row: &Row) -> Result<BlockRef, BoxError> {
    Ok(BlockRef {
        number: BlockNumber(row.try_get::<_, Counter>("number")?.0),
        hash: row.try_get::<_, Bytes<_>>("hash")?.0,
    })
}

pub(super) fn read_event(row: &Row) -> Result<ChannelEvent, BoxError> {
    let amount: Digits<_> = row.try_get("amount")?;
    let receiver_tokens = optional(row, "receiver_tokens", |Digits(tokens)| tokens)?;
    Ok(ChannelEvent {
        channel: read_channel(row)?,
        block: BlockNumber(row.try_get::<_, Counter>("block")?.0),
        log_index: row.try_get::<_, Counter>("log_index")?.0,
        change: parts::change(row.try_get("kind")?, amount.0, receiver_tokens)?,
    })
}

pub(super) fn read_task(row: &Row) -> Result<Task, BoxError> {
    Ok(Task {
        channel: read_channel(row)?,
        kind: TaskKind::of_name(row.try_get("kind")?)?,
        transaction: optional(row, "transaction_hash", |Bytes(hash)| hash)?,
        not_before: BlockNumber(row.try_get::<_, Counter>("not_before")?.0),
    })
}

pub(super) fn read_halt(row: &Row) -> Result<Halt, BoxError> {
    Ok(Halt {
        kind: HaltKind::of_name(row.try_get("kind")?)?,
        block: optional(row, "block", |Counter(block)| BlockNumber(block))?,
    })
}
