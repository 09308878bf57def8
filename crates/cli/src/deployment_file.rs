//! The deployment file: written by `deploy`, read by what uses the contract.

use crate::args::ContractArgs;
use microraiden_chain::deployment::{self, Deployment};
use microraiden_protocol::{Address, BlockNumber};
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Why a deployment file cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeploymentFileError {
    /// Neither address nor file.
    #[error("say which contract, by --channel-manager-address or --deployment-file")]
    NoContract,
    /// There is one already.
    #[error("{path} exists; add --force to replace it, or name another with --deployment-file")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] deployment::DeploymentFileError),
    /// It cannot be written.
    #[error("cannot open {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is of another chain.
    #[error("{path} is of chain {file}, but the node is on chain {node}")]
    OtherChain {
        /// The file.
        path: PathBuf,
        /// The chain id in the file.
        file: u64,
        /// The chain id of the node.
        node: u64,
    },
}

/// The contract that was named, by address or by file, and the first block that can hold a channel of it.
///
/// # Errors
/// When the file cannot be read, or is of another chain.
pub(crate) fn locate(
    args: &ContractArgs,
    chain_id: u64,
) -> Result<(Address, BlockNumber), DeploymentFileError> {
    let path = match (&args.channel_manager_address, &args.deployment_file) {
        (Some(address), _) => return Ok((*address, BlockNumber(0))),
        (None, Some(path)) => path,
        (None, None) => return Err(DeploymentFileError::NoContract),
    };
    let deployment = Deployment::read(path)?;
    if deployment.chain_id != chain_id {
        return Err(DeploymentFileError::OtherChain {
            path: path.into(),
            file: deployment.chain_id,
            node: chain_id,
        });
    }
    Ok((deployment.contract.address, deployment.start_block()))
}

/// A deployment file to be written: it is known beforehand that there will be none in the way, and that its folder can
/// be written to.
pub(crate) struct NewFile {
    path: PathBuf,
    force: bool,
    temporary: NamedTempFile,
}

impl NewFile {
    /// Makes sure that it can be written, before anything is paid for.
    ///
    /// # Errors
    /// When there is one, unless `force`; or the folder cannot be written to.
    pub(crate) fn prepare(path: &Path, force: bool) -> Result<Self, DeploymentFileError> {
        if !force && path.symlink_metadata().is_ok() {
            return Err(DeploymentFileError::Exists { path: path.into() });
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // It holds no secret.
        let readable = Permissions::from_mode(0o644);
        let temporary = tempfile::Builder::new().permissions(readable).tempfile_in(folder);
        let temporary = temporary.map_err(|source| DeploymentFileError::Io {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            path: path.into(),
            force,
            temporary,
        })
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written, or somebody else has written one meanwhile.
    pub(crate) fn write(mut self, json: &str) -> Result<PathBuf, DeploymentFileError> {
        let path = self.path;
        let failed = |source| DeploymentFileError::Io {
            path: path.clone(),
            source,
        };
        writeln!(self.temporary, "{json}").map_err(failed)?;
        self.temporary.as_file().sync_all().map_err(failed)?;
        let persisted = match self.force {
            true => self.temporary.persist(&path),
            false => self.temporary.persist_noclobber(&path),
        };
        match persisted {
            Ok(_) => Ok(path),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(DeploymentFileError::Exists { path })
            }
            Err(error) => Err(failed(error.error)),
        }
    }
}
