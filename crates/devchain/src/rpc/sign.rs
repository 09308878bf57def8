//! The methods that sign for the node's accounts.

use alloy_dyn_abi::TypedData;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, eip191_hash_message};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer::SignerSync;
use jsonrpsee::types::params::ParamsSequence;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    Answer, Methods, Node,
    error::{invalid, refused},
    format,
};
use crate::{chain::At, typed_data_v1};

pub(super) fn register(methods: &mut Methods) {
    methods.add("eth_accounts", |node, _| Ok(node.chain().signers().addresses()));
    methods.alias("eth_accounts", &["eth_requestAccounts"]);
    methods.add("eth_sendTransaction", |node, params| {
        let request: TransactionRequest = params.next()?;
        Ok(node.chain().send(request)?)
    });
    methods.add("eth_sendUnsignedTransaction", |node, params| {
        let request: TransactionRequest = params.next()?;
        Ok(node.chain().send_unsigned(request)?)
    });
    methods.add("eth_signTransaction", |node, params| {
        let request: TransactionRequest = params.next()?;
        Ok(Bytes::from(
            node.chain().sign(request, At::Pending)?.encoded_2718(),
        ))
    });
    methods.add("eth_fillTransaction", |node, params| {
        let request: TransactionRequest = params.next()?;
        let unsigned = node.chain().fill_unsigned(request)?;
        Ok(json!({ "raw": Bytes::from(unsigned.encoded_2718()), "tx": format::waiting(&unsigned) }))
    });
    methods.add("eth_sign", |node, params| {
        let (signer, message): (Address, Bytes) = (params.next()?, params.next()?);
        message_signature(node, signer, &message)
    });
    methods.add("personal_sign", |node, params| {
        let (message, signer): (Bytes, Address) = (params.next()?, params.next()?);
        message_signature(node, signer, &message)
    });
    register_typed_data(methods);
}

fn register_typed_data(methods: &mut Methods) {
    // Version 1 has the values first, the later ones the account.
    methods.add("eth_signTypedData_v1", |node, params| {
        let (values, signer): (Vec<typed_data_v1::Field>, Address) = (params.next()?, params.next()?);
        let hash = typed_data_v1::signing_hash(&values).map_err(invalid)?;
        hash_signature(node, signer, hash)
    });
    methods.add("eth_signTypedData", |node, params| {
        let first: Value = params.next()?;
        if first.is_array() {
            let (values, signer): (Vec<typed_data_v1::Field>, Address) = (of(first)?, params.next()?);
            let hash = typed_data_v1::signing_hash(&values).map_err(invalid)?;
            return hash_signature(node, signer, hash);
        }
        typed_data_signature(node, of(first)?, params)
    });
    for name in ["eth_signTypedData_v3", "eth_signTypedData_v4"] {
        methods.add(name, |node, params| {
            let signer: Address = params.next()?;
            typed_data_signature(node, signer, params)
        });
    }
}

fn of<T: DeserializeOwned>(value: Value) -> Answer<T> {
    serde_json::from_value(value).map_err(invalid)
}

/// Signs the data that come next, as an object or as a text of one.
fn typed_data_signature(node: &Node, signer: Address, params: &mut ParamsSequence<'_>) -> Answer<Bytes> {
    let data: TypedData = match params.next()? {
        Value::String(text) => serde_json::from_str(&text).map_err(invalid)?,
        other => of(other)?,
    };
    let hash = data.eip712_signing_hash().map_err(invalid)?;
    hash_signature(node, signer, hash)
}

fn message_signature(node: &Node, signer: Address, message: &[u8]) -> Answer<Bytes> {
    hash_signature(node, signer, eip191_hash_message(message))
}

fn hash_signature(node: &Node, signer: Address, hash: B256) -> Answer<Bytes> {
    let signer = node.chain().signers().signer(signer)?;
    let signature = signer.sign_hash_sync(&hash).map_err(refused)?;
    Ok(signature.as_bytes().into())
}
