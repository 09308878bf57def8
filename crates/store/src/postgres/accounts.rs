//! The table of accounts.

use super::columns::{
    Bytes, Column, Counter, Digits, SignatureBytes, channel_columns, optional, read_channel,
};
use crate::error::StoreError;
use crate::parts::{self, PhaseColumns, ProofLine, check_spent, parse_lines, print_lines};
use crate::runs::Change;
use microraiden_protocol::ledger::{Account, AccountRow, Promise, Version, Writer};
use microraiden_protocol::{Balance, ChainFacts, ChannelId, Phase};
use std::collections::HashSet;
use std::error::Error;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, GenericClient, Row, Statement};

type BoxError = Box<dyn Error + Send + Sync>;

const CHANNEL: [&str; 3] = ["sender", "receiver", "open_block"];
const BEFORE: [&str; 3] = ["before_version", "before_instance", "before_sequence"];

/// The columns that most payments change, in the order of [`line_columns`].
const LINE: [&str; 8] = [
    "balance",
    "spent",
    "unspent",
    "proofs",
    "spends",
    "version",
    "writer_instance",
    "writer_sequence",
];

/// The others, in the order of [`rest_columns`].
const REST: [&str; 14] = [
    "refund",
    "closing_at",
    "closing_signature",
    "dispute_at",
    "sent_withdrawals",
    "phase",
    "requested_at",
    "settle_block",
    "closing_balance",
    "settled_at",
    "deposit",
    "unconfirmed_deposit",
    "lower_deposits",
    "withdrawals",
];

/// Writes what is still at the version that it was decided on; gives the places of those, from 1.
fn update(columns: &[&str]) -> String {
    let given = [&CHANNEL[..], &BEFORE, columns].concat();
    let new_columns: Vec<_> = columns.iter().map(|column| format!("new.{column}")).collect();
    format!(
        "UPDATE accounts SET ({columns}, changed) = ({new_columns}, pg_current_xact_id()) \
         FROM unnest({parameters}) WITH ORDINALITY AS new ({given}, place) \
         WHERE accounts.sender = new.sender AND accounts.receiver = new.receiver \
         AND accounts.open_block = new.open_block AND accounts.version = new.before_version \
         AND accounts.writer_instance = new.before_instance \
         AND accounts.writer_sequence = new.before_sequence \
         RETURNING new.place",
        columns = columns.join(", "),
        new_columns = new_columns.join(", "),
        parameters = parameters(given.len()),
        given = given.join(", "),
    )
}

fn parameters(count: usize) -> String {
    let numbers: Vec<_> = (1..=count).map(|number| format!("${number}")).collect();
    numbers.join(", ")
}

static UPDATE_LINE: LazyLock<String> = LazyLock::new(|| update(&LINE));
static UPDATE_ROW: LazyLock<String> = LazyLock::new(|| update(&[&LINE[..], &REST].concat()));

/// Adds accounts; gives the channels of those that were not there.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let columns = [&CHANNEL[..], &LINE, &REST].concat();
    format!(
        "INSERT INTO accounts ({columns}) SELECT * FROM unnest({parameters}) \
         ON CONFLICT DO NOTHING RETURNING sender, receiver, open_block",
        columns = columns.join(", "),
        parameters = parameters(columns.len()),
    )
});

/// With 0, all.
pub(super) const SELECT_CHANGED: &str = "SELECT * FROM accounts WHERE changed >= $1";

/// In the order of their names, as everybody locks them.
const LOCK: &str = "
    SELECT * FROM accounts WHERE (sender, receiver, open_block) IN (SELECT * FROM unnest($1, $2, $3))
    ORDER BY sender, receiver, open_block FOR UPDATE";

/// The statements that update accounts, prepared on one connection.
pub(super) struct Updates {
    line: Statement,
    row: Statement,
}

impl Updates {
    pub(super) async fn prepare(client: &Client) -> Result<Self, tokio_postgres::Error> {
        let nothing: [&Change<'_>; 0] = [];
        let kinds = |line_only| Column::kinds(&update_columns(&nothing, line_only));
        let (line_kinds, row_kinds) = (kinds(true), kinds(false));
        let (line, row) = tokio::try_join!(
            biased;
            client.prepare_typed(&UPDATE_LINE, &line_kinds),
            client.prepare_typed(&UPDATE_ROW, &row_kinds),
        )?;
        Ok(Self { line, row })
    }

    /// Writes changes of accounts that exist, all of one kind and no account twice, in one statement. Gives
    /// the places of those that were where they were decided.
    pub(super) async fn write(
        &self,
        client: &Client,
        changes: &[&Change<'_>],
        line_only: bool,
    ) -> Result<HashSet<usize>, tokio_postgres::Error> {
        if changes.is_empty() {
            return Ok(HashSet::new());
        }
        let statement = if line_only { &self.line } else { &self.row };
        let columns = update_columns(changes, line_only);
        places(client.query(statement, &Column::values(&columns)).await?)
    }
}

/// As [`Updates::write`], without having it prepared.
pub(super) async fn write_updates(
    client: &impl GenericClient,
    changes: &[&Change<'_>],
    line_only: bool,
) -> Result<HashSet<usize>, tokio_postgres::Error> {
    if changes.is_empty() {
        return Ok(HashSet::new());
    }
    let statement = if line_only { &*UPDATE_LINE } else { &*UPDATE_ROW };
    let columns = update_columns(changes, line_only);
    places(client.query_typed(statement, &Column::typed(&columns)).await?)
}

fn places(rows: Vec<Row>) -> Result<HashSet<usize>, tokio_postgres::Error> {
    let place = |row: Row| Ok(usize::try_from(row.try_get::<_, i64>(0)? - 1).unwrap_or(usize::MAX));
    rows.into_iter().map(place).collect()
}

/// Adds accounts; gives the channels of those that were not there.
pub(super) async fn insert(
    client: &impl GenericClient,
    rows: &[&AccountRow],
) -> Result<HashSet<ChannelId>, tokio_postgres::Error> {
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    let mut columns = channel_columns(rows, |row| &row.channel);
    columns.extend(line_columns(rows));
    columns.extend(rest_columns(rows));
    let added = client.query_typed(&INSERT, &Column::typed(&columns)).await?;
    added.iter().map(read_channel).collect()
}

/// Reads accounts, and keeps others from changing them until the transaction ends.
pub(super) async fn lock(
    client: &impl GenericClient,
    channels: &[ChannelId],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let columns = channel_columns(channels, |channel| channel);
    client.query_typed(LOCK, &Column::typed(&columns)).await
}

fn update_columns(changes: &[&Change<'_>], line_only: bool) -> Vec<Column> {
    let rows: Vec<&AccountRow> = changes.iter().map(|change| change.after).collect();
    let mut columns = channel_columns(&rows, |row| &row.channel);
    columns.extend([
        Column::of(changes, Type::INT8_ARRAY, |change| {
            change.before.map(|version| Counter(version.number))
        }),
        Column::of(changes, Type::INT8_ARRAY, |change| {
            change.before.map(|version| version.writer.instance.cast_signed())
        }),
        Column::of(changes, Type::INT8_ARRAY, |change| {
            change.before.map(|version| Counter(version.writer.sequence))
        }),
    ]);
    columns.extend(line_columns(&rows));
    if !line_only {
        columns.extend(rest_columns(&rows));
    }
    columns
}

fn line_columns(rows: &[&AccountRow]) -> [Column; LINE.len()] {
    [
        Column::of(rows, Type::NUMERIC_ARRAY, |row| Digits(row.balance)),
        Column::of(rows, Type::NUMERIC_ARRAY, |row| row.spent().map(Digits)),
        Column::of(rows, Type::TEXT_ARRAY, |row| row.unspent.to_string()),
        Column::of(rows, Type::TEXT_ARRAY, |row| {
            print_lines(row.proofs.iter().copied().map(ProofLine))
        }),
        Column::of(rows, Type::INT8_ARRAY, |row| Counter(row.spends)),
        Column::of(rows, Type::INT8_ARRAY, |row| Counter(row.version.number)),
        Column::of(rows, Type::INT8_ARRAY, |row| {
            row.version.writer.instance.cast_signed()
        }),
        Column::of(rows, Type::INT8_ARRAY, |row| Counter(row.version.writer.sequence)),
    ]
}

fn rest_columns(rows: &[&AccountRow]) -> [Column; REST.len()] {
    let promises: Vec<_> = rows.iter().map(|row| row.promise.as_ref()).collect();
    let closings: Vec<_> = promises
        .iter()
        .map(|promise| promise.and_then(Promise::closing))
        .collect();
    let phases: Vec<_> = rows
        .iter()
        .map(|row| PhaseColumns::from(row.facts.phase))
        .collect();
    [
        Column::of(rows, Type::NUMERIC_ARRAY, |row| Digits(row.refund)),
        Column::of(&closings, Type::NUMERIC_ARRAY, |closing| {
            closing.map(|closing| Digits(closing.at))
        }),
        Column::of(&closings, Type::BYTEA_ARRAY, |closing| {
            let signature = closing.and_then(|closing| closing.sender_signature);
            signature.map(|signature| Bytes(signature.to_bytes()))
        }),
        Column::of(&promises, Type::NUMERIC_ARRAY, |promise| {
            promise.and_then(Promise::dispute).map(Digits)
        }),
        Column::of(rows, Type::TEXT_ARRAY, |row| print_lines(&row.sent_withdrawals)),
        Column::of(&phases, Type::TEXT_ARRAY, |phase| phase.phase),
        Column::of(&phases, Type::INT8_ARRAY, |phase| phase.requested_at.map(Counter)),
        Column::of(&phases, Type::INT8_ARRAY, |phase| phase.settle_block.map(Counter)),
        Column::of(&phases, Type::NUMERIC_ARRAY, |phase| {
            phase.closing_balance.map(Digits)
        }),
        Column::of(&phases, Type::INT8_ARRAY, |phase| phase.settled_at.map(Counter)),
        Column::of(rows, Type::NUMERIC_ARRAY, |row| Digits(row.facts.deposit)),
        Column::of(rows, Type::NUMERIC_ARRAY, |row| {
            Digits(row.facts.unconfirmed_deposit)
        }),
        Column::of(rows, Type::TEXT_ARRAY, |row| {
            print_lines(&row.facts.lower_deposits)
        }),
        Column::of(rows, Type::TEXT_ARRAY, |row| print_lines(&row.facts.withdrawals)),
    ]
}

/// Reads an account and checks it.
pub(super) fn read(row: &Row) -> Result<Account, StoreError> {
    let (row, spent) = read_row(row).map_err(|error| StoreError::Damaged {
        table: "accounts",
        cause: Arc::from(error),
    })?;
    let account = Account::from_row(row)?;
    check_spent(account.row(), spent)?;
    Ok(account)
}

fn read_row(row: &Row) -> Result<(AccountRow, Balance), BoxError> {
    let spent: Digits<Balance> = row.try_get("spent")?;
    let proofs: Vec<ProofLine> = lines(row, "proofs")?;
    let account = AccountRow {
        channel: read_channel(row)?,
        balance: row.try_get::<_, Digits<_>>("balance")?.0,
        proofs: proofs.into_iter().map(|line| line.0).collect(),
        unspent: row.try_get::<_, &str>("unspent")?.parse()?,
        refund: row.try_get::<_, Digits<_>>("refund")?.0,
        spends: row.try_get::<_, Counter>("spends")?.0,
        promise: parts::promise(
            optional(row, "closing_at", |Digits(at)| at)?,
            optional(row, "closing_signature", |SignatureBytes(signature)| signature)?,
            optional(row, "dispute_at", |Digits(at)| at)?,
        ),
        sent_withdrawals: lines(row, "sent_withdrawals")?,
        facts: read_facts(row)?,
        version: Version {
            number: row.try_get::<_, Counter>("version")?.0,
            writer: Writer {
                instance: row.try_get::<_, i64>("writer_instance")?.cast_unsigned(),
                sequence: row.try_get::<_, Counter>("writer_sequence")?.0,
            },
        },
    };
    Ok((account, spent.0))
}

fn read_facts(row: &Row) -> Result<ChainFacts, BoxError> {
    let phase = PhaseColumns {
        phase: row.try_get("phase")?,
        requested_at: optional(row, "requested_at", |Counter(block)| block)?,
        settle_block: optional(row, "settle_block", |Counter(block)| block)?,
        closing_balance: optional(row, "closing_balance", |Digits(balance)| balance)?,
        settled_at: optional(row, "settled_at", |Counter(block)| block)?,
    };
    Ok(ChainFacts {
        phase: Phase::try_from(phase)?,
        deposit: row.try_get::<_, Digits<_>>("deposit")?.0,
        unconfirmed_deposit: row.try_get::<_, Digits<_>>("unconfirmed_deposit")?.0,
        lower_deposits: lines(row, "lower_deposits")?,
        withdrawals: lines(row, "withdrawals")?,
    })
}

fn lines<T: FromStr<Err: Error + Send + Sync + 'static>>(
    row: &Row,
    column: &str,
) -> Result<Vec<T>, BoxError> {
    Ok(parse_lines(row.try_get(column)?)?)
}
