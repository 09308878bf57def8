//! What signs: a private key in this process, or any signer of alloy's.

use alloy_primitives::{Address, B256};
use microraiden_protocol::{Balance, BalanceProof, ChannelId, ProofScheme, SecretKey, Signature};
use std::fmt;
use std::sync::Arc;

/// Signs hashes for one address: balance proofs and transactions. Clones share the key.
///
/// Both are signed as bare hashes, so a device that shows and signs only whole messages will not do.
#[derive(Clone)]
pub struct Signer(Kind);

#[derive(Clone)]
enum Kind {
    Key(SecretKey),
    Remote(Arc<dyn alloy_signer::Signer + Send + Sync>),
    Nobody(Address),
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The signer failed or refused.
    #[error("the signer of {address} did not sign")]
    Failed {
        /// Its address.
        address: Address,
        /// Why.
        source: alloy_signer::Error,
    },
    /// There is no key, only an address.
    #[error("there is no key of {0} here: it can be looked at, and nothing signed")]
    NoKey(Address),
    /// What it gave is not a signature by its own address.
    #[error("the signer of {0} gave a signature that is not its own: do not use it")]
    Wrong(Address),
}

impl Signer {
    /// Any signer of alloy's, such as one that asks a key management service.
    pub fn remote(signer: impl alloy_signer::Signer + Send + Sync + 'static) -> Self {
        Self(Kind::Remote(Arc::new(signer)))
    }

    /// Nobody: for those who only look at what an address has.
    pub fn watching(address: Address) -> Self {
        Self(Kind::Nobody(address))
    }

    /// Whose signatures they are.
    pub fn address(&self) -> Address {
        match &self.0 {
            Kind::Nobody(address) => *address,
            Kind::Key(key) => key.address(),
            Kind::Remote(signer) => signer.address(),
        }
    }

    /// Signs a hash, with low s.
    ///
    /// # Errors
    /// When a remote signer fails, or gives another's signature; or there is none. A key in this process never fails.
    pub async fn sign(&self, hash: B256) -> Result<Signature, SignerError> {
        let signer = match &self.0 {
            Kind::Key(key) => return Ok(key.sign(hash)),
            Kind::Nobody(address) => return Err(SignerError::NoKey(*address)),
            Kind::Remote(signer) => signer,
        };
        let address = signer.address();
        let failed = |source| SignerError::Failed { address, source };
        let signature = signer.sign_hash(&hash).await.map_err(failed)?;
        let signature = Signature::from_bytes(&signature.normalized_s().as_bytes());
        let is_its_own = |signature: &Signature| signature.recover(hash) == Ok(address);
        signature
            .ok()
            .filter(is_its_own)
            .ok_or(SignerError::Wrong(address))
    }

    /// Signs a balance proof of a channel whose sender this is.
    ///
    /// # Errors
    /// See [`Self::sign`].
    pub async fn sign_balance_proof(
        &self,
        scheme: &ProofScheme,
        channel: ChannelId,
        balance: Balance,
    ) -> Result<BalanceProof, SignerError> {
        let signature = self.sign(scheme.balance_proof_hash(&channel, balance)).await?;
        Ok(BalanceProof {
            channel,
            balance,
            signature,
        })
    }
}

impl From<SecretKey> for Signer {
    fn from(key: SecretKey) -> Self {
        Self(Kind::Key(key))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_signer::Result;

    /// A signer of alloy's whose signatures come from `key`, whatever its address.
    struct Remote {
        key: SecretKey,
        address: Address,
        high_s: bool,
    }

    #[async_trait::async_trait]
    impl alloy_signer::Signer for Remote {
        async fn sign_hash(&self, hash: &B256) -> Result<alloy_primitives::Signature> {
            let bytes = self.key.sign(*hash).to_bytes();
            let signature = alloy_primitives::Signature::from_bytes_and_parity(&bytes[..64], bytes[64] == 28);
            if !self.high_s {
                return Ok(signature);
            }
            let order = alloy_primitives::U256::from_be_bytes(alloy_primitives::hex!(
                "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
            ));
            Ok(alloy_primitives::Signature::new(
                signature.r(),
                order - signature.s(),
                !signature.v(),
            ))
        }

        fn address(&self) -> Address {
            self.address
        }

        fn chain_id(&self) -> Option<u64> {
            None
        }

        fn set_chain_id(&mut self, _: Option<u64>) {}
    }

    #[tokio::test]
    async fn a_remote_signer_is_taken_at_its_own_signature_only() {
        let key = SecretKey::from_bytes(&[0xa0; 32]).unwrap();
        let hash = B256::repeat_byte(7);
        for high_s in [false, true] {
            let remote = Remote {
                key: key.clone(),
                address: key.address(),
                high_s,
            };
            assert_eq!(Signer::remote(remote).sign(hash).await.unwrap(), key.sign(hash));
        }
        let other = Remote {
            key,
            address: Address::repeat_byte(1),
            high_s: false,
        };
        let error = Signer::remote(other).sign(hash).await.unwrap_err();
        assert!(matches!(error, SignerError::Wrong(_)), "{error}");
    }
}
