//! Which of our crates may depend on which: the compiler enforces the arrows, this check keeps
//! anyone from drawing new ones by the way.

mod document;
mod rooms;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

use crate::failure::{Failure, read, write};
use rooms::{ROOMS, Room};

pub(crate) const HELP: &str = "\
Compares the arrows between our crates with the table in xtask/src/layering/rooms.rs, and that
table with the one that ARCHITECTURE.md shows.

Usage: cargo xtask layering [--write]

Options:
  --write  write the table into ARCHITECTURE.md

Examples:
  cargo xtask layering
  cargo xtask layering --write && git diff ARCHITECTURE.md
";

const DOCUMENT: &str = "ARCHITECTURE.md";

/// Our packages, each with those of ours that it depends on to be built.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Runs the check; with `write`, the document's table is written instead of compared.
pub(crate) fn run(root: &Path, write_table: bool) -> Result<(), Failure> {
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec()?;
    let arrows = arrows(&metadata.packages);
    let mut findings = compare(ROOMS, &arrows);

    let path = root.join(DOCUMENT);
    let shown = read(&path)?;
    let table = document::table(ROOMS, &metadata.packages, root);
    match document::with_table(&shown, &table) {
        None => findings.push(format!(
            "{DOCUMENT} has no place for the table ({})",
            document::BEGIN
        )),
        Some(right) if right == shown => {}
        Some(right) if write_table => write(&path, &right)?,
        Some(_) => findings.push(format!(
            "{DOCUMENT} shows another table: `cargo xtask layering --write`"
        )),
    }

    Failure::unless_empty("layering", findings)?;
    let count: usize = arrows.values().map(BTreeSet::len).sum();
    println!(
        "layering: {} crates with {count} arrows, all allowed and as {DOCUMENT} shows them",
        arrows.len()
    );
    Ok(())
}

/// The arrows that really are; development dependencies draw none.
fn arrows(packages: &[Package]) -> Arrows {
    let uses = |package: &Package| {
        let ours = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.path.is_some());
        let built = ours.filter(|dependency| dependency.kind != DependencyKind::Development);
        built.map(|dependency| dependency.name.clone()).collect()
    };
    packages
        .iter()
        .map(|package| (package.name.to_string(), uses(package)))
        .collect()
}

/// What the arrows do that the rooms do not allow.
fn compare(rooms: &[Room], arrows: &Arrows) -> Vec<String> {
    let mut findings = Vec::new();
    for (package, uses) in arrows {
        let Some(room) = rooms.iter().find(|room| room.package == package) else {
            findings.push(format!("{package} has no room in the table"));
            continue;
        };
        for used in uses {
            if !room.may_use.contains(&used.as_str()) {
                findings.push(format!(
                    "{package} must not use {used}; it may use: {}",
                    listed(room.may_use)
                ));
            }
        }
    }
    let empty = rooms.iter().filter(|room| !arrows.contains_key(room.package));
    findings
        .extend(empty.map(|room| format!("the table has a room for {}, which is no crate", room.package)));
    findings
}

fn listed(packages: &[&str]) -> String {
    if packages.is_empty() {
        "nothing of ours".to_owned()
    } else {
        packages.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUSE: &[Room] = &[
        Room {
            package: "cellar",
            level: 0,
            may_use: &[],
        },
        Room {
            package: "hall",
            level: 1,
            may_use: &["cellar"],
        },
    ];

    fn graph(edges: &[(&str, &[&str])]) -> Arrows {
        let set = |uses: &[&str]| uses.iter().map(|used| (*used).to_owned()).collect();
        edges
            .iter()
            .map(|(package, uses)| ((*package).to_owned(), set(uses)))
            .collect()
    }

    #[test]
    fn allowed_arrows_pass_and_need_not_be_used() {
        assert!(compare(HOUSE, &graph(&[("cellar", &[]), ("hall", &["cellar"])])).is_empty());
        assert!(compare(HOUSE, &graph(&[("cellar", &[]), ("hall", &[])])).is_empty());
    }

    #[test]
    fn a_wrong_arrow_is_found() {
        let findings = compare(HOUSE, &graph(&[("cellar", &["hall"]), ("hall", &["cellar"])]));
        assert_eq!(
            findings,
            ["cellar must not use hall; it may use: nothing of ours"]
        );
    }

    #[test]
    fn a_crate_without_a_room_and_a_room_without_a_crate_are_found() {
        let findings = compare(HOUSE, &graph(&[("attic", &["cellar"]), ("cellar", &[])]));
        assert_eq!(
            findings,
            [
                "attic has no room in the table",
                "the table has a room for hall, which is no crate"
            ]
        );
    }

    #[test]
    fn the_rules_of_the_house_follow_from_the_table() {
        let level = |package: &str| {
            ROOMS
                .iter()
                .find(|room| room.package == package)
                .map(|room| room.level)
        };
        for room in ROOMS {
            assert!(
                room.may_use.iter().all(|used| level(used) < Some(room.level)),
                "{} looks up",
                room.package
            );
            let uses_devchain = room.may_use.contains(&"microraiden-devchain");
            let is_top = matches!(room.package, "microraiden-cli" | "microraiden-tests");
            assert_eq!(uses_devchain, is_top, "{}", room.package);
        }
        for (from, to) in [
            ("manager", "sender"),
            ("sender", "manager"),
            ("store", "chain"),
            ("paywall", "store"),
        ] {
            let (from, to) = (format!("microraiden-{from}"), format!("microraiden-{to}"));
            let found = compare(ROOMS, &graph(&[(&from, &[&to])]));
            assert!(
                found
                    .iter()
                    .any(|line| line.starts_with(&format!("{from} must not use {to}"))),
                "{found:?}"
            );
        }
    }
}
