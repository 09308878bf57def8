//! Operators: who they are, and what they may do.
//!
//! `passwords` holds who may log in, `sessions` the tokens that stand for a login, and `guard`
//! limits what can be tried. `bulk` is what they may do for all channels.

mod bulk;
mod guard;
mod passwords;
mod sessions;

pub use bulk::begun;
pub(super) use bulk::{close_all, resume_selling, withdraw};
pub(super) use guard::Guard;
pub use passwords::{OperatorError, Operators, hash_password};

use super::{Rest, answer, failed, json};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use guard::{Credentials, Denied, Operator};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use microraiden_http::rest::Login;
use microraiden_manager::ForceCloseError;
use std::sync::Arc;

/// `GET /api/1/login`: a token for name and password. A token gives another one.
pub(super) async fn login(State(rest): State<Arc<Rest>>, headers: HeaderMap) -> Response<Body> {
    let operator = match authenticate(&rest, &headers).await {
        Ok(operator) => operator,
        Err(response) => return response,
    };
    match rest.guard.open_session(&operator) {
        Ok(token) => json(StatusCode::OK, &Login { token }),
        Err(error) => {
            tracing::error!(%error, "the system gives no random bytes");
            failed("no token can be made; repeat the request")
        }
    }
}

/// `GET /api/1/logout`: ends the token's session. With name and password there is nothing to end.
pub(super) async fn logout(State(rest): State<Arc<Rest>>, headers: HeaderMap) -> Response<Body> {
    match authenticate(&rest, &headers).await {
        Ok(_) => {
            if let Some(credentials) = Credentials::of(&headers) {
                rest.guard.close_session(&credentials);
            }
            json(StatusCode::OK, &"OK")
        }
        Err(response) => response,
    }
}

/// `GET /api/1/admin`.
pub(super) async fn admin(State(rest): State<Arc<Rest>>, headers: HeaderMap) -> Response<Body> {
    match authenticate(&rest, &headers).await {
        Ok(_) => json(StatusCode::OK, &"NOTHING TO SEE HERE, GO AWAY"),
        Err(response) => response,
    }
}

/// `DELETE /api/1/admin/channels/{sender}/{open_block}`.
pub(super) async fn force_close(
    State(rest): State<Arc<Rest>>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Response<Body> {
    let operator = match authenticate(&rest, &headers).await {
        Ok(operator) => operator,
        Err(response) => return response,
    };
    let not_found = || json(StatusCode::NOT_FOUND, &"Sender address not found");
    let Some(channel) = path.ok().and_then(|Path(path)| rest.channel_id(&path)) else {
        return not_found();
    };
    match rest.paywall.manager.force_close(&channel).await {
        Ok(()) => {
            tracing::warn!(%channel, operator = operator.name(), "force closed");
            let (sender, block) = (channel.sender, channel.open_block);
            json(StatusCode::OK, &format!("force closed ({sender}, {block})"))
        }
        Err(ForceCloseError::UnknownChannel) => not_found(),
        Err(error @ ForceCloseError::Refused(_)) => json(StatusCode::CONFLICT, &error.to_string()),
        Err(ForceCloseError::Unavailable(_)) => failed("the close could not be kept; repeat the request"),
    }
}

/// The operator who asks, or what they get instead.
pub(super) async fn authenticate(rest: &Rest, headers: &HeaderMap) -> Result<Operator, Response<Body>> {
    let denied = match Credentials::of(headers) {
        Some(credentials) => match rest.guard.check(credentials).await {
            Ok(operator) => return Ok(operator),
            Err(denied) => denied,
        },
        None => Denied::Unauthorized,
    };
    Err(match denied {
        Denied::Unauthorized => {
            let body = "Unauthorized Access";
            let mut response = answer(StatusCode::UNAUTHORIZED, "text/html; charset=utf-8", body);
            let challenge = HeaderValue::from_static("Basic realm=\"Authentication Required\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            response
        }
        Denied::TooMany(after) => {
            let sentence = "too many attempts to log in; wait, or use a token";
            let mut response = json(StatusCode::TOO_MANY_REQUESTS, &sentence);
            let seconds = HeaderValue::from(after.as_secs() + 1);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
            response
        }
        Denied::Failed => failed("the password could not be checked; repeat the request"),
    })
}
