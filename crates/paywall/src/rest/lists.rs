//! The channels, page by page, and one by one.

use super::{Rest, json};
use crate::layer::GATEWAY_PATH;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use http::{HeaderValue, Response, StatusCode, header};
use microraiden_http::rest::{
    self, BadValue, ChannelSummary, ListQuery, MalformedQuery, Place, Status, address,
};
use microraiden_manager::{ChannelOverview, ChannelState, Filter, PageQuery};
use microraiden_protocol::Address;
use std::sync::Arc;

/// The documentation's text for a channel that is not there.
const NOT_FOUND: &str = "Sender address not found";

/// All channels.
pub(super) async fn channels(State(rest): State<Arc<Rest>>, RawQuery(query): RawQuery) -> Response<Body> {
    page(&rest, None, query.as_deref().unwrap_or_default())
}

/// The channels of one sender.
pub(super) async fn channels_of(
    State(rest): State<Arc<Rest>>,
    sender: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    match sender.ok().and_then(|Path(sender)| address(&sender)) {
        Some(sender) => page(&rest, Some(sender), query.as_deref().unwrap_or_default()),
        None => json(StatusCode::BAD_REQUEST, &"the sender is not an address"),
    }
}

/// One channel.
pub(super) async fn channel(
    State(rest): State<Arc<Rest>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Response<Body> {
    let channel = path.ok().and_then(|Path(path)| rest.channel_id(&path));
    match channel.and_then(|channel| rest.paywall.manager.channel(&channel)) {
        Some(overview) => json(StatusCode::OK, &summary(&overview)),
        None => json(StatusCode::NOT_FOUND, &NOT_FOUND),
    }
}

/// 400 that names the value.
pub(super) fn malformed(error: MalformedQuery) -> Response<Body> {
    let body = BadValue::of(error.name(), &error.to_string());
    json(StatusCode::BAD_REQUEST, &body)
}

fn page(rest: &Rest, sender: Option<Address>, query: &str) -> Response<Body> {
    let query = match ListQuery::read(query) {
        Ok(query) => query,
        Err(error) => return malformed(error),
    };
    let page = rest.paywall.manager.page(PageQuery {
        filter: match query.status {
            Status::Open => Filter::Open,
            Status::Closed => Filter::Closed,
            Status::All => Filter::All,
        },
        sender,
        after: query.after.map(|place| (place.sender, place.open_block)),
        limit: query.limit.into(),
    });
    let channels: Vec<ChannelSummary> = page.channels.iter().map(summary).collect();
    let mut response = json(StatusCode::OK, &channels);
    if let Some((last, open_block)) = page.next {
        let place = Place {
            sender: last,
            open_block,
        };
        let of = sender.map(|sender| format!("/{sender}")).unwrap_or_default();
        let link = format!(
            "<{GATEWAY_PATH}/channels{of}?{}>; rel=\"next\"",
            query.next(place)
        );
        // Addresses and numbers make a header's value.
        if let Ok(link) = HeaderValue::try_from(link) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    response
}

fn summary(overview: &ChannelOverview) -> ChannelSummary {
    ChannelSummary {
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
