//! Whether a state file is whole: its pages, its log, and what was stored last.

use super::checksum::FileId;
use super::connection::damaged;
use super::file::StateFile;
use super::mark::Mark;
use crate::error::OpenError;
use rusqlite::Connection;
use std::path::Path;

/// Where the database stands, by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// Which file it is, and how far it has come.
    pub(super) mark: Mark,
    /// Whether it was in use and has not ended in order, so that its log is a part of it.
    pub(super) in_use: bool,
}

/// Reads where a database of the newest version stands.
pub(super) fn standing(connection: &Connection) -> rusqlite::Result<Standing> {
    let query = "SELECT file_id, in_use, \
                 (SELECT coalesce(sum(version), 0) FROM accounts) AS changes FROM integrity";
    connection.query_one(query, [], |row| {
        let mark = Mark {
            file: FileId(row.get("file_id")?),
            changes: row.get("changes")?,
        };
        let in_use = row.get("in_use")?;
        Ok(Standing { mark, in_use })
    })
}

/// What must hold before SQLite sees the file: it makes a new state of an empty file, and throws
/// the log away that lies beside it.
pub(super) fn check_presence(file: &StateFile) -> Result<(), OpenError> {
    if !file.is_empty {
        return Ok(());
    }
    if file.mark.is_some() {
        return Err(OpenError::Vanished {
            path: file.path.clone(),
        });
    }
    if file.log_bytes > 0 {
        return Err(damaged(&file.path, "it is empty, and its log is not"));
    }
    Ok(())
}

/// Looks at every page. Values are checked when they are read.
pub(super) fn check_pages(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    // The first finding is enough.
    let found: String = connection.query_one("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    Err(damaged(path, found.replace('\n', " ")))
}

/// Whether everything is there that the mark tells of; or else, at least, the log.
///
/// `found` is `None` for a database of an earlier version, which knows none of this.
pub(super) fn check_end(file: &StateFile, found: Option<Standing>) -> Result<(), OpenError> {
    let path = file.path.clone();
    match (file.mark, found) {
        (Some(mark), found) if found.map(|found| found.mark.file) != Some(mark.file) => {
            Err(OpenError::Replaced { path })
        }
        (Some(mark), Some(found)) if found.mark.changes < mark.changes => Err(OpenError::Behind {
            path,
            missing: mark.changes - found.mark.changes,
        }),
        (None, Some(found)) if found.in_use && file.log_bytes == 0 => Err(OpenError::LogMissing { path }),
        _ => Ok(()),
    }
}
