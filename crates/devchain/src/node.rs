//! The running node.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use alloy_primitives::{Address, U256};
use http::{
    HeaderValue, Uri,
    header::{ORIGIN, UPGRADE},
};
use jsonrpsee::{
    core::traits::IdProvider,
    server::{
        HttpBody, HttpRequest, HttpResponse, Server, ServerConfig, ServerHandle,
        middleware::rpc::RpcServiceBuilder,
    },
    types::SubscriptionId,
};
use tokio::task::JoinHandle;
use tower::ServiceBuilder;
use tower_http::cors::CorsLayer;

use crate::{
    Config, Cors, DevAccount, Fault, LoadError, ReorganiseError,
    chain::{Chain, SharedChain},
    faults::Faults,
    rpc::{self, Faulty, Lost},
};

const MAX_CONNECTIONS: u32 = 10_000;
const MAX_SUBSCRIPTIONS: u32 = 10_000;
/// Large enough for the dump of a chain.
const MAX_BODY_BYTES: u32 = 1 << 30;

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, not one of this machine, or not allowed.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The origin that web pages are allowed from is none.
    #[error("{origin:?} is not the origin of a web page, such as http://localhost:3000")]
    Origin {
        /// The origin asked for.
        origin: String,
    },
}

/// A running development node.
///
/// Several can run in one process; each is a chain of its own. Dropping it stops it, but only [`DevChain::stop`] waits
/// until its port is free.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use microraiden_devchain::{Config, DevChain};
///
/// let node = DevChain::start(Config::default()).await?;
/// println!("{} {}", node.url(), node.accounts()[0].address);
/// node.mine(5);
/// node.reorganise(2, true)?;
/// assert_eq!(node.block_number(), 6);
/// node.stop().await;
/// # Ok(())
/// # }
/// ```
pub struct DevChain {
    chain: SharedChain,
    accounts: Vec<DevAccount>,
    faults: Arc<Faults>,
    address: SocketAddr,
    server: ServerHandle,
    miner: JoinHandle<()>,
}

impl DevChain {
    /// Starts a node with a chain of the genesis block alone. Must be called inside a tokio runtime, and runs there.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let listen_error = |source| StartError::Listen {
            address: config.listen,
            source,
        };
        let faults = Arc::new(Faults::default());
        let server_config = ServerConfig::builder()
            .max_connections(MAX_CONNECTIONS)
            .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS)
            .max_request_body_size(MAX_BODY_BYTES)
            .max_response_body_size(MAX_BODY_BYTES)
            .set_id_provider(HexIds::default())
            .build();
        let for_calls = faults.clone();
        let for_sockets = config.cors.clone();
        let server = Server::builder()
            .set_config(server_config)
            .set_http_middleware(
                ServiceBuilder::new()
                    .option_layer(cors(&config.cors)?)
                    .map_request(move |request| rpc::mark(without_foreign_sockets(&for_sockets, request)))
                    .map_result(close_if_lost),
            )
            .set_rpc_middleware(
                RpcServiceBuilder::new().layer_fn(move |methods| Faulty::new(methods, for_calls.clone())),
            )
            .build(config.listen)
            .await
            .map_err(listen_error)?;
        let address = server.local_addr().map_err(listen_error)?;
        let chain = SharedChain::new(Chain::new(&config));
        let node = rpc::Node::new(chain.clone(), faults.clone(), config.max_log_range_blocks);
        Ok(Self {
            server: server.start(rpc::methods(node)),
            miner: tokio::spawn(mine_regularly(chain.clone())),
            chain,
            accounts: config.accounts,
            faults,
            address,
        })
    }

    /// Where the node answers, for a client: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The accounts that own ether from the start. The keys of the usual ones are public.
    pub fn accounts(&self) -> &[DevAccount] {
        &self.accounts
    }

    /// The chain id.
    pub fn chain_id(&self) -> u64 {
        self.chain.lock().chain_id()
    }

    /// Mines blocks, the first with the transactions that wait.
    pub fn mine(&self, blocks: u64) {
        let mut chain = self.chain.lock();
        for _ in 0..blocks {
            chain.mine();
        }
    }

    /// The number of the newest block.
    pub fn block_number(&self) -> u64 {
        self.chain.lock().number()
    }

    /// Sets the balance of an account, as of the newest block.
    pub fn set_balance(&self, address: Address, balance_wei: U256) {
        self.chain.lock().set_balance(address, balance_wei);
    }

    /// Drops the last `depth` blocks and mines `depth + 1` others with different hashes.
    ///
    /// With `keep_transactions`, each new block has the transactions of the dropped block with its number, in their order;
    /// otherwise they are lost. Balances set by hand after a dropped block are lost with it, and so are snapshots.
    /// Transactions that wait go on waiting.
    ///
    /// Refuses to drop genesis.
    pub fn reorganise(&self, depth: u64, keep_transactions: bool) -> Result<(), ReorganiseError> {
        self.chain.lock().reorganise(depth, keep_transactions)
    }

    /// Remembers the chain as it is; the number with which [`Self::revert`] comes back.
    pub fn snapshot(&self) -> u64 {
        self.chain.lock().snapshot()
    }

    /// Goes back to a snapshot: blocks, balances, waiting transactions and clock. It and all later snapshots are used up.
    ///
    /// False, and nothing happens, if there is no such snapshot or a reorganisation dropped its block.
    pub fn revert(&self, id: u64) -> bool {
        self.chain.lock().revert(id)
    }

    /// The whole chain as JSON: blocks, the state after each, the transactions that wait. Not snapshots and settings of the
    /// node, such as when it mines.
    pub fn dump(&self) -> String {
        self.chain.lock().dump()
    }

    /// Puts a dumped chain in the place of this one.
    ///
    /// # Errors
    /// When it is none, is damaged, or has another chain id; nothing happens then.
    pub fn load(&self, dump: &str) -> Result<(), LoadError> {
        self.chain.lock().load(dump)
    }

    /// Makes the node misbehave from now on; these faults take the place of all earlier ones. None at all heal it.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.faults.set(faults);
    }

    /// Stops the node, and waits until its connections are closed and its port is free.
    pub async fn stop(self) {
        let server = self.server.clone();
        drop(self);
        server.stopped().await;
    }
}

impl Drop for DevChain {
    fn drop(&mut self) {
        self.miner.abort();
        self.faults.end();
        // It fails only if the server has already stopped.
        let _ = self.server.stop();
    }
}

impl fmt::Debug for DevChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevChain")
            .field("chain_id", &self.chain_id())
            .field("address", &self.address)
            .finish()
    }
}

/// Mines a block every so often, the first after one interval.
async fn mine_regularly(chain: SharedChain) {
    let mut interval = chain.lock().interval().subscribe();
    loop {
        let length = *interval.borrow_and_update();
        let tick = async {
            match length {
                Some(length) => tokio::time::sleep(length).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = interval.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            () = tick => {}
        }
        let mut chain = chain.lock();
        // Whoever was told that the interval is another one sees no block of the old one.
        if *chain.interval().borrow() == length {
            chain.mine();
        }
    }
}

fn cors(cors: &Cors) -> Result<Option<CorsLayer>, StartError> {
    match cors {
        Cors::Any => Ok(Some(CorsLayer::permissive())),
        Cors::Only(origin) => {
            let wrong = || StartError::Origin {
                origin: origin.clone(),
            };
            let header: HeaderValue = origin.parse().map_err(|_| wrong())?;
            if !is_origin(origin) {
                return Err(wrong());
            }
            Ok(Some(CorsLayer::permissive().allow_origin(header)))
        }
        Cors::Off => Ok(None),
    }
}

/// Hides that a page asks for a WebSocket if it may not: browsers hold back the answers to its requests, but not this.
fn without_foreign_sockets(cors: &Cors, mut request: HttpRequest<HttpBody>) -> HttpRequest<HttpBody> {
    let is_allowed = match (cors, request.headers().get(ORIGIN)) {
        (Cors::Any, _) | (_, None) => true,
        (Cors::Only(allowed), Some(origin)) => origin == allowed,
        (Cors::Off, Some(_)) => false,
    };
    if !is_allowed {
        request.headers_mut().remove(UPGRADE);
    }
    request
}

/// Whether a browser can send this as the origin of a page: a scheme and a host, and nothing after them.
fn is_origin(text: &str) -> bool {
    text.parse::<Uri>()
        .is_ok_and(|uri| match (uri.scheme_str(), uri.authority()) {
            (Some(scheme), Some(host)) => text == format!("{scheme}://{host}"),
            _ => false,
        })
}

/// Turns an answer that shall never come into an error, for which the server closes the connection.
fn close_if_lost<B, E: From<LostAnswer>>(answer: Result<HttpResponse<B>, E>) -> Result<HttpResponse<B>, E> {
    let answer = answer?;
    match answer.extensions().get::<Lost>() {
        Some(_) => Err(LostAnswer.into()),
        None => Ok(answer),
    }
}

/// The node was told not to answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer is dropped, as the node was told to")]
struct LostAnswer;

/// Names subscriptions as Ethereum nodes do: by a quantity.
#[derive(Debug, Default)]
struct HexIds(AtomicU64);

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        let id = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        SubscriptionId::Str(format!("{id:#x}").into())
    }
}
