//! Pays for one resource, and shows what came of it.

use clap::Parser;
use microraiden_chain::deployment::{Deployment, is_play_money};
use microraiden_chain::keys::{self, KeyError, Password};
use microraiden_chain::{Contract, Node};
use microraiden_sender::{Client, ClientOptions, Closing, Session, SessionConfig};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use url::Url;

/// Pays for a resource by a micropayment.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  echo-client --resource /echofix/hello
  echo-client --resource /echodyn/foo --close
  echo-client --resource /echofix/hello --endpoint http://10.0.0.3:5000 --rpc-provider http://10.0.0.2:8545

Back the channel book up while channels are open: it holds what you have signed.")]
struct Args {
    /// What to ask for, a path on the server
    #[arg(long, value_name = "PATH", default_value = "/echofix/hello")]
    resource: String,
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5000")]
    endpoint: Url,
    /// Close the channel afterwards
    #[arg(long)]
    close: bool,
    /// Never pay more for it, in base units
    #[arg(long, value_name = "UNITS", default_value_t = 20)]
    max_price: u64,
    /// The JSON-RPC endpoint of an Ethereum node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    rpc_provider: Url,
    /// What `microraiden deploy` has written about the channel contract
    #[arg(long, value_name = "FILE", default_value = "deployment.json")]
    deployment_file: PathBuf,
    /// The file with the key of whoever pays
    #[arg(long, value_name = "FILE", default_value = "sender.key")]
    private_key: PathBuf,
    /// The channel book: what was deposited and signed
    #[arg(long, value_name = "FILE", default_value = "sender.book")]
    book: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let deployment = Deployment::read(&args.deployment_file)?;
    if !is_play_money(deployment.chain_id) {
        return Err("the channel contract is unaudited: use a development chain or a test network".into());
    }
    let password = || rpassword::prompt_password("Password of the key: ").map(Password::new);
    let key = keys::load(&args.private_key, || password().map_err(KeyError::Prompt))?;
    let node = Node::connect(&args.rpc_provider).await?;
    let options = ClientOptions {
        book: Some(args.book),
        scan_from: deployment.start_block(),
        ..ClientOptions::default()
    };
    let contract = Contract::at(node, deployment.contract.address).await?;
    let client = Client::open(contract, key, options).await?;

    // An HTTP client that pays, within limits: here for one request, and its repetition if the answer gets lost.
    let config = SessionConfig::new(args.max_price.into(), args.max_price.saturating_mul(2).into());
    let session = Session::new(client, config)?;
    let paid = session.get(args.endpoint.join(&args.resource)?).await?;

    let (status, headers) = (paid.response.status(), paid.response.headers().clone());
    if !status.is_success() {
        println!("{} answered {status}", args.resource);
    }
    let header = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    println!(
        "Got the resource {} type={}:",
        args.resource,
        header("content-type")
    );
    println!("{}\n", paid.response.text().await?);
    for name in ["rdn-price", "rdn-cost", "rdn-sender-balance"] {
        println!("{name}: {}", header(name));
    }
    for channel in session.channels() {
        let (balance, deposit) = (channel.balance(), channel.deposit());
        println!(
            "paid {}; {balance} of the deposit of {deposit} are spent",
            paid.cost
        );
    }
    if args.close {
        for closed in session.close().await? {
            match closed.closing {
                Closing::Cooperative => println!("closed: the receiver has got {}", closed.balance),
                Closing::Uncooperative { denial } => println!("asked the contract to close: {denial}"),
            }
        }
    }
    Ok(())
}
