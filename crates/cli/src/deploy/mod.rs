//! `microraiden deploy`: a token and a channel contract, verified, and told to the other commands by a file.

mod check;

pub(crate) use check::minutes;

use crate::args::{DeployArgs, DeployCommand};
use crate::deployment_file::NewFile;
use crate::proxy::check_play_money;
use crate::{Failure, keys};
use comfy_table::{Table, presets};
use microraiden_chain::deploy::TokenParams;
use microraiden_chain::deployment::{Deployment, Estimate, Plan, Step, TokenChoice, in_ether};
use microraiden_chain::{Node, Receipt, Wallet};
use microraiden_protocol::Address;
use serde_json::json;
use std::io::IsTerminal;

/// Deploys, estimates, or looks at what is there.
pub(crate) async fn run(args: DeployArgs) -> Result<(), Failure> {
    if let Some(DeployCommand::Check(args)) = args.command {
        return check::run(args).await;
    }
    let plan = plan(&args)?;
    let key_file = args.private_key.as_deref().ok_or("--private-key is missing")?;
    let load_key = || keys::load(key_file, args.private_key_password_file.as_deref());
    if args.dry_run {
        let wallet = Wallet::new(Node::connect(&args.rpc_provider).await?, load_key()?);
        show_estimate(&wallet, &plan.estimate(&wallet).await?, wants_json(args.json));
        return Ok(());
    }
    let file = NewFile::prepare(&args.deployment_file, args.force)?;
    let key = load_key()?;
    let node = Node::connect(&args.rpc_provider).await?;
    check_play_money(node.chain_id(), args.unaudited_real_money)?;
    let deployment = plan.carry_out(&Wallet::new(node, key), tell).await?;
    let json = serde_json::to_string_pretty(&deployment)?;
    // Before the file is written: should that fail, the addresses are not lost.
    match wants_json(args.json) {
        true => println!("{json}"),
        false => println!("{}", deployed_table(&deployment)),
    }
    let path = file.write(&json)?;
    eprintln!("written to {}", path.display());
    Ok(())
}

fn plan(args: &DeployArgs) -> Result<Plan, Failure> {
    let token = match args.token_address {
        Some(token) => TokenChoice::Existing(token),
        None => TokenChoice::New(
            TokenParams::with_whole_supply(
                args.supply,
                args.token_name.clone(),
                args.token_symbol.clone(),
                args.token_decimals,
            )
            .ok_or_else(|| {
                format!(
                    "--supply {} with {} decimals is more than any token can count",
                    args.supply, args.token_decimals
                )
            })?,
        ),
    };
    Ok(Plan {
        token,
        challenge_period: args.challenge_period,
        confirmations: args.confirmations,
    })
}

/// JSON for programs, a table for people.
pub(crate) fn wants_json(asked: bool) -> bool {
    asked || !std::io::stdout().is_terminal()
}

/// Tells of a step at once: should a later one fail, what is there is known.
fn tell(step: Step<'_>) {
    let mined = |what: &str, address: Address, receipt: &Receipt| {
        eprintln!(
            "{what} at {address}, in block {} by transaction {} ({} gas, {} ether)",
            receipt.block.number,
            receipt.transaction,
            receipt.gas_used,
            in_ether(receipt.cost_wei()),
        );
    };
    match step {
        Step::Token(address, receipt) => mined("token", address, receipt),
        Step::Contract(address, receipt) => mined("channel contract", address, receipt),
        Step::Confirmed => eprintln!("confirmed; verifying the code"),
    }
}

fn show_estimate(wallet: &Wallet, estimate: &Estimate, json: bool) {
    let (cost, needed, missing) = (estimate.cost_wei(), estimate.needed_wei(), estimate.missing_wei());
    if json {
        let report = json!({
            "dry_run": true,
            "chain_id": wallet.node().chain_id(),
            "owner": wallet.address().to_string(),
            "gas": { "token": estimate.token_gas, "contract": estimate.contract_gas, "all": estimate.gas() },
            "gas_price_wei": estimate.gas_price_wei.to_string(),
            "cost_ether": in_ether(cost),
            "balance_ether": in_ether(estimate.balance_wei),
            "needed_ether": in_ether(needed),
            "missing_ether": in_ether(missing),
        });
        println!("{report:#}");
        return;
    }
    let mut table = table();
    if let Some(gas) = estimate.token_gas {
        table.add_row(["Gas of the token".to_owned(), gas.to_string()]);
    }
    table.add_row([
        "Gas of the channel contract".to_owned(),
        estimate.contract_gas.to_string(),
    ]);
    table.add_row([
        "Cost at the current price".to_owned(),
        format!("{} ether", in_ether(cost)),
    ]);
    table.add_row([
        "Needed, with room for dearer blocks".to_owned(),
        format!("{} ether", in_ether(needed)),
    ]);
    table.add_row([
        format!("Balance of {}", wallet.address()),
        format!("{} ether", in_ether(estimate.balance_wei)),
    ]);
    println!("{table}");
    if missing.is_zero() {
        println!("Nothing was deployed: this was a dry run.");
    } else {
        println!(
            "Nothing was deployed: this was a dry run. {} ether is missing.",
            in_ether(missing)
        );
    }
}

fn deployed_table(deployment: &Deployment) -> Table {
    let mut table = table();
    table.add_row([
        "Channel contract".to_owned(),
        deployment.contract.address.to_string(),
    ]);
    table.add_row(["Token".to_owned(), deployment.token.address.to_string()]);
    table.add_row(["Owner".to_owned(), deployment.owner.to_string()]);
    table.add_row([
        "Challenge period".to_owned(),
        format!("{} blocks", deployment.challenge_period),
    ]);
    table.add_row(["Chain".to_owned(), deployment.chain_id.to_string()]);
    table
}

pub(crate) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table
}
