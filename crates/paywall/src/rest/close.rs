//! A close by agreement: for the sender, who shows a signature, or for an operator.

use super::operators::authenticate;
use super::{Rest, failed, json};
use axum::body::Body;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, RawQuery, State};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use microraiden_http::rest::{BadValue, CloseParameters, CloseResponse, MalformedClose};
use microraiden_manager::{Asker, CloseError, CloseRequest};
use microraiden_protocol::ChannelId;
use microraiden_protocol::ledger::CloseRefusal;
use std::sync::Arc;

/// `DELETE /api/1/channels/{sender}/{open_block}`.
pub(super) async fn close(
    State(rest): State<Arc<Rest>>,
    path: Result<Path<(String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response<Body> {
    let Some(channel) = path.ok().and_then(|Path(path)| rest.channel_id(&path)) else {
        return bad("the path names the channel by sender address and open block");
    };
    let body = match body {
        Ok(body) => body,
        Err(error) => return json(error.status(), &error.body_text()),
    };
    let read = match ContentType::of(&headers, &body) {
        ContentType::Json => CloseParameters::from_json(&body),
        ContentType::Form => CloseParameters::from_form(&body),
        ContentType::Other => {
            let sentence = "send application/json or application/x-www-form-urlencoded";
            return json(StatusCode::UNSUPPORTED_MEDIA_TYPE, &sentence);
        }
    };
    let query = CloseParameters::from_form(query.as_deref().unwrap_or_default().as_bytes());
    let parameters = read
        .and_then(|read| read.beside(query?))
        .and_then(|read| read.or_signature_of(&headers));
    let request = parameters.and_then(|read| {
        let (balance, signature) = (read.balance()?, read.signature()?);
        Ok((balance, signature, read.other()?))
    });
    let (balance, signature, other) = match request {
        Ok(request) => request,
        Err(error) => return malformed(error),
    };
    let asker = match signature {
        Some(signature) => Asker::Sender { signature, other },
        None if headers.contains_key(header::AUTHORIZATION) => match authenticate(&rest, &headers).await {
            Ok(_) => Asker::Operator,
            Err(response) => return response,
        },
        None if rest.legacy_close => Asker::Anybody,
        None => return bad(&CloseError::NotTheSender.to_string()),
    };
    let request = CloseRequest {
        channel,
        balance,
        asker,
    };
    match rest.paywall.manager.close(request).await {
        Ok(close_signature) => json(StatusCode::OK, &CloseResponse { close_signature }),
        Err(error) => denied(&channel, error),
    }
}

/// How a body is to be read.
enum ContentType {
    Json,
    Form,
    Other,
}

impl ContentType {
    fn of(headers: &HeaderMap, body: &[u8]) -> Self {
        let Some(stated) = headers.get(header::CONTENT_TYPE) else {
            // Clients of 2018 do not always say.
            let is_object = body.trim_ascii_start().starts_with(b"{");
            return if is_object { Self::Json } else { Self::Form };
        };
        let stated = stated.to_str().unwrap_or_default();
        let essence = stated.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            // A query says it all, perhaps.
            return if body.is_empty() { Self::Form } else { Self::Json };
        }
        if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Self::Form;
        }
        Self::Other
    }
}

fn malformed(error: MalformedClose) -> Response<Body> {
    match error {
        MalformedClose::BadBalance => {
            let body = BadValue::of("balance", &error.to_string());
            json(StatusCode::BAD_REQUEST, &body)
        }
        error => bad(&error.to_string()),
    }
}

/// The original's words where it has some.
fn denied(channel: &ChannelId, error: CloseError) -> Response<Body> {
    match error {
        CloseError::Unavailable(_) => failed("the close could not be kept; repeat the request"),
        CloseError::Refused(
            CloseRefusal::UnknownChannel | CloseRefusal::Unconfirmed | CloseRefusal::Settled,
        ) => bad(&format!(
            "Channel does not exist or has been closed(sender={}, open_block_number={})",
            channel.sender, channel.open_block
        )),
        CloseError::Refused(CloseRefusal::WrongBalance) => {
            bad("Requested closing balance does not match latest one.")
        }
        CloseError::Refused(CloseRefusal::OtherPromise) => bad("Channel closing has been requested already."),
        CloseError::Refused(CloseRefusal::NothingToClaim)
        | CloseError::NothingPaid
        | CloseError::NotTheSender
        | CloseError::ProofIsPublic => bad(&error.to_string()),
    }
}

fn bad(sentence: &str) -> Response<Body> {
    json(StatusCode::BAD_REQUEST, &sentence)
}
