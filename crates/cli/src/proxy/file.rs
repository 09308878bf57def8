//! The configuration file: TOML, and where in it a fault is.

use super::settings::Settings;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A configuration file as it was read.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    text: String,
}

/// One step on the way to a value: a key of a table, or a place in a list, from 0.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    /// A key that is a setting.
    Key(&'static str),
    /// A key that is a name of the user's.
    Name(&'a str),
    /// A place.
    Item(usize),
}

/// A fault in a configuration file, with its line.
#[derive(Debug, thiserror::Error)]
pub(crate) struct FileFault {
    path: PathBuf,
    /// Line and column, from 1; `None` when the whole file is meant.
    place: Option<(usize, usize)>,
    /// The line, unless it may hold a secret.
    line: Option<String>,
    message: String,
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        let Some((line, column)) = self.place else {
            return write!(f, ": {}", self.message);
        };
        write!(f, ":{line}:{column}: {}", self.message)?;
        if let Some(text) = &self.line {
            let number = line.to_string();
            let (margin, before) = (" ".repeat(number.len()), " ".repeat(column - 1));
            write!(f, "\n{margin} |\n{number} | {text}\n{margin} | {before}^")?;
        }
        Ok(())
    }
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// When there is none, or it is not text.
    pub(crate) fn read(path: &Path) -> Result<Self, FileFault> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self {
                path: path.into(),
                text,
            }),
            Err(error) => Err(FileFault {
                path: path.into(),
                place: None,
                line: None,
                message: format!("cannot be read: {error}; `microraiden init` writes one"),
            }),
        }
    }

    /// What it says; paths in it begin at its folder.
    ///
    /// # Errors
    /// When it is no TOML, or says something that no setting is.
    pub(crate) fn settings(&self) -> Result<Settings, FileFault> {
        let mut settings: Settings =
            toml::from_str(&self.text).map_err(|error| self.fault(error.span(), error.message()))?;
        let folder = self.path.parent().unwrap_or(Path::new(""));
        for path in settings.paths() {
            *path = folder.join(&*path);
        }
        Ok(settings)
    }

    /// A fault of a value that was understood, but cannot be used.
    pub(crate) fn fault_at(&self, steps: &[Step<'_>], message: impl fmt::Display) -> FileFault {
        self.fault(self.find(steps), &message.to_string())
    }

    /// Whether there is such a value.
    pub(crate) fn has(&self, key: &'static str) -> bool {
        self.find(&[Step::Key(key)]).is_some()
    }

    /// Where a value is; where the nearest thing around it is, when it is not there.
    fn find(&self, steps: &[Step<'_>]) -> Option<Range<usize>> {
        let table = DeTable::parse(&self.text).ok()?;
        let root: Spanned<DeValue<'_>> = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
        let (mut value, mut found) = (&root, None);
        for step in steps {
            let next = match (step, value.get_ref()) {
                (Step::Key(key) | Step::Name(key), DeValue::Table(table)) => table.get(*key),
                (Step::Item(item), DeValue::Array(array)) => array.get(*item),
                _ => None,
            };
            let Some(next) = next else { break };
            value = next;
            found = Some(value.span());
        }
        found
    }

    fn fault(&self, span: Option<Range<usize>>, message: &str) -> FileFault {
        let place = span.map(|span| {
            let before = self.text.get(..span.start).unwrap_or(&self.text);
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            let line = before.matches('\n').count() + 1;
            let column = before[line_start..].chars().count() + 1;
            (line, column)
        });
        let line = place
            .filter(|(line, _)| !self.may_hold_secrets(*line))
            .and_then(|(line, _)| self.text.lines().nth(line - 1));
        FileFault {
            path: self.path.clone(),
            place,
            line: line.map(str::to_owned),
            message: message.trim().to_owned(),
        }
    }

    /// Whether a line, from 1, may hold a key or a password: it sets headers, or has the address of a node or one with
    /// a user.
    fn may_hold_secrets(&self, line: usize) -> bool {
        let mut before: Vec<_> = self.text.lines().take(line).collect();
        if before
            .last()
            .is_some_and(|line| line.contains("rpc_provider") || line.contains('@'))
        {
            return true;
        }
        let table = before.iter().rposition(|line| line.trim_start().starts_with('['));
        let of_table = before.split_off(table.unwrap_or(0));
        // The table's name, or a key above it whose value may go over several lines.
        of_table.iter().any(|line| line.contains("headers"))
    }
}
