//! An echo that costs: `/echofix/{param}` always 5 base units, `/echodyn/{param}` one for each letter.

use axum::Router;
use axum::extract::Path;
use axum::response::Html;
use axum::routing::get;
use clap::Parser;
use microraiden_chain::deployment::{Deployment, is_play_money};
use microraiden_chain::keys::{self, KeyError, Password};
use microraiden_manager::{ChannelManager, Config, Receiver};
use microraiden_paywall::{Paywall, PriceRequest, rest};
use microraiden_proxy::Server;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::net::TcpListener;
use url::Url;

/// Sells an echo for micropayments.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  echo-server                                               on this machine, with a node on this machine
  echo-server --listen 0.0.0.0:5000 --rpc-provider http://10.0.0.2:8545

Back the state file up: it holds what you are owed.")]
struct Args {
    /// The JSON-RPC endpoint of an Ethereum node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    rpc_provider: Url,
    /// What `microraiden deploy` has written about the channel contract
    #[arg(long, value_name = "FILE", default_value = "deployment.json")]
    deployment_file: PathBuf,
    /// The file with the key of whoever is paid
    #[arg(long, value_name = "FILE", default_value = "receiver.key")]
    private_key: PathBuf,
    /// Where payments are kept
    #[arg(long, value_name = "FILE", default_value = "receiver.db")]
    state_file: PathBuf,
    /// Where clients are waited for
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5000")]
    listen: SocketAddr,
}

/// The routes, each with its price.
fn routes(paywall: &Paywall) -> Router {
    let length = |request: &PriceRequest| request.param("param").unwrap_or_default().len() as u64;
    Router::new()
        .route("/echofix/{param}", get(echo).layer(paywall.price(5)))
        .route("/echodyn/{param}", get(echo).layer(paywall.price_by(length)))
        // What clients need to look at their channels, and to close them.
        .merge(rest::router(paywall.clone(), rest::Settings::default()))
}

/// Runs once it is paid. What comes from others is no HTML, so it is escaped.
async fn echo(Path(param): Path<String>) -> Html<String> {
    Html(param.replace('&', "&amp;").replace('<', "&lt;"))
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
    let receiver = Receiver {
        rpc: vec![args.rpc_provider],
        contract: deployment.contract.address,
        key: keys::load(&args.private_key, || password().map_err(KeyError::Prompt))?,
        store: args.state_file.into(),
    };
    let config = Config {
        start_block: deployment.start_block(),
        ..Config::default()
    };
    // Follows the chain, and keeps what was paid.
    let manager = ChannelManager::open(receiver, config).await?;
    let paywall = Paywall::new(manager.clone());

    let listener = TcpListener::bind(args.listen).await?;
    println!("selling at http://{}, until Ctrl-C", listener.local_addr()?);
    let server = Server::start(listener, routes(&paywall));
    tokio::signal::ctrl_c().await?;
    // What was paid is answered first.
    server.stop();
    server.join().await;
    manager.stop().await;
    Ok(())
}
