//! A payment in flight, and the budget it is taken from.

use super::error::SessionError;
use super::purchase::Learned;
use crate::channel::Channel;
use crate::line::{ChannelState, Pending, Shortfall};
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
}

/// A signed payment. Dropped without an outcome, it counts as sent and unanswered.
#[derive(Debug)]
pub(super) struct Payment {
    channel: Channel,
    pending: Option<Pending>,
    pub(super) proof: BalanceProof,
    /// What it pays.
    pub(super) pays: Amount,
    /// By how much it raised the signed balance.
    pub(super) exposure: Amount,
    /// The same proof was sent for an earlier request and never answered.
    pub(super) resent: bool,
}

impl Payment {
    /// Signs the next payment of a channel.
    pub(super) fn sign(channel: &Channel, terms: &Terms<'_>) -> Result<Self, Unsigned> {
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
        let core = channel.core();
        let (proof, pending) = line.sign(plan, &core.contract.scheme(), &core.key);
        Ok(Self {
            channel: channel.clone(),
            proof,
            pays: plan.pays,
            exposure: plan.exposure,
            resent: pending.resent,
            pending: Some(pending),
        })
    }

    /// It was accepted; gives what it cost.
    pub(super) fn served(mut self, receipt: Option<&Receipt>) -> Amount {
        let pending = self.pending.take().expect("its outcome is told once");
        self.channel.line().served(&pending, receipt)
    }

    /// It was refused, and the receiver has proved what it knows.
    pub(super) fn refused(mut self, standing: Option<Standing>) -> Learned {
        let pending = self.pending.take().expect("its outcome is told once");
        let mut line = self.channel.line();
        line.refused(&pending);
        if let Some(standing) = standing {
            line.adopt(&standing);
        }
        if line.is_quiet() {
            Learned::Enough
        } else {
            Learned::OthersInFlight
        }
    }

    /// It was accepted, and the answer is lost; gives what it cost.
    pub(super) fn lost(mut self, standing: Option<Standing>) -> Amount {
        let pending = self.pending.take().expect("its outcome is told once");
        let mut line = self.channel.line();
        let pays = line.lost(&pending);
        if let Some(standing) = standing {
            line.adopt(&standing);
        }
        pays
    }
}

impl Drop for Payment {
    fn drop(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.channel.line().unanswered(&pending);
        }
    }
}
