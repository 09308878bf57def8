//! What the examples after `echo` share: the options of who sells and of who pays, and what they become.
//!
//! `echo` has the same steps in full; begin there.

use axum::Router;
use clap::Args;
use microraiden_chain::deployment::{Deployment, is_play_money};
use microraiden_chain::keys::{self, KeyError, Password};
use microraiden_chain::{Contract, Node};
use microraiden_manager::{ChannelManager, Config, Receiver};
use microraiden_paywall::{Paywall, rest};
use microraiden_protocol::SecretKey;
use microraiden_proxy::Server;
use microraiden_sender::{Client, ClientOptions, Closing, Session, SessionConfig};
use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::net::TcpListener;
use url::Url;

/// Why an example ends early, for a person.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Runs an example; a failure is printed, and ends it with status 1. What is logged goes to standard error.
pub async fn main(example: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match example.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Where the chain and its contract are.
#[derive(Debug, Args)]
struct Chain {
    /// The JSON-RPC endpoint of an Ethereum node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    rpc_provider: Url,
    /// What `microraiden deploy` has written about the channel contract
    #[arg(long, value_name = "FILE", default_value = "deployment.json")]
    deployment_file: PathBuf,
}

/// The options of who sells.
#[derive(Debug, Args)]
pub struct Selling {
    #[command(flatten)]
    chain: Chain,
    /// The file with the key of whoever is paid
    #[arg(long, value_name = "FILE", default_value = "receiver.key")]
    private_key: PathBuf,
    /// Where payments are kept: back it up, it holds what you are owed
    #[arg(long, value_name = "FILE", default_value = "receiver.db")]
    state_file: PathBuf,
    /// Where clients are waited for
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5000")]
    listen: SocketAddr,
}

/// The options of who pays.
#[derive(Debug, Args)]
pub struct Paying {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5000")]
    pub endpoint: Url,
    #[command(flatten)]
    chain: Chain,
    /// The file with the key of whoever pays
    #[arg(long, value_name = "FILE", default_value = "sender.key")]
    private_key: PathBuf,
    /// The channel book, what was deposited and signed: back it up while channels are open
    #[arg(long, value_name = "FILE", default_value = "sender.book")]
    book: PathBuf,
    /// Close the channel at the end
    #[arg(long)]
    close: bool,
}

impl Selling {
    /// Sells these routes until Ctrl-C.
    ///
    /// # Errors
    /// When a file, the node, the contract or the address cannot be used, or tokens on the chain are worth something.
    pub async fn serve(
        self,
        routes: impl FnOnce(&Paywall) -> Result<Router, Failure>,
    ) -> Result<(), Failure> {
        let deployment = self.chain.deployment()?;
        let receiver = Receiver {
            rpc: vec![self.chain.rpc_provider],
            contract: deployment.contract.address,
            key: load(&self.private_key)?,
            store: self.state_file.into(),
        };
        let config = Config {
            start_block: deployment.start_block(),
            ..Config::default()
        };
        let manager = ChannelManager::open(receiver, config).await?;
        let paywall = Paywall::new(manager.clone());
        // What clients need to look at their channels, and to close them.
        let gateway = rest::router(paywall.clone(), rest::Settings::default());
        let routes = routes(&paywall)?.merge(gateway);

        let listener = TcpListener::bind(self.listen).await?;
        println!("selling at http://{}, until Ctrl-C", listener.local_addr()?);
        let server = Server::start(listener, routes);
        tokio::signal::ctrl_c().await?;
        // What was paid is answered first.
        server.stop();
        server.join().await;
        manager.stop().await;
        Ok(())
    }
}

impl Paying {
    /// A session within these limits.
    ///
    /// # Errors
    /// When a file, the node or the contract cannot be used, or tokens on the chain are worth something.
    pub async fn session(&self, limits: SessionConfig) -> Result<Session, Failure> {
        let deployment = self.chain.deployment()?;
        let key = load(&self.private_key)?;
        let node = Node::connect(&self.chain.rpc_provider).await?;
        let contract = Contract::at(node, deployment.contract.address).await?;
        let options = ClientOptions {
            book: Some(self.book.clone()),
            scan_from: deployment.start_block(),
            ..ClientOptions::default()
        };
        let client = Client::open(contract, key, options).await?;
        Ok(Session::new(client, limits)?)
    }

    /// Ends a session: says what was signed for, and closes the channel if that was asked for.
    ///
    /// # Errors
    /// When the close fails.
    pub async fn end(&self, session: &Session) -> Result<(), Failure> {
        for channel in session.channels() {
            println!(
                "{} of the deposit of {} are signed for",
                channel.balance(),
                channel.deposit()
            );
        }
        if self.close {
            for closed in session.close().await? {
                match closed.closing {
                    Closing::Cooperative => println!("closed: the receiver has got {}", closed.balance),
                    Closing::Uncooperative { denial } => println!("asked the contract to close: {denial}"),
                }
            }
        }
        Ok(())
    }
}

impl Chain {
    fn deployment(&self) -> Result<Deployment, Failure> {
        let deployment = Deployment::read(&self.deployment_file)?;
        if !is_play_money(deployment.chain_id) {
            return Err(
                "the channel contract is unaudited: use a development chain or a test network".into(),
            );
        }
        Ok(deployment)
    }
}

fn load(file: &Path) -> Result<SecretKey, KeyError> {
    let password = || rpassword::prompt_password("Password of the key: ").map(Password::new);
    keys::load(file, || password().map_err(KeyError::Prompt))
}
