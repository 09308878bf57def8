//! Everything the demo plays on: chain, contracts, upstream, proxy, and files for trying by hand.

use super::content::{self, Item};
use super::{RESOURCES, STORY, thousandths};
use crate::sandbox::Sandbox;
use crate::{Failure, amounts, listen};
use http::StatusCode;
use microraiden_chain::{Contract, TokenInfo};
use microraiden_manager::Receiver;
use microraiden_protocol::{Address, Amount, Deposit, Price};
use microraiden_proxy::{Limits, Route, Site, Statuses};
use microraiden_sender::{Client, DepositPolicy, SessionConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

/// The running parts.
pub(super) struct Stage {
    sandbox: Sandbox,
    address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    proxy: JoinHandle<Result<(), microraiden_proxy::RunError>>,
}

impl Stage {
    /// Starts everything; with `rpc` on a node that is there already.
    pub(super) async fn set(rpc: Option<&Url>, port: u16) -> Result<Self, Failure> {
        let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let sandbox = match rpc {
            Some(rpc) => Sandbox::on(rpc.clone()).await?,
            None => Sandbox::start(here(0)).await?,
        };
        let listener = listen(here(port)).await?;
        let address = listener.local_addr()?;
        let contract = &sandbox.contract;
        let config = microraiden_proxy::Config {
            receiver: Receiver {
                rpc: vec![sandbox.rpc.clone()],
                contract: contract.address(),
                key: sandbox.receiver.clone(),
                store: sandbox.file("receiver.db").into(),
            },
            quota_file: sandbox.file("receiver.quota"),
            manager: microraiden_manager::Config {
                poll_interval: Duration::from_millis(50),
                ..microraiden_manager::Config::default()
            },
            limits: Limits::default(),
            certificates: None,
            site: Site {
                routes: routes(&upstream(contract.token()).await?, contract.token().decimals)?,
                dev_chain: Some(sandbox.dev_chain()?),
                ..Site::default()
            },
        };
        let (shutdown, stopped) = oneshot::channel();
        let stopped = async move {
            // Dropped or sent, it means the same.
            let _ = stopped.await;
        };
        let proxy = tokio::spawn(microraiden_proxy::run(config, listener, stopped));
        Ok(Self {
            sandbox,
            address,
            shutdown,
            proxy,
        })
    }

    /// The channel contract.
    pub(super) fn contract(&self) -> &Contract {
        &self.sandbox.contract
    }

    /// Who pays.
    pub(super) fn sender(&self) -> Address {
        self.sandbox.sender.address()
    }

    /// Who is paid.
    pub(super) fn receiver(&self) -> Address {
        self.sandbox.receiver.address()
    }

    /// A client with the sender's key.
    pub(super) fn client(&self) -> Client {
        Client::new(self.contract().clone(), self.sandbox.sender.clone())
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
        let decimals = self.contract().token().decimals;
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

    /// What to try while the demo stays up.
    pub(super) fn by_hand(&self) -> Result<String, Failure> {
        let max_price = format!("0.01 {}", self.contract().token().symbol);
        let commands = self
            .sandbox
            .by_hand(&self.url("/")?, &self.url("/echofix/hello")?, &max_price)?;
        Ok(format!("\nThe proxy stays up until Ctrl-C. {commands}"))
    }

    /// Ends everything in order.
    pub(super) async fn strike(self) -> Result<(), Failure> {
        // A proxy that has failed is not listening any more; its result tells why.
        let _ = self.shutdown.send(());
        self.proxy.await??;
        self.sandbox.stop().await;
        Ok(())
    }
}

/// Starts the server with the content.
async fn upstream(token: &TokenInfo) -> Result<Url, Failure> {
    let list = RESOURCES.iter().chain([&STORY]).map(|(path, price)| {
        let price = thousandths(*price, token.decimals)?;
        let price = amounts::format(price, &token.symbol, token.decimals);
        Ok(Item { path, price })
    });
    let list = list.collect::<Result<_, Failure>>()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?).parse()?;
    tokio::spawn(content::serve(listener, list));
    Ok(url)
}

fn routes(upstream: &Url, decimals: u8) -> Result<Vec<Route>, Failure> {
    let mut routes = vec![Route::new("/", 0, upstream.clone())];
    for (resource, price) in RESOURCES.iter().chain([&STORY]) {
        let path = resource.replace("/hello", "/{param}").replace("/1", "/{page}");
        let mut route = Route::new(path, thousandths(*price, decimals)?, upstream.clone());
        // Who mistypes a page's number does not pay for that.
        route.free_statuses = vec![Statuses::One(StatusCode::NOT_FOUND)];
        routes.push(route);
    }
    Ok(routes)
}
