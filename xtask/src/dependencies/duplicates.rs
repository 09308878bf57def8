//! Crates that are compiled in several versions: each costs build time, and types that look the
//! same without being it. Known ones are listed, so that a new one is a decision.

use std::collections::{BTreeMap, BTreeSet};

use super::Dependency;

const HEADER: &str = "\
# Crates that are compiled in several versions: a name, its versions, and a reason after `#`.
# Written by `cargo xtask dependencies --write`, which keeps the reasons.
";

/// Versions by name.
pub(super) type Duplicates = BTreeMap<String, BTreeSet<String>>;

/// The list as committed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    versions: Duplicates,
    reasons: BTreeMap<String, String>,
}

/// The crates that stand there in more than one version.
pub(super) fn find<'a>(crates: impl IntoIterator<Item = &'a Dependency>) -> Duplicates {
    let mut versions = Duplicates::new();
    for dependency in crates {
        versions
            .entry(dependency.name.clone())
            .or_default()
            .insert(dependency.version.clone());
    }
    versions.retain(|_, versions| versions.len() > 1);
    versions
}

/// Reads the list: a crate per line.
pub(super) fn parse(text: &str) -> List {
    let mut list = List::default();
    for line in text.lines() {
        let (crate_and_versions, reason) = line.split_once('#').unwrap_or((line, ""));
        let mut words = crate_and_versions.split_whitespace();
        let Some(name) = words.next() else { continue };
        list.versions
            .insert(name.to_owned(), words.map(str::to_owned).collect());
        if !reason.trim().is_empty() {
            list.reasons.insert(name.to_owned(), reason.trim().to_owned());
        }
    }
    list
}

/// The list's text for what was found, with the reasons that are known.
pub(super) fn print(found: &Duplicates, listed: &List) -> String {
    let mut text = HEADER.to_owned();
    for (name, versions) in found {
        let reason = listed
            .reasons
            .get(name)
            .map_or_else(String::new, |reason| format!("  # {reason}"));
        text.push_str(&format!("{name} {}{reason}\n", joined(versions)));
    }
    text
}

/// How what was found differs from the list.
pub(super) fn compare(found: &Duplicates, listed: &List) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, versions) in found {
        let known = listed.versions.get(name);
        if known != Some(versions) {
            let known = known.map_or_else(
                || "not listed".to_owned(),
                |known| format!("listed: {}", joined(known)),
            );
            findings.push(format!(
                "{name} is compiled as {} ({known}); use one version, or list it: `cargo xtask dependencies --write`",
                joined(versions)
            ));
        }
    }
    let gone = listed.versions.keys().filter(|name| !found.contains_key(*name));
    findings.extend(gone.map(|name| {
        format!("{name} is no duplicate any more; shorten the list: `cargo xtask dependencies --write`")
    }));
    findings
}

fn joined(versions: &BTreeSet<String>) -> String {
    versions.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duplicates(crates: &[(&str, &[&str])]) -> Duplicates {
        let set = |versions: &[&str]| versions.iter().map(|version| (*version).to_owned()).collect();
        crates
            .iter()
            .map(|(name, versions)| ((*name).to_owned(), set(versions)))
            .collect()
    }

    #[test]
    fn new_changed_and_vanished_duplicates_are_found() {
        let found = duplicates(&[
            ("new", &["1.0.0", "2.0.0"]),
            ("same", &["0.1.0", "0.2.0"]),
            ("up", &["1.0.0", "1.1.0"]),
        ]);
        let listed = parse("# words\n\ngone 1.0.0 2.0.0\nsame 0.2.0 0.1.0 # known\nup 1.0.0 1.0.1\n");
        let findings = compare(&found, &listed);
        assert_eq!(findings.len(), 3, "{findings:?}");
        assert!(findings[0].starts_with("new is compiled as 1.0.0 2.0.0 (not listed)"));
        assert!(findings[1].starts_with("up is compiled as 1.0.0 1.1.0 (listed: 1.0.0 1.0.1)"));
        assert!(findings[2].starts_with("gone is no duplicate any more"));
    }

    #[test]
    fn what_is_written_is_accepted_and_keeps_its_reasons() {
        let found = duplicates(&[("a", &["1.0.0", "2.0.0"]), ("b", &["0.1.0", "0.2.0"])]);
        let text = print(&found, &parse("b 0.0.1 0.1.0  # drawn in by c\n"));
        assert_eq!(
            text,
            format!("{HEADER}a 1.0.0 2.0.0\nb 0.1.0 0.2.0  # drawn in by c\n")
        );
        assert_eq!(compare(&found, &parse(&text)), Vec::<String>::new());
    }
}
