//! `microraiden channels`: the channels that a sender pays with.
//!
//! In reading order: [`args`], [`name`] (how a channel is named), [`show`] (how it is shown), [`change`].

pub(crate) mod args;
mod change;
mod name;
mod show;

use crate::deploy::wants_json;
use crate::units::Units;
use crate::{Failure, sender};
use args::{ChannelArgs, ChannelsArgs, ChannelsCommand, CommonArgs, ListArgs};
use microraiden_chain::Contract;
use microraiden_sender::ChannelRecord;
use microraiden_sender::book::{BookContents, Owner};
use serde_json::Value;

/// Does what is asked for.
pub(crate) async fn run(args: ChannelsArgs) -> Result<(), Failure> {
    match args.command {
        ChannelsCommand::List(args) => list(args).await,
        ChannelsCommand::Show(args) => show(args).await,
        ChannelsCommand::Open(args) => change::open(args).await,
        ChannelsCommand::TopUp(args) => change::top_up(args).await,
        ChannelsCommand::Close(args) => change::close(args).await,
        ChannelsCommand::Settle(args) => change::settle(args).await,
        ChannelsCommand::Forget(args) => change::forget(args).await,
        ChannelsCommand::Sync(args) => change::sync(args).await,
    }
}

/// What is in the book, which another process may be using.
async fn read(args: &CommonArgs) -> Result<(Contract, Vec<ChannelRecord>), Failure> {
    let sender = args.sender.key.address()?;
    let (contract, _) = sender::contract(args.sender.node.connect().await?, &args.sender.contract).await?;
    let path = args.sender.book(contract.address(), sender)?;
    let owner = Owner::of(&contract, sender).await?;
    let Some(contents) = BookContents::read_of(&path, &owner)? else {
        eprintln!("there is no channel book {} yet", path.display());
        return Ok((contract, Vec::new()));
    };
    Ok((contract, contents.channels))
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let (contract, records) = read(&args.common).await?;
    match wants_json(args.common.json) {
        true => println!("{:#}", Value::from_iter(records.iter().map(show::json))),
        false => {
            let units = Units::new(contract.token().clone(), args.common.base_units);
            println!("{}", show::table(&records, &units));
        }
    }
    Ok(())
}

async fn show(args: ChannelArgs) -> Result<(), Failure> {
    let (contract, records) = read(&args.common).await?;
    let record = args.channel.find(records, ChannelRecord::clone)?;
    let info = contract.channel_info(&record.channel).await?;
    match wants_json(args.common.json) {
        true => println!("{:#}", show::json_with(&record, info.as_ref())),
        false => {
            let units = Units::new(contract.token().clone(), args.common.base_units);
            println!("{}", show::table_of(&record, info.as_ref(), &units));
        }
    }
    Ok(())
}
