//! Which contracts are trusted with deposits.

use crate::error::ChannelError;
use microraiden_chain::Contract;
use microraiden_protocol::{Address, B256, hex};

/// A contract that deposits may go to, besides those with this project's own code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllowedContract {
    /// The chain that it is on.
    pub chain_id: u64,
    /// Where it is.
    pub contract: Address,
    /// The Keccak-256 hash that its code must have; any code when there is none.
    pub code_hash: Option<B256>,
}

/// The deployments of the original of 2018 that its authors have made known.
const ORIGINALS: [AllowedContract; 4] = [
    original(1, hex!("1440317CB15499083dEE3dDf49C2bD51D0d92e33")),
    original(3, hex!("74434527b8E6C8296506D61d0faF3D18c9e4649A")),
    original(4, hex!("bEc8fb898E6Da01152576d1A1ACdd2c957E56fb1")),
    original(42, hex!("eD94E711e9DE1FF1E7dd34C39F0d4338A6A6ef92")),
];

const fn original(chain_id: u64, contract: [u8; 20]) -> AllowedContract {
    AllowedContract {
        chain_id,
        contract: Address::new(contract),
        code_hash: None,
    }
}

/// Refuses a contract that is neither ours, nor a known original, nor on the list.
pub(crate) fn check(contract: &Contract, allowed: &[AllowedContract]) -> Result<(), ChannelError> {
    let (chain_id, code_hash) = (contract.node().chain_id(), contract.code_hash());
    let is_allowed = ORIGINALS.iter().chain(allowed).any(|entry| {
        entry.chain_id == chain_id
            && entry.contract == contract.address()
            && entry.code_hash.is_none_or(|hash| hash == code_hash)
    });
    if is_allowed || contract.is_ours() {
        return Ok(());
    }
    Err(ChannelError::UnknownContract {
        contract: contract.address(),
        chain_id,
        code_hash,
    })
}
