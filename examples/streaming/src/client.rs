//! Listens to a story that costs by the word, to its end or not, and tells what it has cost.

use clap::Parser;
use http::{HeaderMap, StatusCode};
use microraiden_example_setup::{Failure, Paying};
use microraiden_protocol::Price;
use microraiden_sender::SessionConfig;
use std::io::{Write, stdout};
use std::process::ExitCode;

/// Listens to a story that is paid for word by word.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  streaming-client
  streaming-client --leave-after 5 --close")]
struct Args {
    #[command(flatten)]
    paying: Paying,
    /// Leave after so many words
    #[arg(long, value_name = "WORDS")]
    leave_after: Option<usize>,
    /// Never authorise more, in base units
    #[arg(long, value_name = "UNITS", default_value = "1000")]
    max_price: Price,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    microraiden_example_setup::main(run(args)).await
}

async fn run(args: Args) -> Result<(), Failure> {
    let limits = SessionConfig::new(args.max_price, args.max_price.into());
    let session = args.paying.session(limits).await?;
    let mut paid = session.get(args.paying.endpoint.join("/story")?).await?;
    if paid.response.status() != StatusCode::OK {
        return Err(format!("the server answered {}", paid.response.status()).into());
    }
    println!("authorised {}", header(paid.response.headers(), "rdn-price"));

    let mut words = 0;
    let mut lines = Lines::default();
    'told: while let Some(piece) = paid.response.chunk().await? {
        for line in lines.take(&piece) {
            if let Some(word) = line.strip_prefix("data: ") {
                words += 1;
                print!("{word} ");
                stdout().flush()?;
            }
            // The last line is a comment, with what it has really cost and what is left of what was authorised.
            if let Some(receipt) = line.strip_prefix(": ") {
                println!("\n{words} words: {receipt}");
            }
            if args.leave_after == Some(words) {
                println!("\n{words} words, and enough of them");
                break 'told;
            }
        }
    }
    // Who leaves ends the connection, so that the server notices.
    drop(paid);
    args.paying.end(&session).await
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("nothing")
}

/// Puts lines together from pieces that end anywhere.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// The lines that are whole now.
    fn take(&mut self, piece: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(piece);
        let Some(end) = self.0.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let rest = self.0.split_off(end + 1);
        let whole = std::mem::replace(&mut self.0, rest);
        String::from_utf8_lossy(&whole)
            .lines()
            .map(str::to_owned)
            .collect()
    }
}
