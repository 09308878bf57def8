//! The options of `channels`.

use super::name::ChannelName;
use crate::sender::SenderArgs;
use clap::{Args, Subcommand};
use microraiden_protocol::Address;
use url::Url;

/// Options of `channels`.
#[derive(Debug, Args)]
pub(crate) struct ChannelsArgs {
    #[command(subcommand)]
    pub(crate) command: ChannelsCommand,
}

/// What `channels` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum ChannelsCommand {
    /// List the channels in the channel book; also while another program pays with them
    List(ListArgs),
    /// Show one channel, with what the contract holds of it
    Show(ChannelArgs),
    /// Open a channel to a receiver
    Open(OpenArgs),
    /// Add to the deposit of a channel
    #[command(name = "topup", visible_alias = "top-up")]
    TopUp(TopUpArgs),
    /// Close a channel: with the receiver's agreement at once, or without it
    Close(CloseArgs),
    /// Take back what is left of the deposit, after the challenge period
    Settle(ChannelArgs),
    /// Remove a channel from the channel book
    Forget(ForgetArgs),
    /// Bring the channel book up to what the chain shows
    Sync(ListArgs),
}

/// What all commands around channels take.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    #[command(flatten)]
    pub(crate) sender: SenderArgs,
    /// Show amounts in base units
    #[arg(long)]
    pub(crate) base_units: bool,
    /// Print JSON, also on a terminal; its amounts are in base units
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `channels list` and `channels sync`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden channels sync --deployment-file deployment.json
  microraiden channels list --deployment-file deployment.json
  microraiden channels list --deployment-file deployment.json --json | jq '.[] | select(.state == \"open\") | .remaining'

`signed` is what a receiver can claim at most; `remaining` is left of the deposit for payments. `list` shows what is in
the book; `sync` looks at the chain first, and finds channels that are not in it.")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Options of `channels show` and `channels settle`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden channels show 0x7099...79C8 --deployment-file deployment.json
  microraiden channels settle 0x7099...79C8:17 --deployment-file deployment.json

Where there are several channels to a receiver, the block that opened it says which.")]
pub(crate) struct ChannelArgs {
    /// The channel: its receiver, and the block that opened it
    #[arg(value_name = "RECEIVER[:BLOCK]")]
    pub(crate) channel: ChannelName,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Options of `channels open`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  microraiden channels open 0x7099...79C8 '1 TKN' --deployment-file deployment.json

Requests open channels by themselves; this one is for a deposit of your own choice. It costs gas.")]
pub(crate) struct OpenArgs {
    /// Who is paid
    pub(crate) receiver: Address,
    /// The deposit: base units, or an amount with the token's symbol
    pub(crate) amount: String,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Options of `channels topup`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  microraiden channels topup 0x7099...79C8 '0.5 TKN' --deployment-file deployment.json")]
pub(crate) struct TopUpArgs {
    /// The channel: its receiver, and the block that opened it
    #[arg(value_name = "RECEIVER[:BLOCK]")]
    pub(crate) channel: ChannelName,
    /// What to add: base units, or an amount with the token's symbol
    pub(crate) amount: String,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Options of `channels close`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden channels close 0x7099...79C8 --deployment-file deployment.json
  microraiden channels close 0x7099...79C8:17 --url http://127.0.0.1:5000 --deployment-file deployment.json
  microraiden channels close 0x7099...79C8 --uncooperative --deployment-file deployment.json

With the receiver's agreement one transaction settles the channel. Without it, what is left of the deposit comes back
after the challenge period, by `channels settle`. Exit status 5: the receiver did not agree, and nothing was done.")]
pub(crate) struct CloseArgs {
    /// The channel: its receiver, and the block that opened it
    #[arg(value_name = "RECEIVER[:BLOCK]")]
    pub(crate) channel: ChannelName,
    /// The receiver's server; the one that was paid last by default
    #[arg(long, value_name = "URL", conflicts_with = "uncooperative")]
    pub(crate) url: Option<Url>,
    /// Ask the contract, not the receiver
    #[arg(long)]
    pub(crate) uncooperative: bool,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Options of `channels forget`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  microraiden channels forget 0x7099...79C8:17 --deployment-file deployment.json

A channel that is not settled is needed: what was signed on it, and what is owed, is known to its receiver alone then.")]
pub(crate) struct ForgetArgs {
    /// The channel: its receiver, and the block that opened it
    #[arg(value_name = "RECEIVER[:BLOCK]")]
    pub(crate) channel: ChannelName,
    /// Also when it is not settled
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}
