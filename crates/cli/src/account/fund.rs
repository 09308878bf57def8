//! Buying development tokens.

use super::args::FundArgs;
use crate::deploy::wants_json;
use crate::proxy::check_play_money;
use crate::units::Units;
use crate::{Failure, sender};
use microraiden_chain::deployment::in_ether;
use microraiden_chain::{Wallet, token};
use serde_json::json;

/// Mints, as often as it is asked for.
pub(super) async fn run(args: &FundArgs) -> Result<(), Failure> {
    let key = args.sender.key.load()?;
    let node = args.sender.node.connect().await?;
    check_play_money(node.chain_id(), args.sender.unaudited_real_money)?;
    let (contract, _) = sender::contract(node, &args.sender.contract).await?;
    let units = Units::new(contract.token().clone(), args.base_units);
    let (node, minted) = (contract.node(), contract.token().address);
    if !token::can_mint(node, minted).await? {
        return Err(format!(
            "the token {minted} does not sell itself, as only the development token does: get tokens elsewhere"
        )
        .into());
    }
    let wallet = Wallet::new(node.clone(), key);
    let address = wallet.address();
    let ether = node.eth_balance(address).await?;
    let price = (0..args.times).fold(Default::default(), |sum, _| token::mint_price_wei() + sum);
    if ether <= price {
        return Err(format!(
            "{address} has {} ether; {} and the gas are needed: send it some",
            in_ether(ether),
            in_ether(price),
        )
        .into());
    }
    let mut gas = 0;
    for number in 1..=args.times {
        let receipt = token::mint(&wallet, minted).await?;
        gas += receipt.gas_used;
        if args.times > 1 {
            eprintln!("bought {number} of {} times", args.times);
        }
    }
    let tokens = contract.token_balance(address).await?;
    let ether = node.eth_balance(address).await?;
    if wants_json(args.json) {
        let told = json!({
            "address": address.to_string(),
            "times": args.times,
            "paid_ether": in_ether(price),
            "gas": gas,
            "ether": in_ether(ether),
            "tokens": tokens.to_string(),
            "token": units.json(),
        });
        println!("{told:#}");
    } else {
        println!(
            "{address} now has {} and {} ether",
            units.show(tokens),
            in_ether(ether)
        );
    }
    Ok(())
}
