//! `microraiden proxy`: settings become a configuration, which the proxy runs.
//!
//! In reading order: [`settings`], the one list of what can be set; [`file`](mod@file), the configuration file
//! and the lines of its faults; [`route`], what is sold; `reload`, the same while the proxy runs;
//! `check`, what settings mean. [`wait`] is for what may be missing at the start, [`notify`] for systemd, [`dev`] for
//! `--dev`; [`init`] is a command of its own.

pub(crate) mod args;
mod check;
mod dev;
mod file;
pub(crate) mod init;
mod notify;
mod reload;
mod route;
pub(crate) mod settings;
mod values;
mod wait;

use crate::args::ContractArgs;
use crate::{Failure, data_folder, deployment_file, interrupted, keys, listen, state};
use args::{ProxyArgs, ProxyCommand};
use dev::Dev;
use microraiden_chain::deployment::is_play_money;
use microraiden_chain::keys as key_files;
use microraiden_chain::{Contract, Node, NodeOptions};
use microraiden_manager::{ChannelManager, Receiver, StoreLocation};
use microraiden_protocol::{Address, BlockNumber, SecretKey};
use microraiden_proxy::admission::Admission;
use microraiden_proxy::pages::{self, PaywallPages};
use microraiden_proxy::rest::{self, Operators};
use microraiden_proxy::{Certificates, Config, Cors, Limits, Proxy, RunError, Site};
use notify::Notify;
use reload::Reloads;
use route::{Coin, Routes};
use settings::{Loaded, Settings};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;
use tokio::net::TcpListener;
use url::Url;
pub(crate) use values::{Database, Discreet};
use values::{Money, Span, Text, Wei, own};
use wait::Waiting;

/// Resolves when the proxy shall end.
type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where `deploy` writes unless it is told otherwise.
const USUAL_DEPLOYMENT_FILE: &str = "deployment.json";
/// The name of the receiver's key in the folder for data.
const USUAL_KEY: &str = "receiver.key";

/// The contract is unaudited; real tokens only for those who say that they know.
pub(crate) fn check_play_money(chain_id: u64, accepted: bool) -> Result<(), Failure> {
    if accepted || is_play_money(chain_id) {
        return Ok(());
    }
    Err(format!(
        "chain {chain_id} is no known test network, and the channel contract is unaudited; \
         add --unaudited-real-money if you accept to lose what you put in"
    )
    .into())
}

impl Loaded {
    /// Who may log in, and which closes are agreed to.
    fn rest(&self) -> Result<rest::Settings, Failure> {
        let settings = &self.settings;
        let operators = match (&settings.operator, &settings.operator_password_hash_file) {
            (Some(name), Some(file)) => {
                let fault = |error: &dyn std::fmt::Display| {
                    self.fault(
                        "operator_password_hash_file",
                        format!("{}: {error}", file.display()),
                    )
                };
                let text = std::fs::read_to_string(file).map_err(|error| fault(&error))?;
                let hash = text.lines().next().unwrap_or_default().trim();
                Operators::default()
                    .with(name, hash)
                    .map_err(|error| fault(&error))?
            }
            _ => Operators::default(),
        };
        Ok(rest::Settings {
            operators,
            legacy_close: settings.legacy_close,
        })
    }

    fn cors(&self) -> Result<Cors, Failure> {
        let origins = &self.settings.cors_origin;
        if origins.is_empty() {
            return Ok(Cors::None);
        }
        if origins.iter().any(|origin| origin == "*") {
            return Ok(Cors::Any);
        }
        let parse = |text: &String| {
            let origin = text.parse();
            origin.map_err(|error| self.fault("cors_origin", format!("{text}: {error}")))
        };
        Ok(Cors::Origins(
            origins.iter().map(parse).collect::<Result<_, _>>()?,
        ))
    }

    /// What is shown and sold.
    ///
    /// # Errors
    /// The first fault, with its place.
    fn site(&self, coin: Coin<'_>) -> Result<Site, Failure> {
        let mut routes = Routes::read(self, coin)?;
        let site = Site {
            routes: std::mem::take(&mut routes.routes),
            rest: self.rest()?,
            cors: self.cors()?,
            trusted_proxies: own(&self.settings.trusted_proxies),
            admission: self.settings.admission(),
            index: match &self.settings.index_file {
                Some(file) => {
                    Some(pages::index(file).map_err(|error| self.fault("index_file", said(&error)))?)
                }
                None => None,
            },
            pages: match &self.settings.paywall_info {
                Some(folder) => {
                    let pages = PaywallPages::open(folder);
                    Some(pages.map_err(|error| self.fault("paywall_info", said(&error)))?)
                }
                None => None,
            },
            dev_chain: self.dev_chain.clone(),
        };
        match site.check() {
            Ok(()) => Ok(site),
            Err(error) => Err(routes.fault(self, &error)),
        }
    }

    /// How the chain is followed, and what is worth its gas.
    fn manager(&self, coin: Coin<'_>) -> Result<microraiden_manager::Config, Failure> {
        let settings = &self.settings;
        let usual = microraiden_manager::Config::default();
        let min_claim = match &settings.min_claim {
            Some(money) => coin.read(money).map_err(|error| self.fault("min_claim", error))?,
            None => usual.min_claim,
        };
        let minutes = |minutes| Duration::from_secs(60 * u64::from(minutes));
        Ok(microraiden_manager::Config {
            n_confirmations: settings.confirmations.unwrap_or(usual.n_confirmations),
            min_claim,
            node_options: settings.node_options(),
            poll_interval: settings
                .poll_interval
                .map_or(usual.poll_interval, Duration::from_millis),
            token_value_wei: settings.token_value.map(|Wei(wei)| wei),
            gas_percent: settings.gas_percent.unwrap_or(usual.gas_percent),
            max_fee_per_gas: settings.gas_price.map(|Wei(wei)| wei),
            close_patience: settings.close_patience.unwrap_or(usual.close_patience),
            settle_patience: settings.settle_patience.unwrap_or(usual.settle_patience),
            max_head_age: settings.max_head_age.map(Duration::from_secs),
            min_challenge_time: settings
                .min_challenge_minutes
                .map_or(usual.min_challenge_time, minutes),
            ..usual
        })
    }

    /// The contract that is named, and the first block that can hold a channel of it.
    fn contract(&self, chain_id: u64) -> Result<(Address, BlockNumber), Failure> {
        let settings = &self.settings;
        let mut named = ContractArgs {
            channel_manager_address: settings.channel_manager_address,
            deployment_file: settings.deployment_file.clone(),
        };
        if named.channel_manager_address.is_none() && named.deployment_file.is_none() {
            let usual = Path::new(USUAL_DEPLOYMENT_FILE);
            if !usual.exists() {
                return Err(self.fault(
                    "deployment_file",
                    "no contract is named: give the file that `microraiden deploy` has written, or --channel-manager-address; \
                     with --dev everything is tried on a development chain",
                ));
            }
            named.deployment_file = Some(usual.into());
        }
        deployment_file::locate(&named, chain_id).map_err(|error| self.fault("deployment_file", said(&error)))
    }

    /// The receiver's key. Where none is named, it is the one in the usual place, which is made.
    fn key(&self) -> Result<SecretKey, Failure> {
        let file = match &self.settings.private_key {
            Some(file) => file.clone(),
            None => usual_key()?,
        };
        let password_file = self.settings.private_key_password_file.as_deref();
        keys::load(&file, password_file).map_err(|error| self.fault("private_key", said(&error)))
    }

    /// What TLS is served with.
    fn certificates(&self) -> Result<Option<Certificates>, Failure> {
        let (Some(certificate), Some(key)) = (&self.settings.ssl_cert, &self.settings.ssl_key) else {
            return Ok(None);
        };
        let loaded = Certificates::load(certificate, key);
        Ok(Some(
            loaded.map_err(|error| self.fault("ssl_cert", said(&error)))?,
        ))
    }

    /// Where clients are waited for.
    fn address(&self) -> SocketAddr {
        let host = self.settings.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        SocketAddr::new(host, self.settings.port.unwrap_or(5000))
    }
}

impl Settings {
    /// Who may come at all, and how often.
    fn admission(&self) -> Admission {
        Admission {
            allow: own(&self.allow),
            deny: own(&self.deny),
            rate: self.rate.map(|Text(rate)| rate),
        }
    }

    /// The nodes that are asked.
    fn nodes(&self) -> Vec<Url> {
        match self.rpc_provider.is_empty() {
            // Ours are URLs.
            true => "http://127.0.0.1:8545".parse().into_iter().collect(),
            false => self.rpc_provider.clone(),
        }
    }

    /// Where accounts and proofs are kept, and where free requests are counted.
    fn store(&self, contract: Address, receiver: Address) -> Result<(StoreLocation, PathBuf), Failure> {
        let quota_file = self.quota_file.clone();
        if let Some(Database(url)) = &self.store {
            let quota_file = quota_file.map_or_else(|| state::default_quota_file(contract, receiver), Ok)?;
            return Ok((StoreLocation::Database(url.clone()), quota_file));
        }
        let file = match &self.state_file {
            Some(path) => path.clone(),
            None => state::default_file(contract, receiver)?,
        };
        let quota_file = quota_file.unwrap_or_else(|| file.with_added_extension("quota"));
        Ok((StoreLocation::File(file), quota_file))
    }

    /// How long what was paid may take at the end.
    fn grace(&self) -> Duration {
        self.grace.map_or(Limits::default().grace, |Span(grace)| grace)
    }

    /// How they are asked.
    fn node_options(&self) -> NodeOptions {
        NodeOptions {
            requests_per_second: self.rpc_requests_per_second,
            ..NodeOptions::default()
        }
    }
}

/// The receiver's key in the usual place; it is made where there is none.
fn usual_key() -> Result<PathBuf, Failure> {
    let file = data_folder::create("--private-key")?.join(USUAL_KEY);
    if file.symlink_metadata().is_err() {
        let key = key_files::generate();
        key_files::create(&file, &key)?;
        tracing::warn!(receiver = %key.address(), file = %file.display(), "a key was made for you: what you earn belongs to it, so keep a copy");
    }
    Ok(file)
}

/// An error with what has caused it, in a line.
fn said(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |said, cause| format!("{said}: {cause}"))
}

/// Listens where operators look, and says where that is.
async fn listen_for_operators(address: SocketAddr) -> Result<TcpListener, Failure> {
    let monitor = listen(address).await?;
    let address = monitor.local_addr()?;
    if address.ip().is_loopback() {
        tracing::info!(%address, "operators find /metrics, /health and /ready");
    } else {
        tracing::warn!(%address, "whoever can reach this address finds /metrics, without a password");
    }
    println!("http://{address}/metrics");
    Ok(monitor)
}

/// Runs until interrupted; with `--dev`, on a chain that ends with it.
pub(crate) async fn run(mut args: ProxyArgs) -> Result<(), Failure> {
    if let Some(ProxyCommand::Check(check)) = args.command {
        return check::run(check).await;
    }
    let notify = Notify::from_environment();
    notify.starting();
    if !args.dev {
        return sell(args, None, notify, None).await;
    }
    let mut stop: Stop = Box::pin(interrupted());
    let dev = tokio::select! {
        dev = Dev::start(None) => dev?,
        () = &mut stop => return Ok(()),
    };
    // As options, which win over a file.
    let options = &mut args.source.options;
    options.rpc_provider = vec![dev.node_url()];
    options.channel_manager_address = Some(dev.contract());
    options.start_block = Some(dev.start_block().0);
    options.private_key = Some(dev.receiver_key_file());
    options.state_file = Some(dev.state_file());
    args.source.dev_chain = Some(dev.dev_chain()?);
    let sold = sell(args, Some(&dev), notify, Some(stop)).await;
    dev.stop().await;
    sold
}

async fn sell(args: ProxyArgs, dev: Option<&Dev>, notify: Notify, stop: Option<Stop>) -> Result<(), Failure> {
    let loaded = args.source.load()?;
    // What can be found wrong without a node is told before one is waited for.
    loaded.site(Coin::Unknown)?;
    let certificates = loaded.certificates()?;
    let key = loaded.key()?;
    // Not before: while a password is asked for, Ctrl-C does what it always does.
    let mut stop = stop.unwrap_or_else(|| Box::pin(interrupted()));
    let settings = &loaded.settings;
    let waiting = Waiting::new(settings.start_timeout, notify.clone());
    let (contract, start_block) = tokio::select! {
        connected = connect(&loaded, &waiting) => connected?,
        () = &mut stop => return Ok(()),
    };
    let token = contract.token();
    let (store, quota_file) = settings.store(contract.address(), key.address())?;
    let config = Config {
        receiver: Receiver {
            rpc: settings.nodes(),
            contract: contract.address(),
            key: key.clone(),
            store,
        },
        quota_file,
        manager: microraiden_manager::Config {
            resumes_selling: args.resume_selling,
            start_block: settings.start_block.map_or(start_block, BlockNumber),
            ..loaded.manager(Coin::Known(token))?
        },
        limits: Limits {
            grace: settings.grace(),
            ..Limits::default()
        },
        certificates: certificates.clone(),
        site: loaded.site(Coin::Known(token))?,
    };
    let listener = listen(loaded.address()).await?;
    let address = listener.local_addr()?;
    tracing::info!(receiver = %key.address(), contract = %contract.address(), store = %config.receiver.store, "starting");
    check::tell(&loaded);
    // Standard output is for programs: where it listens.
    let scheme = if certificates.is_some() { "https" } else { "http" };
    println!("{scheme}://{address}");
    let monitor = match settings.metrics_address {
        Some(address) => Some(listen_for_operators(address).await?),
        None => None,
    };
    let mut proxy = Proxy::new(config, listener);
    if let Some(monitor) = monitor {
        proxy = proxy.with_monitor(monitor);
    }
    let by_hand = dev.map(|dev| {
        let price = settings.price.as_ref().map_or("1 TKN", |Money(text)| text);
        dev.by_hand(&format!("{scheme}://{address}/").parse()?, price)
    });
    let by_hand = by_hand.transpose()?;
    let reloads = Reloads::new(
        args.source,
        loaded,
        token.clone(),
        proxy.control(),
        certificates,
        notify.clone(),
    );
    let reloading = tokio::spawn(reloads.run());
    let ended = attend(proxy, address, by_hand, &waiting, &notify, stop).await;
    reloading.abort();
    ended?;
    tracing::info!("stopped");
    Ok(())
}

/// The contract, and the first block that can hold a channel of it, once a node answers.
async fn connect(loaded: &Loaded, waiting: &Waiting) -> Result<(Contract, BlockNumber), Failure> {
    let settings = &loaded.settings;
    let (nodes, options) = (settings.nodes(), settings.node_options());
    let node = waiting
        .until(async || Node::connect_to(&nodes, options).await)
        .await?;
    check_play_money(node.chain_id(), settings.unaudited_real_money)?;
    let (address, start_block) = loaded.contract(node.chain_id())?;
    let contract = waiting
        .until(async || Contract::at(node.clone(), address).await)
        .await?;
    Ok((contract, start_block))
}

/// Runs a proxy that listens at `address`, once nothing is in the way of its start any more. Systemd is told how it
/// fares, and whoever looks, what to try by hand.
async fn attend(
    proxy: Proxy,
    address: SocketAddr,
    by_hand: Option<String>,
    waiting: &Waiting,
    notify: &Notify,
    stop: Stop,
) -> Result<(), RunError> {
    let mut control = proxy.control();
    let tell = async {
        if control.is_ready().await {
            notify.selling(address, &format!("selling at {address}"));
            by_hand.iter().for_each(|commands| eprintln!("{commands}"));
        }
    };
    let open = async |receiver: Receiver, settings: microraiden_manager::Config| {
        let open = async || ChannelManager::open(receiver.clone(), settings.clone()).await;
        waiting.until(open).await
    };
    let stopping = notify.clone();
    let shutdown = async move {
        stop.await;
        stopping.stopping();
        tracing::info!("stopping: what was paid is answered first; a second signal ends it at once");
        tokio::spawn(async {
            interrupted().await;
            tracing::warn!("ended at once");
            std::process::exit(1);
        });
    };
    let (ran, ()) = tokio::join!(proxy.run_opened(open, shutdown), tell);
    ran
}
