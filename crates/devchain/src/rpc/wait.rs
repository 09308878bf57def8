//! The methods that answer when a transaction is in a block (EIP-7966).

use std::{sync::Arc, time::Duration};

use alloy_primitives::{B256, Bytes, U64};
use alloy_rpc_types_eth::{TransactionReceipt, TransactionRequest};
use jsonrpsee::types::ErrorObjectOwned;

use super::{Answer, Methods, Node, format};

/// How long one waits who does not say how long.
const USUAL: Duration = Duration::from_secs(20);
/// How long anyone may wait.
const LONGEST: Duration = Duration::from_secs(60);
/// The code that says: the transaction was taken, but is in no block yet.
const NOT_YET: i32 = 4;

pub(super) fn register(methods: &mut Methods) {
    methods.add_async("eth_sendRawTransactionSync", |node, params| async move {
        let mut params = params.sequence();
        let (encoded, patience): (Bytes, Option<U64>) = (params.next()?, params.optional_next()?);
        let hash = node.chain().submit(&encoded)?;
        receipt(&node, hash, patience).await
    });
    methods.add_async("eth_sendTransactionSync", |node, params| async move {
        let mut params = params.sequence();
        let (request, patience): (TransactionRequest, Option<U64>) =
            (params.next()?, params.optional_next()?);
        let hash = node.chain().send(request)?;
        receipt(&node, hash, patience).await
    });
}

/// The receipt of a transaction when it is there, or an error after so many milliseconds.
async fn receipt(node: &Arc<Node>, hash: B256, patience_ms: Option<U64>) -> Answer<TransactionReceipt> {
    let patience = patience_ms.map_or(USUAL, |patience| Duration::from_millis(patience.to()));
    let mut news = node.chain().subscribe();
    let mined = async {
        loop {
            let found = node
                .chain()
                .mined(&hash)
                .map(|(block, index)| format::receipt(block, index));
            // The chain, and with it the sender of the news, outlives this.
            if found.is_some() || news.changed().await.is_err() {
                return found;
            }
        }
    };
    let found = tokio::select! {
        found = mined => found,
        () = node.faults.delay(patience.min(LONGEST)) => None,
    };
    found.ok_or_else(|| {
        let message = "the transaction was taken but is not in a block yet";
        ErrorObjectOwned::owned(NOT_YET, message, Some(hash))
    })
}
