//! A batch in a transaction.

use super::columns::Counter;
use super::error::{Fault, FaultKind};
use super::session::{ROUND_TRIP, Session, server};
use super::{accounts, chain};
use crate::error::StoreError;
use crate::runs::Change;
use crate::store::Batch;
use microraiden_protocol::ledger::{AccountRow, Transition};
use microraiden_protocol::{BlockNumber, ChainUpdate, ChannelId};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time;
use tokio_postgres::types::Type;

/// How often a transaction is repeated that others were in the way of.
const REPETITIONS: u32 = 10;

/// Keeps others from taking the lead over until the transaction ends; the leader can renew it meanwhile.
const STILL_LEADING: &str = concat!(
    "SELECT 1 FROM lease WHERE fence = $1 AND holder = $2 AND expires > clock_timestamp() AND ",
    server!(),
    " = $3 FOR KEY SHARE"
);

pub(super) const RAISE_GENERATION: &str = "UPDATE generation SET number = number + 1";

const TELL: &str = "SELECT pg_notify('microraiden', '')";

/// Why a batch was not written.
pub(super) enum NotWritten {
    /// It does not fit what is stored.
    Refused(StoreError),
    /// A statement failed.
    Failed(Fault),
}

impl From<Fault> for NotWritten {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

impl From<StoreError> for NotWritten {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

/// What the one who leads is known by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lead {
    pub(super) holder: i64,
    pub(super) fence: u64,
    /// Which server has said so; what another one has may be less.
    pub(super) server: i64,
}

/// Writes a batch in a transaction of its own. Where this fails and spares the session, it is clean.
pub(super) async fn write_alone(
    session: &Session,
    batch: &Batch,
    lead: Option<Lead>,
) -> Result<(), NotWritten> {
    repeat(|| async {
        session.begin().await.map_err(not_committed)?;
        finish(session, batch, lead).await
    })
    .await
}

/// Writes a batch in the transaction that has begun, and commits it. Where this fails and spares the session,
/// it is clean.
pub(super) async fn finish(session: &Session, batch: &Batch, lead: Option<Lead>) -> Result<(), NotWritten> {
    match write(session, batch, lead).await {
        Ok(()) if *batch == Batch::default() => Ok(session.commit().await.map_err(not_committed)?),
        Ok(()) => Ok(session.commit().await?),
        Err(NotWritten::Failed(fault)) if !fault.spares_session() => Err(not_committed(fault).into()),
        Err(failed) => {
            session.roll_back().await.map_err(not_committed)?;
            Err(failed)
        }
    }
}

/// Nothing is stored of a transaction whose commit was not asked for.
fn not_committed(fault: Fault) -> Fault {
    match fault.kind {
        FaultKind::Lost => Fault {
            kind: FaultKind::Unfit,
            ..fault
        },
        _ => fault,
    }
}

/// Does it again, after a moment, while others are in the way.
pub(super) async fn repeat<T, E: Into<NotWritten>, F: Future<Output = Result<T, E>>>(
    transaction: impl Fn() -> F,
) -> Result<T, NotWritten> {
    let mut count = 0;
    loop {
        match transaction().await.map_err(Into::into) {
            Err(NotWritten::Failed(fault)) if fault.kind == FaultKind::Repeat && count < REPETITIONS => {
                count += 1;
                let moment = fastrand::u64(..1000 * u64::from(count));
                time::sleep(Duration::from_micros(moment)).await;
            }
            done => return done,
        }
    }
}

async fn write(session: &Session, batch: &Batch, lead: Option<Lead>) -> Result<(), NotWritten> {
    let Batch {
        transitions,
        chain,
        tasks,
        halts,
    } = batch;
    if chain.is_some() {
        check_lead(session, lead).await?;
    }
    write_transitions(session, transitions).await?;
    if let Some(update) = chain {
        write_chain(session, update).await?;
    }
    let client = &session.client;
    session
        .within(ROUND_TRIP, chain::write_tasks(client, tasks))
        .await?;
    session
        .within(ROUND_TRIP, chain::write_halts(client, halts))
        .await?;
    let concerns_all = !tasks.is_empty() || !halts.is_empty();
    if concerns_all {
        session
            .within(ROUND_TRIP, client.execute_typed(RAISE_GENERATION, &[]))
            .await?;
    }
    // Not for each payment: with a notification, commits wait for each other.
    if concerns_all || chain.is_some() {
        session.within(ROUND_TRIP, client.query_typed(TELL, &[])).await?;
    }
    Ok(())
}

async fn check_lead(session: &Session, lead: Option<Lead>) -> Result<(), NotWritten> {
    let Some(Lead {
        holder,
        fence,
        server,
    }) = lead
    else {
        return Err(StoreError::NotLeading.into());
    };
    let fence = Counter(fence);
    let parameters = [
        (&fence as _, Type::INT8),
        (&holder as _, Type::INT8),
        (&server as _, Type::INT8),
    ];
    let asked = session.client.query_typed_opt(STILL_LEADING, &parameters);
    match session.within(ROUND_TRIP, asked).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::NotLeading.into()),
    }
}

async fn write_transitions(session: &Session, transitions: &[Transition]) -> Result<(), NotWritten> {
    // In the order of their names, as everybody locks accounts.
    let mut changes = BTreeMap::<ChannelId, Change<'_>>::new();
    for transition in transitions {
        let channel = *transition.after().channel();
        let change = changes.get_mut(&channel);
        if change.is_none() {
            changes.insert(channel, Change::of(transition));
        } else if !change.is_some_and(|change| change.extend(transition)) {
            return Err(StoreError::Conflict { channel }.into());
        }
    }
    let (new, known): (Vec<_>, Vec<_>) = changes.into_values().partition(|change| change.before.is_none());
    let new: Vec<&AccountRow> = new.iter().map(|change| change.after).collect();
    let client = &session.client;
    let added = session.within(ROUND_TRIP, accounts::insert(client, &new)).await?;
    if let Some(row) = new.iter().find(|row| !added.contains(&row.channel)) {
        let channel = row.channel;
        return Err(StoreError::Conflict { channel }.into());
    }
    let (line, rows): (Vec<_>, Vec<_>) = known.iter().partition(|change| change.line_only);
    for (changes, line_only) in [(line, true), (rows, false)] {
        let writing = accounts::write_updates(client, &changes, line_only);
        let written = session.within(ROUND_TRIP, writing).await?;
        if let Some(at) = (0..changes.len()).find(|at| !written.contains(at)) {
            let channel = changes[at].after.channel;
            return Err(StoreError::Conflict { channel }.into());
        }
    }
    Ok(())
}

async fn write_chain(session: &Session, update: &ChainUpdate) -> Result<(), NotWritten> {
    let client = &session.client;
    session
        .within(ROUND_TRIP, chain::rewind(client, update.rewind_to))
        .await?;
    let stored_otherwise = |found: Option<BlockNumber>| match found {
        Some(block) => Err(StoreError::ChainConflict { block }),
        None => Ok(()),
    };
    let blocks = chain::write_blocks(client, &update.blocks);
    stored_otherwise(session.within(ROUND_TRIP, blocks).await?)?;
    let events = chain::write_events(client, &update.events);
    stored_otherwise(session.within(ROUND_TRIP, events).await?)?;
    session
        .within(ROUND_TRIP, chain::forget_old_blocks(client))
        .await?;
    Ok(())
}
