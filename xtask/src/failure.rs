//! What can go wrong in a task.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Why a task did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line is not one that we know.
    #[error("`{0}` is not known here; `cargo xtask --help` lists what is")]
    Usage(String),
    /// A file could not be read or written.
    #[error("cannot use {path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A JSON file is not JSON, or not of the expected shape.
    #[error("{path} is not what npm writes: {reason}", path = path.display())]
    Lockfile {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// Cargo could not describe the workspace.
    #[error("cargo metadata failed: {0}")]
    Metadata(#[from] cargo_metadata::Error),
    /// A program could not be started at all.
    #[error("cannot start `{program}`: {source}")]
    Start {
        /// The whole command.
        program: String,
        /// The reason.
        source: std::io::Error,
    },
    /// A program ran and did not succeed.
    #[error("`{program}` failed ({status})")]
    Program {
        /// The whole command.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// Something must be installed by hand first.
    #[error("{0}")]
    Missing(&'static str),
    /// A runner succeeded without a single test.
    #[error("`{program}` ran no test at all")]
    NoTests {
        /// The whole command.
        program: String,
    },
    /// A check found something; one line each.
    #[error("{check}:{}", list(.findings))]
    Findings {
        /// The check.
        check: &'static str,
        /// What it found.
        findings: Vec<String>,
    },
    /// A part of the test command failed.
    #[error("part \"{part}\": {source}")]
    Part {
        /// The part's name.
        part: &'static str,
        /// What happened in it.
        source: Box<Failure>,
    },
}

impl Failure {
    /// Success when nothing was found.
    pub(crate) fn unless_empty(check: &'static str, findings: Vec<String>) -> Result<(), Self> {
        if findings.is_empty() {
            Ok(())
        } else {
            Err(Self::Findings { check, findings })
        }
    }
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|source| Failure::File {
        path: path.to_owned(),
        source,
    })
}

/// Writes a text file.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|source| Failure::File {
        path: path.to_owned(),
        source,
    })
}

fn list(findings: &[String]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}
