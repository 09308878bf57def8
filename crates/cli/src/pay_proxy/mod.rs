//! `microraiden pay-proxy`: pays for programs that cannot pay, within limits.
//!
//! In reading order: [`args`]; [`door`], who may come in and where they want to go; [`hosts`], who is paid and within
//! which limits; [`relay`], one request; [`refusal`], what is answered when a server cannot; [`server`], connections.

pub(crate) mod args;
mod door;
mod hosts;
mod refusal;
mod relay;
mod server;

use crate::deploy::wants_json;
use crate::{Failure, amounts, interrupted, listen};
use args::PayProxyArgs;
use bytes::Bytes;
use door::Mode;
use hosts::{Hosts, Limits};
use http_body_util::combinators::UnsyncBoxBody;
use microraiden_protocol::{Amount, Deposit, Price};
use microraiden_sender::{Client, Closing, DepositPolicy, SessionConfig};
use relay::Relay;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The body of an answer.
type Body = UnsyncBoxBody<Bytes, reqwest::Error>;

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many requests a channel is opened for, at most; a top-up is for half as many.
const DEPOSITED_REQUESTS: u32 = 100;

/// Serves until interrupted.
pub(crate) async fn run(args: PayProxyArgs) -> Result<(), Failure> {
    if !args.listen.ip().is_loopback() && !args.let_others_spend {
        return Err(format!(
            "whoever reaches {} spends your money; listen on an address of this machine alone, or accept it with \
             --let-others-spend",
            args.listen
        )
        .into());
    }
    let client = args.sender.client().await?;
    let sender = client.address();
    let (limits, config) = limits(&args, &client)?;
    let unpaid = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(config.answer_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let listener = listen(args.listen).await?;
    let address = listener.local_addr()?;
    if wants_json(args.json) {
        println!("{}", describe(&args, address, &client, &limits, &config));
    } else {
        println!("{}", banner(&args, address, &client, &limits));
    }
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "whoever can reach this address spends the money");
    }
    let mode = match args.target {
        Some(target) => Mode::Reverse {
            target,
            listens: address.ip(),
        },
        None => Mode::Forward { allowed: args.allow },
    };
    let max_body = usize::try_from(args.max_body)? << 20;
    let relay = Arc::new(Relay::new(
        mode,
        limits,
        Hosts::new(client, config),
        unpaid,
        max_body,
    ));
    tracing::info!(%address, %sender, "ready to pay");
    if !server::serve(listener, relay.clone(), interrupted()).await {
        tracing::warn!("what was not answered in time is cut off");
    }
    for (origin, session) in relay.hosts.all() {
        tracing::info!(
            host = origin,
            signed = relay.limits.show(session.spent()),
            "signed in all"
        );
    }
    if args.close {
        tokio::select! {
            closed = close(&relay) => closed?,
            () = interrupted() => return Err("interrupted; channels that are not closed stay open".into()),
        }
    }
    Ok(())
}

/// What may be spent, for the session and for those who read of it.
fn limits(args: &PayProxyArgs, client: &Client) -> Result<(Limits, SessionConfig), Failure> {
    let token = client.contract().token().clone();
    let read = |text: &str| amounts::parse(text, &token.symbol, token.decimals);
    let (max_price, budget) = (read(&args.max_price)?, read(&args.budget)?);
    if budget < max_price {
        return Err(
            "--budget is for all requests to a host together, so it cannot be less than --max-price".into(),
        );
    }
    let mut deposits = deposits(max_price, budget);
    if let Some(text) = &args.max_deposit {
        deposits.max_deposit = Deposit::new(read(text)?.base_units());
    }
    let config = SessionConfig {
        deposits,
        connect_timeout: CONNECT_TIMEOUT,
        answer_timeout: Duration::from_secs(args.timeout),
        ..SessionConfig::new(Price::new(max_price.base_units()), budget)
    };
    let limits = Limits {
        max_price,
        budget,
        token,
    };
    Ok((limits, config))
}

/// Deposits for so many requests that few wait for the chain, and for no more than the budget can pay.
fn deposits(max_price: Amount, budget: Amount) -> DepositPolicy {
    let affordable = budget.base_units().checked_div(max_price.base_units());
    let requests = affordable.and_then(|requests| u32::try_from(requests).ok());
    let requests = requests.unwrap_or(u32::MAX).clamp(1, DEPOSITED_REQUESTS);
    DepositPolicy {
        initial_factor: requests,
        top_up_factor: Some(requests.div_ceil(2)),
        ..DepositPolicy::default()
    }
}

/// The address and the limits for a program; amounts in base units.
fn describe(
    args: &PayProxyArgs,
    address: SocketAddr,
    client: &Client,
    limits: &Limits,
    config: &SessionConfig,
) -> Value {
    let max_deposit = args.max_deposit.as_ref();
    json!({
        "url": format!("http://{address}"),
        "target": args.target.as_ref().map(ToString::to_string),
        "allow": args.allow.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "sender": client.address().to_string(),
        "contract": client.contract().address().to_string(),
        "token": limits.token.address.to_string(),
        "symbol": limits.token.symbol,
        "max_price": limits.max_price.to_string(),
        "budget_per_host": limits.budget.to_string(),
        "max_hosts": if args.target.is_some() { 1 } else { hosts::MOST },
        "max_deposit": max_deposit.map(|_| config.deposits.max_deposit.to_string()),
    })
}

/// The same for a person, and how it is used.
fn banner(args: &PayProxyArgs, address: SocketAddr, client: &Client, limits: &Limits) -> String {
    let (max_price, budget) = (limits.show(limits.max_price), limits.show(limits.budget));
    let here = format!("http://{address}");
    let (whom, usage) = match &args.target {
        Some(target) => {
            let base = if target.path().trim_end_matches('/').ends_with("/v1") {
                here.clone()
            } else {
                format!("{here}/v1")
            };
            let usage = format!("  curl {here}/PATH\n  OPENAI_BASE_URL={base} your-program");
            (target.to_string(), usage)
        }
        None => {
            let hosts: Vec<_> = args.allow.iter().map(ToString::to_string).collect();
            let whom = format!("{}, at most {} of them", hosts.join(" "), hosts::MOST);
            (
                whom,
                format!("  curl -x {here} http://HOST/PATH\n  http_proxy={here} your-program"),
            )
        }
    };
    let who = if address.ip().is_loopback() {
        "any program of this machine"
    } else {
        "whoever reaches it"
    };
    format!(
        "{here} pays for {who}, from {}\n\n  \
         hosts         {whom}\n  \
         --max-price   {max_price} for a request, at most\n  \
         --budget      {budget} for a host until this ends, at most\n\n{usage}\n",
        client.address()
    )
}

/// Closes the channels, and tells of each; a failure at one host leaves the others their turn.
async fn close(relay: &Relay) -> Result<(), Failure> {
    let mut failed = Ok(());
    for (origin, session) in relay.hosts.all() {
        match session.close().await {
            Ok(channels) => {
                for closed in channels {
                    let balance = relay.limits.show(closed.balance.into());
                    match closed.closing {
                        Closing::Cooperative => tracing::info!(host = origin, balance, "closed"),
                        Closing::Uncooperative { denial } => tracing::warn!(
                            host = origin,
                            balance,
                            %denial,
                            "the receiver did not agree to close; asked the contract, settle after the challenge period"
                        ),
                    }
                }
            }
            Err(error) => {
                tracing::error!(host = origin, "not closed: {}", refusal::with_causes(&error));
                failed = Err("channels were left open; use --close again to close them".into());
            }
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_opened_for_a_hundred_requests_or_what_the_budget_pays() {
        for (max_price, budget, requests, added) in [
            (5, 1000, 100, 50),
            (5, 14, 2, 1),
            (5, 25, 5, 3),
            (5, 5, 1, 1),
            (1, u64::MAX, 100, 50),
            (0, 0, 100, 50),
        ] {
            let policy = deposits(max_price.into(), budget.into());
            assert_eq!(policy.initial_factor, requests, "{max_price} {budget}");
            assert_eq!(policy.top_up_factor, Some(added), "{max_price} {budget}");
        }
    }
}
