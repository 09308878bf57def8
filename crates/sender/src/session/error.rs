//! Why a request could not be paid for.

use super::close::Denial;
use crate::error::ChannelError;
use microraiden_chain::ConnectionError;
use microraiden_http::MalformedHeader;
use microraiden_protocol::{Address, Amount, Balance, ChannelId, Price};
use std::time::Duration;

/// Why a session gave up on a request or on a close.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The URL is not one of an HTTP server.
    #[error("the URL cannot be requested: give an absolute http:// or https:// URL")]
    Url,
    /// Connections cannot be set up.
    #[error("the HTTP client cannot be set up")]
    Setup(#[source] ConnectionError),
    /// The request cannot be put together.
    #[error("the request cannot be sent: {0}")]
    Request(&'static str),
    /// The server could not be reached or did not answer, and nothing was paid.
    #[error("the server does not answer: try again later")]
    NoAnswer(#[source] Failure),
    /// A payment was sent and never answered. It counts as spent; the next request shows the same
    /// proof again.
    #[error("a payment of {pays} was sent {attempts} times and not answered: try again later")]
    Unanswered {
        /// What it pays.
        pays: Amount,
        /// How often it was sent.
        attempts: u32,
        /// The last failure.
        source: Failure,
    },
    /// The 402 cannot be understood.
    #[error("the server asks for a payment that cannot be understood: {0}")]
    Challenge(#[from] MalformedHeader),
    /// The server wants to be paid through another contract.
    #[error("the server wants to be paid through contract {asked}, this sender uses {ours}")]
    ForeignContract {
        /// Its contract.
        asked: Address,
        /// Ours.
        ours: Address,
    },
    /// The server names another receiver than before, or than is allowed.
    #[error("the server names receiver {asked}, but only {allowed} is paid here")]
    ForeignReceiver {
        /// The receiver it names.
        asked: Address,
        /// The one that is allowed.
        allowed: Address,
    },
    /// The server asks for a payment of nothing.
    #[error("the server asks for a payment, but names the price 0")]
    NoPrice,
    /// The price is above the limit; nothing was signed.
    #[error("the price is {price}, more than the {max} allowed: raise the limit to accept it")]
    PriceTooHigh {
        /// The price.
        price: Price,
        /// The limit.
        max: Price,
    },
    /// The budget is used up; nothing was signed.
    #[error("{needed} more would be signed, but {left} is left of the budget: raise it to go on")]
    Budget {
        /// What would be signed.
        needed: Amount,
        /// What is left.
        left: Amount,
    },
    /// The server refused payment after payment for one request.
    #[error("the server refuses payments of {signed} for one request, no more is signed ({reason})")]
    Refusals {
        /// What was signed for this request.
        signed: Amount,
        /// The server's last words.
        reason: String,
    },
    /// The server refused a payment, and repeating or correcting it cannot help.
    #[error("the server refuses the payment: {reason}")]
    Refused {
        /// The server's words.
        reason: String,
    },
    /// The server shows a payment as its balance, and yet refuses it.
    #[error("the server has taken the payment up to balance {0} and still refuses it: do not trust it")]
    Kept(Balance),
    /// The server does not prove the balance that it claims.
    #[error("the server claims a balance without our signature for it ({reason})")]
    Unproven {
        /// The server's words.
        reason: String,
    },
    /// The receiver did not accept the channel or its top-up in time.
    #[error("the receiver did not accept channel {channel} within {waited:?} ({reason}): try again later")]
    NotConfirmed {
        /// The channel.
        channel: ChannelId,
        /// The time limit.
        waited: Duration,
        /// The server's words.
        reason: String,
    },
    /// The receiver did not agree to a close, and the program wants the channel left open.
    #[error("the channel stays open: {0}")]
    LeftOpen(Denial),
    /// The channel could not be opened, topped up or closed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

/// Why one exchange with a server failed. It does not tell the URL, which may hold secrets.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no connection: nothing was sent.
    #[error("no connection")]
    Connect(#[source] Source),
    /// The connection failed.
    #[error("the connection failed")]
    Transport(#[source] Source),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// A client of the program's own has followed a redirect to another place, payment and all.
    #[error("the client follows redirects, which would carry payments to other places: build it without")]
    Redirected,
}

/// What a library says.
type Source = Box<dyn std::error::Error + Send + Sync>;

impl Failure {
    pub(super) fn connect(error: impl Into<Source>) -> Self {
        Self::Connect(error.into())
    }

    pub(super) fn transport(error: impl Into<Source>) -> Self {
        Self::Transport(error.into())
    }
}
