//! Subscriptions over WebSocket.

use std::sync::Arc;

use alloy_rpc_types_eth::pubsub::{Params as SubjectParams, SubscriptionKind};
use jsonrpsee::{
    PendingSubscriptionSink,
    core::SubscriptionError,
    types::{ErrorObjectOwned, Params},
};
use tokio::sync::watch;

use super::{
    Answer, Methods, Node,
    error::invalid,
    reader::{Reader, Subject},
};

/// The method that opens a subscription.
pub(super) const SUBSCRIBE: &str = "eth_subscribe";

pub(super) fn register(methods: &mut Methods) {
    methods
        .0
        .register_subscription(
            SUBSCRIBE,
            "eth_subscription",
            "eth_unsubscribe",
            |params, pending, node, _| {
                // Here and not later, so that nothing which happens after the request is missed.
                let start = start(&params, &node);
                subscribe(start, pending, node)
            },
        )
        .expect("the names of the methods differ");
}

/// A reader of what happens from now on, and what wakes it.
fn start(params: &Params<'_>, node: &Node) -> Answer<(Reader, watch::Receiver<()>)> {
    let subject = subject(params)?;
    let chain = node.chain();
    Ok((Reader::new(subject, &chain), chain.subscribe()))
}

/// Serves one subscription until its client goes or ends it.
async fn subscribe(
    start: Answer<(Reader, watch::Receiver<()>)>,
    pending: PendingSubscriptionSink,
    node: Arc<Node>,
) -> Result<(), SubscriptionError> {
    let (mut reader, mut news) = match start {
        Ok(start) => start,
        Err(error) => {
            pending.reject(error).await;
            return Ok(());
        }
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

fn subject(params: &Params<'_>) -> Answer<Subject> {
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
