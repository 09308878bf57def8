//! `microraiden proxy`: arguments become a configuration, which the proxy runs.

use crate::args::ProxyArgs;
use crate::{Failure, amounts, deployment_file, interrupted, keys, listen, state};
use microraiden_chain::Contract;
use microraiden_manager::Receiver;
use microraiden_protocol::{BlockNumber, Price};
use microraiden_proxy::rest::{Operators, Settings};
use microraiden_proxy::{Config, Cors, Limits, Proxy, Route, Site};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

/// Chains whose tokens are worth nothing: development chains and the public test networks.
const PLAY_MONEY_CHAINS: [u64; 6] = [1337, 31337, 5, 17_000, 560_048, 11_155_111];

/// The contract is unaudited; real tokens only for those who say that they know.
pub(crate) fn check_play_money(chain_id: u64, accepted: bool) -> Result<(), Failure> {
    if accepted || PLAY_MONEY_CHAINS.contains(&chain_id) {
        return Ok(());
    }
    Err(format!(
        "chain {chain_id} is no known test network, and the channel contract is unaudited; \
         add --unaudited-real-money if you accept to lose what you put in"
    )
    .into())
}

/// Who may log in, and which closes are agreed to.
fn rest_settings(args: &ProxyArgs) -> Result<Settings, Failure> {
    let operators = match (&args.operator, &args.operator_password_hash_file) {
        (Some(name), Some(file)) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            let hash = text.lines().next().unwrap_or_default().trim();
            Operators::default().with(name, hash)?
        }
        _ => Operators::default(),
    };
    Ok(Settings {
        operators,
        legacy_close: args.legacy_close,
    })
}

fn cors(origins: &[String]) -> Result<Cors, Failure> {
    if origins.is_empty() {
        return Ok(Cors::None);
    }
    if origins.iter().any(|origin| origin == "*") {
        return Ok(Cors::Any);
    }
    let parse = |text: &String| {
        let origin = text.parse();
        origin.map_err(|error| format!("--cors-origin {text}: {error}"))
    };
    Ok(Cors::Origins(
        origins.iter().map(parse).collect::<Result<_, _>>()?,
    ))
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

/// Runs until interrupted.
pub(crate) async fn run(args: ProxyArgs) -> Result<(), Failure> {
    let (rest, cors) = (rest_settings(&args)?, cors(&args.cors_origin)?);
    let key = keys::load(
        &args.chain.private_key,
        args.chain.private_key_password_file.as_deref(),
    )?;
    let node_options = args.chain.node.options();
    let node = args.chain.node.connect().await?;
    check_play_money(node.chain_id(), args.unaudited_real_money)?;
    let (contract_address, start_block) = deployment_file::locate(&args.chain.contract, node.chain_id())?;
    let contract = Contract::at(node, contract_address).await?;
    let token = contract.token();
    let min_claim = amounts::parse(&args.min_claim, &token.symbol, token.decimals)?;
    let price = Price::new(amounts::parse(&args.price, &token.symbol, token.decimals)?.base_units());
    let route = |path: &str| Route::new(path, price, args.upstream.clone());
    let routes = match &args.path {
        Some(path) => vec![route(path)],
        None => vec![route("/"), route("/{*rest}")],
    };
    let state_file = match args.state_file {
        Some(path) => path,
        None => state::default_file(contract_address, key.address())?,
    };
    let listener = listen(SocketAddr::new(args.host, args.port)).await?;
    let address = listener.local_addr()?;
    tracing::info!(receiver = %key.address(), price = %amounts::format(price, &token.symbol, token.decimals), upstream = args.upstream.origin().ascii_serialization(), state_file = %state_file.display(), "starting");
    // Standard output is for programs: where it listens.
    println!("http://{address}");
    let monitor = match args.metrics_address {
        Some(address) => Some(listen_for_operators(address).await?),
        None => None,
    };
    let config = Config {
        receiver: Receiver {
            rpc: args.chain.node.rpc_provider,
            contract: contract_address,
            key,
            state_file,
        },
        manager: microraiden_manager::Config {
            n_confirmations: args.confirmations,
            min_claim,
            resumes_selling: args.resume_selling,
            start_block: args.start_block.map_or(start_block, BlockNumber),
            node_options,
            poll_interval: Duration::from_millis(args.poll_interval),
            ..args.claims.config()
        },
        limits: Limits::default(),
        site: Site { routes, rest, cors },
    };
    let mut proxy = Proxy::new(config, listener);
    if let Some(monitor) = monitor {
        proxy = proxy.with_monitor(monitor);
    }
    proxy.run(interrupted()).await?;
    tracing::info!("stopped");
    Ok(())
}
