//! What operators do for all channels. JSON is asked for, since no page of elsewhere can have a browser
//! send that with the password it has kept.

use super::authenticate;
use crate::rest::{Rest, failed, json};
use axum::body::Body;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use microraiden_http::rest::{Begun, CloseAllRequest, Halt, ResumeRequest, WithdrawRequest, command};
use microraiden_manager::{HaltKind, Unavailable, Withdrawing};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// `POST /api/1/admin/close-all`.
pub(in crate::rest) async fn close_all(
    State(rest): State<Arc<Rest>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response<Body> {
    let (operator, request): (_, CloseAllRequest) = match read(&rest, &headers, body).await {
        Ok(read) => read,
        Err(response) => return response,
    };
    let manager = rest.paywall.manager.clone();
    let minimum = request.minimum_amount.unwrap_or_else(|| manager.min_claim());
    let done = to_the_end(async move { manager.close_all(minimum).await }).await;
    tracing::warn!(operator, %minimum, begun = ?done, "the operator closes all channels");
    answer(done.map(begun))
}

/// `POST /api/1/admin/withdraw`.
pub(in crate::rest) async fn withdraw(
    State(rest): State<Arc<Rest>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response<Body> {
    let (operator, request): (_, WithdrawRequest) = match read(&rest, &headers, body).await {
        Ok(read) => read,
        Err(response) => return response,
    };
    let manager = rest.paywall.manager.clone();
    let which = Withdrawing {
        minimum: request.minimum_amount.unwrap_or_else(|| manager.min_claim()),
        takes_credit: request.takes_credit,
    };
    let done = to_the_end(async move { manager.withdraw(which).await }).await;
    tracing::warn!(operator, ?which, begun = ?done, "the operator withdraws");
    answer(done.map(begun))
}

/// `POST /api/1/admin/resume-selling`.
pub(in crate::rest) async fn resume_selling(
    State(rest): State<Arc<Rest>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response<Body> {
    let (operator, ResumeRequest {}) = match read(&rest, &headers, body).await {
        Ok(read) => read,
        Err(response) => return response,
    };
    let manager = rest.paywall.manager.clone();
    let lifted = to_the_end(async move { manager.resume_selling().await }).await;
    tracing::warn!(operator, ?lifted, "the operator resumes the selling");
    let name = |halt| match halt {
        HaltKind::Reorganised => Halt::Reorganised,
        HaltKind::Restored => Halt::Restored,
    };
    answer(lifted.map(|halts| halts.into_iter().map(name).collect::<Vec<_>>()))
}

/// The name of the operator who asks, and what for; or what they get instead.
async fn read<T: DeserializeOwned>(
    rest: &Rest,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(String, T), Response<Body>> {
    let operator = authenticate(rest, headers).await?;
    let body = body.map_err(|error| json(error.status(), &error.body_text()))?;
    let stated = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = stated
        .and_then(|stated| stated.split(';').next())
        .unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("application/json") {
        let sentence = "send application/json";
        return Err(json(StatusCode::UNSUPPORTED_MEDIA_TYPE, &sentence));
    }
    let request = command(&body).map_err(|error| json(StatusCode::BAD_REQUEST, &error.to_string()))?;
    Ok((operator.name().to_owned(), request))
}

/// What was begun goes on when who asked goes away: else it could be durable and not taken up.
async fn to_the_end<T: Send + 'static>(
    command: impl Future<Output = Result<T, Unavailable>> + Send + 'static,
) -> Option<T> {
    match tokio::spawn(command).await {
        Ok(Ok(done)) => Some(done),
        Ok(Err(error)) => {
            tracing::error!(%error, "an operator's command could not be kept");
            None
        }
        Err(error) => {
            tracing::error!(%error, "an operator's command has failed");
            None
        }
    }
}

/// What was begun, as it is written.
pub fn begun(begun: microraiden_manager::Begun) -> Begun {
    Begun {
        channels: begun.channels,
        amount: begun.amount,
        without_claim: begun.without_claim,
        too_little: begun.too_little,
        too_little_amount: begun.too_little_amount,
        with_credit: begun.with_credit,
    }
}

fn answer(done: Option<impl serde::Serialize>) -> Response<Body> {
    match done {
        Some(body) => json(StatusCode::OK, &body),
        None => failed("not all of it could be kept; repeat the request"),
    }
}
