//! Transactions of the scripted chain.

use alloy_consensus::TxEnvelope;
use alloy_consensus::transaction::{SignerRecoverable, Transaction as _};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, keccak256};

/// What is used of a transaction. None sends ether.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) hash: B256,
    pub(crate) from: Address,
    pub(crate) nonce: u64,
    pub(crate) to: Address,
    pub(crate) input: Bytes,
    pub(crate) gas_limit: u64,
    pub(crate) max_fee: u128,
    pub(crate) tip: u128,
}

impl Transaction {
    /// Decodes what a wallet has signed, and recovers who it was.
    pub(crate) fn decode(raw: &[u8], chain_id: u64) -> Result<Self, String> {
        let envelope = TxEnvelope::decode_2718(&mut &raw[..]).map_err(|error| error.to_string())?;
        if envelope.chain_id() != Some(chain_id) {
            return Err("invalid chain id for signer".to_owned());
        }
        Ok(Self {
            hash: *envelope.tx_hash(),
            from: envelope.recover_signer().map_err(|error| error.to_string())?,
            nonce: envelope.nonce(),
            to: envelope.to().ok_or("nobody creates contracts here")?,
            input: envelope.input().clone(),
            gas_limit: envelope.gas_limit(),
            max_fee: envelope.max_fee_per_gas(),
            tip: envelope.max_priority_fee_per_gas().unwrap_or_default(),
        })
    }

    /// One whose signature nobody looks at: senders are not under test.
    pub(crate) fn unsigned(from: Address, nonce: u64, to: Address, input: Vec<u8>, max_fee: u128) -> Self {
        let name = [from.as_slice(), &nonce.to_be_bytes(), to.as_slice(), &input].concat();
        Self {
            hash: keccak256(name),
            from,
            nonce,
            to,
            input: input.into(),
            gas_limit: 1_000_000,
            max_fee,
            tip: 1,
        }
    }
}
