//! The options of `get`, `post` and the other methods.

use crate::sender::SenderArgs;
use clap::Args;
use microraiden_protocol::Address;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Options of `get`, `post`, `put`, `patch`, `delete`, `head` and `options`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden get http://127.0.0.1:5000/fortune --deployment-file deployment.json --dry-run
  microraiden get http://127.0.0.1:5000/fortune --deployment-file deployment.json --max-price '0.01 TKN'
  microraiden get http://127.0.0.1:5000/film --deployment-file deployment.json --max-price '1 TKN' -o film.mp4
  microraiden post http://127.0.0.1:5000/ask --deployment-file deployment.json --max-price '0.1 TKN' \\
      -H @secret.headers --data-json '{\"question\": \"why?\"}'

The answer's body goes to standard output, what was paid to standard error. The key is the one of `account new`, unless
--private-key names another. Redirects are not followed: what is behind one may have another price and receiver.

Exit status: 0 a success (2xx), 1 no answer or a failure here, 2 a wrong command line, 3 a limit was in the way, 4 an
answer that is no success, 5 the server cannot be paid or refuses. What is signed and deposited: docs/sender.md")]
pub(crate) struct RequestArgs {
    /// What to request
    pub(crate) url: Url,
    #[command(flatten)]
    pub(crate) content: ContentArgs,
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) sender: SenderArgs,
    /// Ask for the price and say what would pay it; sign and send nothing. What turns out to be free is requested
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Close the channel afterwards
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) close: bool,
    /// How long to wait for the head of the answer, and between two parts of its body
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Say what was paid as one line of JSON, in base units
    #[arg(long)]
    pub(crate) json: bool,
    /// Show amounts in base units
    #[arg(long)]
    pub(crate) base_units: bool,
    /// Log what the sender does
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

/// What is sent.
#[derive(Debug, Args)]
pub(crate) struct ContentArgs {
    /// A header to send; @FILE for those in a file, a line each, which other users cannot see in the list of processes.
    /// May be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// The body to send, as application/x-www-form-urlencoded; @FILE for the bytes of a file, @- for standard input.
    /// Several are joined by &
    #[arg(long, short, value_name = "TEXT")]
    pub(crate) data: Vec<String>,
    /// The body to send, as application/json; @FILE and @- as above
    #[arg(long, value_name = "TEXT", conflicts_with = "data")]
    pub(crate) data_json: Option<String>,
}

/// What becomes of the answer.
#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// Write the body to this file
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write the head of the answer before the body
    #[arg(long, short)]
    pub(crate) include: bool,
    /// Write nothing of an answer that is no success
    #[arg(long, short)]
    pub(crate) fail: bool,
}

/// What may be paid, and to whom. Amounts are base units, or have the token's symbol: `0.01 TKN`.
#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// Never pay more for this request: base units, or an amount with the token's symbol
    #[arg(long, value_name = "AMOUNT", required_unless_present = "dry_run")]
    pub(crate) max_price: Option<String>,
    /// Never sign away more, payments whose answers were lost included; --max-price by default
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) budget: Option<String>,
    /// Never deposit more when a channel must be opened or topped up; ten times --max-price by default
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) max_deposit: Option<String>,
    /// Pay nobody but this receiver
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) receiver: Option<Address>,
}

/// A time limit: something, and at most a day.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| (Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(time))
        .ok_or_else(|| "a number of seconds up to 86400".to_owned())
}
