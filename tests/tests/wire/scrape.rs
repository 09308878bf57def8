//! What a scrape of the metrics says, read as strictly as the format 0.0.4 of Prometheus is written.

use microraiden_manager::meters::{METRICS, MetricKind};
use std::collections::{BTreeMap, BTreeSet};

/// What was scraped.
pub(crate) struct Scrape {
    /// By name and labels, as they stand there.
    samples: BTreeMap<String, f64>,
    /// The metrics that have a value.
    pub(crate) names: BTreeSet<&'static str>,
}

impl Scrape {
    /// Reads all of it.
    ///
    /// # Panics
    /// When a line is none of the format; when a metric is not in the list, is not described, or comes in
    /// several pieces; when a sample comes twice; when a histogram's buckets do not add up.
    pub(crate) fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'));
        let (mut samples, mut names) = (BTreeMap::new(), BTreeSet::new());
        for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
            let mut lines = block.trim_matches('\n').lines();
            let (help, kind) = (lines.next().unwrap(), lines.next().unwrap());
            let (name, help) = help.strip_prefix("# HELP ").unwrap().split_once(' ').unwrap();
            let metric = METRICS.iter().find(|metric| metric.name == name);
            let metric = metric.unwrap_or_else(|| panic!("{name} is not in the list"));
            assert_eq!(help, metric.help);
            assert_eq!(kind, format!("# TYPE {name} {}", metric.kind.name()));
            assert!(names.insert(metric.name), "{name} comes twice");
            let before = samples.len();
            for line in lines {
                let (key, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
                let labels = labels(name, metric.kind, key);
                let allowed = [metric.label, (key.contains("_bucket{")).then_some("le")];
                let allowed: Vec<&str> = allowed.into_iter().flatten().collect();
                assert_eq!(labels, allowed, "{line}");
                let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
                assert!(value.is_finite() && value >= 0.0, "{line}");
                let twice = samples.insert(key.to_owned(), value);
                assert!(twice.is_none(), "{key} comes twice");
            }
            assert!(samples.len() > before, "{name} has no value");
        }
        let scrape = Self { samples, names };
        for metric in METRICS {
            if let MetricKind::Histogram(buckets) = metric.kind {
                scrape.check_histogram(metric.name, buckets);
            }
        }
        scrape
    }

    fn check_histogram(&self, name: &str, buckets: &[f64]) {
        let at_most = |bound: &dyn std::fmt::Display| self.get(&format!("{name}_bucket{{le=\"{bound}\"}}"));
        let mut counts: Vec<f64> = buckets.iter().map(|bound| at_most(bound)).collect();
        counts.push(at_most(&"+Inf"));
        assert!(counts.is_sorted(), "{name}: {counts:?}");
        assert_eq!(counts.last(), Some(&self.get(&format!("{name}_count"))));
        assert_eq!(
            self.get(&format!("{name}_sum")) == 0.0,
            counts.last() == Some(&0.0)
        );
    }

    /// The value of `name` or `name{label="value"}`.
    ///
    /// # Panics
    /// When it is not there.
    pub(crate) fn get(&self, key: &str) -> f64 {
        self.find(key)
            .unwrap_or_else(|| panic!("{key} is not among {:?}", self.samples.keys()))
    }

    /// The value, if it is there.
    pub(crate) fn find(&self, key: &str) -> Option<f64> {
        self.samples
            .get(&format!("microraiden_{key}"))
            .or(self.samples.get(key))
            .copied()
    }
}

/// The names of the labels of a sample of this metric.
fn labels<'a>(name: &str, kind: MetricKind, key: &'a str) -> Vec<&'a str> {
    let rest = key
        .strip_prefix(name)
        .unwrap_or_else(|| panic!("{key} is among {name}"));
    let suffixes: &[&str] = match kind {
        MetricKind::Histogram(_) => &["_bucket", "_sum", "_count"],
        MetricKind::Counter | MetricKind::Gauge => &[""],
    };
    let (suffix, labels) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
    assert!(suffixes.contains(&suffix), "{key}");
    if labels.is_empty() {
        return Vec::new();
    }
    let inner = labels
        .strip_prefix('{')
        .and_then(|labels| labels.strip_suffix('}'));
    let label = |label: &'a str| {
        let (name, value) = label.split_once('=').unwrap_or_else(|| panic!("{key}"));
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let plain = |value: &str| !value.is_empty() && !value.contains(['"', '\\', ',', '\n']);
        assert!(value.is_some_and(plain), "{key}");
        assert!(
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{key}"
        );
        name
    };
    inner
        .unwrap_or_else(|| panic!("{key}"))
        .split(',')
        .map(label)
        .collect()
}
