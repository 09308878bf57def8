//! The public REST interface: what the receiver holds, and closing signatures.
//!
//! Bodies are the documentation's; amounts and numbers are decimal strings.

use crate::answer::{sentence, unavailable};
use crate::layer::{GATEWAY_PATH, Paywall};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use http::{Response, StatusCode};
use microraiden_http::rest;
use microraiden_manager::{
    Asker, ChannelOverview, ChannelState, CloseError, CloseRequest, Filter, PageQuery, Unavailable,
};
use microraiden_protocol::ledger::CloseRefusal;
use microraiden_protocol::{Address, ChannelId};

/// The path patterns that [`router`] answers.
pub const PATTERNS: [&str; 6] = [
    "/cm",
    "/api/1/stats",
    "/api/1/channels",
    "/api/1/channels/",
    "/api/1/channels/{sender}",
    "/api/1/channels/{sender}/{open_block}",
];

/// The routes below `/api/1`, and `/cm`.
pub fn router(paywall: Paywall) -> Router {
    let api = Router::new()
        .route("/stats", get(stats))
        .route("/channels", get(channels))
        .route("/channels/", get(channels))
        .route("/channels/{sender}", get(channels_of))
        .route("/channels/{sender}/{open_block}", get(channel).delete(close));
    Router::new()
        .nest(GATEWAY_PATH, api)
        .route("/cm", get(|| async { Json("OK") }))
        .with_state(paywall)
}

async fn stats(State(paywall): State<Paywall>) -> Response<Body> {
    let manager = &paywall.manager;
    let totals = manager.totals();
    let liquid_balance = match manager.contract().token_balance(manager.receiver()).await {
        Ok(balance) => balance,
        Err(error) => {
            tracing::warn!(%error, "the token balance could not be read");
            return unavailable(Unavailable::NodeSilent);
        }
    };
    let stats = rest::Stats {
        deposit_sum: totals.deposit_sum,
        open_channels: totals.open_channels,
        pending_channels: totals.pending_channels,
        balance_sum: totals.balance_sum,
        unique_senders: totals.unique_senders,
        liquid_balance,
        token_address: paywall.seller.token,
        contract_address: paywall.seller.contract,
        receiver_address: paywall.seller.receiver,
        manager_abi: manager.channel_abi().to_owned(),
        token_abi: manager.token_abi().to_owned(),
        sync_block: manager.start_block().0,
    };
    Json(stats).into_response()
}

async fn channels(State(paywall): State<Paywall>) -> Json<Vec<rest::ChannelSummary>> {
    Json(open_channels(&paywall, None))
}

async fn channels_of(State(paywall): State<Paywall>, Path(sender): Path<String>) -> Response<Body> {
    match sender.parse::<Address>() {
        Ok(sender) => Json(open_channels(&paywall, Some(sender))).into_response(),
        Err(_) => sentence(StatusCode::BAD_REQUEST, "the sender is not an address"),
    }
}

fn open_channels(paywall: &Paywall, sender: Option<Address>) -> Vec<rest::ChannelSummary> {
    let query = PageQuery {
        filter: Filter::Open,
        sender,
        after: None,
        limit: usize::MAX,
    };
    paywall.manager.page(query).channels.iter().map(summary).collect()
}

async fn channel(State(paywall): State<Paywall>, Path(path): Path<(String, String)>) -> Response<Body> {
    let Some(channel) = channel_id(&paywall, &path) else {
        return sentence(StatusCode::NOT_FOUND, "Sender address not found");
    };
    match paywall.manager.channel(&channel) {
        Some(overview) => Json(summary(&overview)).into_response(),
        None => sentence(StatusCode::NOT_FOUND, "Sender address not found"),
    }
}

/// Agrees to a close: the body names the balance and carries the sender's signature for it.
async fn close(
    State(paywall): State<Paywall>,
    Path(path): Path<(String, String)>,
    body: Bytes,
) -> Response<Body> {
    let bad = |text: &str| sentence(StatusCode::BAD_REQUEST, text);
    let Some(channel) = channel_id(&paywall, &path) else {
        return bad("the path names the channel by sender address and open block");
    };
    let request: rest::CloseRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            return bad(&format!(
                "the body is a JSON object with balance and balance_signature: {error}"
            ));
        }
    };
    let Some(signature) = request.balance_signature else {
        return bad(&CloseError::NotTheSender.to_string());
    };
    let Ok(signature) = signature.parse() else {
        return bad("balance_signature is 0x and 130 hexadecimal digits");
    };
    let request = CloseRequest {
        channel,
        balance: request.balance,
        asker: Asker::Sender {
            signature,
            other: None,
        },
    };
    match paywall.manager.close(request).await {
        Ok(close_signature) => Json(rest::CloseResponse { close_signature }).into_response(),
        Err(CloseError::Unavailable(_)) => sentence(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the close could not be kept; repeat the request",
        ),
        Err(CloseError::Refused(CloseRefusal::UnknownChannel)) => bad(&format!(
            "Channel does not exist or has been closed(sender={}, open_block_number={})",
            channel.sender, channel.open_block
        )),
        Err(error) => bad(&error.to_string()),
    }
}

fn channel_id(paywall: &Paywall, (sender, open_block): &(String, String)) -> Option<ChannelId> {
    let (sender, open_block) = (sender.parse().ok()?, open_block.parse().ok()?);
    Some(ChannelId {
        sender,
        receiver: paywall.manager.receiver(),
        open_block,
    })
}

fn summary(overview: &ChannelOverview) -> rest::ChannelSummary {
    rest::ChannelSummary {
        sender_address: overview.channel.sender,
        open_block: overview.channel.open_block,
        balance: overview.balance,
        deposit: overview.deposit,
        state: match overview.state {
            ChannelState::Open => rest::ChannelState::Open,
            ChannelState::Closed => rest::ChannelState::Closed,
        },
    }
}
