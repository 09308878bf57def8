//! The table of accounts.

use super::Failure;
use super::columns::{Bytes, Digits, Lines, Printed, read_channel};
use crate::error::StoreError;
use crate::parts::{self, PhaseColumns, ProofLine, check_spent};
use crate::runs::Change;
use microraiden_protocol::ledger::{Account, AccountRow, CorruptRow, Promise, Transition, Version, Writer};
use microraiden_protocol::{Balance, ChainFacts, ChannelId, Phase};
use rusqlite::types::FromSqlError;
use rusqlite::{Connection, Row, Statement, ToSql};

/// Every column but the three that name the channel, in the order in which [`bind_row`] binds them,
/// and the checksums.
///
/// [`bind_row`]: Parameters::bind_row
macro_rules! state_columns {
    () => {
        "balance, spent, refund, unspent, proofs, spends, \
         closing_at, closing_signature, dispute_at, sent_withdrawals, \
         phase, requested_at, settle_block, closing_balance, settled_at, \
         deposit, unconfirmed_deposit, lower_deposits, withdrawals, \
         version, writer_instance, writer_sequence, line_checksum, rest_checksum"
    };
}

macro_rules! state_parameters {
    () => {
        "?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, \
         row_checksum(?1, ?2, ?3, ?4, ?5, ?7, ?8, ?9, ?23, ?24, ?25), \
         row_checksum(?1, ?2, ?3, ?6, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)"
    };
}

/// What the checksums must be: one of what most payments change, and one of the rest.
macro_rules! checksums {
    () => {
        "row_checksum(sender, receiver, open_block, balance, spent, unspent, proofs, spends, \
                      version, writer_instance, writer_sequence), \
         row_checksum(sender, receiver, open_block, refund, closing_at, closing_signature, dispute_at, \
                      sent_withdrawals, phase, requested_at, settle_block, closing_balance, settled_at, \
                      deposit, unconfirmed_deposit, lower_deposits, withdrawals)"
    };
}

const INSERT: &str = concat!(
    "INSERT INTO accounts (sender, receiver, open_block, ",
    state_columns!(),
    ") VALUES (?1, ?2, ?3, ",
    state_parameters!(),
    ") ON CONFLICT DO NOTHING"
);

const UPDATE: &str = concat!(
    "UPDATE accounts SET (",
    state_columns!(),
    ") = (",
    state_parameters!(),
    ") WHERE sender = ?1 AND receiver = ?2 AND open_block = ?3 \
     AND version = ?26 AND writer_instance = ?27 AND writer_sequence = ?28"
);

/// The columns that most payments change, and no others.
const UPDATE_LINE: &str = "UPDATE accounts SET \
     (balance, spent, unspent, proofs, spends, version, writer_instance, writer_sequence, line_checksum) = \
     (?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, row_checksum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)) \
     WHERE sender = ?1 AND receiver = ?2 AND open_block = ?3 \
     AND version = ?12 AND writer_instance = ?13 AND writer_sequence = ?14";

const SELECT: &str = concat!(
    "SELECT *, (line_checksum, rest_checksum) = (",
    checksums!(),
    ") AS is_whole FROM accounts"
);

/// Writes all checksums anew.
pub(super) const SUM_UP: &str = concat!(
    "UPDATE accounts SET (line_checksum, rest_checksum) = (",
    checksums!(),
    ")"
);

/// Writes a change, if the account is where its first transition was decided; says whether it was.
pub(super) fn write_change(connection: &Connection, change: &Change<'_>) -> rusqlite::Result<bool> {
    let sql = match (change.before, change.line_only) {
        (None, _) => INSERT,
        (Some(_), true) => UPDATE_LINE,
        (Some(_), false) => UPDATE,
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut parameters = Parameters {
        statement: &mut statement,
        last: 0,
    };
    if change.line_only {
        parameters.bind_line(change.after)?;
    } else {
        parameters.bind_row(change.after)?;
    }
    if let Some(before) = change.before {
        parameters.bind_version(before)?;
    }
    Ok(statement.raw_execute()? > 0)
}

/// Writes the state that a transition leads to, if the account is where it was decided.
pub(super) fn write(connection: &Connection, transition: &Transition) -> Result<(), Failure> {
    if write_change(connection, &Change::of(transition))? {
        return Ok(());
    }
    let channel = *transition.after().channel();
    Err(Failure::Refused(StoreError::Conflict { channel }))
}

/// Binds one parameter after the other.
struct Parameters<'s, 'c> {
    statement: &'s mut Statement<'c>,
    last: usize,
}

impl Parameters<'_, '_> {
    fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.last += 1;
        self.statement.raw_bind_parameter(self.last, value)
    }

    fn bind_channel(&mut self, channel: &ChannelId) -> rusqlite::Result<()> {
        self.bind(Bytes(channel.sender))?;
        self.bind(Bytes(channel.receiver))?;
        self.bind(channel.open_block)
    }

    fn bind_line(&mut self, row: &AccountRow) -> rusqlite::Result<()> {
        self.bind_channel(&row.channel)?;
        self.bind(Digits(row.balance))?;
        self.bind(row.spent().map(Digits))?;
        self.bind(Printed(&row.unspent))?;
        self.bind(Lines(row.proofs.iter().copied().map(ProofLine).collect()))?;
        self.bind(row.spends)?;
        self.bind_version(row.version)
    }

    fn bind_row(&mut self, row: &AccountRow) -> rusqlite::Result<()> {
        self.bind_channel(&row.channel)?;

        self.bind(Digits(row.balance))?;
        self.bind(row.spent().map(Digits))?;
        self.bind(Digits(row.refund))?;
        self.bind(Printed(&row.unspent))?;
        self.bind(Lines(row.proofs.iter().copied().map(ProofLine).collect()))?;
        self.bind(row.spends)?;

        let closing = row.promise.as_ref().and_then(Promise::closing);
        self.bind(closing.map(|closing| Digits(closing.at)))?;
        self.bind(closing.and_then(|closing| closing.sender_signature).map(Printed))?;
        self.bind(row.promise.as_ref().and_then(Promise::dispute).map(Digits))?;
        self.bind(Lines(row.sent_withdrawals.clone()))?;

        self.bind_facts(&row.facts)?;
        self.bind_version(row.version)
    }

    fn bind_facts(&mut self, facts: &ChainFacts) -> rusqlite::Result<()> {
        let phase = PhaseColumns::from(facts.phase);
        self.bind(phase.phase)?;
        self.bind(phase.requested_at)?;
        self.bind(phase.settle_block)?;
        self.bind(phase.closing_balance.map(Digits))?;
        self.bind(phase.settled_at)?;
        self.bind(Digits(facts.deposit))?;
        self.bind(Digits(facts.unconfirmed_deposit))?;
        self.bind(Lines(facts.lower_deposits.clone()))?;
        self.bind(Lines(facts.withdrawals.clone()))
    }

    fn bind_version(&mut self, version: Version) -> rusqlite::Result<()> {
        self.bind(version.number)?;
        self.bind(version.writer.instance.cast_signed())?;
        self.bind(version.writer.sequence)
    }
}

/// Reads all accounts and checks each one.
pub(super) fn load(connection: &Connection) -> Result<Vec<Account>, StoreError> {
    let damaged = |error| StoreError::from_sqlite("accounts", error);
    let mut statement = connection.prepare(SELECT).map_err(damaged)?;
    let rows = statement
        .query_map([], |row| {
            let spent: Digits<Balance> = row.get("spent")?;
            Ok((read_row(row)?, spent.0, row.get("is_whole")?))
        })
        .map_err(damaged)?;
    rows.map(|row| {
        let (row, spent, is_whole) = row.map_err(damaged)?;
        let account = Account::from_row(row)?;
        check_spent(account.row(), spent)?;
        if is_whole {
            return Ok(account);
        }
        let channel = *account.channel();
        let reason = "its checksum is wrong";
        Err(CorruptRow { channel, reason }.into())
    })
    .collect()
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<AccountRow> {
    let proofs: Lines<ProofLine> = row.get("proofs")?;
    Ok(AccountRow {
        channel: read_channel(row)?,
        balance: row.get::<_, Digits<_>>("balance")?.0,
        proofs: proofs.0.into_iter().map(|line| line.0).collect(),
        unspent: row.get::<_, Printed<_>>("unspent")?.0,
        refund: row.get::<_, Digits<_>>("refund")?.0,
        spends: row.get("spends")?,
        promise: read_promise(row)?,
        sent_withdrawals: row.get::<_, Lines<_>>("sent_withdrawals")?.0,
        facts: ChainFacts {
            phase: read_phase(row)?,
            deposit: row.get::<_, Digits<_>>("deposit")?.0,
            unconfirmed_deposit: row.get::<_, Digits<_>>("unconfirmed_deposit")?.0,
            lower_deposits: row.get::<_, Lines<_>>("lower_deposits")?.0,
            withdrawals: row.get::<_, Lines<_>>("withdrawals")?.0,
        },
        version: Version {
            number: row.get("version")?,
            writer: Writer {
                instance: row.get::<_, i64>("writer_instance")?.cast_unsigned(),
                sequence: row.get("writer_sequence")?,
            },
        },
    })
}

fn read_promise(row: &Row<'_>) -> rusqlite::Result<Option<Promise>> {
    let closing_at: Option<Digits<_>> = row.get("closing_at")?;
    let sender_signature: Option<Printed<_>> = row.get("closing_signature")?;
    let dispute_at: Option<Digits<_>> = row.get("dispute_at")?;
    Ok(parts::promise(
        closing_at.map(|at| at.0),
        sender_signature.map(|signature| signature.0),
        dispute_at.map(|at| at.0),
    ))
}

fn read_phase(row: &Row<'_>) -> rusqlite::Result<Phase> {
    let columns = PhaseColumns {
        phase: row.get_ref("phase")?.as_str()?,
        requested_at: row.get("requested_at")?,
        settle_block: row.get("settle_block")?,
        closing_balance: row
            .get::<_, Option<Digits<_>>>("closing_balance")?
            .map(|balance| balance.0),
        settled_at: row.get("settled_at")?,
    };
    Ok(Phase::try_from(columns).map_err(FromSqlError::other)?)
}
