//! The options of the commands around state files.

use crate::proxy::{Database, Discreet};
use clap::builder::ValueParserFactory;
use clap::{ArgGroup, Args};
use std::path::PathBuf;
use std::str::FromStr;

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
Examples:
  microraiden restore --from /backups/receiver.backup --state-file receiver.db
  microraiden restore --store postgres://microraiden@db.example.org/microraiden    after pg_restore, always

Only when the state file is lost or damaged: what was paid after the backup is not known in it. Nothing is
overwritten, so move away what is left of the old one. It takes that, too, as --from.

A database is restored by pg_restore, while no proxy runs. Then say so by --store, before one is started: it does not
always notice by itself, and content would be sold twice.")]
pub(crate) struct RestoreArgs {
    /// The backup, or what is left of a state file
    #[arg(long, value_name = "FILE", required_unless_present = "store")]
    pub(crate) from: Option<PathBuf>,
    /// The state file to make
    #[arg(long, value_name = "FILE", required_unless_present = "store")]
    pub(crate) state_file: Option<PathBuf>,
    /// The database that was restored from a dump
    #[arg(long, value_name = "postgres://USER@HOST/NAME", conflicts_with_all = ["from", "state_file"])]
    pub(crate) store: Option<Database>,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `state`.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("place").required(true).args(["state_file", "store"]),
    after_help = "\
Examples:
  microraiden state --state-file receiver.db
  microraiden state --state-file /backups/receiver.backup --json | jq .channels
  microraiden state --store postgres://microraiden@db.example.org/microraiden

Proxies may run meanwhile; it is all of one moment. Every value is checked, so it also tells whether a backup is good."
)]
pub(crate) struct ShowStateArgs {
    /// A state file, or a backup
    #[arg(long, value_name = "FILE")]
    pub(crate) state_file: Option<PathBuf>,
    /// A database that proxies share
    #[arg(long, value_name = "postgres://USER@HOST/NAME")]
    pub(crate) store: Option<Database>,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `migrate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden migrate --from receiver.db --to postgres://microraiden@db.example.org/microraiden
  microraiden migrate --from postgres://microraiden@db.example.org/microraiden --to receiver.db

Stop the proxies first: those that still run sell nothing more. Where the state goes, there must be none: no file, or
an empty database, whose tables are made. What was written is read back and compared, value by value; then the source
says where its state is now, and cannot be used any more.

Interrupted at any moment, nothing is lost, and nothing can be sold twice: run the same command again.
docs/state.md has more.")]
pub(crate) struct MigrateArgs {
    /// Where the state is: a state file, or a database
    #[arg(long, value_name = "FILE or postgres://USER@HOST/NAME")]
    pub(crate) from: Place,
    /// Where it is to be: a database, or a state file
    #[arg(long, value_name = "postgres://USER@HOST/NAME or FILE")]
    pub(crate) to: Place,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a state can be.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    File(PathBuf),
    Database(Database),
}

impl ValueParserFactory for Place {
    type Parser = Discreet<Self>;

    fn value_parser() -> Self::Parser {
        Discreet::default()
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("a state file, or a database".to_owned()),
            url if url.contains("://") => url.parse().map(Self::Database),
            file => Ok(Self::File(file.into())),
        }
    }
}
