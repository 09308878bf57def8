//! Where the state file is when nobody says.

use crate::Failure;
use microraiden_protocol::Address;
use std::env;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// How much of an address is in the name, `0x` included.
const NAME_CHARACTERS: usize = 10;

/// The state file of a receiver at a contract, in this user's folder for data, which is created.
///
/// # Errors
/// When that folder is not known, or cannot be created.
pub(crate) fn default_file(contract: Address, receiver: Address) -> Result<PathBuf, Failure> {
    let folder = data_folder(|name| env::var_os(name).map(PathBuf::from))?.join("microraiden");
    let created = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    created.map_err(|error| {
        format!(
            "cannot create {}: {error}; name a state file with --state-file",
            folder.display()
        )
    })?;
    Ok(folder.join(name(contract, receiver)))
}

fn name(contract: Address, receiver: Address) -> String {
    let [contract, receiver] = [contract, receiver].map(|address| {
        let text = address.to_string();
        text.chars().take(NAME_CHARACTERS).collect::<String>()
    });
    format!("{contract}_{receiver}.db")
}

/// By the customs of the platform; a path that is not absolute counts for nothing.
fn data_folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Failure> {
    let folder = |name| variable(name).filter(|path| path.is_absolute());
    if let Some(data) = folder("XDG_DATA_HOME") {
        return Ok(data);
    }
    let home = folder("HOME").ok_or(
        "neither XDG_DATA_HOME nor HOME is set, so there is no folder for the state file; \
         name one with --state-file",
    )?;
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
        assert_eq!(name(contract, receiver), "0x5aAeb605_0xfB691609.db");
    }

    #[test]
    fn the_folder_is_the_users() {
        let check = |data: Option<&str>, home: Option<&str>| {
            let found = data_folder(|name| {
                let value = match name {
                    "XDG_DATA_HOME" => data,
                    _ => home,
                };
                value.map(PathBuf::from)
            });
            found.map_err(|error| error.to_string())
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
