//! Checksums of rows, which find the damage that a database cannot know of: a digit that became
//! another digit.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{FromSqlError, ValueRef};

/// What tells a state file from all others, drawn when it is made.
///
/// Every checksum begins with it, so that rows of another file do not pass as rows of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(pub(super) i64);

/// Most rows have fewer.
const USUAL_BYTES: usize = 1024;

/// Defines the SQL function `row_checksum`, which sums up its arguments in their order.
pub(super) fn define(connection: &Connection, file: FileId) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("row_checksum", -1, flags, move |values| {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        bytes.extend_from_slice(&file.0.to_le_bytes());
        for at in 0..values.len() {
            add(&mut bytes, values.get_raw(at));
        }
        // One call: many short ones take longer.
        Ok(crc32fast::hash(&bytes))
    })
}

/// Type and length go in too: values that differ only in where one ends are not the same.
fn add(bytes: &mut Vec<u8>, value: ValueRef<'_>) {
    let (kind, value): (u8, &[u8]) = match value {
        ValueRef::Null => (0, &[]),
        ValueRef::Integer(number) => (1, &number.to_le_bytes()),
        ValueRef::Real(number) => (2, &number.to_le_bytes()),
        ValueRef::Text(text) => (3, text),
        ValueRef::Blob(blob) => (4, blob),
    };
    bytes.push(kind);
    bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    bytes.extend_from_slice(value);
}

/// A row is not what was written.
#[derive(Debug, thiserror::Error)]
#[error("the checksum of a row is wrong")]
struct WrongChecksum;

/// Fails unless a row's checksum, which the query has compared, is right.
pub(super) fn check(row: &rusqlite::Row<'_>) -> rusqlite::Result<()> {
    match row.get("is_whole")? {
        true => Ok(()),
        false => Err(FromSqlError::other(WrongChecksum).into()),
    }
}
