//! What is looked up only when somebody asks: how things stand at this moment.

use super::table::{self, METRICS, MetricKind, task_name};
use crate::manager::{ChannelManager, Shared};
use crate::payment::Unavailable;
use metrics::Recorder;
use microraiden_protocol::ledger::Account;
use microraiden_protocol::{Amount, BlockNumber, ChannelId, Phase};
use microraiden_store::TaskKind;
use std::sync::atomic::Ordering;

/// For so many channels it is told how many blocks their disputes have left.
const MOST_DISPUTES: usize = 100;

/// The states in which channels are counted.
const STATES: [&str; 6] = ["open", "pending", "impaired", "promised", "challenged", "settled"];

/// What the channels hold together.
#[derive(Default)]
struct Sums {
    /// In the order of [`STATES`].
    channels: [u32; STATES.len()],
    deposits: Amount,
    balances: Amount,
    unclaimed: Amount,
    in_flight: usize,
}

impl Sums {
    fn add(&mut self, account: &Account) {
        let facts = account.facts();
        let state = match facts.phase {
            Phase::Settled { .. } => "settled",
            Phase::Challenged { .. } => "challenged",
            _ if account.promise().is_some() => "promised",
            _ if account.is_impaired() => "impaired",
            Phase::Pending => "pending",
            Phase::Open => "open",
        };
        for (name, count) in STATES.iter().zip(&mut self.channels) {
            *count += u32::from(*name == state);
        }
        self.in_flight += account.in_flight();
        if state == "settled" {
            return;
        }
        // What the channels hold was minted by one token, so sums saturate only in theory.
        let add = |sum: &mut Amount, amount: Amount| *sum = sum.checked_add(amount).unwrap_or(Amount::MAX);
        add(&mut self.deposits, facts.deposit.into());
        add(&mut self.balances, account.balance().into());
        // More may be withdrawn than was sold.
        let unclaimed = account.spent().checked_since(facts.withdrawn());
        add(&mut self.unclaimed, unclaimed.unwrap_or(Amount::ZERO));
    }

    fn show(&self, recorder: &dyn Recorder) {
        for (state, count) in STATES.into_iter().zip(self.channels) {
            table::CHANNELS.set_for(recorder, state, count.into());
        }
        let units = |amount: Amount| f64::from(amount.base_units());
        table::DEPOSITS.set(recorder, units(self.deposits));
        table::BALANCES.set(recorder, units(self.balances));
        table::UNCLAIMED.set(recorder, units(self.unclaimed));
        table::IN_FLIGHT.set(recorder, self.in_flight as f64);
    }
}

impl ChannelManager {
    /// Tells a recorder how things stand, all but what [`Meters`](super::Meters) count.
    ///
    /// It looks at each account, which takes some tens of milliseconds for 100,000. What is not told again has
    /// ended, so give it a new recorder each time.
    pub fn record(&self, recorder: &dyn Recorder) {
        let shared = &*self.shared;
        describe(recorder);
        let mut sums = Sums::default();
        shared
            .accounts
            .all()
            .iter()
            .for_each(|slot| sums.add(&slot.lock()));
        sums.show(recorder);
        table::HEAD.set(recorder, shared.head().0 as f64);
        let age = shared.node_age().map_or(f64::INFINITY, |age| age.as_secs_f64());
        table::HEAD_AGE.set(recorder, age);
        table::LEADS.set(
            recorder,
            f64::from(u8::from(shared.leads.load(Ordering::Relaxed))),
        );
        let tasks = shared.disputes.all();
        for kind in [TaskKind::Dispute, TaskKind::Close, TaskKind::Withdraw] {
            let count = tasks.iter().filter(|(_, other)| *other == kind).count();
            table::TASKS.set_for(recorder, task_name(kind), count as f64);
        }
        let disputed = tasks.iter().filter(|(_, kind)| *kind == TaskKind::Dispute);
        let disputed = disputed.filter_map(|(channel, _)| Some((remaining(shared, channel)?, *channel)));
        let mut disputed: Vec<_> = disputed.collect();
        disputed.sort_unstable();
        if let Some((least, _)) = disputed.first() {
            table::DISPUTE_LEAST_REMAINING.set(recorder, *least as f64);
        }
        for (blocks, channel) in disputed.into_iter().take(MOST_DISPUTES) {
            table::DISPUTE_REMAINING.set_for(recorder, channel.to_string(), blocks as f64);
        }
    }

    /// Whether payments are accepted.
    ///
    /// # Errors
    /// With the reason why not.
    pub fn readiness(&self) -> Result<(), Unavailable> {
        self.shared.check_store()?;
        self.shared.check_reach()?;
        self.shared.check_selling()
    }
}

/// Tells a recorder whether payments are accepted, or by a code why not.
pub fn record_selling(recorder: &dyn Recorder, readiness: Result<(), &'static str>) {
    describe(recorder);
    table::SELLING.set(recorder, f64::from(u8::from(readiness.is_ok())));
    if let Err(reason) = readiness {
        table::NOT_SELLING.set_for(recorder, reason, 1.0);
    }
}

fn describe(recorder: &dyn Recorder) {
    let gauges = METRICS.iter().filter(|metric| metric.kind == MetricKind::Gauge);
    gauges.for_each(|metric| metric.describe(recorder));
}

/// The blocks until a challenge period is over; `None` when there is none any more.
fn remaining(shared: &Shared, channel: &ChannelId) -> Option<u64> {
    let Phase::Challenged { settle_block, .. } = shared.accounts.get(channel)?.lock().facts().phase else {
        return None;
    };
    let BlockNumber(head) = shared.head();
    Some(settle_block.0.saturating_sub(head))
}
