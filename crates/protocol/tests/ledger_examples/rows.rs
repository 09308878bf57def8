//! Rows that come back from a store.

use crate::fixture::proof;
use crate::shop::Shop;
use microraiden_protocol::ledger::{Account, AccountRow, Closing, Promise, StoredProof, UnitSet};
use microraiden_protocol::{Amount, Balance, Deposit};

/// Balance 20, of which 8 is spent, 6–15 is credit and 2 was folded; 10 was withdrawn, 15 promised.
fn row() -> AccountRow {
    let mut shop = Shop::with(100);
    shop.pay(5, 5);
    let failed = shop.pay(15, 10);
    shop.pay(20, 5);
    shop.release(&failed).expect("it is in flight");
    let mut row = shop.account.row().clone();
    row.refund = 2.into();
    row.proofs = vec![stored(10), stored(20)];
    row.sent_withdrawals = vec![3.into(), 10.into()];
    row.facts.withdrawals = vec![3.into(), 10.into()];
    row.facts.lower_deposits = vec![12.into(), 50.into()];
    row.promise = Some(closing(15));
    row
}

fn stored(balance: u64) -> StoredProof {
    StoredProof {
        balance: balance.into(),
        signature: proof(balance).signature(),
    }
}

fn closing(at: u64) -> Promise {
    Promise::Closing(Closing {
        at: at.into(),
        sender_signature: None,
    })
}

#[test]
fn a_sound_row_reads_back_as_it_was() {
    let account = Account::from_row(row()).unwrap();
    assert_eq!(account.row(), &row());
    assert_eq!((account.spent(), account.in_flight()), (8.into(), 0));
}

type Damage = fn(&mut AccountRow);

#[test]
fn each_kind_of_damage_is_refused() {
    let damages: [(&str, Damage); 19] = [
        ("spent must not be negative", |row| row.refund = 11.into()),
        ("spent must not be negative", |row| row.refund = Amount::MAX),
        ("unspent units lie below the balance", |row| {
            row.unspent = UnitSet::interval(15.into(), 21.into());
        }),
        ("too many unspent intervals", |row| {
            row.balance = 200.into();
            row.proofs.push(stored(200));
            row.unspent = (1..=65)
                .map(|n| format!("{0}-{0}", 2 * n))
                .collect::<Vec<_>>()
                .join(",")
                .parse()
                .unwrap();
        }),
        ("proofs are in order", |row| row.proofs.insert(0, stored(11))),
        ("proofs are in order", |row| row.proofs.push(stored(20))),
        ("the last proof is for the balance", |row| {
            row.proofs.push(stored(21))
        }),
        ("the last proof is for the balance", |row| row.proofs.clear()),
        ("the last proof is for the balance", |row| row.balance = 19.into()),
        ("a proof for nothing is not stored", |row| {
            row.proofs.insert(0, stored(0))
        }),
        ("a promised close is not above the balance", |row| {
            row.promise = Some(closing(21))
        }),
        ("a promised close is not below what was sold", |row| {
            row.promise = Some(closing(7))
        }),
        ("a promised close is not below a withdrawal of ours", |row| {
            row.promise = Some(closing(9))
        }),
        ("the proof of a dispute is stored", |row| {
            row.promise = Some(Promise::Dispute(15.into()))
        }),
        ("withdrawals of ours are in order", |row| {
            row.sent_withdrawals.insert(0, 4.into())
        }),
        ("withdrawals of ours are in order", |row| {
            row.sent_withdrawals.push(10.into())
        }),
        ("the proof of the last withdrawal of ours is stored", |row| {
            row.sent_withdrawals.push(12.into());
        }),
        ("withdrawals and deposit levels on chain are in order", |row| {
            row.facts.lower_deposits.push(Deposit::from(1));
        }),
        ("versions count from 1", |row| row.version.number = 0),
    ];
    for (number, (reason, damage)) in damages.into_iter().enumerate() {
        let mut row = row();
        damage(&mut row);
        let corrupt = Account::from_row(row).expect_err(reason);
        assert_eq!(corrupt.reason, reason, "damage {number}");
        assert!(corrupt.to_string().contains(reason), "{corrupt}");
    }
}

#[test]
fn what_only_the_chain_may_change_is_no_damage() {
    let mut row = row();
    row.facts.deposit = Deposit::from(1);
    row.facts.withdrawals = vec![Balance::from(50)];
    let account = Account::from_row(row).unwrap();
    assert!(account.is_impaired());
}
