//! Our contracts as they were compiled, to know them again on a chain.

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A compiled contract.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Artifact {
    /// The name of the contract.
    pub(crate) contract_name: String,
    /// The code as it is deployed, with zeros where it holds its immutable values.
    deployed_bytecode: Bytes,
    /// Where the 32 bytes of each immutable value are, in bytes from the start.
    immutables: BTreeMap<String, Vec<usize>>,
}

static CHANNELS: LazyLock<Artifact> =
    LazyLock::new(|| Artifact::read(include_str!("../artifacts/RaidenMicroTransferChannels.json")));
static TOKEN: LazyLock<Artifact> =
    LazyLock::new(|| Artifact::read(include_str!("../artifacts/CustomToken.json")));

impl Artifact {
    /// The channel contract.
    pub(crate) fn channels() -> &'static Self {
        &CHANNELS
    }

    /// The development token.
    pub(crate) fn token() -> &'static Self {
        &TOKEN
    }

    fn read(artifact: &str) -> Self {
        serde_json::from_str(artifact).expect("the committed artifacts have code and immutables")
    }

    /// How many bytes of code it has.
    pub(crate) fn code_len(&self) -> usize {
        self.deployed_bytecode.len()
    }

    /// The code with immutable values filled in by name; those that are not named stay zero.
    pub(crate) fn code_with(&self, values: &[(&str, B256)]) -> Vec<u8> {
        let mut code = self.deployed_bytecode.to_vec();
        for (name, value) in values {
            for &start in self.immutables.get(*name).into_iter().flatten() {
                if let Some(place) = word_at(&mut code, start) {
                    place.copy_from_slice(value.as_slice());
                }
            }
        }
        code
    }

    /// Whether this is its code, whatever the immutable values are.
    pub(crate) fn is_code(&self, code: &[u8]) -> bool {
        let mut masked = code.to_vec();
        let immutables_agree = self.immutables.values().all(|places| {
            let values = places.iter().map(|&start| {
                let place = word_at(&mut masked, start)?;
                Some(std::mem::take(place))
            });
            let values: Option<Vec<_>> = values.collect();
            values.is_some_and(|values| values.windows(2).all(|pair| pair[0] == pair[1]))
        });
        immutables_agree && masked == self.deployed_bytecode
    }
}

fn word_at(code: &mut [u8], start: usize) -> Option<&mut [u8; 32]> {
    code.get_mut(start..)?.first_chunk_mut()
}

/// An address as an immutable value.
pub(crate) fn address_word(address: Address) -> B256 {
    address.into_word()
}

/// A number as an immutable value.
pub(crate) fn number_word(number: impl Into<U256>) -> B256 {
    number.into().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_is_known_by_all_its_code_but_the_immutable_values() {
        let values = [
            ("owner_address", address_word(Address::repeat_byte(1))),
            ("challenge_period", number_word(U256::from(500))),
            ("token", address_word(Address::repeat_byte(2))),
        ];
        let code = Artifact::channels().code_with(&values);
        assert!(Artifact::channels().is_code(&code));
        assert!(!Artifact::token().is_code(&code));
        assert_eq!(Artifact::channels().immutables.len(), values.len());
        for (name, places) in &Artifact::channels().immutables {
            let (_, value) = values.iter().find(|(known, _)| known == name).unwrap();
            for &start in places {
                assert_eq!(code[start..start + 32], *value.as_slice(), "{name}");
            }
            // One place with another value than the others is no code of ours.
            let mut bent = code.clone();
            bent[places[0] + 31] ^= 1;
            assert!(!Artifact::channels().is_code(&bent), "{name}");
        }
        for index in (0..code.len()).step_by(97) {
            let mut bent = code.clone();
            bent[index] ^= 1;
            assert!(!Artifact::channels().is_code(&bent), "byte {index}");
        }
        assert!(!Artifact::channels().is_code(&code[..code.len() - 1]));
        assert!(!Artifact::channels().is_code(&[&code[..], &[0]].concat()));
        assert!(!Artifact::channels().is_code(&[]));
    }
}
