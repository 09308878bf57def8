//! The options of an operator's commands.

use crate::proxy::Database;
use clap::{ArgGroup, Args};
use microraiden_protocol::Address;
use std::path::PathBuf;
use url::Url;

/// Options of `close-all`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("place").required(true).args(["url", "private_key"]))]
#[command(after_help = "\
Examples:
  microraiden close-all --proxy http://127.0.0.1:5000 --operator ann
  microraiden close-all --private-key receiver.key --deployment-file deployment.json --state-file receiver.db

Nothing is sold on these channels any more, ever. While a proxy uses the state file, ask the proxy; it answers at
once, and the transactions follow. Without one the command sends them itself, and ends when all are on chain.")]
pub(crate) struct CloseAllArgs {
    /// The least that a channel must bring in, in base units; the proxy's --min-claim, or 1, by default
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) minimum_amount: Option<String>,
    #[command(flatten)]
    pub(crate) proxy: ProxyLogin,
    #[command(flatten)]
    pub(crate) direct: Direct,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `withdraw`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("place").required(true).args(["url", "private_key"]))]
#[command(after_help = "\
Examples:
  microraiden withdraw --proxy http://127.0.0.1:5000 --operator ann --minimum-amount 1000000
  microraiden withdraw --private-key receiver.key --deployment-file deployment.json --state-file receiver.db

The channels stay open. Those where the sender has credit are left, since a withdrawal would take it.")]
pub(crate) struct WithdrawArgs {
    /// The least that a channel must bring in, in base units; the proxy's --min-claim, or 1, by default
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) minimum_amount: Option<String>,
    /// Also where the sender has credit
    #[arg(long)]
    pub(crate) takes_credit: bool,
    #[command(flatten)]
    pub(crate) proxy: ProxyLogin,
    #[command(flatten)]
    pub(crate) direct: Direct,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `resume-selling`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("place").required(true).args(["url"]))]
#[command(after_help = "\
Example:
  microraiden resume-selling --proxy http://127.0.0.1:5000 --operator ann

After a reorganisation deeper than the confirmations, or on the channels of a restored state; the risks are in
docs/chain.md and docs/state.md. A proxy that is started with --resume-selling does the same.")]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub(crate) proxy: ProxyLogin,
}

/// A running proxy, and who asks it.
#[derive(Debug, Args)]
pub(crate) struct ProxyLogin {
    /// The running proxy that uses the state file
    #[arg(long = "proxy", value_name = "URL", requires = "operator")]
    pub(crate) url: Option<Url>,
    /// The operator's name
    #[arg(long, value_name = "NAME", requires = "url")]
    pub(crate) operator: Option<String>,
    /// The file whose first line is the operator's password; asked for when absent
    #[arg(long, value_name = "FILE", requires = "operator")]
    pub(crate) operator_password_file: Option<PathBuf>,
}

/// A state file that no proxy uses, and what it takes to act on it.
#[derive(Debug, Args)]
pub(crate) struct Direct {
    /// The JSON-RPC endpoint of an Ethereum node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    pub(crate) rpc_provider: Vec<Url>,
    /// The file with the receiver's private key: a keystore, or 64 hexadecimal digits; readable by you only
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub(crate) private_key: Option<PathBuf>,
    /// The file whose first line is the keystore's password; asked for when absent
    #[arg(long, value_name = "FILE", requires = "private_key")]
    pub(crate) private_key_password_file: Option<PathBuf>,
    /// The channel contract
    #[arg(
        long,
        value_name = "ADDRESS",
        requires = "private_key",
        conflicts_with = "deployment_file"
    )]
    pub(crate) channel_manager_address: Option<Address>,
    /// The file that `deploy` has written about the channel contract
    #[arg(long, value_name = "FILE", requires = "private_key")]
    pub(crate) deployment_file: Option<PathBuf>,
    /// The state file; by default where `proxy` keeps it
    #[arg(long, value_name = "FILE", requires = "private_key")]
    pub(crate) state_file: Option<PathBuf>,
    /// The database in place of a state file; proxies may use it meanwhile
    #[arg(
        long,
        value_name = "postgres://USER@HOST/NAME",
        requires = "private_key",
        conflicts_with = "state_file"
    )]
    pub(crate) store: Option<Database>,
}
