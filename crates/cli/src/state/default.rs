//! Where files are when nobody says.

use crate::{Failure, data_folder};
use microraiden_protocol::Address;
use std::path::PathBuf;

/// The state file of a receiver at a contract, in this user's folder for data, which is created.
///
/// # Errors
/// When that folder is not known, or cannot be created.
pub(crate) fn default_file(contract: Address, receiver: Address) -> Result<PathBuf, Failure> {
    let folder = data_folder::create("--state-file")?;
    Ok(folder.join(data_folder::name(contract, receiver, "db")))
}

/// Where a receiver's free requests are counted that keeps no state file.
///
/// # Errors
/// When that folder is not known, or cannot be created.
pub(crate) fn default_quota_file(contract: Address, receiver: Address) -> Result<PathBuf, Failure> {
    let folder = data_folder::create("--quota-file")?;
    Ok(folder.join(data_folder::name(contract, receiver, "quota")))
}
