//! Transactions as they are signed.

use crate::fees::Fees;
use crate::signer::{Signer, SignerError};
use alloy_consensus::{SignableTransaction, Signed, TxEip1559, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Bytes, Signature, TxKind, U256};

/// Everything of a transaction but its fees.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) chain_id: u64,
    pub(crate) nonce: u64,
    pub(crate) to: TxKind,
    pub(crate) data: Bytes,
    pub(crate) value: U256,
    pub(crate) gas: u64,
}

/// A transaction as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct SignedTransaction {
    pub(crate) hash: B256,
    pub(crate) encoded: Bytes,
}

impl Draft {
    /// Signs with these fees; the same draft, fees and key of this process give the same bytes.
    pub(crate) async fn sign(&self, fees: Fees, signer: &Signer) -> Result<SignedTransaction, SignerError> {
        let Self {
            chain_id,
            nonce,
            to,
            value,
            gas: gas_limit,
            ..
        } = *self;
        let input = self.data.clone();
        match fees {
            Fees::Eip1559 { max_fee, tip } => {
                let transaction = TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: max_fee,
                    max_priority_fee_per_gas: tip,
                    to,
                    value,
                    access_list: Default::default(),
                    input,
                };
                finish(transaction, signer).await
            }
            Fees::Legacy { price } => {
                let transaction = TxLegacy {
                    chain_id: Some(chain_id),
                    nonce,
                    gas_price: price,
                    gas_limit,
                    to,
                    value,
                    input,
                };
                finish(transaction, signer).await
            }
        }
    }
}

async fn finish<T>(transaction: T, signer: &Signer) -> Result<SignedTransaction, SignerError>
where
    T: SignableTransaction<Signature>,
    Signed<T>: Encodable2718,
{
    let signature = signer.sign(transaction.signature_hash()).await?.to_bytes();
    let signature = Signature::from_bytes_and_parity(&signature[..64], signature[64] == 28);
    let signed = transaction.into_signed(signature);
    Ok(SignedTransaction {
        hash: signed.trie_hash(),
        encoded: signed.encoded_2718().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::TxEnvelope;
    use alloy_consensus::transaction::{SignerRecoverable, Transaction};
    use alloy_eips::eip2718::Decodable2718;
    use alloy_primitives::{Address, hex};
    use microraiden_protocol::SecretKey;

    /// The transaction of EIP-155's own example.
    fn example(chain_id: u64) -> Draft {
        Draft {
            chain_id,
            nonce: 9,
            to: TxKind::Call(Address::repeat_byte(0x35)),
            data: Bytes::new(),
            value: U256::from(10).pow(U256::from(18)),
            gas: 21000,
        }
    }

    const PRICE: Fees = Fees::Legacy {
        price: 20_000_000_000,
    };

    fn key() -> SecretKey {
        SecretKey::from_bytes(&[0x46; 32]).unwrap()
    }

    #[tokio::test]
    async fn a_legacy_transaction_is_signed_as_in_eip_155() {
        let expected = hex!(
            "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080"
            "25a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276"
            "a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
        );
        let signed = example(1).sign(PRICE, &key().into()).await.unwrap();
        assert_eq!(signed.encoded, Bytes::from(expected));
    }

    #[tokio::test]
    async fn every_chain_id_recovers_the_signer() {
        for chain_id in [1, 110, 111, 1337, 1 << 40] {
            for fees in [PRICE, Fees::Eip1559 { max_fee: 30, tip: 2 }] {
                let signed = example(chain_id).sign(fees, &key().into()).await.unwrap();
                let read = TxEnvelope::decode_2718(&mut signed.encoded.as_ref()).unwrap();
                assert_eq!(read.chain_id(), Some(chain_id));
                assert_eq!(
                    read.recover_signer().unwrap(),
                    key().address(),
                    "{chain_id} {fees:?}"
                );
                assert_eq!(*read.tx_hash(), signed.hash);
            }
        }
    }
}
