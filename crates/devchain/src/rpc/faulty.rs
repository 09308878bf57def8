//! Faults between the connection and the methods.

use std::{
    future::{Future, pending},
    sync::Arc,
};

use jsonrpsee::{
    Extensions,
    server::{
        HttpRequest,
        middleware::rpc::{
            Batch, BatchEntry, BatchEntryErr, MethodResponse, Notification, Request, RpcServiceT,
        },
    },
    types::{ErrorCode, ErrorObjectOwned, Id},
};

use crate::faults::{Fate, Faults};

/// Marks requests that came in a connection which can be closed for them alone.
#[derive(Clone, Copy)]
struct OverHttp;

/// Marks answers in whose place the connection is to be closed.
#[derive(Clone, Copy)]
pub(crate) struct Lost;

/// Marks a request if it came over plain HTTP.
pub(crate) fn mark<B>(mut request: HttpRequest<B>) -> HttpRequest<B> {
    if !request.headers().contains_key("upgrade") {
        request.extensions_mut().insert(OverHttp);
    }
    request
}

/// The methods of a node, on a bad day.
#[derive(Clone)]
pub(crate) struct Faulty<S> {
    inner: S,
    faults: Arc<Faults>,
}

impl<S> Faulty<S> {
    pub(crate) fn new(inner: S, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }
}

impl<S> RpcServiceT for Faulty<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            NotificationResponse = MethodResponse,
            BatchResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let Self { inner, faults } = self.clone();
        async move {
            match faults.fate(&request.method) {
                Fate::Answer => inner.call(request).await,
                Fate::Late(by) => {
                    tokio::time::sleep(by).await;
                    inner.call(request).await
                }
                Fate::Lost => lost(request.extensions).await,
                Fate::Refused { code, message } => MethodResponse::error(request.id, refusal(code, message))
                    .with_extensions(request.extensions),
            }
        }
    }

    fn batch<'a>(&self, requests: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let Self { inner, faults } = self.clone();
        async move {
            let mut entries = Vec::new();
            for entry in requests {
                let fate = match &entry {
                    Ok(BatchEntry::Call(request)) => faults.fate(&request.method),
                    _ => Fate::Answer,
                };
                match (fate, entry) {
                    (Fate::Lost, Ok(entry)) => return lost(entry.into_extensions()).await,
                    (Fate::Refused { code, message }, Ok(BatchEntry::Call(request))) => {
                        entries.push(Err(BatchEntryErr::new(request.id, refusal(code, message))));
                    }
                    (fate, entry) => {
                        if let Fate::Late(by) = fate {
                            tokio::time::sleep(by).await;
                        }
                        entries.push(entry);
                    }
                }
            }
            inner.batch(Batch::from(entries)).await
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}

/// The answer to a request that is not answered.
async fn lost(mut extensions: Extensions) -> MethodResponse {
    if extensions.get::<OverHttp>().is_none() {
        return pending().await;
    }
    extensions.insert(Lost);
    MethodResponse::error(Id::Null, ErrorCode::InternalError).with_extensions(extensions)
}

fn refusal(code: i32, message: String) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message, None::<()>)
}
