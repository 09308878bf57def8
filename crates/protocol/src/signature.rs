//! Keys, signatures and recovery by libsecp256k1.
//!
//! A [`Signature`] is always one that our contract accepts in form: 65 bytes `r ‖ s ‖ v`, v 27 or
//! 28, low s. What a signature in another form would recover to is of no interest to anybody.

use alloy_primitives::{Address, B256, hex, keccak256};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, PublicKey};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroize;

/// Why bytes are not a signature, or not one of anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not hexadecimal.
    #[error("a signature is written as 0x and 130 hexadecimal digits")]
    NotHex,
    /// Not 65 bytes.
    #[error("a signature has 65 bytes, not {0}")]
    Length(usize),
    /// The last byte is none of 0, 1, 27, 28.
    #[error("the last byte of a signature is 0, 1, 27 or 28, not {0}")]
    RecoveryId(u8),
    /// s is in the upper half of the curve's order: the contract refuses it.
    #[error("the s of a signature must be in the lower half of the curve's order")]
    HighS,
    /// No public key has made this signature.
    #[error("no key has made this signature")]
    Unrecoverable,
}

/// A recoverable secp256k1 signature in its one accepted form, `r ‖ s ‖ v` with v 27 or 28.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; 65]);

/// Half of the order of secp256k1, the largest s that the contract accepts (EIP-2).
const HALF_ORDER: [u8; 32] = hex!("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0");

impl Signature {
    /// Reads `r ‖ s ‖ v`, v one of 0, 1, 27, 28, and writes v as 27 or 28.
    ///
    /// # Errors
    /// For another length or v, and for a high s.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        let mut bytes: [u8; 65] = bytes
            .try_into()
            .map_err(|_| SignatureError::Length(bytes.len()))?;
        bytes[64] = match bytes[64] {
            v @ (27 | 28) => v,
            v @ (0 | 1) => v + 27,
            v => return Err(SignatureError::RecoveryId(v)),
        };
        if bytes[32..64] > HALF_ORDER[..] {
            return Err(SignatureError::HighS);
        }
        Ok(Self(bytes))
    }

    /// The 65 bytes, v 27 or 28.
    pub const fn to_bytes(self) -> [u8; 65] {
        self.0
    }

    /// Recovers the address whose key signed `hash`.
    ///
    /// # Errors
    /// When no key can have made this signature.
    pub fn recover(&self, hash: B256) -> Result<Address, SignatureError> {
        let unrecoverable = |_| SignatureError::Unrecoverable;
        let id = RecoveryId::try_from(i32::from(self.0[64]) - 27).map_err(unrecoverable)?;
        let signature = RecoverableSignature::from_compact(&self.0[..64], id).map_err(unrecoverable)?;
        let key = signature
            .recover(Message::from_digest(hash.0))
            .map_err(unrecoverable)?;
        Ok(address_of(&key))
    }
}

impl FromStr for Signature {
    type Err = SignatureError;
    /// Reads hexadecimal digits of either case, with or without `0x`.
    fn from_str(text: &str) -> Result<Self, SignatureError> {
        // Longer text is refused before it is decoded.
        if text.len() > 132 {
            return Err(SignatureError::Length(text.len() / 2));
        }
        let bytes = hex::decode(text).map_err(|_| SignatureError::NotHex)?;
        Self::from_bytes(&bytes)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_prefixed(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

/// Why bytes are not a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a private key is 32 bytes, not zero and below the curve's order")]
pub struct SecretKeyError;

/// A private key. It prints as `***`, and its bytes are wiped when it is dropped.
#[derive(Clone)]
pub struct SecretKey {
    bytes: [u8; 32],
    /// Derived once, which takes as long as checking a signature.
    address: Address,
}

impl SecretKey {
    /// Takes 32 bytes.
    ///
    /// # Errors
    /// For another length, zero, or a number that is not below the curve's order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SecretKeyError> {
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| SecretKeyError)?;
        let key = secp256k1::SecretKey::from_secret_bytes(bytes).map_err(|_| SecretKeyError)?;
        let address = address_of(&key.public_key());
        Ok(Self { bytes, address })
    }

    /// The key's bytes; whoever takes them keeps them secret.
    pub const fn expose_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The address of this key.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Signs a hash, deterministically (RFC 6979), with low s.
    pub fn sign(&self, hash: B256) -> Signature {
        let signature =
            RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(hash.0), &self.inner());
        let (id, compact) = signature.serialize_compact();
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&compact);
        bytes[64] = 27 + id.to_u8();
        Signature(bytes)
    }

    fn inner(&self) -> secp256k1::SecretKey {
        secp256k1::SecretKey::from_secret_bytes(self.bytes).expect("checked when it was made")
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl FromStr for SecretKey {
    type Err = SecretKeyError;
    /// Reads 64 hexadecimal digits, with or without `0x`.
    fn from_str(text: &str) -> Result<Self, SecretKeyError> {
        let mut bytes = hex::decode(text).map_err(|_| SecretKeyError)?;
        let key = Self::from_bytes(&bytes);
        bytes.zeroize();
        key
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn address_of(key: &PublicKey) -> Address {
    Address::from_slice(&keccak256(&key.serialize_uncompressed()[1..])[12..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (SecretKey, B256, Signature) {
        let key = SecretKey::from_bytes(&[0xa0; 32]).unwrap();
        let hash = keccak256("hash");
        let signature = key.sign(hash);
        (key, hash, signature)
    }

    #[test]
    fn each_accepted_v_is_written_as_27_or_28() {
        let (key, hash, signature) = signed();
        for v in 0..=255u8 {
            let mut bytes = signature.to_bytes();
            bytes[64] = v;
            match Signature::from_bytes(&bytes) {
                Ok(read) => {
                    assert!(matches!(v, 0 | 1 | 27 | 28), "{v}");
                    assert!(matches!(read.to_bytes()[64], 27 | 28));
                    let same = read == signature;
                    assert_eq!(read.recover(hash) == Ok(key.address()), same, "{v}");
                }
                Err(error) => {
                    assert_eq!(error, SignatureError::RecoveryId(v));
                    assert!(!matches!(v, 0 | 1 | 27 | 28), "{v}");
                }
            }
        }
    }

    #[test]
    fn the_other_half_of_s_is_refused() {
        let (_, _, signature) = signed();
        let mut bytes = signature.to_bytes();
        // n - s with the other v is the same signature to ecrecover.
        let order = alloy_primitives::U256::from_be_bytes(hex!(
            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
        ));
        let s = alloy_primitives::U256::from_be_slice(&bytes[32..64]);
        bytes[32..64].copy_from_slice(&(order - s).to_be_bytes::<32>());
        bytes[64] = 27 + 28 - bytes[64];
        assert_eq!(Signature::from_bytes(&bytes), Err(SignatureError::HighS));
        bytes[32..64].copy_from_slice(&HALF_ORDER);
        assert!(Signature::from_bytes(&bytes).is_ok());
    }

    #[test]
    fn shapes_that_are_no_signature() {
        let (_, hash, signature) = signed();
        let text = signature.to_string();
        assert_eq!(text.parse(), Ok(signature));
        assert_eq!(text[2..].to_uppercase().parse(), Ok(signature));
        for (text, error) in [
            ("", SignatureError::Length(0)),
            ("0x", SignatureError::Length(0)),
            ("0x1", SignatureError::NotHex),
            ("0xzz", SignatureError::NotHex),
            (&text[..130], SignatureError::Length(64)),
            (&format!("{text}00"), SignatureError::Length(67)),
        ] {
            assert_eq!(text.parse::<Signature>(), Err(error), "{text}");
        }
        let nobody = Signature::from_bytes(&[&[0; 64][..], &[27]].concat()).unwrap();
        assert_eq!(nobody.recover(hash), Err(SignatureError::Unrecoverable));
        let nobody = Signature::from_bytes(&[&[0xff; 32][..], &[1; 32], &[27]].concat()).unwrap();
        assert_eq!(nobody.recover(hash), Err(SignatureError::Unrecoverable));
    }

    #[test]
    fn a_key_never_prints() {
        let (key, _, _) = signed();
        assert_eq!(format!("{key:?}"), "***");
        for bad in [&[0; 32][..], &[0xff; 32], &[1; 31], &[1; 33]] {
            assert!(SecretKey::from_bytes(bad).is_err());
        }
        assert_eq!(
            format!("0x{}", "a0".repeat(32))
                .parse::<SecretKey>()
                .unwrap()
                .address(),
            key.address()
        );
    }
}
