//! This user's folder for data: where files are when nobody says.

use crate::Failure;
use microraiden_protocol::Address;
use std::env;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// How much of an address is in a file's name, `0x` included.
const NAME_CHARACTERS: usize = 10;

/// The program's folder in it. `option` is told to whoever has none: it names the file instead.
///
/// # Errors
/// When that folder is not known.
pub(crate) fn path(option: &str) -> Result<PathBuf, Failure> {
    let folder = data_folder(|name| env::var_os(name).map(PathBuf::from), option)?;
    Ok(folder.join("microraiden"))
}

/// The same, created for this user alone.
///
/// # Errors
/// When that folder is not known, or cannot be created.
pub(crate) fn create(option: &str) -> Result<PathBuf, Failure> {
    let folder = path(option)?;
    let created = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    created.map_err(|error| {
        let folder = folder.display();
        format!("cannot create {folder}: {error}; name a file with {option}")
    })?;
    Ok(folder)
}

/// A file's name that begins with two addresses.
pub(crate) fn name(contract: Address, owner: Address, ending: &str) -> String {
    let [contract, owner] = [contract, owner].map(|address| {
        let text = address.to_string();
        text.chars().take(NAME_CHARACTERS).collect::<String>()
    });
    format!("{contract}_{owner}.{ending}")
}

/// By the customs of the platform; a path that is not absolute counts for nothing.
fn data_folder(variable: impl Fn(&str) -> Option<PathBuf>, option: &str) -> Result<PathBuf, Failure> {
    let folder = |name| variable(name).filter(|path| path.is_absolute());
    if let Some(data) = folder("XDG_DATA_HOME") {
        return Ok(data);
    }
    let home = folder("HOME").ok_or_else(|| {
        format!(
            "neither XDG_DATA_HOME nor HOME is set, so there is no folder for the file; name one with {option}"
        )
    })?;
    Ok(home.join(if cfg!(target_os = "macos") {
        "Library/Application Support"
    } else {
        ".local/share"
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_begins_with_both_addresses() {
        let contract = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed".parse().unwrap();
        let receiver = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359".parse().unwrap();
        assert_eq!(name(contract, receiver, "db"), "0x5aAeb605_0xfB691609.db");
    }

    #[test]
    fn the_folder_is_the_users() {
        let check = |data: Option<&str>, home: Option<&str>| {
            let variable = |name: &str| {
                let value = match name {
                    "XDG_DATA_HOME" => data,
                    _ => home,
                };
                value.map(PathBuf::from)
            };
            data_folder(variable, "--state-file").map_err(|error| error.to_string())
        };
        assert_eq!(check(Some("/data"), Some("/home/ann")), Ok("/data".into()));
        let home = check(Some("data"), Some("/home/ann")).unwrap();
        assert!(home.starts_with("/home/ann") && home != *"/home/ann", "{home:?}");
        assert_eq!(check(None, Some("/home/ann")), Ok(home));
        for home in [None, Some(""), Some("home")] {
            assert!(check(None, home).unwrap_err().contains("--state-file"));
        }
    }
}
