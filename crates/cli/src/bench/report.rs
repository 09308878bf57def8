//! What is printed: a table for people, one JSON object for programs.

use super::figures::{Figures, P99_ADDED_GOAL_MS, PERCENTILES, RATIO_GOAL, Spread, Times};
use super::machine::{self, Cores};
use super::measure::Measuring;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Duration;

/// What was measured, on what.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) setting: Setting,
    pub(super) figures: Figures,
    pub(super) payments: Payments,
    pub(super) notes: Vec<String>,
}

/// The machine and the load.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Setting {
    /// The URL that was paid for; none for a receiver in this process.
    pub(super) url: Option<String>,
    /// Whether a receiver in this process has the content from a server behind it.
    pub(super) reverse_proxy: bool,
    pub(super) processor: Option<String>,
    pub(super) cores: Cores,
    /// Whether receiver and load had a core each.
    pub(super) pinned: bool,
    /// Where the state file was, and how it is written.
    pub(super) file_system: Option<String>,
    pub(super) store: Option<&'static str>,
    /// How many receivers share the store, and whether a channel's requests all go to one of them.
    pub(super) instances: u32,
    pub(super) affinity: Option<bool>,
    pub(super) senders: usize,
    pub(super) in_flight: usize,
    pub(super) seconds: f64,
    pub(super) repetitions: u32,
    /// What each request cost.
    pub(super) price: String,
}

impl Setting {
    /// This machine, with a state file in `state_dir` if it is the receiver's too.
    pub(super) fn here(cores: Cores, state_dir: Option<&Path>, length: Duration) -> Self {
        Self {
            url: None,
            reverse_proxy: false,
            processor: machine::processor(),
            cores,
            pinned: cores.are_pinned(),
            file_system: state_dir.and_then(machine::file_system),
            store: state_dir.map(|_| "SQLite, WAL, synchronous=FULL"),
            instances: 1,
            affinity: None,
            senders: 0,
            in_flight: 0,
            seconds: length.as_secs_f64(),
            repetitions: 0,
            price: String::new(),
        }
    }
}

/// Whether what was served is what was stored.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Payments {
    /// Paid requests that were answered with 200, those of the warm-up included.
    pub(super) served: u64,
    /// Requests that were not, paid or unpaid, and what came of the first.
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
    /// Whether every balance that the receiver has stored is what its answers cost.
    pub(super) exact: bool,
    /// Where it is not.
    pub(super) differences: Vec<String>,
}

impl Report {
    /// Takes the figures together with the comparison of the books.
    pub(super) fn new(setting: Setting, measuring: Measuring, served: u64, differences: Vec<String>) -> Self {
        Self {
            setting,
            payments: Payments {
                served,
                errors: measuring.failures,
                first_error: measuring.first_failure,
                exact: differences.is_empty(),
                differences,
            },
            figures: measuring.figures,
            notes: measuring.notes,
        }
    }

    /// What makes the run fail.
    pub(super) fn verdict(&self) -> Result<(), String> {
        let Payments {
            errors,
            first_error,
            differences,
            ..
        } = &self.payments;
        if let Some(first) = differences.first() {
            return Err(format!(
                "what the receiver has stored is not what it has served: {first}"
            ));
        }
        if *errors > 0 {
            let first = first_error.as_deref().unwrap_or("no answer");
            return Err(format!(
                "{errors} requests were not answered with 200; the first: {first}"
            ));
        }
        if self.figures.paid.is_empty() {
            return Err("no paid requests were measured".to_owned());
        }
        Ok(())
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let figures = &self.figures;
        let (ratio, added) = (Spread::of(&figures.ratio), Spread::of(&figures.p99_added));
        json!({
            "setting": self.setting,
            "unpaid_per_second": Spread::of(&figures.unpaid),
            "signature_checks_per_second": Spread::of(&figures.signatures),
            "paid_per_second": Spread::of(&figures.paid),
            "ratio": ratio,
            "half_load_per_second": Spread::of(&figures.half_load),
            "p99_added_ms": added,
            "latency_ms": {
                "unpaid_full_load": times(&figures.unpaid_full),
                "paid_full_load": times(&figures.paid_full),
                "unpaid_half_load": times(&figures.unpaid_half),
                "paid_half_load": times(&figures.paid_half),
            },
            "goals": {
                "ratio_at_least": RATIO_GOAL,
                "ratio_met": ratio.map(|ratio| ratio.median >= RATIO_GOAL),
                "p99_added_below_ms": P99_ADDED_GOAL_MS,
                "p99_added_met": added.map(|added| added.median < P99_ADDED_GOAL_MS),
            },
            "payments": self.payments,
            "notes": self.notes,
        })
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}\n\n{}\n\n{}\n", self.rates(), self.latencies(), self.about());
        let Payments {
            served,
            errors,
            exact,
            ..
        } = &self.payments;
        let stored = if *exact {
            "the receiver has stored exactly what they cost"
        } else {
            "the receiver has NOT stored exactly what they cost"
        };
        text += &format!("{served} paid requests were answered; {stored}. Errors: {errors}.");
        for note in &self.notes {
            text += &format!("\nNote: {note}.");
        }
        text
    }

    fn rates(&self) -> Table {
        let figures = &self.figures;
        let mut table = table(&["", "Median", "Lowest", "Highest", "µs each", "Goal"]);
        for (name, values) in [
            ("Unpaid requests/s", &figures.unpaid),
            ("Signature checks/s", &figures.signatures),
            ("Paid requests/s", &figures.paid),
        ] {
            let row = cells(values, |value| format!("{value:.0}"));
            let each = Spread::of(values).map(|spread| format!("{:.1}", 1e6 / spread.median));
            table.add_row(
                [
                    vec![name.to_owned()],
                    row,
                    vec![each.unwrap_or_default(), String::new()],
                ]
                .concat(),
            );
        }
        for (name, values, goal, digits) in [
            (
                "Paid, of unpaid with one signature check",
                &figures.ratio,
                "≥ 0.8",
                2,
            ),
            ("Added to p99 at half load, ms", &figures.p99_added, "< 5", 2),
        ] {
            let row = cells(values, |value| format!("{value:.digits$}"));
            table.add_row([vec![name.to_owned()], row, vec![String::new(), goal.to_owned()]].concat());
        }
        table
    }

    fn latencies(&self) -> Table {
        let figures = &self.figures;
        let mut table = table(&[
            "ms (lowest–highest)",
            "Unpaid, full",
            "Paid, full",
            "Unpaid, half",
            "Paid, half",
        ]);
        let situations = [
            &figures.unpaid_full,
            &figures.paid_full,
            &figures.unpaid_half,
            &figures.paid_half,
        ];
        let situations = situations.map(Times::spreads);
        for (at, (name, _)) in PERCENTILES.iter().enumerate() {
            let cells = situations.iter().map(|spreads| match spreads {
                None => "-".to_owned(),
                Some(spreads) => {
                    let Spread { median, min, max } = spreads[at];
                    format!("{median:.2} ({min:.2}–{max:.2})")
                }
            });
            table.add_row([(*name).to_owned()].into_iter().chain(cells));
        }
        table
    }

    /// One paragraph on machine and load.
    fn about(&self) -> String {
        let Setting {
            url,
            reverse_proxy,
            processor,
            cores,
            pinned,
            senders,
            in_flight,
            price,
            ..
        } = &self.setting;
        let what = match (url, reverse_proxy) {
            (Some(url), _) => format!("The receiver of {url}"),
            (None, true) => "A reverse proxy in this process".to_owned(),
            (None, false) => "A receiver in this process".to_owned(),
        };
        let processor = processor.as_deref().unwrap_or("unknown processor");
        let place = match (url, pinned, reverse_proxy) {
            (Some(_), ..) => "the load is not pinned to a core",
            (None, true, true) => {
                "the proxy has a core, the load and the server behind the proxy have another"
            }
            (None, true, false) => "receiver and load have a core each",
            (None, false, _) => "UNPINNED: receiver and load share what there is, so the figures are too low",
        };
        let mut text = format!(
            "{what}; {senders} channels with {in_flight} requests in flight each, {price} a request.\n\
             {processor}, {} cores; {place}.",
            cores.available,
        );
        if let Some(affinity) = self.setting.affinity {
            let (count, store) = (self.setting.instances, self.setting.store.unwrap_or_default());
            let way = if affinity {
                "all to the same one"
            } else {
                "to one after the other"
            };
            text += &format!(" {store}, {count} receivers on one core; the requests of a channel go {way}.");
        } else if let (Some(store), system) = (self.setting.store, &self.setting.file_system) {
            text += &format!(
                " {store}, on {}.",
                system.as_deref().unwrap_or("an unknown file system")
            );
        }
        if let Some(load) = Spread::of(&self.figures.half_load) {
            text += &format!(" Half load: {:.0} requests/s.", load.median);
        }
        text
    }
}

fn times(times: &Times) -> Option<Value> {
    let spreads = times.spreads()?;
    let named = PERCENTILES.iter().zip(spreads);
    let named = named.map(|((name, _), spread)| ((*name).to_owned(), json!(spread)));
    Some(Value::Object(named.collect::<Map<_, _>>()))
}

fn cells(values: &[f64], show: impl Fn(f64) -> String) -> Vec<String> {
    match Spread::of(values) {
        None => vec!["-".to_owned(); 3],
        Some(Spread { median, min, max }) => [median, min, max].map(show).to_vec(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let length = Duration::from_secs(3);
        Report {
            setting: Setting::here(Cores::unpinned(), None, length),
            figures: Figures {
                paid: vec![9_000.0, 11_000.0],
                ratio: vec![0.9, 0.7],
                ..Figures::default()
            },
            payments: Payments {
                served: 60_000,
                errors: 0,
                first_error: None,
                exact: true,
                differences: Vec::new(),
            },
            notes: Vec::new(),
        }
    }

    #[test]
    fn what_was_not_measured_is_told_as_such() {
        let report = report();
        assert_eq!(report.verdict(), Ok(()));
        let json = report.json();
        assert_eq!(json["paid_per_second"]["median"], 10_000.0);
        assert_eq!(json["goals"]["ratio_met"], true);
        assert!(json["unpaid_per_second"].is_null() && json["goals"]["p99_added_met"].is_null());
        assert!(report.text().contains("10000") && report.text().contains("UNPINNED"));
    }

    #[test]
    fn a_single_failure_or_difference_fails_the_run() {
        let mut failed = report();
        failed.payments.errors = 1;
        assert!(failed.verdict().is_err());
        let mut different = report();
        different.payments.differences = vec!["channel 0x1: 3 stored, 4 served".to_owned()];
        assert!(different.verdict().unwrap_err().contains("3 stored"));
        let mut empty = report();
        empty.figures.paid.clear();
        assert!(empty.verdict().is_err());
    }
}
