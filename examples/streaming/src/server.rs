//! A story, word by word, that costs what of it was told: 10 base units a word, and never more than 1000.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use clap::Parser;
use futures_util::{StreamExt, stream};
use http::header::CONTENT_TYPE;
use microraiden_example_setup::{Failure, Selling};
use microraiden_paywall::{Meter, Paywall};
use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

/// What a listener authorises beforehand, in base units.
const MOST: u64 = 1000;
/// What a word costs.
const WORD: u64 = 10;
const STORY: &str = "A snail set out to pay its debts. It paid a little at each step, \
                     and when it arrived, nothing was left to pay.";

/// Sells a story, word by word.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  streaming-server
  streaming-server --pause 1000      one word a second")]
struct Args {
    #[command(flatten)]
    selling: Selling,
    /// The pause between two words
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 200)]
    pause: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let pause = Duration::from_millis(args.pause);
    let routes = |paywall: &Paywall| Ok::<_, Failure>(routes(paywall, pause));
    microraiden_example_setup::main(args.selling.serve(routes)).await
}

fn routes(paywall: &Paywall, pause: Duration) -> Router {
    // The price is the most, and the meter says what was used.
    Router::new()
        .route("/story", get(story).layer(paywall.price(MOST).metered()))
        .with_state(pause)
}

/// Server-sent events, a word each. Who leaves has had what was sent until then, and pays for that: so each word's cost is the
/// last word, until the next.
async fn story(State(pause): State<Duration>, meter: Meter) -> impl IntoResponse {
    let words = stream::iter(STORY.split(' ')).then(move |word| {
        let meter = meter.clone();
        async move {
            tokio::time::sleep(pause).await;
            meter.add(WORD);
            meter.conclude();
            Ok::<_, Infallible>(format!("data: {word}\n\n"))
        }
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(words))
}
