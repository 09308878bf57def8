//! Whose transactions the node signs: its own accounts, and accounts that are impersonated.

use std::collections::HashSet;

use alloy_consensus::{
    SignableTransaction, Signed, TxEnvelope, TxType, TypedTransaction, transaction::Recovered,
};
use alloy_primitives::{Address, B256, Signature, U256};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;

use super::{At, CallError, Chain, Overrides, SubmitError};
use crate::DevAccount;

/// The priority fee that is proposed: blocks are filled first come, first served, so it buys nothing.
pub(crate) const PRIORITY_FEE_WEI: u64 = 1_000_000_000;

/// Why the node does not sign.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("No Signer available for {0}: it is neither an account of this node nor impersonated")]
    Unknown(Address),
    #[error("the key of account {0} is not a valid key")]
    Key(Address),
    #[error("{0} is only impersonated: its key is not known, so it can send but not sign")]
    Impersonated(Address),
    #[error("the transaction is incomplete or contradicts itself")]
    Incomplete,
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// The accounts for which the node can act.
pub(crate) struct Signers {
    own: Vec<DevAccount>,
    impersonated: HashSet<Address>,
    /// Whether every account is impersonated.
    everyone: bool,
}

impl Signers {
    pub(super) fn new(own: &[DevAccount], everyone: bool) -> Self {
        Self {
            own: own.to_vec(),
            impersonated: HashSet::new(),
            everyone,
        }
    }

    /// The node's own accounts.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.own.iter().map(|account| account.address).collect()
    }

    /// Lets the node send for an account whose key it does not have.
    pub(crate) fn impersonate(&mut self, address: Address) {
        self.impersonated.insert(address);
    }

    /// Ends [`Self::impersonate`].
    pub(crate) fn stop_impersonating(&mut self, address: &Address) {
        self.impersonated.remove(address);
    }

    /// Lets the node send for everyone, or ends that.
    pub(crate) fn impersonate_everyone(&mut self, everyone: bool) {
        self.everyone = everyone;
    }

    /// Whether the node can send for an account.
    fn can_send_for(&self, sender: Address) -> Result<(), SignError> {
        match self.signer(sender) {
            Ok(_) | Err(SignError::Impersonated(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn impersonates(&self, address: &Address) -> bool {
        self.everyone || self.impersonated.contains(address)
    }

    /// The signer of one of the node's own accounts.
    pub(crate) fn signer(&self, address: Address) -> Result<PrivateKeySigner, SignError> {
        match self.own.iter().find(|account| account.address == address) {
            Some(account) => {
                PrivateKeySigner::from_bytes(&account.secret_key).map_err(|_| SignError::Key(address))
            }
            None if self.impersonates(&address) => Err(SignError::Impersonated(address)),
            None => Err(SignError::Unknown(address)),
        }
    }

    /// A transaction signed by its sender, or as if it were.
    fn sign(
        &self,
        sender: Address,
        transaction: TypedTransaction,
    ) -> Result<Recovered<TxEnvelope>, SignError> {
        match self.signer(sender) {
            Ok(signer) => {
                let signature = signer
                    .sign_hash_sync(&transaction.signature_hash())
                    .map_err(|_| SignError::Key(sender))?;
                Ok(Recovered::new_unchecked(envelope(transaction, signature), sender))
            }
            Err(SignError::Impersonated(_)) => Ok(impersonated(sender, transaction)),
            Err(error) => Err(error),
        }
    }
}

impl Chain {
    /// Signs a transaction for one of the node's accounts, or an impersonated one, and takes it as [`Self::submit`] does.
    ///
    /// Without a sender it is the node's first account. What is not given is filled in: the next nonce, an estimate of the
    /// gas, and fees that the next blocks can be expected to ask for.
    pub(crate) fn send(&mut self, request: TransactionRequest) -> Result<B256, SignError> {
        let transaction = self.sign(request, At::Pending)?;
        Ok(self.accept(transaction)?)
    }

    /// As [`Self::send`] for any sender, without a signature.
    pub(crate) fn send_unsigned(&mut self, request: TransactionRequest) -> Result<B256, SignError> {
        let sender = self.sender(&request)?;
        let transaction = self.fill(sender, request, At::Pending)?;
        Ok(self.accept(impersonated(sender, transaction))?)
    }

    /// The transaction that [`Self::send`] would take if the state were that of then.
    pub(crate) fn sign(
        &self,
        request: TransactionRequest,
        at: At,
    ) -> Result<Recovered<TxEnvelope>, SignError> {
        let sender = self.sender(&request)?;
        // Before the estimate, whose refusal would say less.
        self.signers.can_send_for(sender)?;
        let transaction = self.fill(sender, request, at)?;
        self.signers.sign(sender, transaction)
    }

    /// The transaction that [`Self::send`] would take, before it is signed: its signature is zero.
    pub(crate) fn fill_unsigned(
        &self,
        request: TransactionRequest,
    ) -> Result<Recovered<TxEnvelope>, SignError> {
        let sender = self.sender(&request)?;
        let transaction = self.fill(sender, request, At::Pending)?;
        let signature = Signature::new(U256::ZERO, U256::ZERO, false);
        Ok(Recovered::new_unchecked(envelope(transaction, signature), sender))
    }

    /// Who sends a transaction: without another it is the node's first account.
    pub(crate) fn sender(&self, request: &TransactionRequest) -> Result<Address, SignError> {
        let first = self.signers.own.first().map(|own| own.address);
        request.from.or(first).ok_or(SignError::Unknown(Address::ZERO))
    }

    fn fill(
        &self,
        sender: Address,
        mut request: TransactionRequest,
        at: At,
    ) -> Result<TypedTransaction, SignError> {
        request.from = Some(sender);
        request.to.get_or_insert_default();
        request.chain_id.get_or_insert(self.chain_id);
        if request.nonce.is_none() {
            request.nonce = Some(self.nonce(sender, at));
        }
        self.fill_fees(&mut request);
        if request.gas.is_none() {
            request.gas = Some(self.estimate_gas(&request, at, &Overrides::default())?);
        }
        request.build_typed_tx().map_err(|_| SignError::Incomplete)
    }

    fn fill_fees(&self, request: &mut TransactionRequest) {
        let base = u128::from(self.next_base_fee_wei());
        let is_old = request.gas_price.is_some()
            || request
                .transaction_type
                .is_some_and(|kind| kind < u8::from(TxType::Eip1559));
        if is_old {
            if request.transaction_type == Some(TxType::Eip2930.into()) {
                request.access_list.get_or_insert_default();
            }
            request.gas_price.get_or_insert(self.gas_price_wei().into());
            return;
        }
        let tip = u128::from(PRIORITY_FEE_WEI).min(request.max_fee_per_gas.unwrap_or(u128::MAX));
        let tip = *request.max_priority_fee_per_gas.get_or_insert(tip);
        request
            .max_fee_per_gas
            .get_or_insert(base.saturating_mul(2).saturating_add(tip));
    }
}

/// Whether a transaction is one that [`impersonated`] made.
pub(super) fn is_impersonated(transaction: &Recovered<TxEnvelope>) -> bool {
    sender_of_impersonated(transaction.inner()) == Some(transaction.signer())
}

/// Who sent a transaction that [`impersonated`] made.
///
/// No real signature looks like it: one needs the secret of a nonce whose point has a given, small x coordinate.
pub(super) fn sender_of_impersonated(transaction: &TxEnvelope) -> Option<Address> {
    let signature = transaction.signature();
    let word = B256::from(signature.r());
    let is_address = word[..12].iter().all(|byte| *byte == 0);
    (signature.s() == U256::ONE && is_address).then(|| Address::from_word(word))
}

/// A transaction whose signature only names its sender, so that those of different senders have different hashes.
fn impersonated(sender: Address, transaction: TypedTransaction) -> Recovered<TxEnvelope> {
    let signature = Signature::new(U256::from_be_bytes(sender.into_word().0), U256::ONE, false);
    Recovered::new_unchecked(envelope(transaction, signature), sender)
}

fn envelope(transaction: TypedTransaction, signature: Signature) -> TxEnvelope {
    let signed: Signed<TypedTransaction> = transaction.into_signed(signature);
    TxEnvelope::from(signed)
}
