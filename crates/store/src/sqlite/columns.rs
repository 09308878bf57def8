//! How values of the protocol are written into a column, and read back.

use crate::parts::{parse_lines, print_lines};
use microraiden_protocol::ChannelId;
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
        Ok(print_lines(&self.0).into())
    }
}

impl<T: FromStr<Err: Error + Send + Sync + 'static>> FromSql for Lines<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        parse_lines(value.as_str()?)
            .map(Self)
            .map_err(FromSqlError::other)
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
