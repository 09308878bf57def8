//! Why a request was not answered by its server, in the form that OpenAI's clients show.

use super::hosts::Limits;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::ext::ReasonPhrase;
use microraiden_chain::TransactionError;
use microraiden_protocol::Amount;
use microraiden_sender::{ChannelError, Failure, SessionError};
use serde_json::json;
use std::error::Error;

/// Clients that know it do not repeat the request: what can be repeated without harm, the session has repeated.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// An answer of our own.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// What the caller reads.
    pub(super) fn response(self) -> Response<super::Body> {
        let kind = match self.status {
            StatusCode::PAYMENT_REQUIRED | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
                "payment_error"
            }
            _ => "invalid_request_error",
        };
        let error = json!({"message": self.message, "type": kind, "param": null, "code": self.code});
        let text = format!("{}\n", json!({ "error": error }));
        let body = Full::from(text).map_err(|never| match never {});
        let mut response = Response::new(super::Body::new(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(
                ALLOW,
                HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE"),
            );
            // Clients that ask for a tunnel show this, and not the body.
            let phrase = ReasonPhrase::from_static(b"Encrypted connections cannot be paid for, use --target");
            response.extensions_mut().insert(phrase);
        }
        response
    }

    /// What the session's error means for who reads it without knowing of channels.
    pub(super) fn of(error: &SessionError, origin: &str, limits: &Limits) -> Self {
        let money = |code, message| Self::new(StatusCode::PAYMENT_REQUIRED, code, message);
        let server = |status, code| Self::new(status, code, format!("{origin}: {}", with_causes(error)));
        let show = |amount: Amount| limits.show(amount);
        match error {
            SessionError::PriceTooHigh { price, .. } => money(
                "price_too_high",
                format!(
                    "{origin} asks {} for this request, and --max-price allows {}; start microraiden pay-proxy with a \
                     higher --max-price to accept it",
                    show((*price).into()),
                    show(limits.max_price)
                ),
            ),
            SessionError::Budget { needed, left } => money(
                "budget_used_up",
                format!(
                    "the budget of {} for {origin} is used up: {} is left, and {} more would be signed away; start \
                     microraiden pay-proxy again, or with a higher --budget, to go on",
                    show(limits.budget),
                    show(*left),
                    show(*needed)
                ),
            ),
            SessionError::Channel(error) => Self::of_channel(error, origin, limits),
            SessionError::ForeignContract { .. } => money("foreign_contract", format!("{origin}: {error}")),
            SessionError::ForeignReceiver { .. } => money("foreign_receiver", format!("{origin}: {error}")),
            SessionError::NoPrice | SessionError::Challenge(_) => {
                money("unknown_payment", format!("{origin}: {error}"))
            }
            SessionError::Url | SessionError::Request(_) => {
                Self::new(StatusCode::BAD_REQUEST, "url", format!("{origin}: {error}"))
            }
            SessionError::NoAnswer(Failure::Timeout(_)) => server(StatusCode::GATEWAY_TIMEOUT, "no_answer"),
            SessionError::NoAnswer(_) | SessionError::Setup(_) => {
                server(StatusCode::BAD_GATEWAY, "no_answer")
            }
            SessionError::Unanswered { pays, .. } => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "payment_unanswered",
                format!(
                    "{origin} did not answer a request that was paid with {}, again and again; it counts as spent. Try \
                     again later",
                    show(*pays)
                ),
            ),
            SessionError::NotConfirmed { .. } => server(StatusCode::GATEWAY_TIMEOUT, "not_confirmed"),
            SessionError::Refusals { .. }
            | SessionError::Refused { .. }
            | SessionError::Kept(_)
            | SessionError::LeftOpen(_)
            | SessionError::Unproven { .. } => server(StatusCode::BAD_GATEWAY, "payment_refused"),
        }
    }

    fn of_channel(error: &ChannelError, origin: &str, limits: &Limits) -> Self {
        let money = |code, message| Self::new(StatusCode::PAYMENT_REQUIRED, code, message);
        match error {
            ChannelError::DepositLimit { needed, allowed } => money(
                "deposit_too_high",
                format!(
                    "the channel to {origin} would need a higher deposit for a payment of {}, and --max-deposit allows {}; \
                     start microraiden pay-proxy with a higher --max-deposit, or close the channel",
                    limits.show(*needed),
                    limits.show((*allowed).into())
                ),
            ),
            ChannelError::Transaction(TransactionError::InsufficientTokens {
                wallet,
                balance,
                needed,
            }) => money(
                "no_tokens",
                format!(
                    "{wallet} holds {}, and {} is to be deposited to pay {origin}: send it tokens",
                    limits.show(*balance),
                    limits.show(*needed)
                ),
            ),
            ChannelError::Transaction(TransactionError::InsufficientFunds { wallet, .. }) => money(
                "no_gas_money",
                format!("{wallet} cannot pay the gas to open a channel to {origin}: send it ether"),
            ),
            ChannelError::Transaction(TransactionError::FeeAboveCeiling { .. }) => {
                money("gas_too_expensive", format!("no channel to {origin}: {error}"))
            }
            _ => Self::new(
                StatusCode::BAD_GATEWAY,
                "chain_error",
                format!("no channel pays {origin}: {}", with_causes(error)),
            ),
        }
    }
}

/// An error and what caused it, in one line.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    let mut source = error.source();
    while let Some(cause) = source {
        let next = cause.to_string();
        // A transparent error repeats the one below it.
        if next != last {
            text = format!("{text}: {next}");
        }
        last = next;
        source = cause.source();
    }
    text
}
