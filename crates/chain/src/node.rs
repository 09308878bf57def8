//! A node of the chain, asked over JSON-RPC.

use crate::connection::{Connector, Location};
use crate::error::ChainError;
use crate::failover::Failover;
use crate::heads::NewHeads;
use crate::over_http::OverHttp;
use crate::over_websocket::OverWebsocket;
use crate::revert::Revert;
use crate::rpc::{RpcError, Transport};
use alloy_primitives::{Address, B256, Bytes, U64, U128, U256, bytes};
use alloy_sol_types::SolCall;
use microraiden_protocol::{BlockNumber, BlockRef};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use url::Url;

/// How long a request may take unless told otherwise.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Init code that returns NUMBER, the block number that contracts see.
const RETURN_BLOCK_NUMBER: Bytes = bytes!("0x4360005260206000f3");

/// How nodes are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeOptions {
    /// How long a node may take for a request. With the others and with waiting for limits, a request takes twice as long
    /// at most.
    pub request_timeout: Duration,
    /// The most requests that are made to each node in a second, evenly; as many as there are by default.
    pub requests_per_second: Option<NonZeroU32>,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            request_timeout: REQUEST_TIMEOUT,
            requests_per_second: None,
        }
    }
}

/// A node of the chain, or several as one; clones share its connections.
#[derive(Debug, Clone)]
pub struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    transport: Arc<dyn Transport>,
    chain_id: u64,
}

/// What is used of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The block.
    pub block: BlockRef,
    /// The hash of the block before.
    pub parent: B256,
    /// When it was made, in seconds since 1970.
    pub timestamp: u64,
    /// What every unit of gas costs at least; `None` before the London hard fork.
    pub base_fee_wei: Option<u128>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RpcHeader {
    number: U64,
    hash: B256,
    parent_hash: B256,
    timestamp: U64,
    base_fee_per_gas: Option<U128>,
}

/// A call, or a transaction to be estimated.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Call {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<Address>,
    pub(crate) data: Bytes,
    #[serde(skip_serializing_if = "U256::is_zero")]
    pub(crate) value: U256,
}

/// The state that a call sees.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    Latest,
    Pending,
    Block(BlockNumber),
}

impl At {
    fn param(self) -> Value {
        match self {
            Self::Latest => json!("latest"),
            Self::Pending => json!("pending"),
            Self::Block(number) => quantity(number),
        }
    }
}

pub(crate) fn quantity(number: BlockNumber) -> Value {
    json!(U64::from(number.0))
}

/// The way to a node that its address asks for.
pub(crate) fn transport(
    location: Location,
    connector: Connector,
    limit: Duration,
    heads: &watch::Sender<()>,
) -> Box<dyn Transport> {
    match location.is_websocket {
        true => Box::new(OverWebsocket::new(location, connector, limit, heads.clone())),
        false => Box::new(OverHttp::new(location, connector, limit)),
    }
}

impl Node {
    /// Connects, and asks for the chain id; requests may take [`REQUEST_TIMEOUT`].
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn connect(url: &Url) -> Result<Self, ChainError> {
        Self::connect_with(url, REQUEST_TIMEOUT).await
    }

    /// Connects, with a time limit of `request_timeout` for each request.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn connect_with(url: &Url, request_timeout: Duration) -> Result<Self, ChainError> {
        let options = NodeOptions {
            request_timeout,
            ..NodeOptions::default()
        };
        Self::connect_to(std::slice::from_ref(url), options).await
    }

    /// Connects to the first of several nodes of one chain that works, in the order in which they are preferred. When it
    /// fails the next one is asked, and the first again when it has recovered.
    ///
    /// # Errors
    /// When none answers; or [`ChainError::OtherChain`] when those that answer are not of one chain.
    pub async fn connect_to(urls: &[Url], options: NodeOptions) -> Result<Self, ChainError> {
        let heads = watch::Sender::default();
        let transports = urls.iter().map(|url| {
            let location = Location::new(url)?;
            let connector = Connector::to(&location)?;
            Ok(transport(location, connector, options.request_timeout, &heads))
        });
        let transports = transports.collect::<Result<_, ChainError>>()?;
        let (nodes, chain_id) = Failover::start(transports, heads, options).await?;
        Ok(Self(Arc::new(Inner {
            transport: Arc::new(nodes),
            chain_id,
        })))
    }

    /// Connects over a transport of one's own, and asks for the chain id.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn over(transport: Arc<dyn Transport>) -> Result<Self, ChainError> {
        let chain_id: U64 = ask(&*transport, "eth_chainId", json!([])).await?;
        Ok(Self(Arc::new(Inner {
            transport,
            chain_id: chain_id.to(),
        })))
    }

    /// The EIP-155 chain id.
    pub fn chain_id(&self) -> u64 {
        self.0.chain_id
    }

    /// Checks that the node is still on the chain that it was on at first.
    ///
    /// # Errors
    /// [`ChainError::ChainReplaced`] when it is not; or when the node does not answer.
    pub async fn check_chain_id(&self) -> Result<(), ChainError> {
        let found: U64 = self.ask("eth_chainId", json!([])).await?;
        let (found, wanted) = (found.to(), self.chain_id());
        if found != wanted {
            return Err(ChainError::ChainReplaced { found, wanted });
        }
        Ok(())
    }

    /// The number of the newest block.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn block_number(&self) -> Result<BlockNumber, ChainError> {
        let number: U64 = self.ask("eth_blockNumber", json!([])).await?;
        Ok(BlockNumber(number.to()))
    }

    /// A block of the canonical chain; `None` when there is none yet.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn block(&self, number: BlockNumber) -> Result<Option<BlockRef>, ChainError> {
        Ok(self.header(number).await?.map(|header| header.block))
    }

    /// The newest block.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn latest(&self) -> Result<BlockRef, ChainError> {
        Ok(self.latest_header().await?.block)
    }

    /// More of a block of the canonical chain; `None` when there is none yet.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn header(&self, number: BlockNumber) -> Result<Option<Header>, ChainError> {
        const METHOD: &str = "eth_getBlockByNumber";
        let header: Option<RpcHeader> = self.ask_maybe(METHOD, json!([quantity(number), false])).await?;
        let header = header.map(Header::from);
        if header.is_some_and(|header| header.block.number != number) {
            return Err(ChainError::Nonsense {
                method: METHOD,
                why: "it is another block",
            });
        }
        Ok(header)
    }

    /// More of the newest block.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn latest_header(&self) -> Result<Header, ChainError> {
        let header: RpcHeader = self.ask("eth_getBlockByNumber", json!(["latest", false])).await?;
        Ok(header.into())
    }

    /// What an address owns, in wei.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn eth_balance(&self, address: Address) -> Result<U256, ChainError> {
        self.ask("eth_getBalance", json!([address, "latest"])).await
    }

    /// What the node suggests to pay for a unit of gas, in wei.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn gas_price(&self) -> Result<u128, ChainError> {
        let price: U128 = self.ask("eth_gasPrice", json!([])).await?;
        Ok(price.to())
    }

    /// The code at an address; empty when there is none.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn code(&self, address: Address) -> Result<Bytes, ChainError> {
        self.ask("eth_getCode", json!([address, "latest"])).await
    }

    /// Checks that contracts see the same block numbers as logs state. A channel is named by the former, found by the
    /// latter.
    ///
    /// # Errors
    /// [`ChainError::BlockNumbers`] on a chain where they differ; or when the node does not answer.
    pub async fn check_block_numbers(&self) -> Result<(), ChainError> {
        // Not the newest one: another node behind the same address may not have it yet.
        let block = self.block_number().await?.saturating_sub(2);
        let probe = Call {
            data: RETURN_BLOCK_NUMBER,
            ..Call::default()
        };
        let revert = |revert| ChainError::Reverted {
            call: "block.number",
            revert,
        };
        let answer = self.call(&probe, At::Block(block)).await?.map_err(revert)?;
        let seen = U256::try_from_be_slice(&answer).ok_or(ChainError::Nonsense {
            method: "eth_call",
            why: "a number has at most 32 bytes",
        })?;
        if seen != U256::from(block.0) {
            return Err(ChainError::BlockNumbers { block, seen });
        }
        Ok(())
    }

    /// Calls a contract's function, changing nothing, as of the newest block.
    ///
    /// # Errors
    /// [`ChainError::Reverted`] when the contract refuses; or when the node does not answer.
    pub async fn read<C: SolCall>(&self, contract: Address, call: &C) -> Result<C::Return, ChainError> {
        let request = Call {
            to: Some(contract),
            data: call.abi_encode().into(),
            ..Call::default()
        };
        match self.call(&request, At::Latest).await? {
            Ok(answer) => C::abi_decode_returns(&answer).map_err(|source| ChainError::Encoding {
                what: C::SIGNATURE,
                source,
            }),
            Err(revert) => Err(ChainError::Reverted {
                call: C::SIGNATURE,
                revert,
            }),
        }
    }

    /// Executes a call, changing nothing: what it returns, or why it reverts.
    pub(crate) async fn call(&self, call: &Call, at: At) -> Result<Result<Bytes, Revert>, ChainError> {
        reverts(self.ask("eth_call", json!([call, at.param()])).await)
    }

    /// How much gas a transaction would need in the next block, or why it would revert.
    pub(crate) async fn estimate_gas(&self, call: &Call) -> Result<Result<u64, Revert>, ChainError> {
        let params = json!([call, At::Pending.param()]);
        let gas = reverts(self.ask::<U64>("eth_estimateGas", params).await)?;
        Ok(gas.map(|gas| gas.to()))
    }

    /// Word of new blocks, from now on: of a node that is asked over WebSocket.
    pub fn new_heads(&self) -> NewHeads {
        self.0.transport.new_heads()
    }

    /// See [`Transport::epoch`].
    pub(crate) fn epoch(&self) -> u64 {
        self.0.transport.epoch()
    }

    /// Asks for what must be there.
    pub(crate) async fn ask<R: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<R, ChainError> {
        ask(&*self.0.transport, method, params).await
    }

    /// Asks for what may be there.
    pub(crate) async fn ask_maybe<R: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<Option<R>, ChainError> {
        ask_maybe(&*self.0.transport, method, params).await
    }
}

async fn ask<R: DeserializeOwned>(
    transport: &dyn Transport,
    method: &'static str,
    params: Value,
) -> Result<R, ChainError> {
    let answer = ask_maybe(transport, method, params).await?;
    answer.ok_or(ChainError::Request {
        method,
        source: RpcError::Empty,
    })
}

async fn ask_maybe<R: DeserializeOwned>(
    transport: &dyn Transport,
    method: &'static str,
    params: Value,
) -> Result<Option<R>, ChainError> {
    let failed = |source| ChainError::Request { method, source };
    let answer = transport.request(method, params).await.map_err(failed)?;
    let parsed = answer.map(|text| serde_json::from_str(text.get())).transpose();
    parsed.map_err(|error| failed(RpcError::Malformed(error)))
}

impl From<RpcHeader> for Header {
    fn from(header: RpcHeader) -> Self {
        let number = BlockNumber(header.number.to());
        Self {
            block: BlockRef {
                number,
                hash: header.hash,
            },
            parent: header.parent_hash,
            timestamp: header.timestamp.to(),
            base_fee_wei: header.base_fee_per_gas.map(|fee| fee.to()),
        }
    }
}

/// Tells a revert from a failure. Nodes agree neither on the code nor on the words.
fn reverts<T>(answer: Result<T, ChainError>) -> Result<Result<T, Revert>, ChainError> {
    match answer {
        Ok(value) => Ok(Ok(value)),
        Err(ChainError::Request {
            source: RpcError::Refused { code, message, data },
            ..
        }) if code == 3
            || data.is_some()
            || ["revert", "invalid opcode", "VM execution error", "out of gas"]
                .iter()
                .any(|sign| message.contains(sign)) =>
        {
            Ok(Err(Revert::new(&data.unwrap_or_default(), &message)))
        }
        Err(error) => Err(error),
    }
}
