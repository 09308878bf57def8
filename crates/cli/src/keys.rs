//! Key files: where the password comes from when one is needed.

use microraiden_chain::keys::{self, KeyError, Password};
use microraiden_protocol::SecretKey;
use std::path::Path;

/// Loads a key file; the password is read from its file, or asked for.
///
/// # Errors
/// When a file cannot be read, others may read it, or the password is wrong.
pub(crate) fn load(key: &Path, password_file: Option<&Path>) -> Result<SecretKey, KeyError> {
    keys::load(key, || match password_file {
        Some(file) => keys::read_password(file),
        None => rpassword::prompt_password("Enter the private key password: ")
            .map(Password::new)
            .map_err(KeyError::Prompt),
    })
}
