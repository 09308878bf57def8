//! Options of `proxy`.

use super::check::CheckArgs;
use super::settings::Source;
use clap::{Args, Subcommand};

/// Options of `proxy`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  microraiden proxy --dev --upstream http://127.0.0.1:8000 --price '0.002 TKN'
  microraiden proxy --private-key receiver.key --deployment-file deployment.json \\
      --upstream http://127.0.0.1:8000 --price '0.002 TKN'
  microraiden proxy --store postgres://microraiden@db.example.org/microraiden --port 5001 …    one of several
  microraiden proxy --config proxy.toml          routes, prices and all else from a file
  microraiden proxy check --config proxy.toml    what does the file mean, and is it right?

Every option of a proxy can stand in the file, with _ for - in its name: docs/proxy.md tells all of them.
SIGHUP reads the file again, and no request is dropped; SIGTERM finishes what was paid.
Give --rpc-provider several times, ws:// addresses first, to go on when a node is lost: docs/nodes.md
Keep the state file safe and backed up: it holds what you are owed. See `microraiden backup` and docs/state.md.
Several proxies behind a load balancer share a PostgreSQL database: docs/several.md"
)]
pub(crate) struct ProxyArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ProxyCommand>,
    /// Sell on a development chain that ends with the proxy: for a first try, and for tests. Keys, token and contract come
    /// with it, and nothing is worth anything
    #[arg(long, conflicts_with_all = ["rpc_provider", "channel_manager_address", "deployment_file", "start_block",
          "private_key", "private_key_password_file", "state_file", "store"])]
    pub(crate) dev: bool,
    #[command(flatten)]
    pub(crate) source: Source,
    /// Sell on after a reorganisation deeper than the confirmations, or with a restored state on the channels that are in
    /// it, and accept the risk: docs/state.md
    #[arg(long)]
    pub(crate) resume_selling: bool,
}

/// What else `proxy` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum ProxyCommand {
    /// Say what the settings mean, without selling; with status 1 when they cannot be used
    Check(CheckArgs),
}
