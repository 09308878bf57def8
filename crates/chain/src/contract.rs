//! A channel contract, and what it says of its channels.

use crate::artifact::Artifact;
use crate::bindings::RaidenMicroTransferChannels as Channels;
use crate::error::ChainError;
use crate::node::Node;
use crate::token::{self, TokenInfo};
use alloy_primitives::{Address, B256, keccak256};
use microraiden_protocol::{
    Amount, Balance, BlockNumber, ChannelId, Deposit, Escrow, ProofScheme, Signature,
};
use std::sync::Arc;

/// The major and minor version that is understood.
const VERSION: &str = "0.2.";

/// A channel contract on a node's chain; clones are cheap.
#[derive(Debug, Clone)]
pub struct Contract(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    node: Node,
    address: Address,
    code_hash: B256,
    is_ours: bool,
    challenge_period: u32,
    token: TokenInfo,
}

/// What the contract holds of a channel that is not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelInfo {
    /// All tokens ever deposited.
    pub deposit: Deposit,
    /// The last block of the challenge period, once a close was requested.
    pub settle_block: Option<BlockNumber>,
    /// What the sender claims to owe in its close; zero without one.
    pub closing_balance: Balance,
    /// What the receiver has withdrawn in total.
    pub withdrawn: Balance,
}

impl Contract {
    /// Looks at the contract at an address, and reads what never changes.
    ///
    /// # Errors
    /// When there is no contract, it is another one or of another version than 0.2, or the node does not answer.
    pub async fn at(node: Node, address: Address) -> Result<Self, ChainError> {
        let code = node.code(address).await?;
        if code.is_empty() {
            return Err(ChainError::NoCode(address));
        }
        let found = node.read(address, &Channels::versionCall {}).await?;
        if !found.starts_with(VERSION) {
            return Err(ChainError::Version {
                contract: address,
                found,
            });
        }
        let challenge_period = node.read(address, &Channels::challenge_periodCall {}).await?;
        let token = node.read(address, &Channels::tokenCall {}).await?;
        let token = TokenInfo::read(&node, token).await?;
        Ok(Self(Arc::new(Inner {
            node,
            address,
            code_hash: keccak256(&code),
            is_ours: Artifact::channels().is_code(&code),
            challenge_period,
            token,
        })))
    }

    /// The contract on its chain.
    pub fn escrow(&self) -> Escrow {
        Escrow {
            chain_id: self.node().chain_id(),
            contract: self.address(),
        }
    }

    /// How its proofs are signed.
    pub fn scheme(&self) -> ProofScheme {
        ProofScheme::DraftTypedData {
            contract: self.address(),
        }
    }

    /// Its address.
    pub fn address(&self) -> Address {
        self.0.address
    }

    /// The Keccak-256 hash of its code.
    pub fn code_hash(&self) -> B256 {
        self.0.code_hash
    }

    /// Whether it is this project's contract, every byte of its code but the immutable values.
    pub fn is_ours(&self) -> bool {
        self.0.is_ours
    }

    /// How many blocks the receiver has to correct an uncooperative close.
    pub fn challenge_period(&self) -> u32 {
        self.0.challenge_period
    }

    /// The token of all deposits.
    pub fn token(&self) -> &TokenInfo {
        &self.0.token
    }

    /// The node that is asked.
    pub fn node(&self) -> &Node {
        &self.0.node
    }

    /// What the contract holds of a channel now; `None` when it does not exist, or not any more.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn channel_info(&self, channel: &ChannelId) -> Result<Option<ChannelInfo>, ChainError> {
        let call = Channels::getChannelInfoCall {
            _sender_address: channel.sender,
            _receiver_address: channel.receiver,
            _open_block_number: channel.open_block,
        };
        let info = match self.node().read(self.address(), &call).await {
            Ok(info) => info,
            // The contract of 2018 gives no reason, but there is only this one.
            Err(ChainError::Reverted { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let settle_block = u64::from(info.settle_block_number);
        Ok(Some(ChannelInfo {
            deposit: Deposit::new(info.deposit),
            settle_block: (settle_block != 0).then_some(BlockNumber(settle_block)),
            closing_balance: Balance::new(info.closing_balance),
            withdrawn: Balance::new(info.withdrawn),
        }))
    }

    /// How many tokens an address holds.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn token_balance(&self, owner: Address) -> Result<Amount, ChainError> {
        token::balance(self.node(), self.token().address, owner).await
    }

    /// Has the contract recover the sender that signed a balance proof.
    ///
    /// # Errors
    /// [`ChainError::Reverted`] when the contract does not take the signature; or when the node does not answer.
    pub async fn recover_balance_proof(
        &self,
        channel: &ChannelId,
        balance: Balance,
        signature: &Signature,
    ) -> Result<Address, ChainError> {
        let call = Channels::extractBalanceProofSignatureCall {
            _receiver_address: channel.receiver,
            _open_block_number: channel.open_block,
            _balance: balance.base_units(),
            _balance_msg_sig: signature.to_bytes().into(),
        };
        self.node().read(self.address(), &call).await
    }

    /// Has the contract recover the receiver that signed a close.
    ///
    /// # Errors
    /// [`ChainError::Reverted`] when the contract does not take the signature; or when the node does not answer.
    pub async fn recover_closing(
        &self,
        channel: &ChannelId,
        balance: Balance,
        signature: &Signature,
    ) -> Result<Address, ChainError> {
        let call = Channels::extractClosingSignatureCall {
            _sender_address: channel.sender,
            _open_block_number: channel.open_block,
            _balance: balance.base_units(),
            _closing_sig: signature.to_bytes().into(),
        };
        self.node().read(self.address(), &call).await
    }
}
