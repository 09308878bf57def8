//! A payment in flight, and the budget it is taken from.

use super::error::SessionError;
use super::purchase::Learned;
use crate::channel::{Channel, Place};
use crate::error::ChannelError;
use crate::line::{ChannelState, Plan, Shortfall};
use microraiden_http::Receipt;
use microraiden_protocol::ledger::Standing;
use microraiden_protocol::{Amount, BalanceProof, Price};
use std::sync::{Mutex, PoisonError};

/// What may still be signed away.
#[derive(Debug)]
pub(super) struct Budget {
    total: Amount,
    used: Mutex<Amount>,
}

impl Budget {
    pub(super) fn new(total: Amount) -> Self {
        Self {
            total,
            used: Mutex::default(),
        }
    }

    pub(super) fn used(&self) -> Amount {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn left(&self) -> Amount {
        self.total.checked_sub(self.used()).unwrap_or_default()
    }

    /// Takes an amount; nothing ever comes back.
    fn take(&self, needed: Amount) -> Result<(), SessionError> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        match used.checked_add(needed) {
            Some(sum) if sum <= self.total => {
                *used = sum;
                Ok(())
            }
            _ => Err(SessionError::Budget {
                needed,
                left: self.total.checked_sub(*used).unwrap_or_default(),
            }),
        }
    }
}

/// What a payment is signed under.
pub(super) struct Terms<'a> {
    pub(super) price: Price,
    /// Whether the receiver understands what a payment states.
    pub(super) states_payments: bool,
    /// What this one request may still raise the signed balance by.
    pub(super) allowance: Amount,
    pub(super) budget: &'a Budget,
}

/// Why nothing was signed.
pub(super) enum Unsigned {
    /// The deposit does not cover it.
    Deposit(Shortfall),
    /// This one request has signed away all that it may.
    Allowance,
    /// The channel is closing.
    Closing,
    /// The budget does not allow it.
    Budget(SessionError),
    /// The signer or the channel book failed.
    Failed(ChannelError),
}

/// A signed payment. Dropped without an outcome, it counts as sent and unanswered.
pub(super) struct Payment {
    place: Place,
    pub(super) proof: BalanceProof,
    /// What it pays.
    pub(super) pays: Amount,
    /// By how much it raised the signed balance.
    pub(super) exposure: Amount,
    /// The same proof was sent for an earlier request and never answered.
    pub(super) resent: bool,
}

impl Payment {
    /// Signs the next payment of a channel, and has it written down.
    pub(super) async fn sign(channel: &Channel, terms: &Terms<'_>) -> Result<Self, Unsigned> {
        let (plan, place) = Self::plan(channel, terms)?;
        let resent = place.is_resent();
        let (proof, place) = place.sign().await.map_err(Unsigned::Failed)?;
        Ok(Self {
            place,
            proof,
            pays: plan.pays,
            exposure: plan.exposure,
            resent,
        })
    }

    /// Takes a place for the payment, within the limits.
    fn plan(channel: &Channel, terms: &Terms<'_>) -> Result<(Plan, Place), Unsigned> {
        let mut line = channel.line();
        if line.record.state != ChannelState::Open {
            return Err(Unsigned::Closing);
        }
        let plan = line
            .plan(terms.price, terms.states_payments)
            .map_err(Unsigned::Deposit)?;
        if plan.exposure > terms.allowance {
            return Err(Unsigned::Allowance);
        }
        terms.budget.take(plan.exposure).map_err(Unsigned::Budget)?;
        Ok((plan, Place::take(channel, &mut line, plan)))
    }

    /// It was accepted; gives what it cost.
    pub(super) fn served(mut self, receipt: Option<&Receipt>) -> Amount {
        let mut cost = Amount::ZERO;
        self.place
            .told(|line, pending| cost = line.served(pending, receipt));
        cost
    }

    /// It was refused, and the receiver has proved what it knows.
    pub(super) fn refused(mut self, standing: Option<Standing>) -> Learned {
        let mut is_quiet = false;
        self.place.told(|line, pending| {
            line.refused(pending);
            if let Some(standing) = standing {
                line.adopt(&standing);
            }
            is_quiet = line.is_quiet();
        });
        match is_quiet {
            true => Learned::Enough,
            false => Learned::OthersInFlight,
        }
    }

    /// It was accepted, and the answer is lost; gives what it cost.
    pub(super) fn lost(mut self, standing: Option<Standing>) -> Amount {
        let mut cost = Amount::ZERO;
        self.place.told(|line, pending| {
            cost = line.lost(pending);
            if let Some(standing) = standing {
                line.adopt(&standing);
            }
        });
        cost
    }
}
