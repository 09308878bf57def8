//! Which programs, and who runs them.

use std::fs;
use std::path::{Path, PathBuf};

/// Where Debian's packages put each version's programs.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The folder of the newest version's programs.
pub(crate) fn programs() -> PathBuf {
    let folders = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let version = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let complete = |folder: &PathBuf| {
        ["initdb", "postgres", "psql"]
            .iter()
            .all(|program| folder.join("bin").join(program).is_file())
    };
    let newest = folders
        .map(|entry| entry.path())
        .filter(complete)
        .max_by_key(|folder| version(folder));
    newest
        .unwrap_or_else(|| {
            panic!("PostgreSQL is not in {VERSIONS}: install it by `apt-get install postgresql`")
        })
        .join("bin")
}

/// The user that PostgreSQL runs as, and its group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl Owner {
    /// Root may not run it, so the package's user does; anybody else does so themselves.
    pub(crate) fn chosen() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found = users.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields.as_slice() {
                ["postgres", _, user, group, ..] => Some(Self {
                    user: user.parse().ok()?,
                    group: group.parse().ok()?,
                }),
                _ => None,
            }
        });
        Some(found.expect("the user postgres, whom `apt-get install postgresql` creates"))
    }
}
