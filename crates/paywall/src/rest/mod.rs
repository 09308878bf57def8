//! The REST interface below `/api/1`, and `/cm`: what the receiver holds, closing signatures, and
//! what an operator may do. Beside it, below `/js/microraiden`, the files of the [`page`] of a 402.
//!
//! Bodies are the documentation's; amounts and numbers are decimal strings. In reading order:
//! [`router`], `lists`, `stats`, `close` (a close by agreement), `operators` (who an operator is, and
//! what they may do), `document` (the whole as OpenAPI).
//!
//! Invariants: nothing here tells a signature of the sender's; a closing signature leaves for the
//! sender, for an operator, or, only where that was allowed, for anybody; nothing that a client
//! sends gives a 5xx.

mod close;
mod document;
mod lists;
mod operators;
mod stats;

pub use operators::{OperatorError, Operators, begun, hash_password};

use crate::layer::{GATEWAY_PATH, Paywall};
use crate::page;
use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};
use http::{HeaderValue, Response, StatusCode, header};
use microraiden_http::rest::{address, digits};
use microraiden_protocol::ChannelId;
use operators::Guard;
use serde::Serialize;
use std::sync::Arc;

/// The path patterns that [`router`] answers.
pub const PATTERNS: [&str; 15] = [
    "/cm",
    "/api/1/stats",
    "/api/1/channels",
    "/api/1/channels/",
    "/api/1/channels/{sender}",
    "/api/1/channels/{sender}/{open_block}",
    "/api/1/login",
    "/api/1/logout",
    "/api/1/admin",
    "/api/1/admin/channels/{sender}/{open_block}",
    "/api/1/admin/close-all",
    "/api/1/admin/withdraw",
    "/api/1/admin/resume-selling",
    "/api/1/openapi.json",
    page::PATTERN,
];

/// The longest body of a request that is read.
const MAX_BODY: usize = 64 << 10;

/// What the operator decides about the interface.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Who may log in; nobody by default.
    pub operators: Operators,
    /// Agrees to a close at a bare balance, as in 2018: then anybody can end the selling on any
    /// channel.
    pub legacy_close: bool,
}

/// What all handlers share.
struct Rest {
    paywall: Paywall,
    legacy_close: bool,
    guard: Guard,
    stats: stats::Cached<stats::Bodies>,
}

/// The routes below `/api/1`, `/cm`, and the files of the built-in page.
pub fn router(paywall: Paywall, settings: Settings) -> Router {
    let files = Router::new()
        .route(page::PATTERN, get(page::serve))
        .with_state(paywall.clone());
    let rest = Rest {
        paywall,
        legacy_close: settings.legacy_close,
        guard: Guard::new(settings.operators),
        stats: stats::Cached::default(),
    };
    let api = Router::new()
        .route("/stats", get(stats::stats))
        .route("/channels", get(lists::channels))
        .route("/channels/", get(lists::channels))
        .route("/channels/{sender}", get(lists::channels_of))
        .route(
            "/channels/{sender}/{open_block}",
            get(lists::channel).delete(close::close),
        )
        .route("/login", get(operators::login))
        .route("/logout", get(operators::logout))
        .route("/admin", get(operators::admin))
        .route(
            "/admin/channels/{sender}/{open_block}",
            delete(operators::force_close),
        )
        .route("/admin/close-all", post(operators::close_all))
        .route("/admin/withdraw", post(operators::withdraw))
        .route("/admin/resume-selling", post(operators::resume_selling))
        .route("/openapi.json", get(document::document));
    Router::new()
        .nest(GATEWAY_PATH, api)
        .route("/cm", get(|| async { json(StatusCode::OK, &"OK") }))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Arc::new(rest))
        .merge(files)
}

impl Rest {
    /// The channel that a path names.
    fn channel_id(&self, (sender, open_block): &(String, String)) -> Option<ChannelId> {
        Some(ChannelId {
            sender: address(sender)?,
            receiver: self.paywall.manager.receiver(),
            open_block: digits(open_block)?,
        })
    }
}

/// A JSON body with its line's end, as the original writes it.
fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(body) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            answer(status, "application/json", bytes)
        }
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            answer(StatusCode::INTERNAL_SERVER_ERROR, "application/json", "\"\"\n")
        }
    }
}

/// What was asked of us is ours to do, and has failed.
fn failed(sentence: &str) -> Response<Body> {
    json(StatusCode::INTERNAL_SERVER_ERROR, &sentence)
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
