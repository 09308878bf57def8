//! The command line.

use clap::{Args, Parser, Subcommand};
use microraiden_protocol::Address;
use std::net::IpAddr;
use std::path::PathBuf;
use url::Url;

/// Micropayments over HTTP by payment channels: sell requests, or pay for them.
#[derive(Debug, Parser)]
#[command(
    name = "microraiden",
    version,
    after_help = "\
Examples:
  microraiden demo                      see everything at work, without any configuration
  microraiden devchain                  run a development chain on port 8545
  microraiden get URL --private-key F   pay for a request

Exit status: 0 when it worked, 1 when it did not, 2 when the command line is wrong.
The environment variable RUST_LOG sets what is logged, for example RUST_LOG=debug."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show everything at work: chain, contracts, proxy, a sender that pays, and a close
    Demo(DemoArgs),
    /// Run a development chain; its keys are public, so never use it for anything of value
    Devchain(DevchainArgs),
    /// Sell what an upstream server offers
    Proxy(ProxyArgs),
    /// Request a URL and pay for it
    Get(GetArgs),
}

impl Command {
    /// What is logged unless the environment says otherwise.
    pub(crate) const fn default_log(&self) -> &'static str {
        match self {
            Self::Proxy(_) | Self::Devchain(_) => "info",
            Self::Demo(_) | Self::Get(_) => "error",
        }
    }
}

/// Options of `demo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden demo              run, print the table, and stay up for one to try by hand
  microraiden demo --exit       run, print the table, and end
  microraiden demo --exit --json | jq .payments

It ends with status 1 if the tokens do not add up to the unit.")]
pub(crate) struct DemoArgs {
    /// End after the table instead of staying up
    #[arg(long)]
    pub(crate) exit: bool,
    /// Print one JSON object instead of the table
    #[arg(long)]
    pub(crate) json: bool,
    /// How many requests to pay before the top-up
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) payments: u32,
    /// The port of the proxy; any free one by default
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Use this node instead of the embedded chain; it must know the development accounts
    #[arg(long, value_name = "URL")]
    pub(crate) rpc_provider: Option<Url>,
}

/// Options of `devchain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden devchain                      a block for each transaction
  microraiden devchain --block-time 2       and a block every two seconds
  microraiden devchain --port 0             on any free port; the banner tells which")]
pub(crate) struct DevchainArgs {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// The port to listen on; 0 takes any free one
    #[arg(long, default_value_t = 8545)]
    pub(crate) port: u16,
    /// The chain id
    #[arg(long, default_value_t = 31337)]
    pub(crate) chain_id: u64,
    /// Also mine a block every so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) block_time: Option<f64>,
    /// Mine only at the block time, not for each transaction
    #[arg(long, requires = "block_time")]
    pub(crate) no_instant: bool,
}

/// Which node and contract to use, and with which key.
#[derive(Debug, Args)]
pub(crate) struct ChainArgs {
    /// The JSON-RPC endpoint of an Ethereum node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    pub(crate) rpc_provider: Url,
    /// The channel contract
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) channel_manager_address: Address,
    /// The file with the private key: a keystore, or 64 hexadecimal digits; readable by you only
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key: PathBuf,
    /// The file whose first line is the keystore's password; asked for when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key_password_file: Option<PathBuf>,
}

/// Options of `proxy`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  microraiden proxy --private-key receiver.key --channel-manager-address 0x... \\
      --upstream http://127.0.0.1:8000 --price '0.002 TKN'

Keep the state file safe and backed up: it holds what you are owed.")]
pub(crate) struct ProxyArgs {
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
    /// The server whose content is sold
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Url,
    /// What each request costs: base units, or an amount with the token's symbol
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) price: String,
    /// Sell only paths of this pattern, for example /media/{*rest}; everything by default
    #[arg(long, value_name = "PATTERN")]
    pub(crate) path: Option<String>,
    /// Where accounts and proofs are kept
    #[arg(long, value_name = "FILE")]
    pub(crate) state_file: PathBuf,
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// The port to listen on; 0 takes any free one
    #[arg(long, default_value_t = 5000)]
    pub(crate) port: u16,
    /// How many blocks must lie above a deposit before it can be paid with
    #[arg(long, default_value_t = 1)]
    pub(crate) confirmations: u64,
    /// The first block that can hold one of your channels
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    pub(crate) start_block: u64,
    /// Milliseconds between two looks at the chain
    #[arg(long, value_name = "MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(10..))]
    pub(crate) poll_interval: u64,
    /// Accept that the contract is unaudited and the tokens are real
    #[arg(long)]
    pub(crate) unaudited_real_money: bool,
}

/// Options of `get`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  microraiden get http://127.0.0.1:5000/echofix/hello --private-key sender.key \\
      --channel-manager-address 0x... --max-price '0.01 TKN'

The answer's body goes to standard output; what was paid, to standard error.")]
pub(crate) struct GetArgs {
    /// What to request
    pub(crate) url: Url,
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
    /// Never pay more for this request: base units, or an amount with the token's symbol
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) max_price: String,
    /// Never deposit more when a channel must be opened or topped up; ten times the most by default
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) max_deposit: Option<String>,
    /// Close the channel afterwards
    #[arg(long)]
    pub(crate) close: bool,
    /// Accept that the contract is unaudited and the tokens are real
    #[arg(long)]
    pub(crate) unaudited_real_money: bool,
}
