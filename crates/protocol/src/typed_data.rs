//! The draft typed-data hash of 2018 (`eth_signTypedData` version 1) over packed values.
//!
//! `keccak(keccak(schema) ‖ keccak(values))`, where schema is the concatenation of every entry's
//! `"type name"` and values the concatenation of the values as Solidity packs them.
//! Source: the contract's `extractBalanceProofSignature`. It is not final EIP-712: no prefix, no
//! domain separator.

use alloy_primitives::{Address, B256, Keccak256, U256, keccak256};

/// A value as Solidity's packed encoding knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packed<'a> {
    /// UTF-8 bytes as they are.
    Text(&'a str),
    /// Bytes as they are.
    Bytes(&'a [u8]),
    /// 20 bytes.
    Address(Address),
    /// The lowest `bits` (a multiple of 8, at most 256), big-endian; higher bits must be zero.
    Uint {
        /// The number.
        value: U256,
        /// Its Solidity width.
        bits: usize,
    },
    /// One byte, 0 or 1.
    Bool(bool),
}

impl Packed<'_> {
    fn write(&self, hasher: &mut Keccak256) {
        match *self {
            Self::Text(text) => hasher.update(text),
            Self::Bytes(bytes) => hasher.update(bytes),
            Self::Address(address) => hasher.update(address),
            Self::Uint { value, bits } => {
                assert!(
                    bits % 8 == 0 && bits <= 256 && value.bit_len() <= bits,
                    "uint{bits}"
                );
                hasher.update(&value.to_be_bytes::<32>()[32 - bits / 8..]);
            }
            Self::Bool(value) => hasher.update([u8::from(value)]),
        }
    }
}

/// Hashes packed values: Solidity's `keccak256(abi.encodePacked(...))`.
///
/// # Panics
/// When a [`Packed::Uint`] does not fit its width, or the width is not Solidity's.
pub fn keccak_packed(values: &[Packed<'_>]) -> B256 {
    let mut hasher = Keccak256::new();
    values.iter().for_each(|value| value.write(&mut hasher));
    hasher.finalize()
}

/// Hashes entries of `("type name", value)` by the draft's double hash.
///
/// # Panics
/// As [`keccak_packed`].
pub fn typed_data_hash(entries: &[(&str, Packed<'_>)]) -> B256 {
    let mut schema = Keccak256::new();
    let mut values = Keccak256::new();
    for (name, value) in entries {
        schema.update(name);
        value.write(&mut values);
    }
    combine(schema.finalize(), values.finalize())
}

/// The outer hash of the draft, over the hashes of schema and values.
pub(crate) fn combine(schema: B256, values: B256) -> B256 {
    let mut both = [0; 64];
    both[..32].copy_from_slice(schema.as_slice());
    both[32..].copy_from_slice(values.as_slice());
    keccak256(both)
}

/// The hash that `personal_sign` signs (EIP-191, version `E`): prefix, length in bytes, message.
pub fn personal_message_hash(message: &[u8]) -> B256 {
    alloy_primitives::eip191_hash_message(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{SecretKey, Signature};
    use alloy_primitives::address;

    /// A signature that a browser wallet made in 2018 over a schema of its own.
    #[test]
    fn recovers_a_foreign_wallets_signature() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors/proofs.json")).unwrap();
        let vector = &vectors["foreign_wallet_vector"];
        let signer: Address = vector["recovers"].as_str().unwrap().parse().unwrap();
        let uint = |value: u64, bits| Packed::Uint {
            value: U256::from(value),
            bits,
        };
        let hash = typed_data_hash(&[
            ("address Address", Packed::Address(signer)),
            ("uint32 Value", uint(1000, 32)),
            ("uint192 Value2", uint(2000, 192)),
        ]);
        let signature: Signature = vector["signature"].as_str().unwrap().parse().unwrap();
        assert_eq!(signature.recover(hash), Ok(signer));
    }

    #[test]
    fn packs_as_solidity_does() {
        let all = [
            Packed::Text("ab"),
            Packed::Bytes(&[0xff]),
            Packed::Address(address!("0x8Bf640A099fE945DA46F354d3B49c48a125F48B6")),
            Packed::Uint {
                value: U256::from(258),
                bits: 24,
            },
            Packed::Bool(true),
        ];
        let mut bytes = b"ab\xff".to_vec();
        bytes.extend(address!("0x8Bf640A099fE945DA46F354d3B49c48a125F48B6"));
        bytes.extend([0, 1, 2, 1]);
        assert_eq!(keccak_packed(&all), keccak256(bytes));
    }

    #[test]
    #[should_panic(expected = "uint8")]
    fn a_number_wider_than_its_type_is_a_bug() {
        keccak_packed(&[Packed::Uint {
            value: U256::from(256),
            bits: 8,
        }]);
    }

    #[test]
    fn personal_messages_recover() {
        let key = SecretKey::from_bytes(&[7; 32]).unwrap();
        // Two characters, three bytes: the length counts bytes.
        let hash = personal_message_hash("a§".as_bytes());
        assert_eq!(hash, keccak256("\x19Ethereum Signed Message:\n3a§"));
        assert_eq!(key.sign(hash).recover(hash), Ok(key.address()));
    }
}
