//! Running other programs from the repository's root.
//!
//! They stay in our process group, so that Ctrl-C reaches them and us alike.

use std::ffi::OsString;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::failure::Failure;

/// A program with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    name: &'static str,
    arguments: Vec<String>,
    environment: Option<(&'static str, &'static str)>,
}

impl Program {
    /// A program with these arguments, and our environment.
    pub(crate) fn new<A: Into<String>>(name: &'static str, arguments: impl IntoIterator<Item = A>) -> Self {
        Self {
            name,
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: None,
        }
    }

    /// Sets one environment variable besides.
    pub(crate) fn with(mut self, variable: &'static str, value: &'static str) -> Self {
        self.environment = Some((variable, value));
        self
    }

    /// Whether it can be started and succeeds; what it prints is dropped.
    pub(crate) fn succeeds(&self, root: &Path) -> bool {
        self.command(root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Runs it with our output as its own.
    pub(crate) fn run(&self, root: &Path) -> Result<(), Failure> {
        println!("$ {self}");
        self.check(
            self.command(root)
                .status()
                .map_err(|source| self.no_start(source))?,
        )
    }

    /// Runs it and gives what it prints on stdout.
    pub(crate) fn output(&self, root: &Path) -> Result<String, Failure> {
        let mut text = Vec::new();
        self.each_line(root, |line| text.extend_from_slice(line))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Runs it, shows its stdout as it comes, and gives each line to `see`.
    pub(crate) fn watch(&self, root: &Path, mut see: impl FnMut(&str)) -> Result<(), Failure> {
        println!("$ {self}");
        self.each_line(root, |line| {
            let line = String::from_utf8_lossy(line);
            print!("{line}");
            see(line.trim());
        })
    }

    fn each_line(&self, root: &Path, mut see: impl FnMut(&[u8])) -> Result<(), Failure> {
        let mut child = self
            .command(root)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| self.no_start(source))?;
        if let Some(stdout) = child.stdout.take() {
            lines(stdout, &mut see).map_err(|source| self.no_start(source))?;
        }
        self.check(child.wait().map_err(|source| self.no_start(source))?)
    }

    fn command(&self, root: &Path) -> Command {
        let program = match self.name {
            "cargo" => std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")),
            other => OsString::from(other),
        };
        let mut command = Command::new(program);
        command
            .args(&self.arguments)
            .envs(self.environment)
            .current_dir(root);
        command
    }

    fn check(&self, status: ExitStatus) -> Result<(), Failure> {
        if status.success() {
            Ok(())
        } else {
            Err(Failure::Program {
                program: self.to_string(),
                status,
            })
        }
    }

    fn no_start(&self, source: std::io::Error) -> Failure {
        Failure::Start {
            program: self.to_string(),
            source,
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((variable, value)) = self.environment {
            write!(f, "{variable}='{value}' ")?;
        }
        write!(f, "{}", self.name)?;
        self.arguments
            .iter()
            .try_for_each(|argument| write!(f, " {argument}"))
    }
}

/// Calls `see` with each line, its end included; a tool may print what is not UTF-8.
fn lines(from: impl Read, see: &mut impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        see(&line);
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_seen_and_a_failure_is_named() {
        let here = Path::new(".");
        let mut seen = Vec::new();
        Program::new("sh", ["-c", "echo one; printf two"])
            .watch(here, |line| seen.push(line.to_owned()))
            .expect("sh succeeds");
        assert_eq!(seen, ["one", "two"]);
        let failed = Program::new("sh", ["-c", "exit 3"])
            .run(here)
            .expect_err("exit 3 is a failure");
        assert_eq!(failed.to_string(), "`sh -c exit 3` failed (exit status: 3)");
        assert!(!Program::new("there-is-no-such-program", ["x"]).succeeds(here));
    }

    #[test]
    fn a_variable_reaches_the_program() {
        let text = Program::new("sh", ["-c", "echo $ANSWER"])
            .with("ANSWER", "42")
            .output(Path::new("."));
        assert_eq!(text.expect("sh succeeds"), "42\n");
    }
}
