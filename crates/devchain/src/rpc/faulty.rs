//! Faults between the connection and the methods.

use std::{future::Future, sync::Arc, time::Duration};

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

use super::subscribe::SUBSCRIBE;
use crate::faults::{Fate, Faults};

/// Marks requests that came in a connection which can be closed for them alone.
#[derive(Clone, Copy)]
struct OverHttp;

/// Marks answers in whose place the connection is to be closed.
#[derive(Clone, Copy)]
pub(crate) struct Lost;

/// The chain id that a request is to be answered with.
#[derive(Clone, Copy)]
pub(super) struct OtherChain(pub(super) u64);

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

    fn call<'a>(&self, mut request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let Self { inner, faults } = self.clone();
        async move {
            match faults.fate(&request.method) {
                Fate::Answer => inner.call(request).await,
                // The answer to this one leaves by itself, so that it can only be carried out later.
                Fate::Late(by) if request.method == SUBSCRIBE => {
                    faults.delay(by).await;
                    inner.call(request).await
                }
                Fate::Late(by) => {
                    let answer = inner.call(request).await;
                    faults.delay(by).await;
                    answer
                }
                Fate::Lost => lost(request.extensions),
                Fate::Refused { code, message } => MethodResponse::error(request.id, refusal(code, message))
                    .with_extensions(request.extensions),
                Fate::OtherChain(chain_id) => {
                    request.extensions.insert(OtherChain(chain_id));
                    inner.call(request).await
                }
            }
        }
    }

    fn batch<'a>(&self, requests: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let Self { inner, faults } = self.clone();
        async move {
            let mut entries = Vec::new();
            let mut late = Duration::ZERO;
            for entry in requests {
                let Ok(BatchEntry::Call(mut request)) = entry else {
                    entries.push(entry);
                    continue;
                };
                entries.push(match faults.fate(&request.method) {
                    Fate::Lost => return lost(request.extensions),
                    Fate::Refused { code, message } => {
                        Err(BatchEntryErr::new(request.id, refusal(code, message)))
                    }
                    Fate::OtherChain(chain_id) => {
                        request.extensions.insert(OtherChain(chain_id));
                        Ok(BatchEntry::Call(request))
                    }
                    Fate::Late(by) => {
                        late = late.saturating_add(by);
                        Ok(BatchEntry::Call(request))
                    }
                    Fate::Answer => Ok(BatchEntry::Call(request)),
                });
            }
            let answer = inner.batch(Batch::from(entries)).await;
            if !late.is_zero() {
                faults.delay(late).await;
            }
            answer
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
fn lost(mut extensions: Extensions) -> MethodResponse {
    if extensions.get::<OverHttp>().is_none() {
        // Over WebSocket nothing is sent for a notification.
        return MethodResponse::notification();
    }
    extensions.insert(Lost);
    MethodResponse::error(Id::Null, ErrorCode::InternalError).with_extensions(extensions)
}

fn refusal(code: i32, message: String) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message, None::<()>)
}
