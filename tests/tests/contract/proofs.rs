//! Signatures as somebody presents them: honest ones, and changed in every way that comes to mind.

use crate::evm::{Channels, Evm, Refused};
use alloy_primitives::{Address, Bytes, U256, uint};
use microraiden_protocol::{
    Balance, BalanceProof, ChannelId, ProofScheme, SecretKey, Signature, VerifiedProof,
};
use proptest::prelude::RngExt;
use proptest::test_runner::TestRng;

/// The order of secp256k1.
const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);
const HALF_ORDER: U256 = uint!(0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0_U256);

/// Which of the two signatures of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The sender's, for what it owes.
    BalanceProof,
    /// The receiver's, for a close.
    Closing,
}

impl Kind {
    fn sign(self, scheme: &ProofScheme, key: &SecretKey, channel: &ChannelId, balance: Balance) -> Signature {
        match self {
            Self::BalanceProof => scheme.sign_balance_proof(key, *channel, balance).signature,
            Self::Closing => scheme.sign_closing(key, channel, balance),
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::BalanceProof => Self::Closing,
            Self::Closing => Self::BalanceProof,
        }
    }
}

/// What was done to a signature, or to what it was made over, before it is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    Nothing,
    /// v written as 0 or 1.
    ShortV,
    AnyV,
    /// Any one byte of the channel's name, the balance or the signature.
    OneByte,
    /// The second form of the same signature: s negated, v turned.
    Twin,
    /// s negated, v kept.
    HighS,
    Length,
    OtherSigner,
    OtherContract,
    OtherReceiver,
    OtherBlock,
    OtherBalance,
    /// The parties' addresses swapped.
    OtherOrder,
    /// A closing signature in the place of a balance proof, or the other way round.
    OtherKind,
    /// r and s at the edges of their ranges, or at random.
    Noise,
}

impl Change {
    pub(crate) const ALL: [Self; 15] = [
        Self::Nothing,
        Self::ShortV,
        Self::AnyV,
        Self::OneByte,
        Self::Twin,
        Self::HighS,
        Self::Length,
        Self::OtherSigner,
        Self::OtherContract,
        Self::OtherReceiver,
        Self::OtherBlock,
        Self::OtherBalance,
        Self::OtherOrder,
        Self::OtherKind,
        Self::Noise,
    ];
}

/// What arrives: a channel, a balance, and bytes that are said to be a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Presented {
    pub(crate) kind: Kind,
    pub(crate) channel: ChannelId,
    pub(crate) balance: Balance,
    pub(crate) signature: Vec<u8>,
}

/// Makes the signature of `key`, changed.
pub(crate) fn present(
    rng: &mut TestRng,
    scheme: &ProofScheme,
    key: &SecretKey,
    (kind, channel, balance): (Kind, ChannelId, Balance),
    change: Change,
) -> Presented {
    let sign = |channel: &ChannelId, balance| kind.sign(scheme, key, channel, balance).to_bytes();
    let stranger = || SecretKey::from_bytes(&[0x5a; 32]).unwrap();
    let mut presented = Presented {
        kind,
        channel,
        balance,
        signature: Vec::new(),
    };
    let signature = match change {
        Change::OtherSigner => kind.sign(scheme, &stranger(), &channel, balance).to_bytes(),
        Change::OtherContract => {
            let contract = Address::from(rng.random::<[u8; 20]>());
            let elsewhere = ProofScheme::DraftTypedData { contract };
            kind.sign(&elsewhere, key, &channel, balance).to_bytes()
        }
        Change::OtherReceiver => {
            let party = Address::from(rng.random::<[u8; 20]>());
            let (sender, receiver) = match kind {
                Kind::BalanceProof => (channel.sender, party),
                Kind::Closing => (party, channel.receiver),
            };
            sign(
                &ChannelId {
                    sender,
                    receiver,
                    ..channel
                },
                balance,
            )
        }
        Change::OtherBlock => {
            let open_block = channel.open_block ^ (1 << rng.random_range(0..32));
            sign(
                &ChannelId {
                    open_block,
                    ..channel
                },
                balance,
            )
        }
        Change::OtherBalance => {
            let other =
                balance.base_units() ^ (alloy_primitives::aliases::U192::ONE << rng.random_range(0..192));
            sign(&channel, Balance::new(other))
        }
        Change::OtherOrder => {
            let (sender, receiver) = (channel.receiver, channel.sender);
            sign(
                &ChannelId {
                    sender,
                    receiver,
                    ..channel
                },
                balance,
            )
        }
        Change::OtherKind => kind.other().sign(scheme, key, &channel, balance).to_bytes(),
        Change::Noise => noise(rng),
        _ => sign(&channel, balance),
    };
    presented.signature = signature.to_vec();
    deform(rng, &mut presented, change);
    presented
}

/// Changes what was signed already.
fn deform(rng: &mut TestRng, presented: &mut Presented, change: Change) {
    let signature = &mut presented.signature;
    match change {
        Change::ShortV => signature[64] -= 27,
        Change::AnyV => {
            let written = [0, 1, 2, 3, 26, 27, 28, 29, 30, 31, 32, 35, 36, 37, rng.random()];
            signature[64] = written[rng.random_range(0..written.len())];
        }
        Change::Twin => {
            negate_s(signature);
            signature[64] = 27 + 28 - signature[64];
        }
        Change::HighS => negate_s(signature),
        Change::Length => {
            let length = [0, 1, 32, 63, 64, 66, 130, rng.random_range(0..65)][rng.random_range(0..8)];
            signature.resize(length, rng.random());
        }
        Change::OneByte => flip_a_byte(rng, presented),
        _ => {}
    }
}

/// (r, n − s): the other signature that anybody can compute from one.
pub(crate) fn negate_s(signature: &mut [u8]) {
    let s = U256::from_be_slice(&signature[32..64]);
    signature[32..64].copy_from_slice(&ORDER.wrapping_sub(s).to_be_bytes::<32>());
}

fn noise(rng: &mut TestRng) -> [u8; 65] {
    let one = U256::ONE;
    let mut scalar = || {
        let edges = [
            U256::ZERO,
            one,
            HALF_ORDER,
            HALF_ORDER + one,
            ORDER - one,
            ORDER,
            ORDER + one,
            U256::MAX,
        ];
        match rng.random_range(0..12) {
            edge @ 0..8 => edges[edge],
            8 | 9 => U256::from_be_bytes(rng.random::<[u8; 32]>()) & HALF_ORDER,
            _ => U256::from_be_bytes(rng.random::<[u8; 32]>()),
        }
    };
    let (r, s) = (scalar(), scalar());
    let mut signature = [0; 65];
    signature[..32].copy_from_slice(&r.to_be_bytes::<32>());
    signature[32..64].copy_from_slice(&s.to_be_bytes::<32>());
    signature[64] = [0, 1, 27, 28][rng.random_range(0..4)];
    signature
}

/// Changes one byte, any of the 133 that are presented.
fn flip_a_byte(rng: &mut TestRng, presented: &mut Presented) {
    let channel = &mut presented.channel;
    let mut open_block = channel.open_block.to_be_bytes();
    let mut balance = presented.balance.to_be_bytes();
    let parts: [&mut [u8]; 5] = [
        &mut channel.sender.0[..],
        &mut channel.receiver.0[..],
        &mut open_block,
        &mut balance,
        &mut presented.signature,
    ];
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let at = rng.random_range(0..length);
    let byte = parts.into_iter().flatten().nth(at).unwrap();
    *byte ^= rng.random_range(1..=255u8);
    channel.open_block = u32::from_be_bytes(open_block);
    presented.balance = Balance::from_be_bytes(balance);
}

impl Presented {
    /// The balance proof that Rust makes of it, if it is the sender's.
    pub(crate) fn verify(&self, scheme: &ProofScheme) -> Option<VerifiedProof> {
        let proof = BalanceProof {
            channel: self.channel,
            balance: self.balance,
            signature: Signature::from_bytes(&self.signature).ok()?,
        };
        proof.verify(scheme).ok()
    }

    /// Whether Rust takes it for the closing signature of the receiver.
    pub(crate) fn is_closing(&self, scheme: &ProofScheme) -> bool {
        Signature::from_bytes(&self.signature)
            .is_ok_and(|signature| scheme.is_closing_signature(&signature, &self.channel, self.balance))
    }

    /// Whose signature it is, says the contract.
    pub(crate) fn extract(&self, evm: &mut Evm) -> Result<Address, Refused> {
        let signature = Bytes::copy_from_slice(&self.signature);
        match self.kind {
            Kind::BalanceProof => evm.read(&Channels::extractBalanceProofSignatureCall {
                _receiver_address: self.channel.receiver,
                _open_block_number: self.channel.open_block,
                _balance: self.balance.base_units(),
                _balance_msg_sig: signature,
            }),
            Kind::Closing => evm.read(&Channels::extractClosingSignatureCall {
                _sender_address: self.channel.sender,
                _open_block_number: self.channel.open_block,
                _balance: self.balance.base_units(),
                _closing_sig: signature,
            }),
        }
    }

    /// Who should have signed it.
    pub(crate) const fn signer(&self) -> Address {
        match self.kind {
            Kind::BalanceProof => self.channel.sender,
            Kind::Closing => self.channel.receiver,
        }
    }
}
