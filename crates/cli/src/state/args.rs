//! The options of the commands around state files.

use clap::Args;
use std::path::PathBuf;

/// Options of `backup`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden backup --state-file receiver.db --to /backups/receiver.backup
  microraiden backup --state-file receiver.db --to /backups/$(date +%u).backup --force    one for each day of the week

The proxy may run meanwhile. Never copy a state file by hand: what was paid last is in the log beside it.
docs/state.md tells how often, and what is lost without.")]
pub(crate) struct BackupArgs {
    /// The state file of the proxy
    #[arg(long, value_name = "FILE")]
    pub(crate) state_file: PathBuf,
    /// The backup to write
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// Replace a backup that is there
    #[arg(long)]
    pub(crate) force: bool,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `restore`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  microraiden restore --from /backups/receiver.backup --state-file receiver.db

Only when the state file is lost or damaged: what was paid after the backup is not known in it. Nothing is
overwritten, so move away what is left of the old one. It takes that, too, as --from.")]
pub(crate) struct RestoreArgs {
    /// The backup, or what is left of a state file
    #[arg(long, value_name = "FILE")]
    pub(crate) from: PathBuf,
    /// The state file to make
    #[arg(long, value_name = "FILE")]
    pub(crate) state_file: PathBuf,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `state`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden state --state-file receiver.db
  microraiden state --state-file /backups/receiver.backup --json | jq .channels

The proxy may run meanwhile. Every value is checked, so it also tells whether a backup is good.")]
pub(crate) struct StateFileArgs {
    /// A state file, or a backup
    #[arg(long, value_name = "FILE")]
    pub(crate) state_file: PathBuf,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
}
