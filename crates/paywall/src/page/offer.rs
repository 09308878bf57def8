//! What a page's script reads: the terms of this very 402, as JSON.

use super::{DEV_CHAIN_PATH, PageRequest};
use crate::layer::GATEWAY_PATH;
use http::{HeaderMap, HeaderName};
use microraiden_http::{Flag, headers};
use microraiden_protocol::hex;
use serde::Serialize;
use std::fmt::Write;

/// The fields, of which those at the end are there when the 402 has them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Offer<'a> {
    price: String,
    symbol: &'a str,
    decimals: u8,
    receiver: String,
    contract: String,
    token: String,
    gateway: &'static str,
    chain_id: u64,
    method: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    cross_site: bool,
    #[serde(flatten)]
    standing: Standing<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dev_chain: Option<DevChain>,
}

/// Why a payment was refused, and what the receiver knows of who has paid.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Standing<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_balance: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance_signature: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<&'a str>,
}

/// A node to ask, and a key with ether.
#[derive(Debug, Serialize)]
struct DevChain {
    url: &'static str,
    funder: String,
}

impl<'a> Standing<'a> {
    fn read(answer: &'a HeaderMap) -> Self {
        let text = |name: &HeaderName| answer.get(name)?.to_str().ok();
        let flags = Flag::ALL.into_iter().map(Flag::header);
        Self {
            error: text(&headers::ERROR).and_then(|error| error.split(';').next()),
            flag: flags
                .filter(|name| answer.contains_key(name))
                .map(|name| headers::documented(&name))
                .next(),
            sender_address: text(&headers::SENDER_ADDRESS),
            sender_balance: text(&headers::SENDER_BALANCE),
            balance_signature: text(&headers::BALANCE_SIGNATURE),
            credit: text(&headers::CREDIT),
            refund: text(&headers::REFUND),
        }
    }
}

/// Whether a page of another site has sent the browser here, which could lead it from page to page.
fn is_cross_site(request: &HeaderMap) -> bool {
    request
        .get("sec-fetch-site")
        .is_some_and(|site| site.as_bytes() == b"cross-site")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// One line of JSON, without the characters by which it could end the script element around it, or a
/// line of a script.
pub(super) fn json(request: &PageRequest<'_>) -> String {
    let offer = Offer {
        price: request.price.to_string(),
        symbol: request.symbol,
        decimals: request.decimals,
        receiver: request.seller.receiver.to_string(),
        contract: request.seller.contract.to_string(),
        token: request.seller.token.to_string(),
        gateway: GATEWAY_PATH,
        chain_id: request.chain_id,
        method: request.parts.method.as_str(),
        cross_site: is_cross_site(&request.parts.headers),
        standing: Standing::read(request.headers),
        dev_chain: request.funder.map(|funder| DevChain {
            url: DEV_CHAIN_PATH,
            funder: hex::encode_prefixed(funder.expose_bytes()),
        }),
    };
    // Strings and numbers can always be written.
    let json = serde_json::to_string(&offer).unwrap_or_default();
    let mut safe = String::with_capacity(json.len());
    for sign in json.chars() {
        match sign {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Into a string nothing can fail.
                let _ = write!(safe, "\\u{:04x}", u32::from(sign));
            }
            _ => safe.push(sign),
        }
    }
    safe
}
