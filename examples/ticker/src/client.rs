//! Pays for a ticker, tick by tick and within a limit, and draws what it gets as a plot.

mod plot;

use clap::Parser;
use http::StatusCode;
use microraiden_example_setup::{Failure, Paying};
use microraiden_protocol::{Amount, Price};
use microraiden_sender::{Session, SessionConfig, SessionError};
use serde::Deserialize;
use std::io::{IsTerminal, stdout};
use std::process::ExitCode;
use std::time::Duration;

const ROWS: usize = 6;

/// Draws prices that cost, each a micropayment.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  ticker-client
  ticker-client --ticks 100 --pause 0.2 --budget 5000 --close")]
struct Args {
    #[command(flatten)]
    paying: Paying,
    /// Whose price
    #[arg(long, default_value = "ETHUSD")]
    pair: String,
    /// How many prices
    #[arg(long, default_value_t = 60)]
    ticks: u32,
    /// The pause between two of them
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pause: Duration,
    /// Never pay more for one, in base units
    #[arg(long, value_name = "UNITS", default_value = "100")]
    max_price: Price,
    /// Never pay more for all, in base units
    #[arg(long, value_name = "UNITS", default_value = "10000")]
    budget: Amount,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// What the server answers.
#[derive(Deserialize)]
struct Tick {
    last_price: String,
}

impl Tick {
    /// The price in cents.
    fn cents(&self) -> Option<usize> {
        let (dollars, cents) = self.last_price.split_once('.')?;
        let (dollars, cents): (usize, usize) = (dollars.parse().ok()?, cents.parse().ok()?);
        dollars.checked_mul(100)?.checked_add(cents)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    microraiden_example_setup::main(run(args)).await
}

async fn run(args: Args) -> Result<(), Failure> {
    let limits = SessionConfig::new(args.max_price, args.budget);
    let session = args.paying.session(limits).await?;
    let url = args.paying.endpoint.join(&args.pair)?;
    let mut prices = Vec::new();
    let is_terminal = stdout().is_terminal();
    while prices.len() < args.ticks as usize {
        match buy(&session, url.as_str()).await? {
            Some(price) => prices.push(price),
            None => break,
        }
        if is_terminal {
            // From the second one on over the one before.
            let up = if prices.len() > 1 {
                format!("\x1b[{ROWS}A")
            } else {
                String::new()
            };
            print!("{up}{}", plot::plot(&prices, ROWS));
        }
        tokio::time::sleep(args.pause).await;
    }
    if !is_terminal {
        print!("{}", plot::plot(&prices, ROWS));
    }
    println!(
        "{} ticks; {} of {} base units are spent",
        prices.len(),
        session.spent(),
        args.budget
    );
    args.paying.end(&session).await
}

/// Buys one price, in cents; `None` when the limit is reached.
async fn buy(session: &Session, url: &str) -> Result<Option<usize>, Failure> {
    let paid = match session.get(url).await {
        Err(SessionError::Budget { .. }) => return Ok(None),
        paid => paid?,
    };
    if paid.response.status() != StatusCode::OK {
        return Err(format!("the server answered {}", paid.response.status()).into());
    }
    let tick: Tick = serde_json::from_slice(&paid.response.bytes().await?)?;
    let cents = tick
        .cents()
        .ok_or("the server tells no price in dollars and cents")?;
    Ok(Some(cents))
}
