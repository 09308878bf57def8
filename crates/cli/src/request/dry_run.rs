//! What a request would cost, and what would pay it; nothing is signed or sent to the chain.

use super::args::RequestArgs;
use super::content::Content;
use super::{limits, report};
use crate::Failure;
use crate::deploy::wants_json;
use crate::exit::ErrorAnswer;
use crate::units::Units;
use comfy_table::{Table, presets};
use http::Method;
use microraiden_http::Challenge;
use microraiden_protocol::{Amount, Price};
use microraiden_sender::{
    Channel, ChannelError, Client, Decision, DepositPolicy, Hooks, Session, SessionConfig, SessionError,
};
use reqwest::{Response, StatusCode};
use serde_json::json;

/// Where the payment would come from.
enum Source {
    /// A channel that has enough left.
    Channel(Channel),
    /// A channel after a top-up.
    TopUp(Channel, Amount),
    /// A new channel with this deposit.
    Open(Amount),
}

/// Asks for the price and tells it.
pub(super) async fn run(
    method: Method,
    args: &RequestArgs,
    content: Content,
    client: &Client,
    units: &Units,
) -> Result<(), Failure> {
    // Nothing is paid, so its limits do not matter.
    let config = SessionConfig {
        connect_timeout: args.timeout.min(limits::CONNECT_TIMEOUT),
        answer_timeout: args.timeout,
        ..SessionConfig::new(Price::ZERO, Amount::ZERO)
    };
    let session = Session::with_hooks(client.clone(), config, AskOnly)?;
    let asked = session.request(method, args.url.clone(), content.headers, content.body);
    let response = asked.await?.response;
    let status = response.status();
    let as_json = wants_json(args.json);
    if status != StatusCode::PAYMENT_REQUIRED {
        match as_json {
            true => println!(
                "{:#}",
                json!({ "dry_run": true, "status": status.as_u16(), "price": null })
            ),
            false => println!("Nothing is to be paid: the answer is {status}."),
        }
        return match status.is_success() {
            true => Ok(()),
            false => Err(ErrorAnswer(status).into()),
        };
    }
    let challenge = Challenge::read(response.headers())?;
    let max_price = match &args.limits.max_price {
        Some(text) => units.read(text)?,
        None => challenge.price.into(),
    };
    let config = limits::config(args, max_price, units)?;
    check(&challenge, client, &config).map_err(|error| limits::told(error, units))?;
    let source = source(client, &challenge, &config)
        .await
        .map_err(|error| limits::told(error, units))?;
    let balance = client.contract().token_balance(client.address()).await?;
    match as_json {
        true => show_json(&challenge, &source, balance, units),
        false => println!("{}", table(&challenge, &source, balance, units)),
    }
    Ok(())
}

/// Ends every request with its first answer.
struct AskOnly;

impl Hooks for AskOnly {
    fn on_http_response(&self, _: &Response) -> Decision {
        Decision::Stop
    }
}

/// What a session would refuse before it signs.
fn check(challenge: &Challenge, client: &Client, config: &SessionConfig) -> Result<(), SessionError> {
    let ours = client.contract().address();
    if challenge.contract != ours {
        let asked = challenge.contract;
        return Err(SessionError::ForeignContract { asked, ours });
    }
    if let Some(allowed) = config.receiver.filter(|allowed| *allowed != challenge.receiver) {
        let asked = challenge.receiver;
        return Err(SessionError::ForeignReceiver { asked, allowed });
    }
    if challenge.price == Price::ZERO {
        return Err(SessionError::NoPrice);
    }
    if challenge.price > config.max_price {
        let (price, max) = (challenge.price, config.max_price);
        return Err(SessionError::PriceTooHigh { price, max });
    }
    let needed = challenge.price.into();
    if needed > config.budget {
        let left = config.budget;
        return Err(SessionError::Budget { needed, left });
    }
    Ok(())
}

/// What a session would pay with.
async fn source(
    client: &Client,
    challenge: &Challenge,
    config: &SessionConfig,
) -> Result<Source, SessionError> {
    let open = client.open_channels(Some(challenge.receiver)).await?;
    let price = Amount::from(challenge.price);
    let enough = open.iter().filter(|channel| channel.remaining() >= price);
    if let Some(channel) = enough.min_by_key(|channel| channel.remaining()) {
        return Ok(Source::Channel(channel.clone()));
    }
    let DepositPolicy {
        initial_factor,
        top_up_factor,
        max_deposit,
    } = config.deposits;
    if let Some(channel) = open.iter().max_by_key(|channel| channel.remaining())
        && let Some(factor) = top_up_factor
    {
        let room = max_deposit.checked_since(channel.deposit()).unwrap_or_default();
        let missing = price.checked_sub(channel.remaining()).unwrap_or_default();
        if missing <= room {
            let wanted = times(price, factor).checked_sub(channel.remaining());
            let added = wanted.unwrap_or_default().max(missing).min(room);
            return Ok(Source::TopUp(channel.clone(), added));
        }
    }
    let ceiling = Amount::from(max_deposit);
    if price > ceiling {
        return Err(SessionError::Channel(ChannelError::DepositLimit {
            needed: price,
            allowed: max_deposit,
        }));
    }
    Ok(Source::Open(times(price, initial_factor).max(price).min(ceiling)))
}

/// `amount × factor`, at most the largest amount.
fn times(amount: Amount, factor: u32) -> Amount {
    let factor = Amount::from(u64::from(factor)).base_units();
    Amount::new(amount.base_units().saturating_mul(factor))
}

fn show_json(challenge: &Challenge, source: &Source, balance: Amount, units: &Units) {
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
    match source {
        Source::Channel(channel) => told["channel"] = report::channel_json(channel),
        Source::TopUp(channel, added) => {
            told["channel"] = report::channel_json(channel);
            told["deposit"] = added.to_string().into();
        }
        Source::Open(deposit) => told["deposit"] = deposit.to_string().into(),
    }
    println!("{told:#}");
}

fn table(challenge: &Challenge, source: &Source, balance: Amount, units: &Units) -> Table {
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
    let pays = match source {
        Source::Channel(channel) => format!("{}, with {}", named(channel), left(channel)),
        Source::TopUp(channel, added) => {
            let added = units.show(*added);
            format!(
                "{}, with {}, after a top-up of {added}",
                named(channel),
                left(channel)
            )
        }
        Source::Open(deposit) => format!("a new channel, with a deposit of {}", units.show(*deposit)),
    };
    row("Paid by", pays);
    row("In the wallet", units.show(balance));
    table
}
