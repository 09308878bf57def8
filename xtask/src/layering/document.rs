//! The table of the house as ARCHITECTURE.md shows it.

use std::fmt::Write;
use std::path::Path;

use cargo_metadata::Package;

use super::rooms::Room;

/// Stands before the table.
pub(super) const BEGIN: &str = "<!-- layering: written by `cargo xtask layering --write` -->";
const END: &str = "<!-- layering ends -->";

/// The rooms as a Markdown table; what a crate is says its own manifest.
pub(super) fn table(rooms: &[Room], packages: &[Package], root: &Path) -> String {
    let mut table = String::from("| level | crate | may use | what it is |\n|---|---|---|---|\n");
    for room in rooms {
        let package = packages
            .iter()
            .find(|package| package.name.as_str() == room.package);
        let folder = package
            .and_then(|package| package.manifest_path.parent())
            .and_then(|folder| folder.as_std_path().strip_prefix(root).ok())
            .map_or_else(String::new, |folder| folder.display().to_string());
        let what = package
            .and_then(|package| package.description.as_deref())
            .unwrap_or_default();
        let may_use = match room.may_use {
            [] => "—".to_owned(),
            used => used
                .iter()
                .map(|package| short(package))
                .collect::<Vec<_>>()
                .join(", "),
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            table,
            "| {} | [{}]({folder}) | {may_use} | {what} |",
            room.level,
            short(room.package)
        );
    }
    table
}

/// The document with its table replaced; `None` when the marks are missing.
pub(super) fn with_table(document: &str, table: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

fn short(package: &str) -> &str {
    package.strip_prefix("microraiden-").unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let document = format!("above\n{BEGIN}\nold\n{END}\nbelow\n");
        let right = with_table(&document, "new\n").expect("the marks are there");
        assert_eq!(right, format!("above\n{BEGIN}\n\nnew\n\n{END}\nbelow\n"));
        assert_eq!(with_table(&right, "new\n").as_ref(), Some(&right));
        assert_eq!(with_table("no marks", "new\n"), None);
    }

    #[test]
    fn a_room_is_a_row() {
        let room = Room {
            package: "microraiden-hall",
            level: 1,
            may_use: &["microraiden-cellar", "attic"],
        };
        let table = table(&[room], &[], Path::new("/"));
        assert_eq!(table.lines().last(), Some("| 1 | [hall]() | cellar, attic |  |"));
    }
}
