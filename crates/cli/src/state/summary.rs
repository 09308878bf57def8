//! What is told of a state: counts and sums, as a table or as JSON.

use comfy_table::{Table, presets};
use microraiden_protocol::{Amount, BlockNumber, Phase};
use microraiden_store::{Contents, Halt, HaltKind, Moving, TaskKind};
use serde_json::{Map, Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Channels by what can be done with them.
#[derive(Debug, Default)]
pub(super) struct Channels {
    pub(super) pending: usize,
    pub(super) open: usize,
    pub(super) challenged: usize,
    pub(super) settled: usize,
    /// Of those that are not settled: with a promise to close.
    pub(super) promised: usize,
}

impl Channels {
    pub(super) const fn unsettled(&self) -> usize {
        self.pending + self.open + self.challenged
    }
}

/// Counts and sums.
pub(super) struct Summary<'a> {
    contents: &'a Contents,
    pub(super) channels: Channels,
    /// All that was paid on channels that are not settled.
    balance_sum: Amount,
    head: Option<BlockNumber>,
}

impl<'a> Summary<'a> {
    pub(super) fn of(contents: &'a Contents) -> Self {
        let mut channels = Channels::default();
        let mut balance_sum = Amount::ZERO;
        for account in &contents.snapshot.accounts {
            let count = match account.facts().phase {
                Phase::Pending => &mut channels.pending,
                Phase::Open => &mut channels.open,
                Phase::Challenged { .. } => &mut channels.challenged,
                Phase::Settled { .. } => {
                    channels.settled += 1;
                    continue;
                }
            };
            *count += 1;
            channels.promised += usize::from(account.promise().is_some());
            // What channels hold was minted by one token, so sums saturate only in theory.
            balance_sum = balance_sum.checked_add(account.balance()).unwrap_or(Amount::MAX);
        }
        Self {
            contents,
            channels,
            balance_sum,
            head: contents.snapshot.blocks.last().map(|block| block.number),
        }
    }

    fn tasks(&self) -> [(&'static str, usize); 3] {
        let count = |kind| {
            let tasks = self.contents.snapshot.tasks.iter();
            tasks.filter(|task| task.kind == kind).count()
        };
        [
            ("dispute", count(TaskKind::Dispute)),
            ("close", count(TaskKind::Close)),
            ("withdraw", count(TaskKind::Withdraw)),
        ]
    }

    pub(super) fn json(&self) -> Map<String, Value> {
        let Contents { binding, version, .. } = self.contents;
        let channels = &self.channels;
        let tasks: Map<_, _> = self
            .tasks()
            .into_iter()
            .map(|(kind, count)| (kind.to_owned(), count.into()))
            .collect();
        let (moved_to, arriving_from) = match &self.contents.moving {
            Some(Moving::To(place)) => (Some(place), None),
            Some(Moving::From(place)) => (None, Some(place)),
            None => (None, None),
        };
        let halts: Vec<_> = self.contents.snapshot.halts.iter().map(halt_json).collect();
        let value = json!({
            "chain_id": binding.escrow.chain_id,
            "contract": binding.escrow.contract.to_string(),
            "receiver": binding.receiver.to_string(),
            "format": version,
            "backup_made_at": self.contents.backup_of.map(unix_seconds),
            "moved_to": moved_to,
            "arriving_from": arriving_from,
            "head": self.head.map(|head| head.0),
            "channels": {
                "pending": channels.pending,
                "open": channels.open,
                "challenged": channels.challenged,
                "settled": channels.settled,
                "promised": channels.promised,
            },
            "balance_sum": self.balance_sum.to_string(),
            "tasks": tasks,
            "halts": halts,
        });
        match value {
            Value::Object(object) => object,
            _ => Map::new(),
        }
    }

    pub(super) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        let Contents { binding, version, .. } = self.contents;
        let mut row = |name: &str, value: String| {
            table.add_row([name.to_owned(), value]);
        };
        row("Chain", binding.escrow.chain_id.to_string());
        row("Channel contract", binding.escrow.contract.to_string());
        row("Receiver", binding.receiver.to_string());
        row("Format", version.to_string());
        if let Some(made_at) = self.contents.backup_of {
            row("Backup made", ago(made_at));
        }
        match &self.contents.moving {
            Some(Moving::To(place)) => row("Moved to", place.clone()),
            Some(Moving::From(place)) => row("Not all here yet from", place.clone()),
            None => {}
        }
        row(
            "Head block",
            self.head
                .map_or_else(|| "none".to_owned(), |head| head.to_string()),
        );
        row("Channels", self.channel_counts());
        row("Balances", format!("{} base units", self.balance_sum));
        let tasks = self.tasks().into_iter().filter(|(_, count)| *count > 0);
        let tasks: Vec<_> = tasks.map(|(kind, count)| format!("{count} {kind}")).collect();
        if !tasks.is_empty() {
            row("Tasks", tasks.join(", "));
        }
        for halt in &self.contents.snapshot.halts {
            row("Selling is stopped", halt_text(halt));
        }
        table
    }

    fn channel_counts(&self) -> String {
        let channels = &self.channels;
        let counts = [
            (channels.pending, "pending"),
            (channels.open, "open"),
            (channels.challenged, "challenged"),
            (channels.settled, "settled"),
            (channels.promised, "with a promise to close"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts.map(|(count, state)| format!("{count} {state}")).collect();
        match counts.is_empty() {
            true => "none".to_owned(),
            false => counts.join(", "),
        }
    }
}

fn halt_json(halt: &Halt) -> Value {
    let kind = match halt.kind {
        HaltKind::Reorganised => "reorganised",
        HaltKind::Restored => "restored",
    };
    json!({ "kind": kind, "block": halt.block.map(|block| block.0) })
}

fn halt_text(halt: &Halt) -> String {
    match (halt.kind, halt.block) {
        (HaltKind::Reorganised, Some(block)) => {
            format!("the chain was reorganised above block {block}, deeper than the confirmations")
        }
        (HaltKind::Reorganised, None) => "the chain was reorganised deeper than the confirmations".to_owned(),
        (HaltKind::Restored, Some(block)) => {
            format!("restored from a backup: on channels opened up to block {block}")
        }
        (HaltKind::Restored, None) => "restored from a backup: on all channels that it knows".to_owned(),
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// How long ago, which people want to know rather than when.
fn ago(time: SystemTime) -> String {
    let age = SystemTime::now().duration_since(time).unwrap_or_default();
    format!("{} ago", indicatif::HumanDuration(age))
}
