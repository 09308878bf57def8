//! `microraiden deploy check`: what stands at an address.

use super::{table, wants_json};
use crate::Failure;
use crate::args::CheckArgs;
use microraiden_chain::inspection::{Channel, Kind, block_time};
use microraiden_chain::{Inspection, Node};
use microraiden_protocol::BlockNumber;
use serde_json::{Value, json};
use std::time::Duration;

/// Looks, tells, and fails unless it is a channel contract.
pub(crate) async fn run(args: CheckArgs) -> Result<(), Failure> {
    let node = Node::connect(&args.rpc_provider).await?;
    let found = Inspection::of(&node, args.address, BlockNumber(args.start_block)).await?;
    let block_time = block_time(&node).await?;
    if wants_json(args.json) {
        println!("{:#}", report(&args, &node, &found, block_time));
    } else {
        show(&args, &node, &found, block_time);
    }
    match found.kind {
        Kind::Ours(_) | Kind::Compatible(_) => Ok(()),
        Kind::NoCode => {
            Err(format!("there is no contract at {}: is it the right chain?", args.address).into())
        }
        Kind::Token => Err(format!(
            "the contract at {} is a token, not a channel contract",
            args.address
        )
        .into()),
        Kind::Unknown => Err(format!("the contract at {} is not a channel contract", args.address).into()),
    }
}

/// One word for programs, and words for people.
fn kind(found: &Inspection) -> (&'static str, &'static str) {
    match found.kind {
        Kind::NoCode => ("none", "there is no contract"),
        Kind::Ours(_) => ("ours", "our channel contract, every byte"),
        Kind::Compatible(_) => (
            "compatible",
            "other code that answers as a channel contract of 0.2",
        ),
        Kind::Token => ("token", "our development token"),
        Kind::Unknown => ("unknown", "unknown code"),
    }
}

/// How long a number of blocks takes, in minutes.
pub(crate) fn minutes(blocks: u32, block_time: Duration) -> f64 {
    (block_time.as_secs_f64() * f64::from(blocks) / 6.0).round() / 10.0
}

fn report(args: &CheckArgs, node: &Node, found: &Inspection, block_time: Option<Duration>) -> Value {
    let mut report = json!({
        "address": args.address.to_string(),
        "chain_id": node.chain_id(),
        "is_channel_contract": found.channel().is_some(),
        "code": kind(found).0,
        "artifact": found.artifact(),
        "code_hash": found.code_hash,
    });
    if let (Some(report), Some(channel)) = (report.as_object_mut(), found.channel()) {
        let Channel { contract, .. } = channel;
        let token = contract.token();
        let rest = json!({
            "version": channel.version,
            "owner": channel.owner.to_string(),
            "token": {
                "address": token.address.to_string(),
                "name": token.name,
                "symbol": token.symbol,
                "decimals": token.decimals,
            },
            "trusted_contracts": channel.trusted_contracts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "challenge_period": {
                "blocks": contract.challenge_period(),
                "minutes": block_time.map(|time| minutes(contract.challenge_period(), time)),
            },
            "block_time_seconds": block_time.map(|time| time.as_secs_f64()),
        });
        report.extend(rest.as_object().cloned().unwrap_or_default());
    }
    report
}

fn show(args: &CheckArgs, node: &Node, found: &Inspection, block_time: Option<Duration>) {
    let mut table = table();
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    row("Address", args.address.to_string());
    row("Chain", node.chain_id().to_string());
    row("Code", kind(found).1.to_owned());
    if let Some(hash) = found.code_hash {
        row("Code hash", hash.to_string());
    }
    if let Some(channel) = found.channel() {
        let Channel { contract, .. } = channel;
        let token = contract.token();
        let blocks = contract.challenge_period();
        let minutes = match block_time.map(|time| minutes(blocks, time)) {
            Some(minutes) => format!(", about {minutes} minutes"),
            None => String::new(),
        };
        let trusted: Vec<_> = channel
            .trusted_contracts
            .iter()
            .map(ToString::to_string)
            .collect();
        row("Version", channel.version.clone());
        row(
            "Token",
            format!("{} ({}, {} decimals)", token.name, token.symbol, token.decimals),
        );
        row("Token address", token.address.to_string());
        row("Owner", channel.owner.to_string());
        row(
            "Trusted contracts",
            match trusted.is_empty() {
                true => "none".to_owned(),
                false => trusted.join("\n"),
            },
        );
        row("Challenge period", format!("{blocks} blocks{minutes}"));
    }
    println!("{table}");
}
