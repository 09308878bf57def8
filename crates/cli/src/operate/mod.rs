//! `microraiden close-all`, `withdraw` and `resume-selling`: what an operator does for all channels, through
//! a running proxy or on a state file that none uses.

pub(crate) mod args;
mod direct;
mod remote;

use crate::Failure;
use crate::deploy::wants_json;
use args::{CloseAllArgs, ResumeArgs, WithdrawArgs};
use comfy_table::{Table, presets};
use microraiden_http::rest::{Begun, CloseAllRequest, ResumeRequest, WithdrawRequest};
use microraiden_protocol::Amount;

/// Closes all channels that bring in enough.
pub(crate) async fn close_all(args: CloseAllArgs) -> Result<(), Failure> {
    let minimum_amount = amount(args.minimum_amount.as_deref())?;
    let begun = match &args.proxy.url {
        Some(url) => {
            let request = CloseAllRequest { minimum_amount };
            remote::command(url, &args.proxy, "close-all", &request).await?
        }
        None => direct::close_all(&args.direct, minimum_amount).await?,
    };
    show(&begun, wants_json(args.json));
    Ok(())
}

/// Withdraws from all channels that bring in enough.
pub(crate) async fn withdraw(args: WithdrawArgs) -> Result<(), Failure> {
    let request = WithdrawRequest {
        minimum_amount: amount(args.minimum_amount.as_deref())?,
        takes_credit: args.takes_credit,
    };
    let begun = match &args.proxy.url {
        Some(url) => remote::command(url, &args.proxy, "withdraw", &request).await?,
        None => direct::withdraw(&args.direct, &request).await?,
    };
    show(&begun, wants_json(args.json));
    Ok(())
}

/// Lets a proxy sell on.
pub(crate) async fn resume(args: ResumeArgs) -> Result<(), Failure> {
    let Some(url) = &args.proxy.url else {
        return Err("name the running proxy with --proxy".into());
    };
    let lifted: Vec<microraiden_http::rest::Halt> =
        remote::command(url, &args.proxy, "resume-selling", &ResumeRequest {}).await?;
    match lifted.is_empty() {
        true => eprintln!("nothing had halted the selling"),
        false => eprintln!("the proxy sells on"),
    }
    println!("{}", serde_json::to_string(&lifted)?);
    Ok(())
}

fn amount(text: Option<&str>) -> Result<Option<Amount>, Failure> {
    let parse = |text: &str| {
        let amount = text.parse();
        amount.map_err(|error| format!("--minimum-amount {text}: {error}; write base units"))
    };
    Ok(text.map(parse).transpose()?)
}

fn show(begun: &Begun, json: bool) {
    if json {
        println!("{:#}", serde_json::json!(begun));
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["", "Channels", "Base units"]);
    let rows = [
        ("begun", begun.channels, begun.amount.to_string()),
        (
            "left, too little",
            begun.too_little,
            begun.too_little_amount.to_string(),
        ),
        ("left, the sender has credit", begun.with_credit, String::new()),
        (
            "nothing to claim, or under way",
            begun.without_claim,
            String::new(),
        ),
    ];
    for (what, channels, amount) in rows {
        table.add_row([what.to_owned(), channels.to_string(), amount]);
    }
    println!("{table}");
}
