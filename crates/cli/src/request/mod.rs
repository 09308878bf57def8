//! `microraiden get`, `post` and the other methods: request a URL, and pay for it within limits.
//!
//! In reading order: [`args`], [`content`] (what is sent), [`limits`], [`output`] (where the answer goes), [`report`] (what
//! was paid), [`dry_run`].

pub(crate) mod args;
mod content;
mod dry_run;
mod limits;
mod output;
mod report;

use crate::Failure;
use crate::exit::{ErrorAnswer, Misuse};
use crate::units::Units;
use args::RequestArgs;
use content::Content;
use http::Method;
use microraiden_sender::Session;
use output::Output;
use report::Report;

/// Makes one request; fails when the answer is not a success.
pub(crate) async fn run(method: Method, args: RequestArgs) -> Result<(), Failure> {
    let content = Content::read(&args.content)?;
    let client = match args.dry_run {
        true => args.sender.looking().await?,
        false => args.sender.client().await?,
    };
    let units = Units::new(client.contract().token().clone(), args.base_units);
    if args.dry_run {
        return dry_run::run(method, &args, content, client, &units).await;
    }
    let max_price = args.limits.max_price.as_deref();
    let max_price = units.read(max_price.ok_or_else(|| Misuse("--max-price is missing".to_owned()))?)?;
    let session = Session::new(client, limits::config(&args, Some(max_price), &units)?)?;
    let output = Output::prepare(&args.answer)?;

    let asked = session.request(method, args.url.clone(), content.headers, content.body);
    let paid = match asked.await {
        Ok(paid) => paid,
        Err(error) => {
            output.discard();
            return Err(limits::told(error, &units));
        }
    };
    let report = Report::of(&paid, &session);
    if !args.json {
        report.tell(&units);
    }
    let status = paid.response.status();
    let delivered = if args.answer.fail && !status.is_success() {
        output.discard();
        Ok(())
    } else {
        output.deliver(paid.response, args.answer.include).await
    };
    let closed = match args.close {
        true => session.close().await,
        false => Ok(Vec::new()),
    };
    let listed = closed.as_deref().unwrap_or_default();
    match args.json {
        true => eprintln!("{}", report.json(listed, &units)),
        false => Report::tell_closed(listed, &units),
    }
    delivered?;
    closed?;
    match status.is_success() {
        true => Ok(()),
        false => Err(ErrorAnswer(status).into()),
    }
}
