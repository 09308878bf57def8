//! `microraiden demo`: the whole path with real parts, in one process.
//!
//! A development chain, the contracts, an upstream server, the proxy, and a sender that opens a
//! channel, pays, tops up, pays on and closes; then the check that the money adds up.

mod content;
mod report;
mod stage;

use crate::args::DemoArgs;
use crate::{Failure, interrupted};
use indicatif::{ProgressBar, ProgressStyle};
use microraiden_protocol::{Amount, Deposit, Price};
use microraiden_sender::{Closing, Session};
use report::{Gas, Holdings, Latency, Report, Sold, Token};
use stage::Stage;
use std::time::{Duration, Instant};

/// What is sold, for how many thousandths of a token.
pub(crate) const RESOURCES: [(&str, u64); 3] = [("/echofix/hello", 5), ("/fortune", 2), ("/teapot", 3)];

/// What a browser finds besides: pages of a story, and what each costs in thousandths of a token.
const STORY: (&str, u64) = ("/story/1", 1);

/// How many requests are paid after the top-up, as a part of those before.
const MORE: u32 = 4;

/// Said when it was ended before its end.
const INTERRUPTED: &str = "interrupted before the channel was closed";

/// Runs the demo; stays up unless `--exit` is given.
pub(crate) async fn run(args: DemoArgs) -> Result<(), Failure> {
    let begin = Instant::now();
    let progress = Progress::new();
    progress.say("starting the chain and deploying the contracts");
    let stage = tokio::select! {
        stage = Stage::set(args.rpc_provider.as_ref(), args.port) => stage?,
        () = interrupted() => return Err(INTERRUPTED.into()),
    };
    let result = present(&stage, &args, begin, &progress).await;
    let struck = stage.strike().await;
    result.and(struck)
}

/// Plays, prints and checks; then waits, unless `--exit` is given.
async fn present(stage: &Stage, args: &DemoArgs, begin: Instant, progress: &Progress) -> Result<(), Failure> {
    let report = tokio::select! {
        report = play(stage, args, begin, progress) => report?,
        () = interrupted() => return Err(INTERRUPTED.into()),
    };
    progress.done();
    report.check()?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", report.table());
    }
    if !args.exit {
        eprintln!("{}", stage.by_hand()?);
        interrupted().await;
    }
    Ok(())
}

/// The sender's part.
async fn play(
    stage: &Stage,
    args: &DemoArgs,
    begin: Instant,
    progress: &Progress,
) -> Result<Report, Failure> {
    let before = holdings(stage).await?;
    let first = args.payments;
    let second = first.div_ceil(MORE);
    let (deposit, top_up) = (
        sum_of_prices(stage, 0..first)?,
        sum_of_prices(stage, first..first + second)?,
    );

    progress.say("opening a channel");
    let client = stage.client();
    let deposit = Deposit::new(deposit.base_units());
    let channel = client.open_channel(stage.receiver(), deposit).await?;
    let session = Session::new(client, stage.session_config(deposit, top_up)?)?;

    let mut till = Till::new(stage, begin);
    progress.start(u64::from(first + second));
    for request in 0..first + second {
        if request == first {
            progress.say("topping the channel up");
            channel.topup(top_up).await?;
        }
        till.buy(stage, &session, request as usize).await?;
        progress.step();
    }

    progress.say("closing the channel");
    for closed in session.close().await? {
        if let Closing::Uncooperative { denial } = closed.closing {
            return Err(format!("the receiver did not agree to the close: {denial}").into());
        }
    }
    let gas = channel
        .transactions()
        .iter()
        .map(|(action, receipts)| Gas::of(*action, receipts))
        .collect();
    let after = holdings(stage).await?;
    let token = stage.contract().token();
    Ok(Report {
        chain_id: stage.contract().node().chain_id(),
        node: if args.rpc_provider.is_some() {
            "external"
        } else {
            "embedded"
        }
        .to_owned(),
        contract: stage.contract().address().to_checksum(None),
        token: Token {
            symbol: token.symbol.clone(),
            decimals: token.decimals,
        },
        deposit,
        top_up,
        payments: till.times.len().try_into()?,
        sold: till.sold.into(),
        paid: till.paid,
        before,
        after,
        gas,
        first_paid_after_ms: till.first_paid_after.unwrap_or(Duration::ZERO).as_secs_f64() * 1000.0,
        request_ms: Latency::of(till.times),
    })
}

/// What was bought so far.
struct Till {
    begin: Instant,
    times: Vec<Duration>,
    paid: Amount,
    sold: [Sold; RESOURCES.len()],
    first_paid_after: Option<Duration>,
}

impl Till {
    fn new(stage: &Stage, begin: Instant) -> Self {
        let sold = RESOURCES.map(|(resource, _)| Sold {
            resource,
            price: stage.price(resource),
            requests: 0,
        });
        Self {
            begin,
            times: Vec::new(),
            paid: Amount::ZERO,
            sold,
            first_paid_after: None,
        }
    }

    /// Pays for one request, the resources in turn.
    async fn buy(&mut self, stage: &Stage, session: &Session, request: usize) -> Result<(), Failure> {
        let row = &mut self.sold[request % RESOURCES.len()];
        let sent = Instant::now();
        let answer = session.get(stage.url(row.resource)?).await?;
        let status = answer.response.status();
        if status.is_server_error() || status.as_u16() == 402 {
            return Err(format!("{} answered {status}", row.resource).into());
        }
        answer.response.bytes().await?;
        self.times.push(sent.elapsed());
        self.first_paid_after.get_or_insert_with(|| self.begin.elapsed());
        row.requests += 1;
        let paid = self.paid.checked_add(answer.cost);
        self.paid = paid.ok_or("the costs are larger than any token has")?;
        Ok(())
    }
}

/// What these requests cost, in order.
fn sum_of_prices(stage: &Stage, requests: std::ops::Range<u32>) -> Result<Amount, Failure> {
    let mut sum = Amount::ZERO;
    for request in requests {
        let (resource, _) = RESOURCES[request as usize % RESOURCES.len()];
        sum = sum
            .checked_add(stage.price(resource))
            .ok_or("the prices are larger than any token has")?;
    }
    Ok(sum)
}

async fn holdings(stage: &Stage) -> Result<Holdings, Failure> {
    Ok(Holdings {
        sender: stage.contract().token_balance(stage.sender()).await?,
        receiver: stage.contract().token_balance(stage.receiver()).await?,
        contract: stage.contract().token_balance(stage.contract().address()).await?,
    })
}

/// Progress on standard error: a bar on a terminal, a line for each step otherwise.
struct Progress(ProgressBar);

impl Progress {
    fn new() -> Self {
        let style =
            ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// What is going on now.
    fn say(&self, text: &'static str) {
        self.0.set_message(text);
        if self.0.is_hidden() {
            eprintln!("{text}");
        }
    }

    /// Begins to count.
    fn start(&self, payments: u64) {
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} requests paid, {per_sec}  {msg}");
        self.0
            .set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.0.set_length(payments);
        self.say("paying for requests");
    }

    fn step(&self) {
        self.0.set_message("");
        self.0.inc(1);
    }

    fn done(&self) {
        self.0.finish_and_clear();
    }
}

/// The price in base units of a number of thousandths of a token.
fn thousandths(amount: u64, decimals: u8) -> Result<Price, Failure> {
    let base = 10u64
        .checked_pow(u32::from(decimals).saturating_sub(3))
        .and_then(|unit| unit.checked_mul(amount));
    Ok(base.ok_or("the token has too many decimals")?.into())
}
