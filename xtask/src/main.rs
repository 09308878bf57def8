//! The project's own checks and its one test command: `cargo xtask --help`.
//!
//! In reading order: [`suite`] (the test command), [`layering`] (which crate may use which),
//! [`dependencies`] (licences and duplicates), [`book`] (the documentation), [`features`] (what only tests may have), [`packages`]
//! (what crates.io would get), [`npm`] (its lock files), [`python`] (an environment for the tests), [`program`] (how other programs are run),
//! [`failure`] (what can go wrong).
//!
//! Invariant: what this crate depends on stays small, since everyone waits for it first.

mod book;
mod debian;
mod dependencies;
mod failure;
mod features;
mod layering;
mod npm;
mod packages;
mod program;
mod python;
mod suite;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use failure::Failure;
use program::Program;

const HELP: &str = "\
The project's own checks and its one test command.

Usage: cargo xtask COMMAND [OPTIONS]

Commands:
  test          install what the tests need, then check, build and test everything
  layering      compare the arrows between our crates with the table of the house
  dependencies  check licences and duplicate versions of what we depend on
  book          build the documentation as a book, and check its links
  reference     write what docs/specification/ tells of the command line and of settings
  contracts     compile the contracts; write contracts/artifacts/ and docs/contract-api.md

`cargo xtask COMMAND --help` says more about one of them.

Examples:
  cargo xtask test
  cargo xtask layering --write
";

const REFERENCE_HELP: &str = "\
Writes docs/specification/command-line.md and configuration.md, as the program tells of itself.

Usage: cargo xtask reference

A test compares them with what is committed.

Examples:
  cargo xtask reference
  git diff --stat docs/specification
";

const CONTRACTS_HELP: &str = "\
Compiles contracts/src/ and writes ABI and bytecode to contracts/artifacts/, the reference of the
interface to docs/contract-api.md.

Usage: cargo xtask contracts

Needs what `npm ci` installs. `cargo xtask test` compares both with what is committed.

Examples:
  cargo xtask contracts
  git diff --stat contracts/artifacts
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Does what the command line asks for.
fn run(arguments: &[&str]) -> Result<(), Failure> {
    let root = root();
    match arguments {
        [] | ["help" | "--help" | "-h"] => show(HELP),
        ["test", options @ ..] if asks_help(options) => show(suite::HELP),
        ["layering", options @ ..] if asks_help(options) => show(layering::HELP),
        ["dependencies", options @ ..] if asks_help(options) => show(dependencies::HELP),
        ["book", options @ ..] if asks_help(options) => show(book::HELP),
        ["reference", options @ ..] if asks_help(options) => show(REFERENCE_HELP),
        ["contracts", options @ ..] if asks_help(options) => show(CONTRACTS_HELP),
        ["test", options @ ..] => {
            let [full, timings] = flags(options, ["--full", "--timings"])?;
            return suite::run(&root, full, timings);
        }
        ["layering", options @ ..] => {
            let [write] = flags(options, ["--write"])?;
            return layering::run(&root, write);
        }
        ["dependencies", options @ ..] => {
            let [write] = flags(options, ["--write"])?;
            return dependencies::run(&root, write);
        }
        ["book"] => return book::run(&root),
        ["reference"] => {
            let test = [
                "test",
                "--release",
                "-p",
                "microraiden-cli",
                "--bin",
                "microraiden",
                "reference",
            ];
            return Program::new("cargo", test)
                .with("MICRORAIDEN_WRITE_REFERENCE", "1")
                .run(&root);
        }
        ["contracts"] => {
            Program::new("node", ["contracts/compile.mjs"]).run(&root)?;
            return Program::new("node", ["contracts/reference.mjs"]).run(&root);
        }
        other => return Err(Failure::Usage(other.join(" "))),
    }
    Ok(())
}

fn show(help: &str) {
    print!("{help}");
}

fn asks_help(options: &[&str]) -> bool {
    options.iter().any(|option| matches!(*option, "--help" | "-h"))
}

/// Whether each of the `known` flags was given; refuses anything else.
fn flags<const N: usize>(options: &[&str], known: [&str; N]) -> Result<[bool; N], Failure> {
    match options.iter().find(|option| !known.contains(option)) {
        Some(unknown) => Err(Failure::Usage((*unknown).to_owned())),
        None => Ok(known.map(|flag| options.contains(&flag))),
    }
}

/// The repository's root, which holds this crate's folder.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_flags_are_found_and_others_refused() {
        let known = ["--full", "--timings"];
        assert_eq!(flags(&["--timings"], known).expect("known"), [false, true]);
        assert!(matches!(flags(&["--ful"], known), Err(Failure::Usage(flag)) if flag == "--ful"));
        assert!(matches!(run(&["tset"]), Err(Failure::Usage(_))));
    }
}
