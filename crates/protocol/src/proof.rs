//! Balance proofs and closing signatures: what is signed, by whom, and how it is checked.

use crate::amount::Balance;
use crate::channel::ChannelId;
use crate::signature::{SecretKey, Signature, SignatureError};
use crate::typed_data::combine;
use alloy_primitives::{Address, B256, b256, keccak256};

/// How a channel contract has its proofs signed.
///
/// The only scheme so far is the one of the 0.2.0 contract. Its bytes hold no chain id: the same
/// contract address on two chains would accept the same proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofScheme {
    /// Draft typed data of 2018, over 98 (balance proof) or 94 (closing) packed bytes.
    DraftTypedData {
        /// The channel contract.
        contract: Address,
    },
}

/// `keccak` of `string message_id`, `address receiver`, `uint32 block_created`, `uint192 balance`,
/// `address contract`, concatenated.
const BALANCE_PROOF_SCHEMA: B256 =
    b256!("0x58609bfe78970060668532972d17b7dead82d88aa62966110094cd806a421d9c");
/// The same with `address sender` in the place of `address receiver`.
const CLOSING_SCHEMA: B256 = b256!("0x9d3122a6193f337abb0b13a1e6d57b164a6acb15d825b38a5bd2e66af512f09f");

impl ProofScheme {
    /// The hash that the sender signs to owe `balance` in total.
    pub fn balance_proof_hash(&self, channel: &ChannelId, balance: Balance) -> B256 {
        let Self::DraftTypedData { contract } = self;
        let values = packed::<98>(
            b"Sender balance proof signature",
            channel.receiver,
            channel,
            balance,
            *contract,
        );
        combine(BALANCE_PROOF_SCHEMA, keccak256(values))
    }

    /// The hash that the receiver signs to agree to a close at `balance`.
    pub fn closing_hash(&self, channel: &ChannelId, balance: Balance) -> B256 {
        let Self::DraftTypedData { contract } = self;
        let values = packed::<94>(
            b"Receiver closing signature",
            channel.sender,
            channel,
            balance,
            *contract,
        );
        combine(CLOSING_SCHEMA, keccak256(values))
    }

    /// Signs a balance proof; `key` is the sender's.
    pub fn sign_balance_proof(&self, key: &SecretKey, channel: ChannelId, balance: Balance) -> BalanceProof {
        let signature = key.sign(self.balance_proof_hash(&channel, balance));
        BalanceProof {
            channel,
            balance,
            signature,
        }
    }

    /// Signs a close at `balance`; `key` is the receiver's.
    ///
    /// A closing signature is an irrevocable promise: the receiver commits it to the ledger first.
    pub fn sign_closing(&self, key: &SecretKey, channel: &ChannelId, balance: Balance) -> Signature {
        key.sign(self.closing_hash(channel, balance))
    }

    /// Whether the channel's receiver has signed a close at `balance`.
    pub fn is_closing_signature(&self, signature: &Signature, channel: &ChannelId, balance: Balance) -> bool {
        signature.recover(self.closing_hash(channel, balance)) == Ok(channel.receiver)
    }
}

/// `message_id ‖ party(20) ‖ open_block(4) ‖ balance(24) ‖ contract(20)`.
fn packed<const N: usize>(
    message_id: &[u8],
    party: Address,
    channel: &ChannelId,
    balance: Balance,
    contract: Address,
) -> [u8; N] {
    let mut bytes = [0; N];
    let mut rest = &mut bytes[..];
    for part in [
        message_id,
        party.as_slice(),
        &channel.open_block.to_be_bytes(),
        &balance.to_be_bytes(),
        contract.as_slice(),
    ] {
        let (here, after) = rest.split_at_mut(part.len());
        here.copy_from_slice(part);
        rest = after;
    }
    assert!(rest.is_empty(), "the layout has {N} bytes");
    bytes
}

/// A claim that the sender owes `balance` in total on a channel; not checked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceProof {
    /// The channel that it pays on.
    pub channel: ChannelId,
    /// Everything owed so far, this payment included.
    pub balance: Balance,
    /// Said to be the sender's signature.
    pub signature: Signature,
}

/// Why a proof is not the sender's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Signed by somebody else, or over other values.
    #[error("the balance proof is not signed by the channel's sender")]
    WrongSigner,
    /// Not a signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl BalanceProof {
    /// Checks that the channel's sender has signed it; one recovery, about 45 µs.
    ///
    /// # Errors
    /// When somebody else, or nobody, has.
    pub fn verify(self, scheme: &ProofScheme) -> Result<VerifiedProof, ProofError> {
        let hash = scheme.balance_proof_hash(&self.channel, self.balance);
        if self.signature.recover(hash)? != self.channel.sender {
            return Err(ProofError::WrongSigner);
        }
        Ok(VerifiedProof(self))
    }
}

/// A balance proof that the channel's sender has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedProof(BalanceProof);

impl VerifiedProof {
    /// For a proof whose very bytes were verified before.
    pub(crate) const fn seen_before(proof: BalanceProof) -> Self {
        Self(proof)
    }

    /// The channel that it pays on.
    pub const fn channel(&self) -> &ChannelId {
        &self.0.channel
    }

    /// Everything owed so far.
    pub const fn balance(&self) -> Balance {
        self.0.balance
    }

    /// The sender's signature.
    pub const fn signature(&self) -> Signature {
        self.0.signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::BlockNumber;
    use crate::typed_data::{Packed, keccak_packed, typed_data_hash};
    use alloy_primitives::U256;
    use serde_json::Value;

    struct Vectors {
        json: Value,
        sender: SecretKey,
        receiver: SecretKey,
        scheme: ProofScheme,
        channel: ChannelId,
    }

    fn text(value: &Value) -> &str {
        value.as_str().unwrap()
    }

    fn vectors() -> Vectors {
        let json: Value = serde_json::from_str(include_str!("../../../tests/vectors/proofs.json")).unwrap();
        let sender: SecretKey = text(&json["sender_key"]).parse().unwrap();
        let receiver: SecretKey = text(&json["receiver_key"]).parse().unwrap();
        let contract = text(&json["contract"]).parse().unwrap();
        let open_block = u32::try_from(json["open_block"].as_u64().unwrap()).unwrap();
        let channel = ChannelId {
            sender: sender.address(),
            receiver: receiver.address(),
            open_block,
        };
        Vectors {
            sender,
            receiver,
            scheme: ProofScheme::DraftTypedData { contract },
            channel,
            json,
        }
    }

    #[test]
    fn addresses_and_channel_key_are_the_originals() {
        let v = vectors();
        assert_eq!(v.sender.address().to_checksum(None), text(&v.json["sender"]));
        assert_eq!(v.receiver.address().to_checksum(None), text(&v.json["receiver"]));
        assert_eq!(v.channel.key().to_string(), text(&v.json["channel_key"]));
        assert_eq!(v.channel.opened_at(), BlockNumber(4_804_175));
    }

    #[test]
    fn balance_proofs_are_the_originals() {
        let v = vectors();
        let proofs = v.json["balance_proofs"].as_array().unwrap();
        assert_eq!(proofs.len(), 2);
        for vector in proofs {
            let balance: Balance = text(&vector["balance"]).parse().unwrap();
            assert_eq!(
                v.scheme.balance_proof_hash(&v.channel, balance).to_string(),
                text(&vector["hash"])
            );
            let proof = v.scheme.sign_balance_proof(&v.sender, v.channel, balance);
            assert_eq!(proof.signature.to_string(), text(&vector["signature"]));
            assert!(proof.verify(&v.scheme).is_ok());
        }
    }

    #[test]
    fn closing_signatures_are_the_originals() {
        let v = vectors();
        for vector in v.json["closing_signatures"].as_array().unwrap() {
            let balance: Balance = text(&vector["balance"]).parse().unwrap();
            assert_eq!(
                v.scheme.closing_hash(&v.channel, balance).to_string(),
                text(&vector["hash"])
            );
            let signature = v.scheme.sign_closing(&v.receiver, &v.channel, balance);
            assert_eq!(signature.to_string(), text(&vector["signature"]));
            assert!(v.scheme.is_closing_signature(&signature, &v.channel, balance));
            assert!(
                !v.scheme
                    .is_closing_signature(&signature, &v.channel, Balance::ZERO)
            );
        }
    }

    #[test]
    fn schemas_and_layout_agree_with_the_general_hash() {
        let v = vectors();
        assert_eq!(
            BALANCE_PROOF_SCHEMA.to_string(),
            text(&v.json["schema_hashes"]["balance_proof"])
        );
        assert_eq!(
            CLOSING_SCHEMA.to_string(),
            text(&v.json["schema_hashes"]["closing"])
        );
        let ProofScheme::DraftTypedData { contract } = v.scheme;
        let entries = |id, name, party| {
            [
                ("string message_id", Packed::Text(id)),
                (name, Packed::Address(party)),
                (
                    "uint32 block_created",
                    Packed::Uint {
                        value: U256::from(v.channel.open_block),
                        bits: 32,
                    },
                ),
                (
                    "uint192 balance",
                    Packed::Uint {
                        value: U256::from(7),
                        bits: 192,
                    },
                ),
                ("address contract", Packed::Address(contract)),
            ]
        };
        let proof = entries(
            "Sender balance proof signature",
            "address receiver",
            v.channel.receiver,
        );
        let closing = entries("Receiver closing signature", "address sender", v.channel.sender);
        assert_eq!(
            v.scheme.balance_proof_hash(&v.channel, 7.into()),
            typed_data_hash(&proof)
        );
        assert_eq!(
            v.scheme.closing_hash(&v.channel, 7.into()),
            typed_data_hash(&closing)
        );
        assert_eq!(
            keccak_packed(&proof.map(|(name, _)| Packed::Text(name))),
            BALANCE_PROOF_SCHEMA
        );
    }

    #[test]
    fn a_proof_over_other_values_is_not_the_senders() {
        let v = vectors();
        let proof = v.scheme.sign_balance_proof(&v.sender, v.channel, 7.into());
        let other_contract = ProofScheme::DraftTypedData {
            contract: v.channel.sender,
        };
        let elsewhere = ChannelId {
            open_block: 1,
            ..v.channel
        };
        let stranger = ChannelId {
            sender: v.receiver.address(),
            ..v.channel
        };
        assert_eq!(
            BalanceProof {
                balance: 8.into(),
                ..proof
            }
            .verify(&v.scheme),
            Err(ProofError::WrongSigner)
        );
        assert_eq!(
            BalanceProof {
                channel: elsewhere,
                ..proof
            }
            .verify(&v.scheme),
            Err(ProofError::WrongSigner)
        );
        assert_eq!(
            BalanceProof {
                channel: stranger,
                ..proof
            }
            .verify(&v.scheme),
            Err(ProofError::WrongSigner)
        );
        assert_eq!(proof.verify(&other_contract), Err(ProofError::WrongSigner));
    }
}
