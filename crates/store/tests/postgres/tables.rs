//! What the tables hold, and what they refuse.

#![allow(clippy::unwrap_used, reason = "a test")]

use super::{commit, filled, open, raw, server};
use crate::channels::{Channel, batch, open_facts};
use microraiden_protocol::ledger::Promise;
use microraiden_protocol::{Balance, BlockNumber, ChainFacts, Deposit, Phase};
use microraiden_store::{ChannelStore, StoreError};

/// More than 2^192 - 1.
const NINES: &str = "9999999999999999999999999999999999999999999999999999999999";

#[tokio::test]
async fn the_schema_refuses_what_no_ledger_writes() {
    let (database, _) = filled().await;
    let client = raw(&database).await;
    let mut refused: Vec<String> = [
        "version = 0",
        "version = NULL",
        "spends = -1",
        "writer_sequence = -1",
        "sender = '\\x00'",
        "receiver = ''",
        "open_block = 4294967296",
        "open_block = -1",
        "unspent = '1-2 3-4'",
        "proofs = ''",
        "sent_withdrawals = '1,2'",
        "lower_deposits = '-1'",
        "withdrawals = '1 2'",
        "phase = 'closed'",
        "requested_at = 5",
        "settle_block = 5",
        "closing_balance = 5",
        "phase = 'challenged'",
        "phase = 'challenged', requested_at = 5, settle_block = 6",
        "phase = 'challenged', requested_at = 6, settle_block = 5, closing_balance = 5",
        "phase = 'settled'",
        "phase = 'settled', settled_at = -1",
        "settled_at = 5",
        "spent = 51",
        "refund = 36",
        "balance = 14",
        "closing_at = 51",
        "closing_at = 14",
        "dispute_at = 51",
        "dispute_at = 0",
        "closing_signature = decode(repeat('00', 65), 'hex')",
        "closing_at = 20, closing_signature = '\\x00'",
        "balance = 0, spent = 0",
        "changed = NULL",
    ]
    .map(|set| format!("UPDATE accounts SET {set}"))
    .into();
    for column in [
        "balance",
        "spent",
        "refund",
        "deposit",
        "unconfirmed_deposit",
        "closing_at",
        "dispute_at",
    ] {
        for value in ["-1", "'NaN'", "'Infinity'", NINES] {
            refused.push(format!("UPDATE accounts SET {column} = {value}"));
        }
    }
    refused.extend(
        [
            "UPDATE events SET kind = 'settled'",
            "UPDATE events SET kind = 'exploded'",
            "UPDATE events SET amount = -5",
            "UPDATE events SET log_index = -1",
            "UPDATE blocks SET hash = '\\x00'",
            "UPDATE blocks SET number = -1",
            "UPDATE tasks SET kind = 'dance'",
            "UPDATE tasks SET transaction_hash = '\\x00'",
            "UPDATE halts SET kind = 'tired'",
            "INSERT INTO binding SELECT 2, schema_version, chain_id, contract, receiver FROM binding",
            "INSERT INTO accounts SELECT * FROM accounts",
            "INSERT INTO lease (fence, expires) VALUES (99, now())",
            "INSERT INTO generation VALUES (2, 0)",
        ]
        .map(str::to_owned),
    );
    for sql in refused {
        let error = client.execute(&sql, &[]).await.unwrap_err();
        let code = error.code().unwrap().code();
        assert!(code.starts_with("23") || code == "22003", "{sql}: {error:?}");
    }
    // The same statements pass when they make sense.
    let set =
        "phase = 'challenged', closing_balance = 5, requested_at = 5, settle_block = 6, closing_at = 15";
    assert_eq!(
        client
            .execute(&format!("UPDATE accounts SET {set}"), &[])
            .await
            .unwrap(),
        1
    );
    let loaded = open(&database).await.load().await.unwrap();
    assert!(
        matches!(loaded.accounts[0].promise(), Some(Promise::Closing(closing)) if closing.at == 15.into())
    );
}

/// What the schema cannot know is found when the rows are read.
#[tokio::test]
async fn damaged_rows_are_refused() {
    for (sql, is_corrupt) in [
        ("UPDATE accounts SET unspent = '1-15,21-41'", true),
        ("UPDATE accounts SET unspent = ''", true),
        ("UPDATE accounts SET proofs = replace(proofs, '50:', '49:')", true),
        ("UPDATE accounts SET spent = 14", true),
        ("UPDATE accounts SET dispute_at = 7", true),
        ("UPDATE accounts SET unspent = '15-1'", false),
        ("UPDATE accounts SET proofs = 'garbage'", false),
        ("UPDATE accounts SET proofs = '50:0x00'", false),
        (
            "ALTER TABLE accounts ALTER phase DROP NOT NULL; UPDATE accounts SET phase = NULL",
            false,
        ),
        (
            "ALTER TABLE tasks DROP CONSTRAINT tasks_kind_check; UPDATE tasks SET kind = 'dance'",
            false,
        ),
        (
            "ALTER TABLE events DROP CONSTRAINT events_kind_check; UPDATE events SET kind = 'exploded'",
            false,
        ),
        (
            "ALTER TABLE halts DROP CONSTRAINT halts_kind_check; UPDATE halts SET kind = 'tired'",
            false,
        ),
        (
            "ALTER TABLE blocks ALTER hash TYPE bytea; UPDATE blocks SET hash = '\\x00'",
            false,
        ),
    ] {
        let (database, channel) = filled().await;
        server().sql(&database.name, sql);
        match open(&database).await.load().await.unwrap_err() {
            StoreError::Corrupt(row) => assert!(is_corrupt && row.channel == channel.id(), "{sql}"),
            StoreError::Damaged { .. } => assert!(!is_corrupt, "{sql}"),
            refused => panic!("{sql}: {refused}"),
        }
    }
}

/// Amounts have their full width, exactly.
#[tokio::test]
async fn rows_are_readable_by_people() {
    let (database, mut channel) = filled().await;
    let store = open(&database).await;
    let facts = ChainFacts {
        phase: Phase::Challenged {
            requested_at: BlockNumber(6),
            settle_block: BlockNumber(506),
            closing_balance: Balance::MAX,
        },
        withdrawals: vec![1.into(), 3.into()],
        ..open_facts(Deposit::MAX)
    };
    commit(&store, batch([channel.observe(facts)])).await.unwrap();
    let signature = channel.row().proofs[0].signature;
    for (column, text) in [
        ("balance", "50".to_owned()),
        ("spent", "15".to_owned()),
        ("unspent", "1-15,21-40".to_owned()),
        ("proofs", format!("50:{signature}")),
        ("withdrawals", "1\n3".to_owned()),
        ("phase", "challenged".to_owned()),
        ("settle_block", "506".to_owned()),
        ("deposit", Deposit::MAX.to_string()),
        ("closing_balance", Deposit::MAX.to_string()),
        (
            "encode(sender, 'hex')",
            channel
                .id()
                .sender
                .to_string()
                .to_lowercase()
                .replacen("0x", "", 1),
        ),
        ("version", "4".to_owned()),
    ] {
        let read = server().sql(&database.name, &format!("SELECT {column} FROM accounts"));
        assert_eq!(read, text, "{column}");
    }
}

/// A row that the schema does not know is no reason to try again.
#[tokio::test]
async fn a_write_that_can_never_succeed_stops_the_store() {
    let (database, mut channel) = filled().await;
    let store = open(&database).await;
    let mut other = Channel::new(2);
    commit(&store, batch([other.open(7)])).await.unwrap();
    server().sql(
        &database.name,
        "ALTER TABLE accounts ADD CONSTRAINT small CHECK (balance < 60)",
    );
    let tickets =
        [channel.pay(60, 1), other.touch()].map(|transition| store.commit(batch([transition])).unwrap());
    let mut stopped = None;
    for ticket in tickets {
        if let Err(error) = ticket.await {
            stopped = Some(error);
        }
    }
    let stopped = stopped.unwrap();
    assert!(
        matches!(stopped, StoreError::Stopped { .. }) && !stopped.is_transient(),
        "{stopped:?}"
    );
    let shown = format!("{stopped:?}");
    assert!(
        shown.contains("small") && !shown.contains("0x"),
        "details of the row are told: {shown}"
    );
    for _ in 0..2 {
        assert!(matches!(
            commit(&store, batch([other.touch()])).await,
            Err(StoreError::Stopped { .. })
        ));
    }
    drop(store);
    server().sql(&database.name, "ALTER TABLE accounts DROP CONSTRAINT small");
    let store = open(&database).await;
    channel.resume(&store.load().await.unwrap());
    assert_eq!(channel.row().balance, 50.into());
    commit(&store, batch([channel.pay(60, 1)])).await.unwrap();
}
