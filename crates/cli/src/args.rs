//! The command line.

use crate::account::args::AccountArgs;
use crate::channels::args::ChannelsArgs;
use crate::operate::args::{CloseAllArgs, ResumeArgs, WithdrawArgs};
use crate::pay_proxy::args::PayProxyArgs;
use crate::proxy::Database;
use crate::proxy::args::ProxyArgs;
use crate::proxy::init::InitArgs;
use crate::request::args::RequestArgs;
use crate::state::args::{BackupArgs, MigrateArgs, RestoreArgs, ShowStateArgs};
use crate::stats::StatsArgs;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use microraiden_chain::deploy::MINIMUM_CHALLENGE_PERIOD;
use microraiden_chain::{ChainError, Node, NodeOptions};
use microraiden_protocol::Address;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;
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
  microraiden deploy --private-key F    deploy a token and a channel contract
  microraiden init                      begin to sell: a key and a configuration
  microraiden account new               make a key to pay with
  microraiden get URL --max-price A     pay for a request
  microraiden pay-proxy --help          let a program that cannot pay use paid servers
  microraiden bench                     measure how many paid requests this machine serves

Exit status:
  0  it worked
  1  it did not: something here, the node or the connection failed
  2  the command line is wrong
  3  a limit was in the way: --max-price, --budget or --max-deposit
  4  the server answered, but not with a success
  5  the server cannot be paid, or refuses the payment

The environment variable RUST_LOG sets what is logged, for example RUST_LOG=debug."
)]
pub(crate) struct Cli {
    /// How what is logged is written, to standard error
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How what is logged is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people: a line each, coloured on a terminal
    Text,
    /// For programs: a JSON object each, in a line
    Json,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show everything at work: chain, contracts, proxy, a sender that pays, and a close
    Demo(DemoArgs),
    /// Run a development chain; its keys are public, so never use it for anything of value
    Devchain(DevchainArgs),
    /// Deploy a channel contract, with a token of its own or one that is there; or look at one
    Deploy(DeployArgs),
    /// Sell what an upstream server offers
    Proxy(Box<ProxyArgs>),
    /// Make a receiver's key, and a configuration to begin with
    Init(InitArgs),
    /// Copy the state file of a proxy, which may be running, into a backup
    Backup(BackupArgs),
    /// Make a state file of a backup, or say that a database was restored
    Restore(RestoreArgs),
    /// Show what is in a state file, a backup or a database
    State(ShowStateArgs),
    /// Move a state file into a database that several proxies share, or back
    Migrate(MigrateArgs),
    /// Close all channels of a receiver that bring in enough
    CloseAll(CloseAllArgs),
    /// Bring what is owed on open channels on chain; they stay open
    Withdraw(WithdrawArgs),
    /// Let a running proxy sell on after what has halted it
    ResumeSelling(ResumeArgs),
    /// Make the key that you pay with, fund it, and show what it owns
    Account(AccountArgs),
    /// Request a URL by GET, and pay for it
    Get(RequestArgs),
    /// Request a URL by POST, and pay for it
    Post(RequestArgs),
    /// Request a URL by PUT, and pay for it
    Put(RequestArgs),
    /// Request a URL by PATCH, and pay for it
    Patch(RequestArgs),
    /// Request a URL by DELETE, and pay for it
    Delete(RequestArgs),
    /// Request a URL by HEAD, and pay for it
    Head(RequestArgs),
    /// Request a URL by OPTIONS, and pay for it
    Options(RequestArgs),
    /// Show the channels that you pay with; open, top up and close them
    Channels(ChannelsArgs),
    /// Show what a receiver tells of its channels
    Stats(StatsArgs),
    /// Pay for programs that cannot pay themselves: a proxy that answers 402 for them, within limits
    PayProxy(PayProxyArgs),
    /// Measure how many requests are served, paid and unpaid, and how long they take
    Bench(BenchArgs),
    /// Hash an operator's password for `proxy`
    HashPassword(HashPasswordArgs),
}

impl Command {
    /// What is logged unless the environment says otherwise.
    pub(crate) const fn default_log(&self) -> &'static str {
        match self {
            Self::Proxy(_) | Self::PayProxy(_) | Self::Devchain(_) => "info",
            Self::CloseAll(_) | Self::Withdraw(_) => "warn",
            Self::Get(args)
            | Self::Post(args)
            | Self::Put(args)
            | Self::Patch(args)
            | Self::Delete(args)
            | Self::Head(args)
            | Self::Options(args)
                if args.verbose =>
            {
                "microraiden_sender=debug,microraiden_chain=info"
            }
            Self::Demo(_)
            | Self::Deploy(_)
            | Self::Init(_)
            | Self::Backup(_)
            | Self::Restore(_)
            | Self::State(_)
            | Self::Migrate(_)
            | Self::ResumeSelling(_)
            | Self::Account(_)
            | Self::Get(_)
            | Self::Post(_)
            | Self::Put(_)
            | Self::Patch(_)
            | Self::Delete(_)
            | Self::Head(_)
            | Self::Options(_)
            | Self::Channels(_)
            | Self::Stats(_)
            | Self::Bench(_)
            | Self::HashPassword(_) => "error",
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
    /// Use this node instead of the embedded chain; it must know the development accounts and mine
    /// blocks by itself, as `anvil --block-time 1` does
    #[arg(long, value_name = "URL")]
    pub(crate) rpc_provider: Option<Url>,
}

/// Options of `devchain`, with the names that they have in anvil.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden devchain                           a block for each transaction
  microraiden devchain --block-time 2            a block every two seconds and no others
  microraiden devchain --port 0 --json           any free port; the JSON tells which
  microraiden devchain --state chain.json        goes on where it ended, and writes the file at the end
  microraiden devchain --max-log-range 1000      as strict as a hosted node

Nothing here is secret or safe: everyone knows the usual keys, and whoever reaches the port can do anything.
What it can do and where it differs from anvil: docs/devchain.md")]
pub(crate) struct DevchainArgs {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// The port to listen on; 0 takes any free one
    #[arg(long, short, default_value_t = 8545)]
    pub(crate) port: u16,
    /// The chain id
    #[arg(long, default_value_t = 31337)]
    pub(crate) chain_id: u64,
    #[command(flatten)]
    pub(crate) accounts: DevAccountArgs,
    #[command(flatten)]
    pub(crate) mining: MiningArgs,
    #[command(flatten)]
    pub(crate) state: StateArgs,
    /// The gas limit of a block
    #[arg(long, value_name = "GAS", default_value_t = 30_000_000)]
    pub(crate) gas_limit: u64,
    /// The base fee of the first block
    #[arg(long, value_name = "WEI", alias = "base-fee", default_value_t = 1_000_000_000)]
    pub(crate) block_base_fee_per_gas: u64,
    /// The time of the genesis block, from which time goes on; now by default
    #[arg(long, value_name = "UNIX SECONDS")]
    pub(crate) timestamp: Option<u64>,
    /// Send transactions for any account without its key
    #[arg(long)]
    pub(crate) auto_impersonate: bool,
    /// How many blocks one request for logs may cover; any number by default
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_log_range: Option<u64>,
    /// The origin whose web pages may call the node, or * for all
    #[arg(long, value_name = "ORIGIN", default_value = "*")]
    pub(crate) allow_origin: String,
    /// Let no web page call the node
    #[arg(long, conflicts_with = "allow_origin")]
    pub(crate) no_cors: bool,
    /// Write accounts, keys and settings as JSON into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) config_out: Option<PathBuf>,
    /// Print address, accounts and keys as one line of JSON; the default when piped
    #[arg(long)]
    pub(crate) json: bool,
}

/// The accounts of a development chain.
#[derive(Debug, Args)]
pub(crate) struct DevAccountArgs {
    /// How many accounts own ether from the start
    #[arg(long, short, default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub(crate) accounts: u32,
    /// How much each of them owns
    #[arg(long, value_name = "ETHER", default_value_t = 10_000)]
    pub(crate) balance: u64,
    /// The words that the accounts are derived from; never words that own something elsewhere
    #[arg(long, short, env = "DEVCHAIN_MNEMONIC", hide_env_values = true, default_value = microraiden_devchain::MNEMONIC)]
    pub(crate) mnemonic: String,
    /// The path that they are derived on; the index is appended
    #[arg(long, value_name = "PATH", default_value = microraiden_devchain::DERIVATION_PATH)]
    pub(crate) derivation_path: String,
}

/// When a development chain mines.
#[derive(Debug, Args)]
pub(crate) struct MiningArgs {
    /// Mine a block every so many seconds, and not for each transaction
    #[arg(long, short, value_name = "SECONDS")]
    pub(crate) block_time: Option<f64>,
    /// Mine for each transaction besides
    #[arg(long, requires = "block_time")]
    pub(crate) mixed_mining: bool,
    /// Mine only when asked to by evm_mine or anvil_mine
    #[arg(long, alias = "no-mine", conflicts_with = "block_time")]
    pub(crate) no_mining: bool,
}

/// Where a development chain is kept.
#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// Begin with the chain in this file if it is there, and write it at the end
    #[arg(long, value_name = "FILE", conflicts_with_all = ["load_state", "dump_state"])]
    pub(crate) state: Option<PathBuf>,
    /// Begin with the chain in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) load_state: Option<PathBuf>,
    /// Write the chain into this file at the end
    #[arg(long, value_name = "FILE")]
    pub(crate) dump_state: Option<PathBuf>,
}

/// Which node to use.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The JSON-RPC endpoint of an Ethereum node, by http, https, ws or wss; given several times, the next one is used
    /// when one fails. All must be of one chain
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    pub(crate) rpc_provider: Vec<Url>,
    /// The most requests that are made to each node in a second; as many as there are by default
    #[arg(long, value_name = "N")]
    pub(crate) rpc_requests_per_second: Option<NonZeroU32>,
}

impl NodeArgs {
    /// How the nodes are asked.
    pub(crate) fn options(&self) -> NodeOptions {
        NodeOptions {
            requests_per_second: self.rpc_requests_per_second,
            ..NodeOptions::default()
        }
    }

    /// The nodes behind one handle.
    ///
    /// # Errors
    /// When none answers, or they are of several chains.
    pub(crate) async fn connect(&self) -> Result<Node, ChainError> {
        Node::connect_to(&self.rpc_provider, self.options()).await
    }
}

/// Which node and contract to use, and with which key.
#[derive(Debug, Args)]
pub(crate) struct ChainArgs {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(flatten)]
    pub(crate) contract: ContractArgs,
    /// The file with the private key: a keystore, or 64 hexadecimal digits; readable by you only
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key: PathBuf,
    /// The file whose first line is the keystore's password; asked for when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key_password_file: Option<PathBuf>,
}

/// Which channel contract to use: one of the two.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ContractArgs {
    /// The channel contract
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) channel_manager_address: Option<Address>,
    /// The file that `deploy` has written about the channel contract
    #[arg(long, value_name = "FILE")]
    pub(crate) deployment_file: Option<PathBuf>,
}

/// Options of `deploy`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  microraiden deploy --private-key owner.key --dry-run       what would it cost?
  microraiden deploy --private-key owner.key                 a development token and a channel contract
  microraiden deploy --private-key owner.key --token-address 0x... --challenge-period 8640
  microraiden deploy check 0x...                             what stands at an address?

The owner's only right is to add and remove trusted contracts. What was deployed is verified, then written to the
deployment file, which `proxy` and `get` read."
)]
pub(crate) struct DeployArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DeployCommand>,
    /// The JSON-RPC endpoint of an Ethereum node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    pub(crate) rpc_provider: Url,
    /// The file with the owner's private key: a keystore, or 64 hexadecimal digits; readable by you only
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) private_key: Option<PathBuf>,
    /// The file whose first line is the keystore's password; asked for when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key_password_file: Option<PathBuf>,
    /// How long a receiver has to correct an uncooperative close
    #[arg(long, value_name = "BLOCKS", default_value_t = MINIMUM_CHALLENGE_PERIOD,
          value_parser = clap::value_parser!(u32).range(i64::from(MINIMUM_CHALLENGE_PERIOD)..))]
    pub(crate) challenge_period: u32,
    /// How many whole tokens the owner receives of a new token
    #[arg(long, value_name = "TOKENS", default_value_t = 10_000_000)]
    pub(crate) supply: u128,
    /// The name of a new token
    #[arg(long, value_name = "NAME", default_value = "CustomToken")]
    pub(crate) token_name: String,
    /// The symbol of a new token
    #[arg(long, value_name = "SYMBOL", default_value = "TKN")]
    pub(crate) token_symbol: String,
    /// The decimals of a new token
    #[arg(long, value_name = "DIGITS", default_value_t = 18)]
    pub(crate) token_decimals: u8,
    /// Use this token instead of a new one
    #[arg(long, value_name = "ADDRESS",
          conflicts_with_all = ["supply", "token_name", "token_symbol", "token_decimals"])]
    pub(crate) token_address: Option<Address>,
    /// How many blocks must lie above the transactions before they count
    #[arg(long, value_name = "BLOCKS", default_value_t = 0)]
    pub(crate) confirmations: u64,
    /// Where to write what was deployed
    #[arg(long, value_name = "FILE", default_value = "deployment.json")]
    pub(crate) deployment_file: PathBuf,
    /// Replace a deployment file that is there
    #[arg(long)]
    pub(crate) force: bool,
    /// Deploy nothing, only estimate the cost
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
    /// Accept that the contract is unaudited and the tokens are real
    #[arg(long)]
    pub(crate) unaudited_real_money: bool,
}

/// What else `deploy` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum DeployCommand {
    /// Say what stands at an address; with status 1 when it is not a channel contract
    Check(CheckArgs),
}

/// Options of `deploy check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Where to look
    pub(crate) address: Address,
    /// The JSON-RPC endpoint of an Ethereum node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    pub(crate) rpc_provider: Url,
    /// Look for trusted contracts from this block on
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    pub(crate) start_block: u64,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `hash-password`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden hash-password > operator.hash
  microraiden proxy --operator ann --operator-password-hash-file operator.hash ...

On a terminal the password is asked for twice; otherwise it is the first line of standard input.")]
pub(crate) struct HashPasswordArgs {}

/// Options of `bench`.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("which_contract").args(["channel_manager_address", "deployment_file"])),
    after_help = "\
Examples:
  microraiden bench                                     a receiver of its own on this machine
  microraiden bench --senders 100 --in-flight 1 --json | jq .paid_per_second
  microraiden bench --state-dir /var/lib/microraiden    with its state on that disk
  microraiden bench --reverse-proxy                     with the content on a server behind it
  microraiden bench http://127.0.0.1:5000/fortune --private-key sender.key \\
      --deployment-file deployment.json --max-total '2 TKN'

Without a URL nothing of value is touched: the receiver sells on a development chain in the process. It runs on one
core and the load comes from another. With a URL real tokens are paid: --max-total is deposited, and what was not
spent comes back when the channels are closed at the end.

docs/bench.md tells how to read the figures. It ends with status 1 when a request failed, or when what the receiver
has stored is not exactly what was served."
)]
pub(crate) struct BenchArgs {
    /// A running receiver's resource to pay for; by default a receiver is started in the process
    #[arg(requires_all = ["private_key", "max_total", "which_contract"])]
    pub(crate) url: Option<Url>,
    /// How many channels pay; 16 by default, 4 with a URL
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) senders: Option<u32>,
    /// How many requests each channel has in flight
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(crate) in_flight: u32,
    /// How long each measurement takes
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = window)]
    pub(crate) seconds: Duration,
    /// How often everything is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) repetitions: u32,
    /// The folder for the state file, which is removed at the end; that of temporary files by default
    #[arg(long, value_name = "FOLDER", conflicts_with = "url")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Keep accounts and proofs in this PostgreSQL database, which must be empty, in place of a state file; the password
    /// comes from PGPASSWORD or ~/.pgpass
    #[arg(long, value_name = "postgres://USER@HOST/NAME", conflicts_with_all = ["url", "state_dir"])]
    pub(crate) store: Option<Database>,
    /// How many receivers share the database
    #[arg(long, value_name = "N", default_value_t = 1, requires = "store", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) instances: u32,
    /// Send each request of a channel to the next of the receivers; by default all go to the same one
    #[arg(long, requires = "store", conflicts_with = "reverse_proxy")]
    pub(crate) without_affinity: bool,
    /// Have the content on a server behind the receiver, which is the reverse proxy of the command `proxy`
    #[arg(long, conflicts_with = "url")]
    pub(crate) reverse_proxy: bool,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
    /// What the receiver serves for nothing, to compare with
    #[arg(long, value_name = "URL", requires = "url")]
    pub(crate) unpaid_url: Option<Url>,
    /// Never deposit more in all: base units, or an amount with the token's symbol
    #[arg(long, value_name = "AMOUNT", requires = "url")]
    pub(crate) max_total: Option<String>,
    /// The JSON-RPC endpoint of an Ethereum node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    pub(crate) rpc_provider: Url,
    /// The channel contract
    #[arg(long, value_name = "ADDRESS", requires = "url")]
    pub(crate) channel_manager_address: Option<Address>,
    /// The file that `deploy` has written about the channel contract
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(crate) deployment_file: Option<PathBuf>,
    /// The file with the sender's private key: a keystore, or 64 hexadecimal digits; readable by you only
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(crate) private_key: Option<PathBuf>,
    /// The file whose first line is the keystore's password; asked for when absent
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(crate) private_key_password_file: Option<PathBuf>,
    /// Accept that the contract is unaudited and the tokens are real
    #[arg(long, requires = "url")]
    pub(crate) unaudited_real_money: bool,
}

/// An address to listen on; of this machine alone where only a port is given.
pub(crate) fn local_address(text: &str) -> Result<SocketAddr, String> {
    match text.parse() {
        Ok(port) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        Err(_) => text
            .parse()
            .map_err(|_| "a port, or an IP address and a port".to_owned()),
    }
}

/// The length of a measurement: at most an hour, and not so short that nothing happens.
fn window(text: &str) -> Result<Duration, String> {
    let window = text
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    window
        .filter(|window| (Duration::from_millis(50)..=Duration::from_secs(3600)).contains(window))
        .ok_or_else(|| "a number of seconds from 0.05 to 3600".to_owned())
}
