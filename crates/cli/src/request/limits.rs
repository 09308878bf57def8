//! The limits of a request, read in the token's units, and errors that tell them so.

use super::args::RequestArgs;
use crate::Failure;
use crate::exit::{LimitReached, Misuse};
use crate::units::Units;
use microraiden_protocol::{Amount, Deposit, Price};
use microraiden_sender::{ChannelError, DepositPolicy, SessionConfig, SessionError};
use std::time::Duration;

/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The limits for a request that costs at most `max_price`; without it, for asking what it costs.
///
/// # Errors
/// When an amount cannot be read.
pub(super) fn config(
    args: &RequestArgs,
    max_price: Option<Amount>,
    units: &Units,
) -> Result<SessionConfig, Failure> {
    let limits = &args.limits;
    let max_deposit = match (&limits.max_deposit, max_price) {
        (Some(text), _) => units.read(text)?,
        (None, None) => Amount::MAX,
        // A sum of ten, since amounts do not multiply.
        (None, Some(max_price)) => (0..10)
            .try_fold(Amount::ZERO, |sum, _| sum.checked_add(max_price))
            .ok_or_else(|| {
                Misuse("ten times the price is more than any token has: give --max-deposit".to_owned())
            })?,
    };
    let max_price = max_price.unwrap_or(Amount::MAX);
    let budget = match &limits.budget {
        Some(text) => units.read(text)?,
        None => max_price,
    };
    Ok(SessionConfig {
        deposits: DepositPolicy {
            max_deposit: Deposit::new(max_deposit.base_units()),
            ..DepositPolicy::default()
        },
        receiver: limits.receiver,
        connect_timeout: args.timeout.min(CONNECT_TIMEOUT),
        answer_timeout: args.timeout,
        ..SessionConfig::new(Price::new(max_price.base_units()), budget)
    })
}

/// The error, with a limit that was in the way in the token's units.
pub(super) fn told(error: SessionError, units: &Units) -> Failure {
    match error {
        SessionError::PriceTooHigh { price, max } => Box::new(LimitReached::Price {
            price: units.show(price),
            max: units.show(max),
        }),
        SessionError::Budget { needed, left } => Box::new(LimitReached::Budget {
            needed: units.show(needed),
            left: units.show(left),
        }),
        SessionError::Channel(ChannelError::DepositLimit { needed, allowed }) => {
            Box::new(LimitReached::Deposit {
                needed: units.show(needed),
                allowed: units.show(allowed),
            })
        }
        error => Box::new(error),
    }
}
