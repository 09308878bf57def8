//! Everything the demo plays on: chain, contracts, upstream, proxy, and files for trying by hand.

use super::{RESOURCES, content, thousandths};
use crate::{Failure, listen};
use microraiden_chain::deploy::{self, TokenParams};
use microraiden_chain::{Contract, Node, Wallet, keys, token};
use microraiden_devchain::{Config, DevChain, Mining};
use microraiden_manager::Receiver;
use microraiden_protocol::{Address, Amount, Deposit, Price, SecretKey};
use microraiden_proxy::{Limits, Route, Site};
use microraiden_sender::{Client, DepositPolicy, SessionConfig};
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

/// Blocks come this often also without transactions, so that deposits are confirmed.
const BLOCK_TIME: Duration = Duration::from_millis(250);

/// The running parts.
pub(super) struct Stage {
    chain: Option<DevChain>,
    rpc: Url,
    pub(super) contract: Contract,
    pub(super) sender: SecretKey,
    pub(super) receiver: Address,
    address: SocketAddr,
    files: TempDir,
    shutdown: oneshot::Sender<()>,
    proxy: JoinHandle<Result<(), microraiden_proxy::RunError>>,
}

impl Stage {
    /// Starts everything; with `rpc` on a node that is there already.
    pub(super) async fn set(rpc: Option<&Url>, port: u16) -> Result<Self, Failure> {
        let keys = microraiden_devchain::ACCOUNTS;
        let key = |account: usize| SecretKey::from_bytes(keys[account].secret_key.as_slice());
        let (deployer, receiver, sender) = (key(0)?, key(1)?, key(2)?);
        let (chain, rpc) = match rpc {
            Some(rpc) => (None, rpc.clone()),
            None => {
                let mining = Mining {
                    instant: true,
                    interval: Some(BLOCK_TIME),
                };
                let chain = DevChain::start(Config {
                    mining,
                    ..Config::default()
                })
                .await?;
                let url = chain.url().parse()?;
                (Some(chain), url)
            }
        };
        let contract = deploy(&rpc, deployer, &sender).await?;
        let files = tempfile::tempdir()?;
        keys::create(&files.path().join("sender.key"), &sender)?;
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], port))).await?;
        let address = listener.local_addr()?;
        let config = microraiden_proxy::Config {
            receiver: Receiver {
                rpc: vec![rpc.clone()],
                contract: contract.address(),
                key: receiver.clone(),
                state_file: files.path().join("receiver.db"),
            },
            manager: microraiden_manager::Config {
                poll_interval: Duration::from_millis(50),
                ..microraiden_manager::Config::default()
            },
            limits: Limits::default(),
            site: Site {
                routes: routes(&upstream().await?, contract.token().decimals)?,
                ..Site::default()
            },
        };
        let (shutdown, stopped) = oneshot::channel();
        let stopped = async move {
            // Dropped or sent, it means the same.
            let _ = stopped.await;
        };
        let proxy = tokio::spawn(microraiden_proxy::run(config, listener, stopped));
        let receiver = receiver.address();
        Ok(Self {
            chain,
            rpc,
            contract,
            sender,
            receiver,
            address,
            files,
            shutdown,
            proxy,
        })
    }

    /// A client with the sender's key.
    pub(super) fn client(&self) -> Client {
        Client::new(self.contract.clone(), self.sender.clone())
    }

    /// Limits that the demo stays within.
    pub(super) fn session_config(&self, deposit: Deposit, top_up: Amount) -> Result<SessionConfig, Failure> {
        let all = deposit
            .checked_add(top_up)
            .ok_or("the prices are larger than any token has")?;
        let max_price = Price::new(self.price("/echofix/hello").base_units());
        let deposits = DepositPolicy {
            max_deposit: all,
            ..DepositPolicy::default()
        };
        let retry_pause = Duration::from_millis(50);
        // A node that mines only for transactions never confirms; say so soon.
        let confirmation_timeout = Duration::from_secs(30);
        Ok(SessionConfig {
            deposits,
            retry_pause,
            confirmation_timeout,
            ..SessionConfig::new(max_price, all.into())
        })
    }

    /// What one request for a resource costs.
    pub(super) fn price(&self, resource: &str) -> Amount {
        let decimals = self.contract.token().decimals;
        let price = RESOURCES
            .iter()
            .find(|(path, _)| *path == resource)
            .map(|(_, price)| *price);
        price
            .and_then(|price| thousandths(price, decimals).ok())
            .unwrap_or(Price::ZERO)
            .into()
    }

    /// The address of a resource.
    pub(super) fn url(&self, resource: &str) -> Result<Url, Failure> {
        Ok(format!("http://{}{resource}", self.address).parse()?)
    }

    /// Commands to try, which work while the demo stays up.
    pub(super) fn by_hand(&self) -> Result<String, Failure> {
        let program = std::env::current_exe()?;
        let [key, book] = ["sender.key", "sender.book"].map(|name| self.files.path().join(name));
        let url = self.url("/echofix/hello")?;
        let stats = self.url("/api/1/stats")?;
        Ok(format!(
            "\nThe proxy stays up until Ctrl-C. Ask for something without paying:\n\n  \
             curl -i {url}\n\n\
             Pay for it, from a channel that is opened for it, and once more from the same channel:\n\n  \
             {} get {url} \\\n    --private-key {} \\\n    --book {} \\\n    --rpc-provider {} \\\n    \
             --channel-manager-address {} \\\n    --max-price '0.01 {}'\n\n\
             See what the receiver holds:\n\n  curl {stats}\n",
            program.display(),
            key.display(),
            book.display(),
            self.rpc,
            self.contract.address(),
            self.contract.token().symbol,
        ))
    }

    /// Ends everything in order.
    pub(super) async fn strike(self) -> Result<(), Failure> {
        // A proxy that has failed is not listening any more; its result tells why.
        let _ = self.shutdown.send(());
        self.proxy.await??;
        if let Some(chain) = self.chain {
            chain.stop().await;
        }
        Ok(())
    }
}

/// Deploys token and channel contract, and buys tokens for the sender.
async fn deploy(rpc: &Url, deployer: SecretKey, sender: &SecretKey) -> Result<Contract, Failure> {
    let node = Node::connect(rpc).await?;
    let deployer = Wallet::new(node.clone(), deployer);
    let params = TokenParams {
        supply: "10000000000000000000000000".parse()?,
        name: "CustomToken".to_owned(),
        symbol: "TKN".to_owned(),
        decimals: 18,
    };
    let (address, _) = deploy::token(&deployer, params).await?;
    let (contract, _) = deploy::channels(&deployer, address, deploy::MINIMUM_CHALLENGE_PERIOD).await?;
    token::mint(&Wallet::new(node.clone(), sender.clone()), address).await?;
    Ok(Contract::at(node, contract).await?)
}

/// Starts the server with the content.
async fn upstream() -> Result<Url, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?).parse()?;
    tokio::spawn(content::serve(listener));
    Ok(url)
}

fn routes(upstream: &Url, decimals: u8) -> Result<Vec<Route>, Failure> {
    RESOURCES
        .iter()
        .map(|(resource, price)| {
            let path = resource.replace("/hello", "/{param}");
            Ok(Route::new(path, thousandths(*price, decimals)?, upstream.clone()))
        })
        .collect()
}
