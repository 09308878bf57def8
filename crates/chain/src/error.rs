//! What can go wrong between us and the chain.

use crate::connection::ConnectionError;
use crate::revert::Revert;
use crate::rpc::RpcError;
use crate::signer::SignerError;
use alloy_primitives::{Address, B256, U256};
use microraiden_protocol::{Amount, BlockNumber};
use std::time::Duration;

/// Why something could not be learnt from the chain.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The node's address is not one that can be used.
    #[error("the address of a node begins with http://, https://, ws:// or wss://, not {0}://")]
    Scheme(String),
    /// The node's address cannot be written as a request.
    #[error("the address of a node has something in it that a request cannot have")]
    Address,
    /// There is no address.
    #[error("no address of a node is given")]
    NoAddress,
    /// The nodes are not of one chain.
    #[error("node {position} of the list is of chain {found}, but node {right} is of chain {expected}")]
    OtherChain {
        /// The place in the list, from 1.
        position: usize,
        /// Its chain id.
        found: u64,
        /// The place of the first that answers.
        right: usize,
        /// The chain id of that one.
        expected: u64,
    },
    /// No connection to the node can be prepared.
    #[error("the node cannot be reached")]
    Connection(#[from] ConnectionError),
    /// A request failed.
    #[error("the node does not answer {method}")]
    Request {
        /// The JSON-RPC method.
        method: &'static str,
        /// Why.
        source: RpcError,
    },
    /// None of several nodes answers.
    #[error("none of the nodes answers: {}", list(failures))]
    NoneAnswers {
        /// Why, node by node, in the order of the list.
        failures: Vec<RpcError>,
    },
    /// A contract refused to say.
    #[error("{call} reverted: {revert}")]
    Reverted {
        /// The signature of the function.
        call: &'static str,
        /// Why.
        revert: Revert,
    },
    /// A contract or a log holds something else than its ABI says.
    #[error("{what} is not encoded as its ABI says")]
    Encoding {
        /// The function or event.
        what: &'static str,
        /// Why.
        source: alloy_sol_types::Error,
    },
    /// A node's answer leaves out what belongs to it, or contradicts itself.
    #[error("the node's answer to {method} makes no sense: {why}")]
    Nonsense {
        /// The JSON-RPC method.
        method: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// There is no contract at the address.
    #[error("there is no contract at {0}: is it the right chain?")]
    NoCode(Address),
    /// The contract is another one, or of another version.
    #[error("the contract at {contract} has version {found}, not 0.2")]
    Version {
        /// Its address.
        contract: Address,
        /// What it says of itself.
        found: String,
    },
    /// On this chain contracts count blocks in another way than logs do.
    #[error(
        "contracts on this chain see block number {seen} in block {block}, so that channels would be named wrongly: \
         it cannot be used"
    )]
    BlockNumbers {
        /// The block asked about.
        block: BlockNumber,
        /// Its number as contracts see it.
        seen: U256,
    },
    /// The node is on another chain than it was.
    #[error("the node is on chain {found} now, not on {wanted}")]
    ChainReplaced {
        /// Its chain id now.
        found: u64,
        /// Its chain id before.
        wanted: u64,
    },
    /// The chain was reorganised while it was read, several times over, or the node's parts disagree.
    #[error("the chain changed again and again while it was read")]
    Changing,
}

/// Nodes are named by their places, since their addresses are secrets.
fn list(failures: &[RpcError]) -> String {
    let nodes = failures.iter().zip(1..);
    let told: Vec<_> = nodes
        .map(|(error, position)| format!("node {position}: {error}"))
        .collect();
    told.join("; ")
}

impl ChainError {
    /// Whether what we use is not there any more, whatever one does: the chain or the contract is another one.
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::ChainReplaced { .. } | Self::NoCode(_) | Self::Version { .. } | Self::BlockNumbers { .. }
        )
    }

    /// Whether the same question may be answered later: the node is slow, overloaded or out of reach.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Request { source, .. } => source.is_transient(),
            Self::NoneAnswers { failures } => failures.iter().any(RpcError::is_transient),
            Self::Changing => true,
            _ => false,
        }
    }
}

/// Why a transaction had no effect, or is not known to have had one.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// The chain could not be asked; nothing was sent.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The contract refuses. Without a transaction it was found out beforehand and cost nothing.
    #[error("the contract refuses: {revert}")]
    Reverted {
        /// The transaction that failed, if one was sent.
        transaction: Option<B256>,
        /// Why.
        revert: Revert,
    },
    /// The signer did not sign; nothing was sent.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The wallet cannot pay for gas and value.
    #[error("insufficient funds: {wallet} has not enough ether for gas and value ({message})")]
    InsufficientFunds {
        /// The wallet's address.
        wallet: Address,
        /// The node's words.
        message: String,
    },
    /// The wallet holds fewer tokens than are to be deposited or transferred.
    #[error("insufficient tokens: {wallet} holds {balance} base units, {needed} are needed")]
    InsufficientTokens {
        /// The wallet's address.
        wallet: Address,
        /// What it holds.
        balance: Amount,
        /// What is needed.
        needed: Amount,
    },
    /// Gas costs more than the wallet may spend on it.
    #[error("gas costs at least {price} wei, more than the {ceiling} wei allowed")]
    FeeAboveCeiling {
        /// What a unit of gas costs now.
        price: u128,
        /// The wallet's ceiling.
        ceiling: u128,
    },
    /// The node does not take the transaction.
    #[error("the node refuses transaction {transaction}")]
    Refused {
        /// Its hash.
        transaction: B256,
        /// Why.
        source: RpcError,
    },
    /// The node took the transaction or not; it does not say.
    #[error("it is not known whether the node took transaction {transaction}")]
    Unanswered {
        /// Its hash.
        transaction: B256,
        /// Why.
        source: RpcError,
    },
    /// Sent, but not mined within the time limit. It may still be.
    #[error("transaction {transaction} was not mined within {waited:?}")]
    NotMined {
        /// The hash of the last one sent, with the highest fee.
        transaction: B256,
        /// The time limit.
        waited: Duration,
    },
    /// Another transaction of the same wallet was mined in its place. It can have no effect any more.
    #[error("another transaction took the place of transaction {transaction}")]
    Superseded {
        /// The hash of the last one sent.
        transaction: B256,
    },
    /// The chain stands still, or has lost the transaction.
    #[error(
        "transaction {transaction} has {above} of {confirmations} blocks above it, and no more came for five minutes"
    )]
    Unconfirmed {
        /// The transaction.
        transaction: B256,
        /// How many blocks are above it.
        above: u64,
        /// How many were asked for.
        confirmations: u64,
    },
    /// Mined with success, but without what it should have left behind.
    #[error("transaction {transaction} was mined, but has no {missing}")]
    Incomplete {
        /// Its hash.
        transaction: B256,
        /// What is missing.
        missing: &'static str,
    },
    /// The challenge period is too short for the contract.
    #[error("the challenge period is {given} blocks; the contract takes at least {minimum}")]
    ChallengePeriod {
        /// What was asked for.
        given: u32,
        /// The least.
        minimum: u32,
    },
}

impl TransactionError {
    /// Whether trying again may help. After [`Self::Unanswered`] and [`Self::NotMined`], look first whether the
    /// transaction has had its effect.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Chain(error) => error.is_transient(),
            Self::Unanswered { .. }
            | Self::NotMined { .. }
            | Self::Unconfirmed { .. }
            | Self::Superseded { .. }
            | Self::FeeAboveCeiling { .. } => true,
            Self::Refused { source, .. } => source.is_transient(),
            _ => false,
        }
    }

    /// Why the contract refused, when it did.
    pub fn revert(&self) -> Option<&Revert> {
        match self {
            Self::Reverted { revert, .. } | Self::Chain(ChainError::Reverted { revert, .. }) => Some(revert),
            _ => None,
        }
    }
}
