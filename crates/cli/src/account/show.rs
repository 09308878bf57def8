//! What a key owns.

use super::args::ShowArgs;
use crate::deploy::wants_json;
use crate::units::Units;
use crate::{Failure, sender};
use comfy_table::{Table, presets};
use microraiden_chain::deployment::in_ether;
use microraiden_protocol::Amount;
use microraiden_sender::{Client, ClientOptions};
use serde_json::json;

/// Shows the address; and with a contract, what the chain knows of it.
pub(super) async fn run(args: &ShowArgs) -> Result<(), Failure> {
    let as_json = wants_json(args.json);
    let Some(contract) = args.contract() else {
        let address = args.key.address()?.to_string();
        match as_json {
            true => println!("{:#}", json!({ "address": address })),
            false => println!("{address}"),
        }
        return Ok(());
    };
    let address = args.key.address()?;
    let (contract, scan_from) = sender::contract(args.node.connect().await?, &contract).await?;
    let units = Units::new(contract.token().clone(), args.base_units);
    let ether = contract.node().eth_balance(address).await?;
    let tokens = contract.token_balance(address).await?;
    let options = ClientOptions {
        scan_from,
        ..ClientOptions::default()
    };
    let client = Client::look(contract, address, options).await?;
    let open = client.open_channels(None).await?;
    // What channels hold was minted by one token, so the sum saturates only in theory.
    let locked = open.iter().fold(Amount::ZERO, |sum, channel| {
        sum.checked_add(channel.deposit()).unwrap_or(Amount::MAX)
    });
    if as_json {
        let told = json!({
            "address": address.to_string(),
            "ether": in_ether(ether),
            "tokens": tokens.to_string(),
            "locked": locked.to_string(),
            "open_channels": open.len(),
            "token": units.json(),
        });
        println!("{told:#}");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.add_row(["Address".to_owned(), address.to_string()]);
    table.add_row(["Ether".to_owned(), in_ether(ether)]);
    table.add_row(["Tokens".to_owned(), units.show(tokens)]);
    let channels = match open.len() {
        1 => "1 open channel".to_owned(),
        count => format!("{count} open channels"),
    };
    table.add_row([format!("Locked in {channels}"), units.show(locked)]);
    println!("{table}");
    Ok(())
}
