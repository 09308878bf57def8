//! The list of all metrics: names, kinds and help texts.

use crate::payment::Unavailable;
use metrics::{Key, KeyName, Label, Metadata, Recorder};
use microraiden_store::TaskKind;

/// A metric that a receiver shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// By the rules of Prometheus: its unit at the end, and `_total` for what only grows.
    pub name: &'static str,
    /// How its values are to be read.
    pub kind: MetricKind,
    /// The label by which it is divided.
    pub label: Option<&'static str>,
    /// What it says.
    pub help: &'static str,
}

/// How a metric's values are to be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricKind {
    /// Grows only, from 0 at each start.
    Counter,
    /// Rises and falls.
    Gauge,
    /// How many values were at most so large, each of these.
    Histogram(&'static [f64]),
}

impl MetricKind {
    /// As Prometheus calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// Every metric, those of money and trouble first.
pub const METRICS: [Metric; 24] = [
    SELLING,
    NOT_SELLING,
    CHANNELS,
    DEPOSITS,
    BALANCES,
    UNCLAIMED,
    PAYMENTS,
    IN_FLIGHT,
    REFUSALS,
    UNAVAILABLE,
    RELEASES,
    VERIFICATION,
    COMMIT,
    CONFLICTS,
    HEAD,
    HEAD_AGE,
    LEADS,
    TASKS,
    TASKS_DONE,
    DISPUTE_REMAINING,
    DISPUTE_LEAST_REMAINING,
    TRANSACTIONS,
    GAS,
    GAS_COST,
];

const fn metric(
    name: &'static str,
    kind: MetricKind,
    label: Option<&'static str>,
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        label,
        help,
    }
}

pub(super) const SELLING: Metric = metric(
    "microraiden_selling",
    MetricKind::Gauge,
    None,
    "1 while payments are accepted, 0 while they are not",
);
pub(super) const NOT_SELLING: Metric = metric(
    "microraiden_not_selling",
    MetricKind::Gauge,
    Some("reason"),
    "1 for the reason for which nothing is sold; there is none while selling",
);
pub(super) const CHANNELS: Metric = metric(
    "microraiden_channels",
    MetricKind::Gauge,
    Some("state"),
    "Channels, each in the first state that applies: settled, challenged (a close was requested on chain), promised (a \
     close was signed), impaired (the chain holds less than was paid), pending (not confirmed), open",
);
pub(super) const DEPOSITS: Metric = metric(
    "microraiden_deposits_base_units",
    MetricKind::Gauge,
    None,
    "The confirmed deposits of channels that are not settled; exact up to 2^53",
);
pub(super) const BALANCES: Metric = metric(
    "microraiden_balances_base_units",
    MetricKind::Gauge,
    None,
    "What was ever paid on channels that are not settled, credit included; exact up to 2^53",
);
pub(super) const UNCLAIMED: Metric = metric(
    "microraiden_unclaimed_base_units",
    MetricKind::Gauge,
    None,
    "What was sold on channels that are not settled and not yet withdrawn, which is lost with the state file; exact up \
     to 2^53",
);
pub(super) const PAYMENTS: Metric = metric(
    "microraiden_payments_total",
    MetricKind::Counter,
    None,
    "Payments that were accepted and are durable",
);
pub(super) const IN_FLIGHT: Metric = metric(
    "microraiden_payments_in_flight",
    MetricKind::Gauge,
    None,
    "Payments whose content is on its way; a crash leaves so many at most spent without content",
);
pub(super) const REFUSALS: Metric = metric(
    "microraiden_refusals_total",
    MetricKind::Counter,
    Some("reason"),
    "Payments refused for what the customer did, by the code of RDN-Error",
);
pub(super) const UNAVAILABLE: Metric = metric(
    "microraiden_unavailable_total",
    MetricKind::Counter,
    Some("reason"),
    "Payments not accepted for a reason of the receiver's own",
);
pub(super) const RELEASES: Metric = metric(
    "microraiden_releases_total",
    MetricKind::Counter,
    Some("extent"),
    "Payments given back: whole, because the content failed, or in part, because it cost less",
);
pub(super) const VERIFICATION: Metric = metric(
    "microraiden_verification_seconds",
    MetricKind::Histogram(&[
        0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.025,
    ]),
    None,
    "How long the check of a payment's signature took",
);
pub(super) const COMMIT: Metric = metric(
    "microraiden_commit_seconds",
    MetricKind::Histogram(&[
        0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
    ]),
    None,
    "How long it took until an accepted payment was durable",
);
pub(super) const CONFLICTS: Metric = metric(
    "microraiden_store_conflicts_total",
    MetricKind::Counter,
    None,
    "Decisions that were made again since another instance had been faster with the channel",
);
pub(super) const HEAD: Metric = metric(
    "microraiden_head_block",
    MetricKind::Gauge,
    None,
    "The newest block that was taken over",
);
pub(super) const HEAD_AGE: Metric = metric(
    "microraiden_head_age_seconds",
    MetricKind::Gauge,
    None,
    "How long ago the node has last answered and all its blocks were taken over",
);
pub(super) const LEADS: Metric = metric(
    "microraiden_leads",
    MetricKind::Gauge,
    None,
    "1 on the instance that follows the chain and brings on chain what is owed, 0 on the others",
);
pub(super) const TASKS: Metric = metric(
    "microraiden_tasks",
    MetricKind::Gauge,
    Some("kind"),
    "What is to be brought on chain and is not confirmed: dispute (a stale close is answered), close (until its settlement is final), withdraw",
);
pub(super) const TASKS_DONE: Metric = metric(
    "microraiden_tasks_done_total",
    MetricKind::Counter,
    Some("kind"),
    "Tasks that the chain has shown to be done; a dispute when the channel's settlement was confirmed",
);
pub(super) const DISPUTE_REMAINING: Metric = metric(
    "microraiden_dispute_remaining_blocks",
    MetricKind::Gauge,
    Some("channel"),
    "The blocks until the challenge period of a disputed channel is over; the 100 most urgent",
);
pub(super) const DISPUTE_LEAST_REMAINING: Metric = metric(
    "microraiden_dispute_remaining_blocks_min",
    MetricKind::Gauge,
    None,
    "The least of these over all disputed channels; there is none without one",
);
pub(super) const TRANSACTIONS: Metric = metric(
    "microraiden_transactions_total",
    MetricKind::Counter,
    Some("kind"),
    "Transactions of ours that were mined and not reverted, by the task that they were for",
);
pub(super) const GAS: Metric = metric(
    "microraiden_gas_used_total",
    MetricKind::Counter,
    Some("kind"),
    "The gas that they have used",
);
pub(super) const GAS_COST: Metric = metric(
    "microraiden_gas_cost_gwei_total",
    MetricKind::Counter,
    Some("kind"),
    "What that gas has cost, in 10^-9 ether",
);

impl Metric {
    /// Tells a recorder what it is.
    pub(super) fn describe(&self, recorder: &dyn Recorder) {
        let (name, help) = (KeyName::from_const_str(self.name), self.help.into());
        match self.kind {
            MetricKind::Counter => recorder.describe_counter(name, None, help),
            MetricKind::Gauge => recorder.describe_gauge(name, None, help),
            MetricKind::Histogram(_) => recorder.describe_histogram(name, None, help),
        }
    }

    pub(super) fn counter(&self, recorder: &dyn Recorder, value: &'static str) -> metrics::Counter {
        recorder.register_counter(&self.key(value), &METADATA)
    }

    pub(super) fn histogram(&self, recorder: &dyn Recorder) -> metrics::Histogram {
        recorder.register_histogram(&self.key(""), &METADATA)
    }

    pub(super) fn set(&self, recorder: &dyn Recorder, value: f64) {
        self.set_for(recorder, "", value);
    }

    pub(super) fn set_for(
        &self,
        recorder: &dyn Recorder,
        label: impl Into<metrics::SharedString>,
        value: f64,
    ) {
        recorder.register_gauge(&self.key(label), &METADATA).set(value);
    }

    fn key(&self, value: impl Into<metrics::SharedString>) -> Key {
        let label = self.label.map(|name| Label::new(name, value));
        Key::from_parts(self.name, label.into_iter().collect::<Vec<_>>())
    }
}

const METADATA: Metadata<'static> = Metadata::new(module_path!(), metrics::Level::INFO, None);

/// The value of a label for a kind of task.
pub(super) const fn task_name(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Dispute => "dispute",
        TaskKind::Close => "close",
        TaskKind::Withdraw => "withdraw",
    }
}

impl Unavailable {
    /// The name by which programs know it; never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NodeSilent => "node-silent",
            Self::GasShort => "gas-short",
            Self::Busy => "busy",
            Self::StoreAway => "store-away",
            Self::StoreStopped => "store-stopped",
            Self::HeadTooOld => "head-too-old",
            Self::Reorganised => "reorganised",
            Self::ChallengeTooShort => "challenge-too-short",
            Self::WrongChain => "wrong-chain",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_documentation_has_the_table_of_metrics() {
        let page = include_str!("../../../../docs/operations.md");
        let (_, rest) = page.split_once("<!-- metrics:").unwrap();
        let (section, _) = rest.split_once("<!-- metrics end -->").unwrap();
        let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
        let row = |metric: &Metric| {
            let label = metric
                .label
                .map_or_else(|| "–".to_owned(), |label| format!("`{label}`"));
            format!(
                "| `{}` | {} | {label} | {} |",
                metric.name,
                metric.kind.name(),
                metric.help
            )
        };
        let table: Vec<String> = METRICS.iter().map(row).collect();
        assert_eq!(rows, table, "docs/operations.md:\n{}", table.join("\n"));
    }

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        let names: HashSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for Metric { name, kind, help, .. } in METRICS {
            let rest = name.strip_prefix("microraiden_").unwrap();
            assert!(
                rest.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()),
                "{name}"
            );
            assert_eq!(kind == MetricKind::Counter, name.ends_with("_total"), "{name}");
            assert!(
                help.starts_with(char::is_alphanumeric) && !help.ends_with('.'),
                "{name}"
            );
            if let MetricKind::Histogram(buckets) = kind {
                assert!(name.ends_with("_seconds") && buckets.is_sorted(), "{name}");
            }
        }
    }
}
