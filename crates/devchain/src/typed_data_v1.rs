//! The first version of `eth_signTypedData`, from before EIP-712 was settled.
//!
//! What is signed is a list of named and typed values: the hash of the packed hashes of all types with their names and of
//! all values, each packed as Solidity's `abi.encodePacked` does. Source: MetaMask's `eth-sig-util`,
//! `typedSignatureHash`.

use alloy_dyn_abi::{DynSolType, DynSolValue};
use alloy_primitives::{B256, keccak256};
use serde::Deserialize;
use serde_json::Value;

/// One of the values.
#[derive(Debug, Deserialize)]
pub(crate) struct Field {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    value: Value,
}

/// Values that cannot be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FieldError {
    #[error("there is nothing to sign")]
    Empty,
    #[error("{kind} is not a type of Solidity that has a value of its own")]
    Type { kind: String },
    #[error("the value of {name} is not a {kind}")]
    Value { name: String, kind: String },
}

/// The hash that is signed.
pub(crate) fn signing_hash(fields: &[Field]) -> Result<B256, FieldError> {
    if fields.is_empty() {
        return Err(FieldError::Empty);
    }
    let (mut schema, mut data) = (Vec::new(), Vec::new());
    for field in fields {
        schema.extend_from_slice(format!("{} {}", field.kind, field.name).as_bytes());
        data.extend(field.value()?.abi_encode_packed());
    }
    Ok(keccak256([keccak256(schema).0, keccak256(data).0].concat()))
}

impl Field {
    fn value(&self) -> Result<DynSolValue, FieldError> {
        let kind = DynSolType::parse(&self.kind)
            .ok()
            .filter(|kind| !matches!(kind, DynSolType::Tuple(_)))
            .ok_or_else(|| FieldError::Type {
                kind: self.kind.clone(),
            })?;
        let unfit = |_| FieldError::Value {
            name: self.name.clone(),
            kind: self.kind.clone(),
        };
        match &self.value {
            Value::String(text) => match kind {
                DynSolType::String => Ok(DynSolValue::String(text.clone())),
                // A text that is not hexadecimal stands for its bytes.
                DynSolType::Bytes if !text.starts_with("0x") => {
                    Ok(DynSolValue::Bytes(text.clone().into_bytes()))
                }
                _ => kind.coerce_str(text).map_err(unfit),
            },
            Value::Number(number) if kind != DynSolType::String => {
                kind.coerce_str(&number.to_string()).map_err(unfit)
            }
            Value::Bool(value) if kind == DynSolType::Bool => Ok(DynSolValue::Bool(*value)),
            other => kind.coerce_json(other).map_err(|_| FieldError::Value {
                name: self.name.clone(),
                kind: self.kind.clone(),
            }),
        }
    }
}
