//! Damaged state files are refused, or load as what was stored.

#![allow(clippy::unwrap_used, reason = "a test")]

mod channels;

use channels::state::StateFile;
use channels::wait;
use microraiden_store::{ChannelStore, StoreError};
use rusqlite::types::Value;

/// The tables with something that is lost or wrong when one value becomes another.
const TABLES: [&str; 5] = ["accounts", "blocks", "events", "tasks", "halts"];

/// Another value of the same type, as like it as can be.
fn altered(value: Value) -> Value {
    match value {
        Value::Null => Value::Integer(1),
        Value::Integer(number) => Value::Integer(number ^ 1),
        Value::Text(text) => {
            // A digit, where there is one.
            let (head, last) = text.split_at(text.len().saturating_sub(1));
            Value::Text(head.to_owned() + if last == "1" { "2" } else { "1" })
        }
        Value::Blob(mut bytes) => {
            *bytes.last_mut().unwrap() ^= 1;
            Value::Blob(bytes)
        }
        Value::Real(_) => unreachable!("there are none"),
    }
}

#[test]
fn a_value_that_became_another_is_noticed() {
    let mut count = 0;
    for table in TABLES {
        let file = StateFile::new();
        let columns: Vec<String> = {
            let database = file.sql();
            let statement = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
            statement.column_names().into_iter().map(str::to_owned).collect()
        };
        for column in columns {
            let file = StateFile::new();
            let database = file.sql();
            // Whatever the database notices itself is tested elsewhere.
            database
                .pragma_update(None, "ignore_check_constraints", true)
                .unwrap();
            let stored: Value = database
                .query_one(&format!("SELECT {column} FROM {table}"), [], |row| row.get(0))
                .unwrap();
            let changed = database.execute(
                &format!("UPDATE {table} SET {column} = ?1"),
                [altered(stored.clone())],
            );
            if changed.is_err() {
                // A missing text or blob, which cannot become a number.
                assert_eq!(stored, Value::Null, "{table}.{column}");
                continue;
            }
            drop(database);
            let refused = wait(file.open().unwrap().load());
            assert!(
                matches!(refused, Err(StoreError::Corrupt(_) | StoreError::Damaged { .. })),
                "{table}.{column}: {refused:?}"
            );
            count += 1;
        }
    }
    assert!(count > 35, "{count} values");
}
