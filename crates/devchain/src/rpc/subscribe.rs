//! Subscriptions over WebSocket.

use std::sync::Arc;

use alloy_rpc_types_eth::pubsub::{Params as SubjectParams, SubscriptionKind};
use jsonrpsee::{
    PendingSubscriptionSink,
    core::SubscriptionError,
    types::{ErrorObjectOwned, Params},
};

use super::{
    Answer, Methods, Node,
    error::invalid,
    reader::{Reader, Subject},
};

pub(super) fn register(methods: &mut Methods) {
    methods
        .0
        .register_subscription(
            "eth_subscribe",
            "eth_subscription",
            "eth_unsubscribe",
            |params, pending, node, _| subscribe(params, pending, node),
        )
        .expect("the names of the methods differ");
}

/// Serves one subscription until its client goes or ends it.
async fn subscribe(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    node: Arc<Node>,
) -> Result<(), SubscriptionError> {
    let subject = match subject(&params) {
        Ok(subject) => subject,
        Err(error) => {
            pending.reject(error).await;
            return Ok(());
        }
    };
    // From before the answer, so that nothing which happens after it is missed.
    let (mut reader, mut news) = {
        let chain = node.chain();
        (Reader::new(subject, &chain), chain.subscribe())
    };
    let sink = pending.accept().await?;
    loop {
        tokio::select! {
            () = sink.closed() => return Ok(()),
            changed = news.changed() => changed?,
        }
        let messages = reader.messages(&node.chain());
        for message in messages {
            sink.send(message).await?;
        }
    }
}

fn subject(params: &Params<'static>) -> Answer<Subject> {
    let mut params = params.sequence();
    let kind: SubscriptionKind = params.next()?;
    let detail: Option<SubjectParams> = params.optional_next()?;
    match (kind, detail) {
        (SubscriptionKind::NewHeads, _) => Ok(Subject::Blocks),
        (SubscriptionKind::Logs, Some(SubjectParams::Logs(filter))) => Ok(Subject::Logs(filter)),
        (SubscriptionKind::Logs, None | Some(SubjectParams::None)) => Ok(Subject::Logs(Box::default())),
        (SubscriptionKind::NewPendingTransactions, detail) => Ok(Subject::Transactions {
            full: matches!(detail, Some(SubjectParams::Bool(true))),
        }),
        _ => Err(unknown()),
    }
}

fn unknown() -> ErrorObjectOwned {
    invalid("there are subscriptions to newHeads, logs and newPendingTransactions")
}
