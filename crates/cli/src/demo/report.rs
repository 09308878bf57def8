//! What the demo has measured, the check that the money adds up, and the table.

use crate::amounts;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use microraiden_chain::Receipts;
use microraiden_protocol::{Amount, Deposit};
use microraiden_sender::Action;
use serde::Serialize;
use std::time::Duration;

/// The token in which all amounts of a report are.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Token {
    pub(crate) symbol: String,
    pub(crate) decimals: u8,
}

/// One on-chain transaction.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Gas {
    pub(crate) transaction: &'static str,
    pub(crate) gas: u64,
}

impl Gas {
    /// Of what was done with a channel.
    pub(crate) fn of(action: Action, receipts: &Receipts) -> Self {
        let transaction = match action {
            Action::Open => "open channel",
            Action::TopUp => "top up",
            Action::CooperativeClose => "cooperative close",
            Action::UncooperativeClose => "uncooperative close",
            Action::Settle => "settle",
        };
        Self {
            transaction,
            gas: receipts.gas_used(),
        }
    }
}

/// What was sold of one resource.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sold {
    pub(crate) resource: &'static str,
    #[serde(serialize_with = "as_text")]
    pub(crate) price: Amount,
    pub(crate) requests: u64,
}

/// Who holds how many tokens, in base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Holdings {
    #[serde(serialize_with = "as_text")]
    pub(crate) sender: Amount,
    #[serde(serialize_with = "as_text")]
    pub(crate) receiver: Amount,
    #[serde(serialize_with = "as_text")]
    pub(crate) contract: Amount,
}

/// Everything the demo prints.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) chain_id: u64,
    pub(crate) node: String,
    pub(crate) contract: String,
    pub(crate) token: Token,
    #[serde(serialize_with = "as_text")]
    pub(crate) deposit: Deposit,
    #[serde(serialize_with = "as_text")]
    pub(crate) top_up: Amount,
    pub(crate) payments: u64,
    pub(crate) sold: Vec<Sold>,
    #[serde(serialize_with = "as_text")]
    pub(crate) paid: Amount,
    pub(crate) before: Holdings,
    pub(crate) after: Holdings,
    pub(crate) gas: Vec<Gas>,
    pub(crate) first_paid_after_ms: f64,
    pub(crate) request_ms: Latency,
}

/// The time of a paid request as its client sees it, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    pub(crate) median: f64,
    pub p99: f64,
    pub(crate) mean: f64,
}

fn as_text<T: std::fmt::Display, S: serde::Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// The money does not add up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MoneyError {
    /// Tokens appeared or vanished.
    #[error("{0} tokens before and {1} after: some appeared or vanished")]
    NotConserved(Amount, Amount),
    /// The receiver did not gain what was sold.
    #[error("the receiver gained {0:?}, but {1} were sold")]
    Gain(Option<Amount>, Amount),
    /// The sender did not pay what was sold.
    #[error("the sender paid {0:?}, but {1} were sold")]
    Paid(Option<Amount>, Amount),
    /// Sums above what a token can have.
    #[error("the amounts are larger than any token has")]
    Overflow,
}

impl Holdings {
    fn total(&self) -> Option<Amount> {
        self.sender.checked_add(self.receiver)?.checked_add(self.contract)
    }
}

impl Report {
    /// Checks, to the unit, that no token was lost and that what was served is what was paid.
    ///
    /// # Errors
    /// With what does not add up.
    pub(crate) fn check(&self) -> Result<(), MoneyError> {
        let total = |holdings: &Holdings| holdings.total().ok_or(MoneyError::Overflow);
        let (before, after) = (total(&self.before)?, total(&self.after)?);
        if before != after {
            return Err(MoneyError::NotConserved(before, after));
        }
        let sold = self.sold_in_all().ok_or(MoneyError::Overflow)?;
        let gain = self.after.receiver.checked_sub(self.before.receiver);
        if gain != Some(sold) {
            return Err(MoneyError::Gain(gain, sold));
        }
        let paid = self.before.sender.checked_sub(self.after.sender);
        if paid != Some(sold) || self.paid != sold {
            return Err(MoneyError::Paid(paid, sold));
        }
        Ok(())
    }

    /// The prices of all requests that were served.
    fn sold_in_all(&self) -> Option<Amount> {
        self.sold.iter().try_fold(Amount::ZERO, |sum, sold| {
            (0..sold.requests).try_fold(sum, |sum, _| sum.checked_add(sold.price))
        })
    }

    /// The tables for a person.
    pub(crate) fn table(&self) -> String {
        let amount = |amount: Amount| amounts::format(amount, &self.token.symbol, self.token.decimals);
        let mut sold = table(&["Resource", "Price", "Requests", "Sum"]);
        for row in &self.sold {
            let sum = (0..row.requests).try_fold(Amount::ZERO, |sum, _| sum.checked_add(row.price));
            let sum = sum.map_or_else(|| "-".to_owned(), amount);
            sold.add_row([
                row.resource.to_owned(),
                amount(row.price),
                row.requests.to_string(),
                sum,
            ]);
        }
        sold.add_row([
            "all".to_owned(),
            String::new(),
            self.payments.to_string(),
            amount(self.paid),
        ]);
        let mut held = table(&["Balance of", "Before", "After"]);
        for (who, before, after) in [
            ("sender", self.before.sender, self.after.sender),
            ("receiver", self.before.receiver, self.after.receiver),
            ("contract", self.before.contract, self.after.contract),
        ] {
            held.add_row([who.to_owned(), amount(before), amount(after)]);
        }
        let mut chain = table(&["Transaction", "Gas", "Deposit"]);
        let deposited = amount(self.deposit.into());
        for row in &self.gas {
            let deposit = match row.transaction {
                "open channel" => deposited.clone(),
                "top up" => format!("+ {}", amount(self.top_up)),
                _ => String::new(),
            };
            chain.add_row([row.transaction.to_owned(), row.gas.to_string(), deposit]);
        }
        let Latency { median, p99, mean } = self.request_ms;
        format!(
            "{sold}\n\n{held}\n\n{chain}\n\n\
             Time per paid request: median {median:.2} ms, mean {mean:.2} ms, 99 of 100 below {p99:.2} ms;\n\
             the slowest two waited for their deposit to be confirmed.\n\
             First paid answer {:.2} s after the start.\n\
             The tokens add up to the unit: the receiver gained the sum of the prices served.",
            self.first_paid_after_ms / 1000.0,
        )
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

impl Latency {
    /// The distribution of some durations; there is at least one.
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let ms = |time: &Duration| time.as_secs_f64() * 1000.0;
        let at = |per_cent: usize| {
            times
                .get((times.len() * per_cent / 100).min(times.len() - 1))
                .map_or(0.0, ms)
        };
        #[expect(clippy::cast_precision_loss, reason = "a few hundred thousand at most")]
        let mean = times.iter().map(ms).sum::<f64>() / times.len() as f64;
        Self {
            median: at(50),
            p99: at(99),
            mean,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let holdings = |sender: u64, receiver: u64, contract: u64| Holdings {
            sender: sender.into(),
            receiver: receiver.into(),
            contract: contract.into(),
        };
        Report {
            chain_id: 1,
            node: "node".into(),
            contract: "contract".into(),
            token: Token {
                symbol: "TKN".into(),
                decimals: 0,
            },
            deposit: 20.into(),
            top_up: 5.into(),
            payments: 3,
            sold: vec![Sold {
                resource: "/a",
                price: 4.into(),
                requests: 3,
            }],
            paid: 12.into(),
            before: holdings(100, 7, 0),
            after: holdings(88, 19, 0),
            gas: vec![Gas {
                transaction: "open channel",
                gas: 1,
            }],
            first_paid_after_ms: 1.0,
            request_ms: Latency::of(vec![Duration::from_millis(2), Duration::from_millis(4)]),
        }
    }

    #[test]
    fn money_that_adds_up_passes() {
        assert_eq!(report().check(), Ok(()));
        assert!(report().table().contains("12 TKN"));
    }

    #[test]
    fn a_single_unit_too_many_or_too_few_is_found() {
        let mut lost = report();
        lost.after.sender = 87.into();
        assert_eq!(
            lost.check(),
            Err(MoneyError::NotConserved(107.into(), 106.into()))
        );
        let mut stuck = report();
        (stuck.after.receiver, stuck.after.contract) = (18.into(), 1.into());
        assert_eq!(stuck.check(), Err(MoneyError::Gain(Some(11.into()), 12.into())));
        let mut unpaid = report();
        unpaid.sold[0].requests = 2;
        assert_eq!(unpaid.check(), Err(MoneyError::Gain(Some(12.into()), 8.into())));
        let mut overpaid = report();
        overpaid.paid = 13.into();
        assert_eq!(
            overpaid.check(),
            Err(MoneyError::Paid(Some(12.into()), 12.into()))
        );
    }

    #[test]
    fn latency_is_ordered() {
        let latency = Latency::of((1..=100).map(Duration::from_millis).collect());
        assert!((latency.median - 51.0).abs() < 0.01 && (latency.p99 - 100.0).abs() < 0.01);
        assert!((latency.mean - 50.5).abs() < 0.01);
    }
}
