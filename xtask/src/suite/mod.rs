//! The one test command: parts in order, each with its minutes and its budget; the first failure
//! ends the run.

mod count;
mod parts;
mod report;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::program::Program;

pub(crate) const HELP: &str = "\
Installs what the tests need and runs every test of the project. Needs Rust, Node.js 20 or newer
with npm, Python 3.10 or newer with venv, and a network only to fetch what is not there yet.

Usage: cargo xtask test [--full] [--timings]

Options:
  --full     also the long tests, which are marked as ignored, and the whole system on anvil
  --timings  print the seconds of each command besides the minutes of each part

Examples:
  cargo xtask test
  cargo xtask test --full --timings
";

/// A stretch of the run with a budget of its own.
struct Part {
    name: &'static str,
    /// Minutes on two cores, on a machine that has built nothing yet.
    budget: u64,
    steps: fn(&mut Run<'_>) -> Result<(), Failure>,
}

/// What a part took.
#[derive(Debug)]
struct Taken {
    name: &'static str,
    budget: u64,
    time: Duration,
    steps: Vec<(String, Duration)>,
}

/// A run as far as it came.
struct Run<'a> {
    root: &'a Path,
    full: bool,
    passed: u64,
    steps: Vec<(String, Duration)>,
}

impl Run<'_> {
    /// Runs a program that must succeed.
    fn run(&mut self, program: &Program) -> Result<(), Failure> {
        let root = self.root;
        self.step(program.to_string(), || program.run(root))
    }

    /// Runs tests: they must succeed, and there must be some.
    fn tests(&mut self, program: &Program) -> Result<(), Failure> {
        let (root, mut passed) = (self.root, 0);
        self.step(program.to_string(), || {
            program.watch(root, |line| passed += count::passed(line).unwrap_or_default())
        })?;
        if passed == 0 {
            return Err(Failure::NoTests {
                program: program.to_string(),
            });
        }
        self.passed += passed;
        Ok(())
    }

    /// Does something and remembers how long it took.
    fn step<T>(&mut self, name: String, act: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let started = Instant::now();
        let done = act();
        self.steps.push((name, started.elapsed()));
        done
    }
}

/// Runs all parts and says what they took; the last line counts the tests that passed.
pub(crate) fn run(root: &Path, full: bool, timings: bool) -> Result<(), Failure> {
    let mut run = Run {
        root,
        full,
        passed: 0,
        steps: Vec::new(),
    };
    let mut taken = Vec::new();
    let outcome = parts::PARTS.iter().try_for_each(|part| {
        println!("\n=== {} ===", part.name);
        let started = Instant::now();
        let outcome = (part.steps)(&mut run);
        let (time, steps) = (started.elapsed(), std::mem::take(&mut run.steps));
        taken.push(Taken {
            name: part.name,
            budget: part.budget,
            time,
            steps,
        });
        outcome.map_err(|source| Failure::Part {
            part: part.name,
            source: Box::new(source),
        })
    });
    print!("\n{}", report::table(&taken, timings));
    outcome?;
    println!("\n{} passed, 0 failed", run.passed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed_by(script: &str) -> Result<u64, Failure> {
        let mut run = Run {
            root: Path::new("."),
            full: false,
            passed: 0,
            steps: Vec::new(),
        };
        run.tests(&Program::new("sh", ["-c", script]))?;
        assert_eq!(run.steps.len(), 1);
        Ok(run.passed)
    }

    #[test]
    fn tests_are_counted_and_must_exist() {
        let line = "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(
            passed_by(&format!("echo '{line}'; echo '{line}'")).expect("tests ran"),
            4
        );
        assert!(matches!(
            passed_by("echo 'test result: ok. 0 passed; 0 failed'"),
            Err(Failure::NoTests { .. })
        ));
        assert!(matches!(
            passed_by(&format!("echo '{line}'; exit 1")),
            Err(Failure::Program { .. })
        ));
    }
}
