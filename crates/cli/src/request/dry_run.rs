//! What a request would cost, and what would pay it; nothing is signed or sent to the chain.

use super::args::RequestArgs;
use super::content::Content;
use super::{limits, report};
use crate::Failure;
use crate::deploy::wants_json;
use crate::exit::ErrorAnswer;
use crate::units::Units;
use comfy_table::{Table, presets};
use http::{Method, StatusCode};
use microraiden_http::Challenge;
use microraiden_protocol::Amount;
use microraiden_sender::{Channel, Client, Funding, Quote, Session};
use serde_json::json;

/// Asks for the price and tells it.
pub(super) async fn run(
    method: Method,
    args: &RequestArgs,
    content: Content,
    client: Client,
    units: &Units,
) -> Result<(), Failure> {
    let max_price = args.limits.max_price.as_deref();
    let max_price = max_price.map(|text| units.read(text)).transpose()?;
    let session = Session::new(client, limits::config(args, max_price, units)?)?;
    let asked = session
        .start(method, args.url.clone())
        .headers(content.headers)
        .body(content.body);
    let quote = asked.quote().await.map_err(|error| limits::told(error, units))?;
    let as_json = wants_json(args.json);
    match quote {
        Quote::Free(response) => free(response.status(), as_json),
        Quote::Price { challenge, funding } => {
            let client = session.client();
            let balance = client.contract().token_balance(client.address()).await?;
            match as_json {
                true => show_json(&challenge, &funding, balance, units),
                false => println!("{}", table(&challenge, &funding, balance, units)),
            }
            Ok(())
        }
    }
}

/// What was free has been requested by asking.
fn free(status: StatusCode, as_json: bool) -> Result<(), Failure> {
    match as_json {
        true => println!(
            "{:#}",
            json!({ "dry_run": true, "status": status.as_u16(), "price": null })
        ),
        false => println!("Nothing is to be paid: the answer is {status}."),
    }
    match status.is_success() {
        true => Ok(()),
        false => Err(ErrorAnswer(status).into()),
    }
}

fn show_json(challenge: &Challenge, funding: &Funding, balance: Amount, units: &Units) {
    let mut told = json!({
        "dry_run": true,
        "status": 402,
        "price": challenge.price.to_string(),
        "receiver": challenge.receiver.to_string(),
        "token": units.json(),
        "wallet_balance": balance.to_string(),
        "deposit": null,
        "channel": null,
    });
    match funding {
        Funding::Channel(channel) => told["channel"] = report::channel_json(channel),
        Funding::TopUp(channel, added) => {
            told["channel"] = report::channel_json(channel);
            told["deposit"] = added.to_string().into();
        }
        Funding::Open(deposit) => told["deposit"] = deposit.to_string().into(),
    }
    println!("{told:#}");
}

fn table(challenge: &Challenge, funding: &Funding, balance: Amount, units: &Units) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    row("Price", units.show(challenge.price));
    row("Paid to", challenge.receiver.to_string());
    let named = |channel: &Channel| format!("the channel opened in block {}", channel.block());
    // What was signed elsewhere is known to the receiver only.
    let left = |channel: &Channel| match channel.record().synced {
        true => format!("{} left", units.show(channel.remaining())),
        false => format!("at most {} left", units.show(channel.remaining())),
    };
    let pays = match funding {
        Funding::Channel(channel) => format!("{}, with {}", named(channel), left(channel)),
        Funding::TopUp(channel, added) => {
            let added = units.show(*added);
            format!(
                "{}, with {}, after a top-up of {added}",
                named(channel),
                left(channel)
            )
        }
        Funding::Open(deposit) => format!("a new channel, with a deposit of {}", units.show(*deposit)),
    };
    row("Paid by", pays);
    row("In the wallet", units.show(balance));
    table
}
