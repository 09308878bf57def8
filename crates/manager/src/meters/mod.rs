//! What a receiver counts and measures as it works, for whoever records it.
//!
//! In reading order: `table`, the list of all metrics; here, what is counted where it happens, by
//! handles that are made once, so that a payment pays some atomic additions; `record`, what is
//! looked up only when somebody asks.

mod record;
mod table;

pub use record::record_selling;
pub use table::{METRICS, Metric, MetricKind};

use crate::payment::{Denied, Permit, Unavailable};
use metrics::{Counter, Histogram, NoopRecorder, Recorder};
use microraiden_chain::Receipt;
use microraiden_protocol::Amount;
use microraiden_protocol::ledger::Refusal;
use microraiden_store::{TaskChange, TaskKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The counters and histograms of one receiver. Cheap to clone; all clones count together.
///
/// [`Meters::default`] counts nothing.
#[derive(Debug, Clone)]
pub struct Meters(Arc<Handles>);

#[derive(Debug)]
struct Handles {
    payments: Counter,
    /// In the order of [`Refusal::ALL`].
    refusals: Vec<(Refusal, Counter)>,
    /// In the order of [`Unavailable::ALL`].
    unavailable: Vec<(Unavailable, Counter)>,
    released_whole: Counter,
    released_in_part: Counter,
    verification: Histogram,
    commit: Histogram,
    conflicts: Counter,
    disputes: Tasks,
    closes: Tasks,
    withdrawals: Tasks,
}

/// Of one kind of task.
#[derive(Debug)]
struct Tasks {
    done: Counter,
    transactions: Counter,
    gas: Counter,
    gwei: Counter,
    /// What its gas has cost, exactly.
    cost_wei: Mutex<u128>,
}

impl Default for Meters {
    fn default() -> Self {
        Self::new(&NoopRecorder)
    }
}

/// The same meters, not meters that show the same.
impl PartialEq for Meters {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Meters {}

impl Tasks {
    fn new(recorder: &dyn Recorder, kind: TaskKind) -> Self {
        let kind = table::task_name(kind);
        Self {
            done: table::TASKS_DONE.counter(recorder, kind),
            transactions: table::TRANSACTIONS.counter(recorder, kind),
            gas: table::GAS.counter(recorder, kind),
            gwei: table::GAS_COST.counter(recorder, kind),
            cost_wei: Mutex::new(0),
        }
    }
}

impl Meters {
    /// Meters whose values go to a recorder, which is told of all of them at once.
    pub fn new(recorder: &dyn Recorder) -> Self {
        let counted = METRICS.iter().filter(|metric| metric.kind != MetricKind::Gauge);
        counted.for_each(|metric| metric.describe(recorder));
        let unavailable = |reason: Unavailable| (reason, table::UNAVAILABLE.counter(recorder, reason.code()));
        let refusal = |refusal: Refusal| (refusal, table::REFUSALS.counter(recorder, refusal.code()));
        Self(Arc::new(Handles {
            payments: table::PAYMENTS.counter(recorder, ""),
            refusals: Refusal::ALL.map(refusal).into(),
            unavailable: Unavailable::ALL.map(unavailable).into(),
            released_whole: table::RELEASES.counter(recorder, "whole"),
            released_in_part: table::RELEASES.counter(recorder, "part"),
            verification: table::VERIFICATION.histogram(recorder),
            commit: table::COMMIT.histogram(recorder),
            conflicts: table::CONFLICTS.counter(recorder, ""),
            disputes: Tasks::new(recorder, TaskKind::Dispute),
            closes: Tasks::new(recorder, TaskKind::Close),
            withdrawals: Tasks::new(recorder, TaskKind::Withdraw),
        }))
    }

    /// What became of an offer.
    pub(crate) fn decided(&self, paid: &Result<Permit, Denied>) {
        match paid {
            Ok(_) => self.0.payments.increment(1),
            Err(Denied::Refused(refusal, _)) => count(&self.0.refusals, refusal),
            Err(Denied::Unavailable(reason)) => count(&self.0.unavailable, reason),
        }
    }

    /// A signature was checked, which began at this moment.
    pub(crate) fn verified(&self, since: Instant) {
        self.0.verification.record(since.elapsed());
    }

    /// A payment is durable, which was handed in at this moment.
    pub(crate) fn committed(&self, since: Instant) {
        self.0.commit.record(since.elapsed());
    }

    /// Another instance was faster with an account.
    pub(crate) fn conflict(&self) {
        self.0.conflicts.increment(1);
    }

    /// A payment was given back but for `cost`.
    pub(crate) fn released(&self, cost: Amount) {
        let whole = cost.is_zero();
        let counter = if whole {
            &self.0.released_whole
        } else {
            &self.0.released_in_part
        };
        counter.increment(1);
    }

    /// The chain has shown that tasks are done.
    pub(crate) fn done(&self, changes: &[TaskChange]) {
        for change in changes {
            if let TaskChange::Remove { kind, .. } = change {
                self.of(*kind).done.increment(1);
            }
        }
    }

    /// A transaction of ours was mined.
    pub(crate) fn mined(&self, kind: TaskKind, receipt: &Receipt) {
        let tasks = self.of(kind);
        tasks.transactions.increment(1);
        tasks.gas.increment(receipt.gas_used);
        let mut cost_wei = tasks.cost_wei.lock().unwrap_or_else(PoisonError::into_inner);
        *cost_wei = cost_wei.saturating_add(receipt.cost_wei().saturating_to());
        let gwei = u64::try_from(*cost_wei / 1_000_000_000);
        tasks.gwei.absolute(gwei.unwrap_or(u64::MAX));
    }

    fn of(&self, kind: TaskKind) -> &Tasks {
        match kind {
            TaskKind::Dispute => &self.0.disputes,
            TaskKind::Close => &self.0.closes,
            TaskKind::Withdraw => &self.0.withdrawals,
        }
    }
}

/// Counts a reason in the list of all.
fn count<R: PartialEq>(counters: &[(R, Counter)], reason: &R) {
    if let Some((_, counter)) = counters.iter().find(|(other, _)| other == reason) {
        counter.increment(1);
    }
}
