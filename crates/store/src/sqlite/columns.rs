//! How values of the protocol are written into a column, and read back.

use microraiden_protocol::ledger::StoredProof;
use microraiden_protocol::{ChannelId, Signature};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};
use std::error::Error;
use std::fmt;
use std::str::FromStr;

fn parse<T: FromStr<Err: Error + Send + Sync + 'static>>(text: &str) -> FromSqlResult<T> {
    text.parse().map_err(FromSqlError::other)
}

/// As many as the largest amount has digits.
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000";

/// An amount as 58 digits: exact, and in order when compared as text.
pub(super) struct Digits<T>(pub(super) T);

impl<T: fmt::Display> ToSql for Digits<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let digits = self.0.to_string();
        let zeros = ZEROS.get(digits.len()..).unwrap_or_default();
        Ok([zeros, &digits].concat().into())
    }
}

impl<T: FromStr<Err: Error + Send + Sync + 'static>> FromSql for Digits<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        parse(value.as_str()?).map(Self)
    }
}

/// A value as it prints itself.
pub(super) struct Printed<T>(pub(super) T);

impl<T: fmt::Display> ToSql for Printed<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_string().into())
    }
}

impl<T: FromStr<Err: Error + Send + Sync + 'static>> FromSql for Printed<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        parse(value.as_str()?).map(Self)
    }
}

/// A list, one entry per line.
pub(super) struct Lines<T>(pub(super) Vec<T>);

impl<T: fmt::Display> ToSql for Lines<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let lines: Vec<String> = self.0.iter().map(T::to_string).collect();
        Ok(lines.join("\n").into())
    }
}

impl<T: FromStr<Err: Error + Send + Sync + 'static>> FromSql for Lines<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let lines = value.as_str()?.lines();
        let mut entries = lines.map(parse).collect::<FromSqlResult<Vec<_>>>()?;
        // Accounts stay in memory, and most have one entry.
        entries.shrink_to_fit();
        Ok(Self(entries))
    }
}

/// A proof as `balance:0xsignature`.
pub(super) struct ProofLine(pub(super) StoredProof);

/// Why a line is not a proof.
#[derive(Debug, thiserror::Error)]
#[error("a proof is written as balance:0xsignature")]
pub(super) struct ParseProofError;

impl fmt::Display for ProofLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.balance, self.0.signature)
    }
}

impl FromStr for ProofLine {
    type Err = ParseProofError;

    fn from_str(line: &str) -> Result<Self, ParseProofError> {
        let (balance, signature) = line.split_once(':').ok_or(ParseProofError)?;
        Ok(Self(StoredProof {
            balance: balance.parse().map_err(|_| ParseProofError)?,
            signature: signature.parse::<Signature>().map_err(|_| ParseProofError)?,
        }))
    }
}

/// An address or a hash.
pub(super) struct Bytes<T>(pub(super) T);

impl<T: AsRef<[u8]>> ToSql for Bytes<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_ref().into())
    }
}

impl<T: for<'a> TryFrom<&'a [u8], Error: Error + Send + Sync + 'static>> FromSql for Bytes<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        T::try_from(value.as_blob()?)
            .map(Self)
            .map_err(FromSqlError::other)
    }
}

/// Reads the columns that name a channel.
pub(super) fn read_channel(row: &Row<'_>) -> rusqlite::Result<ChannelId> {
    Ok(ChannelId {
        sender: row.get::<_, Bytes<_>>("sender")?.0,
        receiver: row.get::<_, Bytes<_>>("receiver")?.0,
        open_block: row.get("open_block")?,
    })
}
