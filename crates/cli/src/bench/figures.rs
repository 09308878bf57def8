//! What was measured, repetition by repetition, and its spread.

use hdrhistogram::Histogram;
use serde::Serialize;

/// The least that a paid request should reach of what one signature check would leave.
pub(super) const RATIO_GOAL: f64 = 0.8;
/// What the slowest of a hundred paid requests should stay below, in milliseconds more than unpaid.
pub(super) const P99_ADDED_GOAL_MS: f64 = 5.0;

/// A figure over the repetitions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// `None` when nothing was measured.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let upper = sorted.len() / 2;
        let lower = (sorted.len() - 1) / 2;
        Some(Self {
            median: f64::midpoint(sorted[lower], sorted[upper]),
            min,
            max,
        })
    }
}

/// What is told of the times of one window, in milliseconds.
pub(super) const PERCENTILES: [(&str, f64); 5] = [
    ("p50", 50.0),
    ("p90", 90.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("max", 100.0),
];
/// Where p99 stands among them.
const P99: usize = 2;

/// The times of one situation: for each percentile its values over the repetitions.
#[derive(Debug, Clone, Default)]
pub(super) struct Times([Vec<f64>; PERCENTILES.len()]);

impl Times {
    /// Notes a window; gives its p99.
    pub(super) fn add(&mut self, window: &Histogram<u64>) -> f64 {
        for ((_, percentile), values) in PERCENTILES.iter().zip(&mut self.0) {
            #[expect(clippy::cast_precision_loss, reason = "a minute in nanoseconds")]
            values.push(window.value_at_percentile(*percentile) as f64 / 1e6);
        }
        self.0[P99].last().copied().unwrap_or_default()
    }

    /// The spread of each percentile.
    pub(super) fn spreads(&self) -> Option<[Spread; PERCENTILES.len()]> {
        let mut spreads = [Spread {
            median: 0.0,
            min: 0.0,
            max: 0.0,
        }; PERCENTILES.len()];
        for (spread, values) in spreads.iter_mut().zip(&self.0) {
            *spread = Spread::of(values)?;
        }
        Some(spreads)
    }
}

/// Everything that was measured.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    /// In a second, each.
    pub(super) unpaid: Vec<f64>,
    pub(super) signatures: Vec<f64>,
    pub(super) paid: Vec<f64>,
    /// Of what one signature check added to an unpaid request would allow.
    pub(super) ratio: Vec<f64>,
    /// At half load: the rate, and by how much paying raises the p99, in milliseconds.
    pub(super) half_load: Vec<f64>,
    pub(super) p99_added: Vec<f64>,
    pub(super) unpaid_full: Times,
    pub(super) paid_full: Times,
    pub(super) unpaid_half: Times,
    pub(super) paid_half: Times,
}

/// What `paid` is of the rate that one signature check, added to an unpaid request, would allow.
pub(super) fn ratio(unpaid: f64, signatures: f64, paid: f64) -> f64 {
    paid * (1.0 / unpaid + 1.0 / signatures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(Spread::of(&[]), None);
        for (values, median) in [(&[3.0][..], 3.0), (&[3.0, 1.0], 2.0), (&[9.0, 1.0, 2.0], 2.0)] {
            let spread = Spread::of(values).unwrap();
            assert!((spread.median - median).abs() < 1e-9, "{values:?}");
            assert!(spread.min <= median && median <= spread.max);
        }
    }

    #[test]
    fn the_ratio_is_one_when_only_the_signature_was_added() {
        // 20 µs and 40 µs: 60 µs.
        assert!((ratio(50_000.0, 25_000.0, 1e6 / 60.0) - 1.0).abs() < 1e-9);
        assert!((ratio(50_000.0, 25_000.0, 1e6 / 120.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn percentiles_are_in_milliseconds() {
        let mut window = Histogram::<u64>::new(3).unwrap();
        (1..=100u64).for_each(|ms| window.record(ms * 1_000_000).unwrap());
        let mut times = Times::default();
        assert!((times.add(&window) - 99.0).abs() < 0.2);
        let [p50, .., max] = times.spreads().unwrap();
        assert!((p50.median - 50.0).abs() < 0.1 && (max.median - 100.0).abs() < 0.2);
    }
}
