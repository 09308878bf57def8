//! What the program's exit status tells, and which error has which.

use microraiden_http::MalformedHeader;
use microraiden_protocol::denomination::AmountError;
use microraiden_sender::{ChannelError, Denial, SessionError};
use reqwest::StatusCode;
use std::error::Error;
use std::process::ExitCode;

/// The table of `--help`; 0 is that it worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Something of ours, the node or the connection failed.
    Failed = 1,
    /// The command line is wrong.
    CommandLine = 2,
    /// A limit of the user's was in the way.
    Limit = 3,
    /// The server answered, but not with a success.
    ErrorAnswer = 4,
    /// The server cannot be paid, or refuses to be.
    Unpayable = 5,
}

/// An option's value that cannot be used; found out only after the command line was read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misuse(pub(crate) String);

/// A limit of the user's is in the way; nothing more was signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LimitReached {
    /// The price is too high.
    #[error("the price is {price}, more than the {max} of --max-price: raise it to accept the price")]
    Price {
        /// What is asked for.
        price: String,
        /// What is allowed.
        max: String,
    },
    /// The budget is used up.
    #[error("{needed} more would be signed, but {left} is left of --budget: raise it to go on")]
    Budget {
        /// What would be signed.
        needed: String,
        /// What is left.
        left: String,
    },
    /// The deposit would be too high.
    #[error("a payment of {needed} needs a deposit above the {allowed} of --max-deposit: raise it to go on")]
    Deposit {
        /// The payment.
        needed: String,
        /// The most that a channel may hold.
        allowed: String,
    },
}

/// The server answered with something else than a success.
#[derive(Debug, thiserror::Error)]
#[error("the answer is {0}")]
pub(crate) struct ErrorAnswer(pub(crate) StatusCode);

/// The receiver did not agree to a close.
#[derive(Debug, thiserror::Error)]
#[error(
    "the receiver did not agree to close: {0}; with --uncooperative the contract is asked, and you settle after the \
     challenge period"
)]
pub(crate) struct NoAgreement(pub(crate) Denial);

impl Status {
    /// Of an error, by what it is or what caused it.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(status) = Self::known(error) {
                return status;
            }
            next = error.source();
        }
        Self::Failed
    }

    fn known(error: &(dyn Error + 'static)) -> Option<Self> {
        if error.is::<Misuse>() || error.is::<AmountError>() {
            Some(Self::CommandLine)
        } else if error.is::<LimitReached>() {
            Some(Self::Limit)
        } else if error.is::<ErrorAnswer>() {
            Some(Self::ErrorAnswer)
        } else if error.is::<MalformedHeader>() || error.is::<NoAgreement>() {
            Some(Self::Unpayable)
        } else if let Some(error) = error.downcast_ref::<ChannelError>() {
            matches!(error, ChannelError::DepositLimit { .. }).then_some(Self::Limit)
        } else {
            of_session(error.downcast_ref()?)
        }
    }
}

fn of_session(error: &SessionError) -> Option<Status> {
    match error {
        SessionError::Url | SessionError::Request(_) => Some(Status::CommandLine),
        SessionError::PriceTooHigh { .. } | SessionError::Budget { .. } => Some(Status::Limit),
        SessionError::Challenge(_)
        | SessionError::ForeignContract { .. }
        | SessionError::ForeignReceiver { .. }
        | SessionError::NoPrice
        | SessionError::Refusals { .. }
        | SessionError::Refused { .. }
        | SessionError::Kept(_)
        | SessionError::Unproven { .. }
        | SessionError::LeftOpen(_)
        | SessionError::NotConfirmed { .. } => Some(Status::Unpayable),
        // Transparent: what it says is an error of its own, but not its source.
        SessionError::Channel(ChannelError::DepositLimit { .. }) => Some(Status::Limit),
        _ => None,
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}
