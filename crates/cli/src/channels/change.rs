//! What changes channels: transactions, and the channel book.

use super::args::{ChannelArgs, CloseArgs, CommonArgs, ForgetArgs, ListArgs, OpenArgs, TopUpArgs};
use super::name::ChannelName;
use super::show;
use crate::Failure;
use crate::deploy::wants_json;
use crate::exit::{Misuse, NoAgreement};
use crate::units::Units;
use indicatif::ProgressBar;
use microraiden_chain::Receipts;
use microraiden_chain::deployment::in_ether;
use microraiden_protocol::{Amount, Deposit, Price};
use microraiden_sender::{Channel, ChannelState, Client, Session, SessionConfig};
use serde_json::{Value, json};
use std::time::Duration;

/// Between two pictures of a line that says what is waited for.
const TICK: Duration = Duration::from_millis(120);

/// The sender, with what every command needs besides.
struct Book {
    client: Client,
    units: Units,
    as_json: bool,
}

impl Book {
    async fn open(args: &CommonArgs) -> Result<Self, Failure> {
        let client = args.sender.client().await?;
        let units = Units::new(client.contract().token().clone(), args.base_units);
        Ok(Self {
            client,
            units,
            as_json: wants_json(args.json),
        })
    }

    /// Looks at the chain first, so that a close or a deposit of elsewhere is known.
    async fn find(&self, name: ChannelName) -> Result<Channel, Failure> {
        sync_with_progress(&self.client).await?;
        name.find(self.client.channels(), Channel::record)
    }

    /// Tells what was done: a sentence for a person, the channel and the gas for a program.
    fn tell(&self, channel: &Channel, sentence: &str, receipts: &Receipts) {
        let (gas, cost) = (receipts.gas_used(), in_ether(receipts.cost_wei()));
        if self.as_json {
            let mut told = show::json(&channel.record());
            told["gas"] = gas.into();
            told["gas_ether"] = cost.into();
            println!("{told:#}");
        } else {
            let (receiver, block) = (channel.receiver(), channel.block());
            println!("{receiver}:{block} {sentence} ({gas} gas, {cost} ether)");
        }
    }

    fn amount(&self, text: &str) -> Result<Amount, Failure> {
        let amount = self.units.read(text)?;
        match amount.is_zero() {
            true => Err(Misuse("an amount of nothing changes nothing: give more".to_owned()).into()),
            false => Ok(amount),
        }
    }
}

/// A line that says on a terminal what is waited for; it goes when it is dropped.
struct Waiting(ProgressBar);

impl Waiting {
    fn on(what: &'static str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(what);
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

async fn sync_with_progress(client: &Client) -> Result<(), Failure> {
    let waiting = Waiting::on("looking at the chain");
    client
        .sync_with(|block, head| {
            waiting
                .0
                .set_message(format!("looking at the chain: block {block} of {head}"))
        })
        .await?;
    Ok(())
}

/// Opens a channel.
pub(super) async fn open(args: OpenArgs) -> Result<(), Failure> {
    let book = Book::open(&args.common).await?;
    let deposit = book.amount(&args.amount)?;
    let waiting = Waiting::on("waiting for the transactions");
    let opened = book
        .client
        .open_channel(args.receiver, Deposit::new(deposit.base_units()))
        .await;
    drop(waiting);
    let channel = opened?;
    let receipts = channel
        .transactions()
        .into_iter()
        .flat_map(|(_, receipts)| receipts.0);
    let sentence = format!("is open, with a deposit of {}", book.units.show(deposit));
    book.tell(&channel, &sentence, &Receipts(receipts.collect()));
    Ok(())
}

/// Adds to a deposit.
pub(super) async fn top_up(args: TopUpArgs) -> Result<(), Failure> {
    let book = Book::open(&args.common).await?;
    let added = book.amount(&args.amount)?;
    let channel = book.find(args.channel).await?;
    let waiting = Waiting::on("waiting for the transactions");
    let receipts = channel.topup(added).await;
    drop(waiting);
    let (added, deposit) = (book.units.show(added), book.units.show(channel.deposit()));
    book.tell(
        &channel,
        &format!("has {added} more, {deposit} in all"),
        &receipts?,
    );
    Ok(())
}

/// Closes a channel with the receiver's agreement, or without.
pub(super) async fn close(args: CloseArgs) -> Result<(), Failure> {
    let book = Book::open(&args.common).await?;
    let channel = book.find(args.channel).await?;
    let record = channel.record();
    if args.uncooperative {
        if !record.synced {
            eprintln!(
                "warning: what was paid is not known here; the receiver can claim it in the challenge period"
            );
        }
        let waiting = Waiting::on("waiting for the transaction");
        let closed = channel.close_at(record.owed()).await;
        drop(waiting);
        let (balance, receipt) = closed?;
        let settle_block = channel.info().await?.settle_block.unwrap_or_default();
        let balance = book.units.show(balance);
        let sentence = format!("closes at {balance}; settle it after block {settle_block}");
        book.tell(&channel, &sentence, &Receipts(vec![receipt]));
        return Ok(());
    }
    let url = args.url.or(record.server).ok_or_else(|| {
        Misuse(
            "no server was paid with this channel: name the receiver's with --url, or add --uncooperative"
                .to_owned(),
        )
    })?;
    if !record.synced {
        return Err(
            "what was paid is not known here, only to the receiver: pay once more with `microraiden get --close`, which \
             asks for it, or add --uncooperative"
                .into(),
        );
    }
    // It pays for nothing.
    let session = Session::new(book.client.clone(), SessionConfig::new(Price::ZERO, Amount::ZERO))?;
    let waiting = Waiting::on("asking the receiver, then waiting for the transaction");
    let closed = session.close_agreed(&channel, &url).await;
    drop(waiting);
    let closed = closed?.map_err(NoAgreement)?;
    let sentence = format!("is closed and settled at {}", book.units.show(closed.balance));
    book.tell(&channel, &sentence, &Receipts(vec![closed.receipt]));
    Ok(())
}

/// Settles after the challenge period.
pub(super) async fn settle(args: ChannelArgs) -> Result<(), Failure> {
    let book = Book::open(&args.common).await?;
    let channel = book.find(args.channel).await?;
    let waiting = Waiting::on("waiting for the transaction");
    let receipt = channel.settle().await;
    drop(waiting);
    book.tell(&channel, "is settled", &Receipts(vec![receipt?]));
    Ok(())
}

/// Removes a channel from the book.
pub(super) async fn forget(args: ForgetArgs) -> Result<(), Failure> {
    let book = Book::open(&args.common).await?;
    let channel = book.find(args.channel).await?;
    let record = channel.record();
    if record.state != ChannelState::Closed {
        let lost = format!(
            "channel {}:{} is {}, with a deposit of {} and {} signed: without the book only its receiver knows what is owed",
            channel.receiver(),
            channel.block(),
            record.state,
            book.units.show(record.deposit),
            book.units.show(record.signed_balance()),
        );
        match args.force {
            true => eprintln!("warning: {lost}"),
            false => return Err(format!("{lost}; close it first, or add --force").into()),
        }
    }
    book.client.forget(&channel.id()).await?;
    match book.as_json {
        true => println!("{:#}", json!({ "forgotten": show::json(&record) })),
        false => println!("{}:{} is forgotten", channel.receiver(), channel.block()),
    }
    Ok(())
}

/// Looks at the chain, and lists what there is then.
pub(super) async fn sync(args: ListArgs) -> Result<(), Failure> {
    let book = Book::open(&args.common).await?;
    sync_with_progress(&book.client).await?;
    let records: Vec<_> = book.client.channels().iter().map(Channel::record).collect();
    match book.as_json {
        true => println!("{:#}", Value::from_iter(records.iter().map(show::json))),
        false => println!("{}", show::table(&records, &book.units)),
    }
    Ok(())
}
