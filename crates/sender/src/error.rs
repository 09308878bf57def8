//! Why a channel could not be opened, used or closed.

use crate::book::BookError;
use microraiden_chain::{ChainError, SignerError, TransactionError};
use microraiden_protocol::{Address, Amount, B256, Balance, BlockNumber, ChannelId, Deposit};

/// Why an action on a channel failed.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The deposit does not cover the transfer; nothing was signed.
    #[error("channel {channel} has {remaining} left of its deposit, {needed} are needed: top it up")]
    AboveDeposit {
        /// The channel.
        channel: ChannelId,
        /// What is left of the deposit.
        remaining: Amount,
        /// What was to be transferred.
        needed: Amount,
    },
    /// The deposit policy does not allow what a payment needs.
    #[error(
        "a payment of {needed} needs a deposit that the policy (at most {allowed}) does not allow: change it"
    )]
    DepositLimit {
        /// The payment.
        needed: Amount,
        /// The most that a channel may hold.
        allowed: Deposit,
    },
    /// The channel is closing or closed already.
    #[error("channel {0} is closing or closed: open a new one")]
    NotOpen(ChannelId),
    /// The contract does not know the channel any more.
    #[error("channel {0} does not exist on chain any more: it was settled")]
    Gone(ChannelId),
    /// There is nothing to settle: no close was requested.
    #[error("no close of channel {0} was requested: close it first")]
    NotClosing(ChannelId),
    /// The challenge period is not over.
    #[error("the challenge period of channel {channel} lasts until block {settle_block}, now is {now}: wait")]
    ChallengePeriod {
        /// The channel.
        channel: ChannelId,
        /// Its last block.
        settle_block: BlockNumber,
        /// The newest block.
        now: BlockNumber,
    },
    /// The signature is not the receiver's for this close; no transaction was sent.
    #[error("the receiver has not signed a close of channel {channel} at {balance}")]
    ClosingSignature {
        /// The channel.
        channel: ChannelId,
        /// The balance that it should have signed.
        balance: Balance,
    },
    /// The contract is not one that is trusted with deposits.
    #[error(
        "contract {contract} on chain {chain_id} has code that is not known (hash {code_hash}): \
         whoever wrote it could keep every deposit; allow this hash if you trust it"
    )]
    UnknownContract {
        /// The contract.
        contract: Address,
        /// Its chain.
        chain_id: u64,
        /// The Keccak-256 hash of its code.
        code_hash: B256,
    },
    /// The signer did not sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The channel book cannot be used; nothing was paid.
    #[error(transparent)]
    Book(#[from] BookError),
    /// A transaction failed.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The chain could not be asked.
    #[error(transparent)]
    Chain(#[from] ChainError),
}
