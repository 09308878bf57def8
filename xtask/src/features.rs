//! What the program is built with: never what only tests may have.
//!
//! `cargo tree` tells the features of a build of the program alone, without those that development
//! dependencies and tests ask for.

use std::path::Path;

use crate::failure::Failure;
use crate::program::Program;

const PROGRAM: &str = "microraiden-cli";
/// Where the features are; it must be part of the program, or nothing was looked at.
const PACKAGE: &str = "microraiden-manager";
const TEST_ONLY: [&str; 2] = ["planted", "shuttle"];

/// Runs the check.
pub(crate) fn run(root: &Path) -> Result<(), Failure> {
    Failure::unless_empty("features", findings(&tree([]).output(root)?))?;
    println!("features: {PROGRAM} is built without {}", TEST_ONLY.join(" and "));
    Ok(())
}

/// Prints each crate of the program with its features, one a line.
fn tree<'a>(options: impl IntoIterator<Item = &'a str>) -> Program {
    let package = ["tree", "--package", PROGRAM, "--locked", "--target=all"];
    let shape = ["--edges=no-dev", "--prefix=none", "--format={p}|{f}"];
    Program::new("cargo", package.into_iter().chain(shape).chain(options))
}

fn findings(tree: &str) -> Vec<String> {
    let lines = tree.lines().filter_map(|line| line.split_once('|'));
    let features: Vec<&str> = lines
        .filter(|(package, _)| package.split(' ').next() == Some(PACKAGE))
        .map(|(_, features)| features.trim_end_matches(" (*)"))
        .collect();
    if features.is_empty() {
        return vec![format!("{PROGRAM} is built without {PACKAGE}")];
    }
    let has = |test_only: &str| {
        let mut all = features.iter().flat_map(|features| features.split(','));
        all.any(|feature| feature == test_only)
    };
    let found = TEST_ONLY.into_iter().filter(|test_only| has(test_only));
    found
        .map(|feature| {
            format!("{PROGRAM} is built with the feature {feature} of {PACKAGE}, which is for tests")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(options: &[&str]) -> Vec<String> {
        let tree = tree(options.iter().copied()).output(&crate::root());
        findings(&tree.expect("cargo knows our crates"))
    }

    #[test]
    fn features_of_tests_are_found_in_the_program() {
        assert_eq!(found(&[]), Vec::<String>::new());
        for feature in TEST_ONLY {
            let with = format!("--features=microraiden-manager/{feature}");
            let found = found(&[&with]);
            assert!(matches!(&found[..], [one] if one.contains(feature)), "{found:?}");
        }
    }

    #[test]
    fn a_program_without_the_manager_was_not_looked_at() {
        assert_eq!(findings("microraiden-cli v0.1.0|\n").len(), 1);
    }
}
