//! `microraiden devchain`: the development chain alone.

use crate::args::{DevchainArgs, MiningArgs, StateArgs};
use crate::deploy::wants_json;
use crate::{Failure, interrupted};
use microraiden_devchain::{Config, Cors, DevAccount, DevChain, Mining};
use serde_json::{Value, json};
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// How long requests in flight may take at the end.
const GRACE: Duration = Duration::from_secs(2);
const WEI_PER_ETHER: u128 = 1_000_000_000_000_000_000;

/// Runs until interrupted.
pub(crate) async fn run(args: DevchainArgs) -> Result<(), Failure> {
    let accounts = &args.accounts;
    let config = Config {
        listen: SocketAddr::new(args.host, args.port),
        chain_id: args.chain_id,
        mining: mining(&args.mining)?,
        block_gas_limit: args.gas_limit,
        base_fee_wei: args.block_base_fee_per_gas,
        accounts: DevAccount::derive(&accounts.mnemonic, &accounts.derivation_path, accounts.accounts)?,
        account_balance_wei: (u128::from(accounts.balance) * WEI_PER_ETHER).try_into()?,
        genesis_timestamp_s: args.timestamp,
        auto_impersonate: args.auto_impersonate,
        max_log_range_blocks: args.max_log_range,
        cors: match args.allow_origin.as_str() {
            _ if args.no_cors => Cors::Off,
            "*" => Cors::Any,
            origin => Cors::Only(origin.to_owned()),
        },
    };
    let chain = DevChain::start(config).await?;
    load(&chain, &args.state)?;
    let description = describe(&chain, &args);
    if let Some(file) = &args.config_out {
        let text = format!("{description:#}\n");
        replace(file, &text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    if wants_json(args.json) {
        println!("{description}");
    } else {
        print_banner(&chain, &args);
    }
    interrupted().await;
    let saved = save(&chain, &args.state);
    // A client with half a request would hold it up; there is nothing to lose.
    let _ = tokio::time::timeout(GRACE, chain.stop()).await;
    saved
}

fn mining(args: &MiningArgs) -> Result<Mining, Failure> {
    let interval = args
        .block_time
        .map(Duration::try_from_secs_f64)
        .transpose()
        .ok()
        .filter(|interval| interval.is_none_or(|interval| !interval.is_zero()))
        .ok_or("--block-time is a number of seconds above 0")?;
    Ok(Mining {
        instant: !args.no_mining && (interval.is_none() || args.mixed_mining),
        interval,
    })
}

/// Puts the chain of a file into the node.
fn load(chain: &DevChain, args: &StateArgs) -> Result<(), Failure> {
    let may_be_missing = args.state.is_some();
    let Some(file) = args.state.as_deref().or(args.load_state.as_deref()) else {
        return Ok(());
    };
    match std::fs::read_to_string(file) {
        Ok(dump) => chain
            .load(&dump)
            .map_err(|error| format!("cannot load {}: {error}", file.display()).into()),
        Err(error) if may_be_missing && error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("cannot read {}: {error}", file.display()).into()),
    }
}

/// Writes the chain of the node into a file.
fn save(chain: &DevChain, args: &StateArgs) -> Result<(), Failure> {
    match args.state.as_deref().or(args.dump_state.as_deref()) {
        Some(file) => replace(file, &chain.dump())
            .map_err(|error| format!("cannot write {}: {error}", file.display()).into()),
        None => Ok(()),
    }
}

/// Writes a file whole or not at all; only its owner may read it.
fn replace(file: &Path, content: &str) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut new = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    new.write_all(content.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}

/// The node for a program, with the names that anvil's `--config-out` has, and its address.
fn describe(chain: &DevChain, args: &DevchainArgs) -> Value {
    let accounts = chain.accounts();
    json!({
        "url": chain.url(),
        "chain_id": chain.chain_id(),
        "available_accounts": accounts.iter().map(|account| account.address.to_string()).collect::<Vec<_>>(),
        "private_keys": accounts.iter().map(|account| account.secret_key.to_string()).collect::<Vec<_>>(),
        "wallet": {
            "mnemonic": args.accounts.mnemonic,
            "derivation_path": args.accounts.derivation_path,
        },
        "base_fee": args.block_base_fee_per_gas,
        "gas_limit": args.gas_limit,
        "block_number": chain.block_number(),
    })
}

fn print_banner(chain: &DevChain, args: &DevchainArgs) {
    let title = format!("Account ({} ETH each)", args.accounts.balance);
    println!(
        "µRaiden development chain, id {}, at block {}\n",
        chain.chain_id(),
        chain.block_number()
    );
    println!("{title:<44}Private key");
    for account in chain.accounts() {
        println!("{}  {}", account.address, account.secret_key);
    }
    println!("\nMnemonic         {}", args.accounts.mnemonic);
    println!("Derivation path  {}", args.accounts.derivation_path);
    println!("Blocks           {}", when_mined(&args.mining));
    println!("Gas limit        {}", args.gas_limit);
    println!(
        "Base fee         {} wei in the first block",
        args.block_base_fee_per_gas
    );
    println!(
        "\nFOR DEVELOPMENT AND TESTS ONLY. Everyone knows these keys: what is sent to them on a real network is stolen
within seconds. Whoever reaches the port can change the chain at will."
    );
    if !args.host.is_loopback() {
        println!("It listens beyond this machine: others in the network can reach it.");
    }
    println!("\nListening on {}; Ctrl-C ends it.", chain.url());
}

fn when_mined(args: &MiningArgs) -> String {
    match args.block_time {
        _ if args.no_mining => "when asked for".to_owned(),
        None => "one for each transaction".to_owned(),
        Some(seconds) if args.mixed_mining => format!("one for each transaction, and one every {seconds} s"),
        Some(seconds) => format!("one every {seconds} s"),
    }
}
