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
        println!("{}", banner(&chain, &args));
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

/// The node for a person.
fn banner(chain: &DevChain, args: &DevchainArgs) -> String {
    let title = format!("Account ({} ETH each)", args.accounts.balance);
    let accounts: String = chain
        .accounts()
        .iter()
        .map(|account| format!("{}  {}\n", account.address, account.secret_key))
        .collect();
    let reach = if args.host.is_loopback() {
        ""
    } else {
        "It listens beyond this machine: others in the network can reach it.\n"
    };
    format!(
        "µRaiden development chain, id {chain_id}, at block {block}

{title:<44}Private key
{accounts}
Mnemonic         {mnemonic}
Derivation path  {path}
Blocks           {blocks}
Gas limit        {gas_limit}
Base fee         {base_fee} wei in the first block

FOR DEVELOPMENT AND TESTS ONLY. Everyone knows these keys: what is sent to them on a real network is stolen
within seconds. Whoever reaches the port can change the chain at will.
{reach}
Listening on {url}; Ctrl-C ends it.",
        chain_id = chain.chain_id(),
        block = chain.block_number(),
        mnemonic = args.accounts.mnemonic,
        path = args.accounts.derivation_path,
        blocks = when_mined(&args.mining),
        gas_limit = args.gas_limit,
        base_fee = args.block_base_fee_per_gas,
        url = chain.url(),
    )
}

fn when_mined(args: &MiningArgs) -> String {
    match args.block_time {
        _ if args.no_mining => "when asked for".to_owned(),
        None => "one for each transaction".to_owned(),
        Some(seconds) if args.mixed_mining => format!("one for each transaction, and one every {seconds} s"),
        Some(seconds) => format!("one every {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    #[tokio::test]
    async fn the_banner_shows_accounts_keys_and_address_and_warns() {
        let chain = DevChain::start(Config::default()).await.expect("it starts");
        let shown = |options: &[&str]| {
            let line = [&["microraiden", "devchain"], options].concat();
            match Cli::parse_from(line).command {
                Command::Devchain(args) => banner(&chain, &args),
                other => panic!("{other:?}"),
            }
        };
        let usual = shown(&[]);
        for account in chain.accounts() {
            assert!(usual.contains(&format!("{}  {}", account.address, account.secret_key)));
        }
        for part in [
            "FOR DEVELOPMENT AND TESTS ONLY",
            "one for each transaction",
            microraiden_devchain::MNEMONIC,
            &chain.url(),
        ] {
            assert!(usual.contains(part), "{part}");
        }
        assert!(!usual.contains("beyond this machine"));
        let open = shown(&["--host", "0.0.0.0", "--block-time", "2", "--mixed-mining"]);
        assert!(open.contains("beyond this machine") && open.contains("and one every 2 s"));
    }
}
