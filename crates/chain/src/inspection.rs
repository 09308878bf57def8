//! What stands at an address.

use crate::artifact::Artifact;
use crate::bindings::RaidenMicroTransferChannels as Channels;
use crate::contract::Contract;
use crate::error::ChainError;
use crate::events::RpcLog;
use crate::follower::is_refusal;
use crate::node::{Node, quantity};
use alloy_primitives::{Address, B256, Log, keccak256};
use alloy_sol_types::SolEvent;
use microraiden_protocol::BlockNumber;
use serde_json::json;
use std::time::Duration;

/// Over how many blocks the time between two is observed.
const OBSERVED_BLOCKS: u64 = 1_000;

/// What stands at an address.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The Keccak-256 hash of the code; `None` when there is none.
    pub code_hash: Option<B256>,
    /// What kind of contract it is.
    pub kind: Kind,
}

/// What kind of contract stands at an address.
#[derive(Debug, Clone)]
pub enum Kind {
    /// No contract at all.
    NoCode,
    /// Our channel contract, every byte of its code but the immutable values.
    Ours(Channel),
    /// Other code that answers as a channel contract of version 0.2, such as those of 2018.
    Compatible(Channel),
    /// Our development token.
    Token,
    /// Something else.
    Unknown,
}

/// What a channel contract says of itself.
#[derive(Debug, Clone)]
pub struct Channel {
    /// The contract, with token and challenge period.
    pub contract: Contract,
    /// The version of its interface.
    pub version: String,
    /// Who may add and remove trusted contracts.
    pub owner: Address,
    /// The contracts that may open and top up channels for any sender.
    pub trusted_contracts: Vec<Address>,
}

impl Inspection {
    /// Looks at what stands at an address. Trusted contracts are looked for from `start_block` on.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn of(node: &Node, address: Address, start_block: BlockNumber) -> Result<Self, ChainError> {
        let code = node.code(address).await?;
        if code.is_empty() {
            return Ok(Self {
                code_hash: None,
                kind: Kind::NoCode,
            });
        }
        let kind = if Artifact::token().is_code(&code) {
            Kind::Token
        } else {
            match Channel::read(node, address, start_block).await {
                Ok(channel) if Artifact::channels().is_code(&code) => Kind::Ours(channel),
                Ok(channel) => Kind::Compatible(channel),
                Err(
                    ChainError::Reverted { .. }
                    | ChainError::Encoding { .. }
                    | ChainError::Version { .. }
                    | ChainError::NoCode(_),
                ) => Kind::Unknown,
                Err(error) => return Err(error),
            }
        };
        Ok(Self {
            code_hash: Some(keccak256(&code)),
            kind,
        })
    }

    /// The channel contract, if it is one.
    pub fn channel(&self) -> Option<&Channel> {
        match &self.kind {
            Kind::Ours(channel) | Kind::Compatible(channel) => Some(channel),
            Kind::NoCode | Kind::Token | Kind::Unknown => None,
        }
    }

    /// The name of the contract whose code it is, if it is one of ours.
    pub fn artifact(&self) -> Option<&'static str> {
        match &self.kind {
            Kind::Ours(_) => Some(&Artifact::channels().contract_name),
            Kind::Token => Some(&Artifact::token().contract_name),
            Kind::NoCode | Kind::Compatible(_) | Kind::Unknown => None,
        }
    }
}

impl Channel {
    async fn read(node: &Node, address: Address, start_block: BlockNumber) -> Result<Self, ChainError> {
        let contract = Contract::at(node.clone(), address).await?;
        Ok(Self {
            version: node.read(address, &Channels::versionCall {}).await?,
            owner: node.read(address, &Channels::owner_addressCall {}).await?,
            trusted_contracts: trusted_contracts(&contract, start_block).await?,
            contract,
        })
    }
}

/// The contracts that are trusted now, of all that ever were.
async fn trusted_contracts(contract: &Contract, from: BlockNumber) -> Result<Vec<Address>, ChainError> {
    let node = contract.node();
    let mut named: Vec<Address> = Vec::new();
    for log in trust_logs(contract, from).await? {
        let event = Channels::TrustedContract::decode_log(&log).map_err(|source| ChainError::Encoding {
            what: Channels::TrustedContract::SIGNATURE,
            source,
        })?;
        if !named.contains(&event._trusted_contract_address) {
            named.push(event._trusted_contract_address);
        }
    }
    let mut trusted = Vec::new();
    for address in named {
        if node
            .read(contract.address(), &Channels::trusted_contractsCall(address))
            .await?
        {
            trusted.push(address);
        }
    }
    Ok(trusted)
}

/// All logs of trust, in one request if the node gives so much, else in ranges as long as it takes.
async fn trust_logs(contract: &Contract, mut from: BlockNumber) -> Result<Vec<Log>, ChainError> {
    let head = contract.node().block_number().await?;
    let mut length = head.0.saturating_sub(from.0).saturating_add(1);
    let mut logs = Vec::new();
    while from <= head {
        let to = from.saturating_add(length - 1).min(head);
        let filter = json!([{
            "address": contract.address(),
            "topics": [Channels::TrustedContract::SIGNATURE_HASH],
            "fromBlock": quantity(from),
            "toBlock": quantity(to),
        }]);
        match contract.node().ask::<Vec<RpcLog>>("eth_getLogs", filter).await {
            Ok(found) => logs.extend(found.into_iter().map(Log::from)),
            Err(error) if is_refusal(&error) && length > 1 => {
                length = length.div_ceil(2);
                continue;
            }
            Err(error) => return Err(error),
        }
        from = to.saturating_add(1);
    }
    Ok(logs)
}

/// The mean time between the last blocks, a thousand or as many as there are; `None` on a chain too young to tell.
///
/// # Errors
/// When the node does not answer.
pub async fn block_time(node: &Node) -> Result<Option<Duration>, ChainError> {
    let last = node.latest_header().await?;
    // The first block's time is often made up.
    let first = last.block.number.0.saturating_sub(OBSERVED_BLOCKS).max(1);
    let blocks = last.block.number.0.saturating_sub(first);
    if blocks == 0 {
        return Ok(None);
    }
    let Some(first) = node.header(BlockNumber(first)).await? else {
        return Ok(None);
    };
    let seconds = last.timestamp.saturating_sub(first.timestamp);
    let mean = u32::try_from(blocks).map(|blocks| Duration::from_secs(seconds) / blocks);
    Ok(mean.ok().filter(|mean| !mean.is_zero()))
}
