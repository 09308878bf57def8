//! Where a program has its say in what a session does.

use super::Paid;
use super::close::Denial;
use super::error::SessionError;
use http::Method;
use microraiden_http::{Challenge, Flag};
use microraiden_protocol::{Address, ChannelId};
use reqwest::Response;
use url::Url;

/// What a hook says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go on as a session without hooks would.
    Proceed,
    /// Stop here: the caller gets the answer as it is, and nothing more is signed for this request.
    Stop,
}

/// What to do when a receiver does not agree to a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// Ask the contract, on the sender's word alone; the challenge period begins.
    Uncooperative,
    /// Leave the channel open.
    LeaveOpen,
}

/// What a program can look at, and stop, in the course of a request. Every method has a default that
/// lets the session go on. No hook can lift a limit.
///
/// In the order of a request: [`Self::on_init`]; for each answer of the server
/// [`Self::on_http_response`], then the one that fits it; in the end [`Self::on_success`] or
/// [`Self::on_http_error`] when there is an answer that is not a 402, and always [`Self::on_exit`].
///
/// They are called on the task of the request, so they must not block.
pub trait Hooks: Send + Sync + 'static {
    /// A request begins.
    fn on_init(&self, _method: &Method, _url: &Url) {}

    /// A request has ended.
    fn on_exit(&self, _outcome: &Result<Paid, SessionError>) {}

    /// Every answer, whatever its status.
    fn on_http_response(&self, _response: &Response) -> Decision {
        Decision::Proceed
    }

    /// The answer is a success; it has been paid for if it had to be.
    fn on_success(&self, _paid: &Paid) {}

    /// The answer is neither a success nor a 402.
    fn on_http_error(&self, _paid: &Paid) {}

    /// The server asks for a payment and finds no fault with an earlier one. The limits are checked
    /// after this.
    fn on_payment_requested(&self, _challenge: &Challenge) -> Decision {
        Decision::Proceed
    }

    /// The server says that a payment is not the price. Its balance is taken over if it proves it.
    fn on_invalid_amount(&self, _challenge: &Challenge) -> Decision {
        Decision::Proceed
    }

    /// The server does not take a signature, or not the balance that it is for.
    fn on_invalid_balance_proof(&self, _challenge: &Challenge) -> Decision {
        Decision::Proceed
    }

    /// The server does not know the channel. The session waits, since it may be too new; then it
    /// takes another.
    fn on_nonexisting_channel(&self, _challenge: &Challenge) -> Decision {
        Decision::Proceed
    }

    /// The server waits for blocks above the channel or its top-up, and so does the session.
    fn on_insufficient_confirmations(&self, _challenge: &Challenge) -> Decision {
        Decision::Proceed
    }

    /// The server wants to be paid through another contract; the request fails, whatever is said here.
    fn on_invalid_contract_address(&self, _asked: Address) -> Decision {
        Decision::Proceed
    }

    /// The receiver does not agree to a close.
    fn on_cooperative_close_denied(&self, _channel: ChannelId, _denial: &Denial) -> Fallback {
        Fallback::Uncooperative
    }
}

/// A session without hooks.
pub(super) struct NoHooks;

impl Hooks for NoHooks {}

/// Asks the hook that fits a 402; in the order in which the original looked at it.
pub(super) fn on_challenge(hooks: &dyn Hooks, challenge: &Challenge, contract: Address) -> Decision {
    match challenge.flag {
        Some(Flag::NonexistingChannel) => hooks.on_nonexisting_channel(challenge),
        Some(Flag::InsufficientConfirmations) => hooks.on_insufficient_confirmations(challenge),
        Some(Flag::InvalidBalanceProof) => hooks.on_invalid_balance_proof(challenge),
        _ if challenge.contract != contract => hooks.on_invalid_contract_address(challenge.contract),
        Some(Flag::InvalidAmount) => hooks.on_invalid_amount(challenge),
        None => hooks.on_payment_requested(challenge),
    }
}
