//! `microraiden stats`: what a receiver tells of its channels.

use crate::Failure;
use crate::deploy::wants_json;
use crate::exit::Misuse;
use crate::units::Units;
use clap::Args;
use comfy_table::{Table, presets};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use microraiden_chain::{Connector, Node, TokenInfo};
use microraiden_protocol::{Address, Amount};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;
use url::Url;

/// How long the receiver may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read: the ABIs take some tens of kilobytes.
const MAX_BODY: usize = 1 << 20;
/// Where the statistics are.
const PATH: &str = "/api/1/stats";

/// Options of `stats`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  microraiden stats http://127.0.0.1:5000
  microraiden stats http://127.0.0.1:5000/fortune --rpc-provider http://127.0.0.1:8545
  microraiden stats http://127.0.0.1:5000 --json | jq .open_channels

Anybody may ask. Nothing of it is proved: it is what the receiver says.")]
pub(crate) struct StatsArgs {
    /// The receiver's address, or any URL on it; one that ends in /stats is asked as it is
    pub(crate) url: Url,
    /// A node that is asked for the token, so that amounts are shown in its units; in base units without one
    #[arg(long, value_name = "URL")]
    pub(crate) rpc_provider: Vec<Url>,
    /// Print one JSON object, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a receiver tells: in decimal strings, or in numbers as those of 2018 do.
#[derive(Debug, Deserialize)]
struct Figures {
    #[serde(deserialize_with = "exact")]
    open_channels: u64,
    #[serde(deserialize_with = "exact")]
    pending_channels: u64,
    #[serde(deserialize_with = "exact")]
    unique_senders: u64,
    #[serde(deserialize_with = "exact")]
    deposit_sum: Amount,
    #[serde(deserialize_with = "exact")]
    balance_sum: Amount,
    #[serde(deserialize_with = "exact")]
    liquid_balance: Amount,
    #[serde(deserialize_with = "exact")]
    receiver_address: Address,
    #[serde(deserialize_with = "exact")]
    contract_address: Address,
    #[serde(deserialize_with = "exact")]
    token_address: Address,
}

/// A value by its digits, in quotes or not: a number of JSON is not exact when it is read as one.
fn exact<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    let raw = <&RawValue>::deserialize(deserializer)?;
    raw.get().trim_matches('"').parse().map_err(D::Error::custom)
}

/// Asks and shows.
pub(crate) async fn run(args: StatsArgs) -> Result<(), Failure> {
    let figures = ask(&args.url).await?;
    let units = match args.rpc_provider.is_empty() {
        true => None,
        false => {
            let node = Node::connect_to(&args.rpc_provider, Default::default()).await?;
            Some(Units::new(
                TokenInfo::read(&node, figures.token_address).await?,
                false,
            ))
        }
    };
    match wants_json(args.json) {
        true => println!("{:#}", figures.json(units.as_ref())),
        false => println!("{}", figures.table(units.as_ref())),
    }
    Ok(())
}

impl Figures {
    /// For a program; amounts are in base units.
    fn json(&self, units: Option<&Units>) -> Value {
        let token = units.map_or_else(
            || json!({ "address": self.token_address.to_string() }),
            Units::json,
        );
        json!({
            "receiver": self.receiver_address.to_string(),
            "contract": self.contract_address.to_string(),
            "token": token,
            "open_channels": self.open_channels,
            "pending_channels": self.pending_channels,
            "unique_senders": self.unique_senders,
            "deposit_sum": self.deposit_sum.to_string(),
            "balance_sum": self.balance_sum.to_string(),
            "liquid_balance": self.liquid_balance.to_string(),
        })
    }

    fn table(&self, units: Option<&Units>) -> Table {
        let show = |amount: Amount| match units {
            Some(units) => units.show(amount),
            None => format!("{amount} base units"),
        };
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        for (name, value) in [
            ("Receiver", self.receiver_address.to_string()),
            ("Channel contract", self.contract_address.to_string()),
            ("Token", self.token_address.to_string()),
            ("Open channels", self.open_channels.to_string()),
            ("of so many senders", self.unique_senders.to_string()),
            ("Deposits of open channels", show(self.deposit_sum)),
            ("Closed, not settled", self.pending_channels.to_string()),
            ("Paid on channels not settled", show(self.balance_sum)),
            ("Tokens in the wallet", show(self.liquid_balance)),
        ] {
            table.add_row([name.to_owned(), value]);
        }
        table
    }
}

async fn ask(url: &Url) -> Result<Figures, Failure> {
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(Misuse("the receiver's URL begins with http:// or https://".to_owned()).into());
    }
    let mut url = url.clone();
    if !url.path().ends_with("/stats") {
        url.set_path(PATH);
    }
    url.set_query(None);
    url.set_fragment(None);
    let connector = Connector::new(url.scheme() == "https", TIMEOUT)?;
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<&[u8]>>(connector);
    let asked = async {
        let answer = client.get(url.as_str().parse()?).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_BODY).collect().await?;
        Ok::<_, Failure>((status, body.to_bytes()))
    };
    let asked = tokio::time::timeout(TIMEOUT, asked).await;
    let asked = asked.map_err(|_| format!("the receiver does not answer within {TIMEOUT:?}"))?;
    let (status, body) =
        asked.map_err(|error| format!("the receiver does not answer: {}", causes(&*error)))?;
    if !status.is_success() {
        return Err(format!(
            "there are no statistics at {}: the answer is {status}",
            url.path()
        )
        .into());
    }
    let figures = serde_json::from_slice(&body);
    Ok(figures.map_err(|error| format!("the answer is not a receiver's statistics: {error}"))?)
}

fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", causes(source)),
        None => error.to_string(),
    }
}
