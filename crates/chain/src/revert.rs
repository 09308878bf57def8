//! Why a call or transaction reverted, in words.

use crate::bindings::{CustomToken, RaidenMicroTransferChannels};
use alloy_primitives::{Address, Bytes, Selector, U256};
use alloy_sol_types::private::alloy_json_abi::{Error, Param};
use alloy_sol_types::{Panic, Revert as Text, SolError};
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

/// How deep an error may hold the error of another contract.
const MAX_DEPTH: u8 = 3;

/// Why a contract reverted.
///
/// It prints as the contract's own error, such as `BalanceAboveDeposit(balance: 5, deposit: 3)`, as the text of a
/// `require`, or as what the node says if the contract gave no reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revert {
    name: Option<String>,
    text: String,
}

impl Revert {
    /// The name of the custom error, such as `ChannelNotFound`, when it is one of our contracts.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Reads what was returned; `node_says` stands in for a reason.
    pub(crate) fn new(data: &Bytes, node_says: &str) -> Self {
        let name = KNOWN
            .get(data.get(..4).unwrap_or_default())
            .map(|error| error.name.clone());
        let text = match describe(data, 0) {
            Some(text) => text,
            None if data.is_empty() => node_says.to_owned(),
            None => format!("{node_says} with {data}"),
        };
        Self { name, text }
    }

    /// Without anything returned.
    pub(crate) fn without_data(reason: &str) -> Self {
        Self::new(&Bytes::new(), reason)
    }
}

impl fmt::Display for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

static KNOWN: LazyLock<HashMap<Selector, Error>> = LazyLock::new(|| {
    let channels = RaidenMicroTransferChannels::abi::errors().into_values();
    let token = CustomToken::abi::errors().into_values();
    channels
        .chain(token)
        .flatten()
        .map(|error| (error.selector(), error))
        .collect()
});

fn describe(data: &[u8], depth: u8) -> Option<String> {
    let (selector, values) = data.split_first_chunk::<4>()?;
    if let Ok(text) = Text::abi_decode(data) {
        return Some(text.reason);
    }
    if let Ok(panic) = Panic::abi_decode(data) {
        return Some(panic.to_string());
    }
    let error = KNOWN.get(selector)?;
    let values: Option<Vec<_>> = error
        .inputs
        .iter()
        .enumerate()
        .map(|(index, param)| Some(format!("{}: {}", param.name, value(param, values, index, depth)?)))
        .collect();
    match values?.join(", ") {
        values if values.is_empty() => Some(error.name.clone()),
        values => Some(format!("{}({values})", error.name)),
    }
}

fn value(param: &Param, values: &[u8], index: usize, depth: u8) -> Option<String> {
    let word = word(values, index.checked_mul(32)?)?;
    Some(match param.ty.as_str() {
        "address" => Address::from_word(word.into()).to_string(),
        "bytes" => {
            let offset = usize::try_from(word).ok()?;
            let length = usize::try_from(self::word(values, offset)?).ok()?;
            let start = offset.checked_add(32)?;
            let bytes = values.get(start..start.checked_add(length)?)?;
            let inner = (depth < MAX_DEPTH).then(|| describe(bytes, depth + 1)).flatten();
            inner.unwrap_or_else(|| Bytes::copy_from_slice(bytes).to_string())
        }
        _ => word.to_string(),
    })
}

fn word(values: &[u8], offset: usize) -> Option<U256> {
    let bytes = values.get(offset..offset.checked_add(32)?)?;
    Some(U256::from_be_slice(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use CustomToken::BalanceTooLow;
    use RaidenMicroTransferChannels::{BalanceAboveDeposit, ReentrantCall, TokenCallFailed};
    use alloy_primitives::aliases::U192;

    #[test]
    fn reasons_in_words() {
        let too_low = BalanceTooLow {
            owner: Address::ZERO,
            balance: U256::from(1),
            value: U256::from(2),
        };
        let above = BalanceAboveDeposit {
            balance: U192::from(5),
            deposit: U192::from(3),
        };
        let failed = TokenCallFailed {
            reason: too_low.abi_encode().into(),
        };
        let inner = "BalanceTooLow(owner: 0x0000000000000000000000000000000000000000, balance: 1, value: 2)";
        for (data, name, text) in [
            (
                above.abi_encode(),
                Some("BalanceAboveDeposit"),
                "BalanceAboveDeposit(balance: 5, deposit: 3)",
            ),
            (
                failed.abi_encode(),
                Some("TokenCallFailed"),
                &format!("TokenCallFailed(reason: {inner})"),
            ),
            (
                ReentrantCall {}.abi_encode(),
                Some("ReentrantCall"),
                "ReentrantCall",
            ),
            (Text::from("too late").abi_encode(), None, "too late"),
            (vec![], None, "node says"),
            (vec![1, 2, 3, 4], None, "node says with 0x01020304"),
            (above.abi_encode()[..40].to_vec(), Some("BalanceAboveDeposit"), ""),
        ] {
            let revert = Revert::new(&data.into(), "node says");
            assert_eq!(revert.name(), name);
            if !text.is_empty() {
                assert_eq!(revert.to_string(), text);
            }
        }
    }

    #[test]
    fn errors_within_errors_end_somewhere() {
        let mut data = vec![];
        for _ in 0..1000 {
            data = TokenCallFailed { reason: data.into() }.abi_encode();
        }
        let text = Revert::new(&data.into(), "").to_string();
        assert_eq!(
            text.matches("TokenCallFailed").count(),
            usize::from(MAX_DEPTH) + 1
        );
    }
}
