//! How signed transactions enter the pool.

use alloy_consensus::{
    Transaction, TxEnvelope,
    crypto::RecoveryError,
    transaction::{Recovered, SignerRecoverable},
};
use alloy_eips::eip2718::{Decodable2718, Eip2718Error};
use alloy_primitives::{Address, B256, U256};
use revm::{
    bytecode::eip7702::EIP7702_MAGIC_BYTES, context_interface::cfg::gas::calculate_initial_tx_gas_for_tx,
    primitives::eip3860::MAX_INITCODE_SIZE,
};

use super::{
    At, Chain,
    execute::{self, HARDFORK, Purpose},
    pool::PoolRefusal,
    signers::sender_of_impersonated,
};

/// Why a transaction was refused; the texts begin as those of other nodes do, since clients look for them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error("failed to decode transaction: {0}")]
    Decode(#[from] Eip2718Error),
    #[error("transaction type not supported")]
    UnsupportedType,
    #[error("invalid sender: {0}")]
    Signature(#[from] RecoveryError),
    #[error("invalid chain id for signer: have {have} want {want}")]
    ChainId { have: u64, want: u64 },
    #[error("exceeds block gas limit")]
    GasLimit,
    #[error("max priority fee per gas higher than max fee per gas")]
    TipAboveFee,
    #[error("max initcode size exceeded: code size {size}, limit {MAX_INITCODE_SIZE}")]
    InitCodeSize { size: usize },
    #[error("intrinsic gas too low: gas {have}, minimum needed {want}")]
    IntrinsicGas { have: u64, want: u64 },
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow { next: u64, nonce: u64 },
    #[error("insufficient funds for gas * price + value: address {sender} have {have} want {want}")]
    InsufficientFunds { sender: Address, have: U256, want: U256 },
    #[error("sender not an eoa: address {sender}")]
    HasCode { sender: Address },
    #[error("already known")]
    AlreadyKnown,
    #[error("replacement transaction underpriced")]
    Underpriced,
}

impl From<PoolRefusal> for SubmitError {
    fn from(refusal: PoolRefusal) -> Self {
        match refusal {
            PoolRefusal::AlreadyKnown => Self::AlreadyKnown,
            PoolRefusal::Underpriced => Self::Underpriced,
        }
    }
}

impl Chain {
    /// Takes a signed transaction in its EIP-2718 encoding; its hash. In instant mode it is mined at once if it can be.
    ///
    /// One whose nonce lies beyond a gap waits until the gap is filled; one that pays less than the base fee waits until
    /// that has fallen.
    pub(crate) fn submit(&mut self, encoded: &[u8]) -> Result<B256, SubmitError> {
        self.accept(Self::decode(encoded)?)
    }

    /// A signed transaction from its EIP-2718 encoding.
    pub(crate) fn decode(encoded: &[u8]) -> Result<Recovered<TxEnvelope>, SubmitError> {
        let transaction = TxEnvelope::decode_2718_exact(encoded)?;
        // It is nobody's signature, and a dump could not tell it from that of an impersonated sender.
        if sender_of_impersonated(&transaction).is_some() {
            return Err(RecoveryError::new().into());
        }
        Ok(transaction.try_into_recovered()?)
    }

    /// Takes a transaction whose sender is known, as [`Self::submit`] does.
    pub(super) fn accept(&mut self, transaction: Recovered<TxEnvelope>) -> Result<B256, SubmitError> {
        self.check_shape(&transaction)?;
        self.check_account(&transaction)?;
        let hash = *transaction.hash();
        self.pool.add(transaction)?;
        self.news.transaction_arrived(hash);
        self.mine_instantly();
        Ok(hash)
    }

    /// The checks for which the state does not matter.
    fn check_shape(&self, transaction: &Recovered<TxEnvelope>) -> Result<(), SubmitError> {
        if transaction.is_eip4844() || transaction.is_eip7702() {
            return Err(SubmitError::UnsupportedType);
        }
        if let Some(have) = transaction.chain_id().filter(|id| *id != self.chain_id) {
            return Err(SubmitError::ChainId {
                have,
                want: self.chain_id,
            });
        }
        if transaction.gas_limit() > self.block_gas_limit {
            return Err(SubmitError::GasLimit);
        }
        if transaction
            .max_priority_fee_per_gas()
            .is_some_and(|tip| tip > transaction.max_fee_per_gas())
        {
            return Err(SubmitError::TipAboveFee);
        }
        let size = transaction.input().len();
        if transaction.is_create() && size > MAX_INITCODE_SIZE {
            return Err(SubmitError::InitCodeSize { size });
        }
        let least = calculate_initial_tx_gas_for_tx(execute::signed(transaction), HARDFORK, None);
        let want = least.initial_regular_gas.max(least.floor_gas);
        if transaction.gas_limit() < want {
            return Err(SubmitError::IntrinsicGas {
                have: transaction.gas_limit(),
                want,
            });
        }
        Ok(())
    }

    /// Whether an account has no code of its own, as EIP-3607 asks of senders.
    fn is_without_code(&self, address: Address) -> bool {
        let code = self.state.code(address, self.state.mark().version);
        code.is_empty() || code.starts_with(EIP7702_MAGIC_BYTES)
    }

    /// The checks against the sender's account.
    fn check_account(&self, transaction: &Recovered<TxEnvelope>) -> Result<(), SubmitError> {
        let sender = transaction.signer();
        let account = self.account(sender, At::Pending);
        if Purpose::of(transaction) == Purpose::Include && !self.is_without_code(sender) {
            return Err(SubmitError::HasCode { sender });
        }
        if transaction.nonce() < account.nonce {
            return Err(SubmitError::NonceTooLow {
                next: account.nonce,
                nonce: transaction.nonce(),
            });
        }
        let fee =
            U256::from(transaction.gas_limit()).saturating_mul(U256::from(transaction.max_fee_per_gas()));
        let want = fee.saturating_add(transaction.value());
        if account.balance < want {
            return Err(SubmitError::InsufficientFunds {
                sender,
                have: account.balance,
                want,
            });
        }
        Ok(())
    }
}
