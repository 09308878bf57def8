//! The same payments, arriving in another order.

use crate::ensure;
use crate::fixture::{new_account, open_facts, proof, writer};
use crate::line::small;
use crate::rules::{Request, Rules};
use crate::world::Complaint;
use microraiden_protocol::ledger::{Limits, Payment};
use proptest::collection::vec;
use proptest::prelude::*;

/// A signed payment, and what its answer costs in the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metered {
    index: usize,
    top: u64,
    paid: u64,
    cost: u64,
}

/// Up to 64 payments in flight, twice, each time in an order of its own; and whether each one was
/// signed for as much as it pays.
pub(crate) fn two_orders() -> impl Strategy<Value = (Vec<Metered>, Vec<Metered>, bool)> {
    (vec((1..20_u64, 0..20_u64, 1..20_u64), 1..=64), any::<bool>()).prop_flat_map(|(payments, in_full)| {
        let mut top = 0;
        let signed = payments
            .into_iter()
            .enumerate()
            .map(|(index, (paid, cost, raise))| {
                top += if in_full { paid } else { raise.min(paid) };
                Metered {
                    index,
                    top,
                    paid,
                    cost: cost.min(paid),
                }
            });
        let signed: Vec<Metered> = signed.collect();
        let any_order = Just(signed).prop_shuffle();
        (any_order.clone(), any_order, Just(in_full))
    })
}

/// What an order of arrival came to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// Which payments were accepted.
    accepted: Vec<usize>,
    spent: u64,
    /// After each answer has said what it cost, the last one first.
    charged: u64,
}

/// Both orders accept everything if everything was signed in full, and the same spent amount comes
/// of the same accepted payments.
pub(crate) fn check_orders<R: Rules>(
    rules: &R,
    (one, other, in_full): &(Vec<Metered>, Vec<Metered>, bool),
) -> Result<(), Complaint> {
    let (one, other) = (arrive(rules, one, *in_full)?, arrive(rules, other, *in_full)?);
    ensure!(
        one.accepted != other.accepted || one == other,
        "{one:?} in one order, {other:?} in the other"
    );
    Ok(())
}

fn arrive<R: Rules>(rules: &R, payments: &[Metered], in_full: bool) -> Result<Outcome, Complaint> {
    let mut account = new_account(open_facts(10_000));
    let mut sequence = 0;
    let mut by = || {
        sequence += 1;
        writer(sequence)
    };
    let mut open = Vec::new();
    for payment in payments {
        let request = Request {
            proof: proof(payment.top),
            payment: Payment::Stated(payment.paid.into()),
            price: payment.paid.into(),
            limits: Limits::default(),
        };
        match rules.accept(&account, &request, by()) {
            Ok((after, spend)) => {
                account = after;
                open.push((*payment, spend));
            }
            Err(refusal) => ensure!(!in_full, "{payment:?} is refused: {refusal}"),
        }
    }
    let spent = small(account.spent());
    let sum: u64 = open.iter().map(|(payment, _)| payment.paid).sum();
    ensure!(spent == sum, "spent is {spent}, not {sum}");
    ensure!(
        !in_full || account.row().unspent.is_empty(),
        "unspent: {}",
        account.row().unspent
    );
    let mut accepted: Vec<usize> = open.iter().map(|(payment, _)| payment.index).collect();
    accepted.sort_unstable();
    let costs: u64 = open.iter().map(|(payment, _)| payment.cost).sum();
    while let Some((payment, spend)) = open.pop() {
        account = rules
            .spend_partly(&account, &spend, payment.cost.into(), by())
            .map_err(|error| error.to_string())?;
    }
    let charged = small(account.spent());
    ensure!(charged == costs, "charged {charged}, not {costs}");
    Ok(Outcome {
        accepted,
        spent,
        charged,
    })
}
