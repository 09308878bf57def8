//! A ticker that costs: `/ETHUSD` is the last price of ether, 100 base units a look. It is a random walk, and each look is
//! its next step.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use clap::Parser;
use http::StatusCode;
use microraiden_example_setup::{Failure, Selling};
use microraiden_paywall::{Paywall, PriceRequest};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// What a look costs, in base units.
const PRICE: u64 = 100;
const PAIR: &str = "ETHUSD";

/// Sells the price of ether, tick by tick.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  ticker-server
  ticker-server --seed 7      the same prices each time")]
struct Args {
    #[command(flatten)]
    selling: Selling,
    /// The seed of the prices; another one each time by default
    #[arg(long)]
    seed: Option<u64>,
}

/// A price that goes up and down by at most two dollars.
struct Walk {
    cents: i64,
    dice: fastrand::Rng,
}

impl Walk {
    fn step(&mut self) -> i64 {
        self.cents = (self.cents + self.dice.i64(-200..=200)).max(1);
        self.cents
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let dice = args
        .seed
        .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
    let walk = Walk { cents: 68_316, dice };
    let routes = |paywall: &Paywall| Ok::<_, Failure>(routes(paywall, walk));
    microraiden_example_setup::main(args.selling.serve(routes)).await
}

fn routes(paywall: &Paywall, walk: Walk) -> Router {
    // What there is not cannot be bought: nothing is paid for a 404.
    let price = |request: &PriceRequest| match request.param("pair") {
        Some(PAIR) => Ok(PRICE),
        _ => Err(StatusCode::NOT_FOUND),
    };
    Router::new()
        .route("/{pair}", get(tick).layer(paywall.price_by(price)))
        .with_state(Arc::new(Mutex::new(walk)))
}

async fn tick(State(walk): State<Arc<Mutex<Walk>>>) -> Json<Value> {
    let cents = walk.lock().unwrap_or_else(PoisonError::into_inner).step();
    let last_price = format!("{}.{:02}", cents / 100, cents % 100);
    Json(json!({ "pair": PAIR, "last_price": last_price }))
}
