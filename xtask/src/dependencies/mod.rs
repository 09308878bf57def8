//! What we depend on: its licences, and which crates come in several versions.
//!
//! `cargo tree` tells what would really be compiled, on all platforms; `cargo metadata` would also
//! list what optional features could draw in.

mod duplicates;
mod licences;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use crate::failure::{Failure, read, write};
use crate::program::Program;

pub(crate) const HELP: &str = "\
Checks that the licence of every crate and npm package that we use is on the list of allowed ones
(xtask/src/dependencies/licences.rs), and that crates in several versions are those listed in
xtask/duplicates.txt.

Usage: cargo xtask dependencies [--write]

Options:
  --write  write xtask/duplicates.txt anew; reasons given there are kept

Examples:
  cargo xtask dependencies
  cargo xtask dependencies --write && git diff xtask/duplicates.txt
";

const LIST: &str = "xtask/duplicates.txt";
const NPM_LOCK: &str = "package-lock.json";

/// Where a package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// A Rust crate.
    Crate,
    /// A package of npm; all of ours are for development only.
    Npm,
}

/// A package that we use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Dependency {
    origin: Origin,
    name: String,
    version: String,
    /// The licence expression that it states; empty when it states none.
    licence: String,
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = match self.origin {
            Origin::Crate => "crate",
            Origin::Npm => "npm package",
        };
        write!(f, "{origin} {} {}", self.name, self.version)
    }
}

/// Runs both checks; with `write_list`, the list of duplicates is written instead of compared.
pub(crate) fn run(root: &Path, write_list: bool) -> Result<(), Failure> {
    let tree = Program::new(
        "cargo",
        [
            "tree",
            "--workspace",
            "--locked",
            "--target",
            "all",
            "--prefix",
            "none",
            "--format",
            "{p}|{l}",
        ],
    );
    let crates = crates(&tree.output(root)?);
    let npm = npm_packages(&root.join(NPM_LOCK))?;
    let mut findings = licences::check(crates.iter().chain(&npm), licences::EXCEPTIONS);

    findings.extend(for_tests_alone(&crates));

    let found = duplicates::find(&crates);
    let path = root.join(LIST);
    let listed = duplicates::parse(&read(&path)?);
    if write_list {
        write(&path, &duplicates::print(&found, &listed))?;
    } else {
        findings.extend(duplicates::compare(&found, &listed));
    }

    Failure::unless_empty("dependencies", findings)?;
    println!(
        "dependencies: {} crates and {} npm packages with licences that we allow; {} crates in several versions, as listed in {LIST}",
        crates.len(),
        npm.len(),
        found.len()
    );
    Ok(())
}

/// What only a feature for one test draws in: nothing that is built otherwise may ask for it.
const FOR_TESTS_ALONE: &str = "shuttle";

fn for_tests_alone(crates: &BTreeSet<Dependency>) -> Option<String> {
    let found = crates.iter().find(|found| found.name == FOR_TESTS_ALONE)?;
    Some(format!(
        "{found} is in a usual build; only the test `schedules` may ask for microraiden-manager/shuttle"
    ))
}

/// Reads `name vVERSION (remarks)|LICENCE` lines of `cargo tree`, where a package stands often.
fn crates(tree: &str) -> BTreeSet<Dependency> {
    let line = |line: &str| {
        let (package, licence) = line.split_once('|')?;
        let mut words = package.split(' ');
        Some(Dependency {
            origin: Origin::Crate,
            name: words.next()?.to_owned(),
            version: words.next()?.trim_start_matches('v').to_owned(),
            licence: licence.trim_end_matches(" (*)").to_owned(),
        })
    };
    tree.lines().filter_map(line).collect()
}

/// Reads npm's lock file.
fn npm_packages(path: &Path) -> Result<BTreeSet<Dependency>, Failure> {
    let packages = crate::npm::locked(path)?;
    let dependency = |(place, package): (&String, &serde_json::Value)| {
        let text = |field: &str| package[field].as_str().unwrap_or_default().to_owned();
        let name = place.rsplit("node_modules/").next().unwrap_or(place).to_owned();
        Dependency {
            origin: Origin::Npm,
            name,
            version: text("version"),
            licence: text("license"),
        }
    };
    Ok(packages.iter().map(dependency).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_read() {
        let tree = "ours v0.1.0 (/somewhere)|MIT\nserde v1.0.229|MIT OR Apache-2.0\n\
                    serde_derive v1.0.229 (proc-macro)|MIT OR Apache-2.0 (*)\n\nserde v1.0.229|MIT OR Apache-2.0 (*)\n";
        let crates = crates(tree);
        let printed: Vec<String> = crates
            .iter()
            .map(|found| format!("{found}: {}", found.licence))
            .collect();
        assert_eq!(
            printed,
            [
                "crate ours 0.1.0: MIT",
                "crate serde 1.0.229: MIT OR Apache-2.0",
                "crate serde_derive 1.0.229: MIT OR Apache-2.0"
            ]
        );
    }

    #[test]
    fn what_is_for_one_test_is_found_elsewhere() {
        let usual = crates("ours v0.1.0 (/somewhere)|MIT\n");
        assert_eq!(for_tests_alone(&usual), None);
        let unusual = crates("ours v0.1.0 (/somewhere)|MIT\nshuttle v0.9.10|Apache-2.0\n");
        assert!(for_tests_alone(&unusual).is_some());
    }
}
