//! The options of `account`.

use crate::args::{ContractArgs, NodeArgs};
use crate::keys::KeyArgs;
use crate::sender::SenderArgs;
use clap::{Args, Subcommand};
use microraiden_protocol::Address;
use std::path::PathBuf;

/// Options of `account`.
#[derive(Debug, Args)]
pub(crate) struct AccountArgs {
    #[command(subcommand)]
    pub(crate) command: AccountCommand,
}

/// What `account` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Make a new key, in an encrypted file
    New(NewArgs),
    /// Encrypt a key that you have into a file
    Import(ImportArgs),
    /// Show the address of a key, and what it owns
    Show(ShowArgs),
    /// Buy development tokens: 50 for 0.1 ether
    Fund(FundArgs),
}

/// Options of `account new`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden account new                      in your folder for data, where the other commands look
  microraiden account new customer.key --password-file customer.password

The address goes to standard output. Back the file up: whoever loses it loses what its channels hold, and nobody can
open it without the password.")]
pub(crate) struct NewArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// Options of `account import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden account import                             asks for the key
  microraiden account import --from raw.key              64 hexadecimal digits, or a keystore
  pass show sender | microraiden account import --from -
  microraiden account import customer.key --from raw.key --password-file customer.password

A key is never given as an argument: arguments are seen by all users of the machine, and kept by shells.")]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// The file that holds the key; - for standard input; asked for when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
}

/// Where a key is written.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// The file to write, which must not be there; by default `key` in your folder for data
    pub(crate) file: Option<PathBuf>,
    /// The file whose first line is the new password; asked for twice when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `account show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden account show                                         the address alone; asks nobody
  microraiden account show --deployment-file deployment.json       ether, tokens, and what is locked in channels")]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    /// The channel contract
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) channel_manager_address: Option<Address>,
    /// The file that `deploy` has written about the channel contract
    #[arg(long, value_name = "FILE", conflicts_with = "channel_manager_address")]
    pub(crate) deployment_file: Option<PathBuf>,
    /// Show amounts in base units
    #[arg(long)]
    pub(crate) base_units: bool,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
}

impl ShowArgs {
    /// The contract, if one is named: nobody is asked without.
    pub(crate) fn contract(&self) -> Option<ContractArgs> {
        let named = self.channel_manager_address.is_some() || self.deployment_file.is_some();
        named.then(|| ContractArgs {
            channel_manager_address: self.channel_manager_address,
            deployment_file: self.deployment_file.clone(),
        })
    }
}

/// Options of `account fund`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden account fund --deployment-file deployment.json             50 tokens for 0.1 ether
  microraiden account fund --deployment-file deployment.json --times 4   200 tokens for 0.4 ether

Only the development token that `deploy` makes sells itself; others are bought or earned elsewhere.")]
pub(crate) struct FundArgs {
    #[command(flatten)]
    pub(crate) sender: SenderArgs,
    /// How often to buy 50 tokens
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) times: u32,
    /// Show amounts in base units
    #[arg(long)]
    pub(crate) base_units: bool,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
}
