//! Key files: where they are when nobody says, and where the password comes from when one is needed.

use crate::{Failure, data_folder};
use clap::Args;
use microraiden_chain::keys::{self, KeyError, Password};
use microraiden_protocol::{Address, SecretKey};
use std::path::{Path, PathBuf};

/// The name of the sender's key in the folder for data.
const DEFAULT_NAME: &str = "key";

/// Loads a key file; the password is read from its file, or asked for.
///
/// # Errors
/// When a file cannot be read, others may read it, or the password is wrong.
pub(crate) fn load(key: &Path, password_file: Option<&Path>) -> Result<SecretKey, KeyError> {
    keys::load(key, || password(password_file))
}

/// The address of a key file; a keystore that tells it is not opened.
///
/// # Errors
/// As [`load`].
pub(crate) fn address(key: &Path, password_file: Option<&Path>) -> Result<Address, KeyError> {
    keys::address(key, || password(password_file))
}

fn password(file: Option<&Path>) -> Result<Password, KeyError> {
    match file {
        Some(file) => keys::read_password(file),
        None => rpassword::prompt_password("Enter the private key password: ")
            .map(Password::new)
            .map_err(KeyError::Prompt),
    }
}

/// The password for a new key: from its file, or asked for twice. `instead` is told to whoever has no terminal.
///
/// # Errors
/// When the file cannot be read or others may read it, nobody can be asked, the answers differ, or it is empty.
pub(crate) fn new_password(file: Option<&Path>, instead: &str) -> Result<Password, Failure> {
    let password = match file {
        Some(file) => keys::read_password(file)?,
        None => ask_twice(instead)?,
    };
    if password.as_str().is_empty() {
        return Err("the password is empty, so that anybody could open the key; nothing was written".into());
    }
    Ok(password)
}

fn ask_twice(instead: &str) -> Result<Password, Failure> {
    let ask = |prompt| {
        let asked = rpassword::prompt_password(prompt).map(Password::new);
        asked.map_err(|_| format!("there is no terminal to ask for the password: {instead}"))
    };
    let password = ask("Enter a new password for the key: ")?;
    if password.as_str() != ask("Enter it again: ")?.as_str() {
        return Err("the passwords differ; nothing was written".into());
    }
    Ok(password)
}

/// The key of whoever pays.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The file with your private key: a keystore, or 64 hexadecimal digits; readable by you only. By default the one that
    /// `account new` makes
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key: Option<PathBuf>,
    /// The file whose first line is the keystore's password; asked for when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key_password_file: Option<PathBuf>,
}

impl KeyArgs {
    /// The key.
    ///
    /// # Errors
    /// As [`load`]; or when no file is named and there is none in the usual place.
    pub(crate) fn load(&self) -> Result<SecretKey, Failure> {
        Ok(load(&self.file()?, self.private_key_password_file.as_deref())?)
    }

    /// The address of the key; a keystore that tells it is not opened.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn address(&self) -> Result<Address, Failure> {
        Ok(address(&self.file()?, self.private_key_password_file.as_deref())?)
    }

    /// The file that was named, or the usual one, which is there.
    ///
    /// # Errors
    /// When no file is named and there is none in the usual place.
    pub(crate) fn file(&self) -> Result<PathBuf, Failure> {
        if let Some(file) = &self.private_key {
            return Ok(file.clone());
        }
        let file = data_folder::path("--private-key")?.join(DEFAULT_NAME);
        if file.symlink_metadata().is_err() {
            return Err(format!(
                "there is no key in {}: make one by `microraiden account new`, or name a file with --private-key",
                file.display()
            )
            .into());
        }
        Ok(file)
    }
}

/// Where a new key is written when nobody says; the folder is created.
///
/// # Errors
/// When the folder is not known, or cannot be created.
pub(crate) fn new_default_file() -> Result<PathBuf, Failure> {
    Ok(data_folder::create("FILE")?.join(DEFAULT_NAME))
}
