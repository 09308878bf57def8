//! Accepting a payment.

use super::account::{Account, StoredProof, Transition, Writer};
use super::refusal::Refusal;
use super::release::Spend;
use super::units::{UnitSet, Units};
use crate::amount::{Amount, Price};
use crate::proof::VerifiedProof;

/// A proof that would leave more intervals unspent than this is refused.
pub(super) const MAX_INTERVALS: usize = 64;
/// After a release, and after taking out of a gap, the lowest intervals above this become refund;
/// so new proofs always find room to skip.
pub(super) const KEPT_INTERVALS: usize = 32;

/// What a request says that it pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payment {
    /// The request states the amount; zero asks for the balance.
    Stated(Amount),
    /// The request of 2018: whatever the proof is above the balance.
    Increment,
}

/// What new proofs may skip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most units that may stay unspent below a new proof, credit included.
    pub window: Amount,
}

impl Default for Limits {
    /// No limit but the number of intervals.
    fn default() -> Self {
        Self { window: Amount::MAX }
    }
}

impl Account {
    /// Decides a payment: the proof's unit `B` and the `p − 1` highest unspent units below it are
    /// sold for `price`.
    ///
    /// Gives the transition to commit and the spend that names what was sold. The content may
    /// leave only after the transition is durable. A proof that is public on the chain buys nothing,
    /// even where its units were released: whoever presents it need not be the sender.
    ///
    /// # Errors
    /// With the first refusal that applies; nothing has changed.
    ///
    /// # Panics
    /// When the proof is for another channel.
    pub fn accept(
        &self,
        proof: &VerifiedProof,
        payment: Payment,
        price: Price,
        limits: Limits,
        by: Writer,
    ) -> Result<(Transition, Spend), Refusal> {
        assert_eq!(proof.channel(), self.channel(), "a proof pays on its own channel");
        let top = proof.balance();
        self.screen(top)?;
        let paid = self.paid(proof, payment, price)?;
        if self.is_public(top) || (top <= self.row.balance && !self.row.unspent.contains(top)) {
            return Err(Refusal::AlreadySpent);
        }
        if paid != price.into() {
            return Err(Refusal::InvalidAmount);
        }
        let mut unspent = self.row.unspent.clone();
        if let Some(first) = self
            .row
            .balance
            .checked_add(Amount::from(1))
            .filter(|first| *first <= top)
        {
            unspent.insert(Units { first, last: top });
        }
        let units = unspent.take(top, paid).ok_or(Refusal::NotCovered)?;
        let skips = unspent.highest().is_some_and(|unit| unit > self.row.balance);
        if skips && (unspent.intervals().len() > MAX_INTERVALS || unspent.total() > limits.window) {
            return Err(Refusal::WindowExceeded);
        }
        Ok(self.sell(proof, units, unspent, by))
    }

    /// What the request pays; never nothing.
    fn paid(&self, proof: &VerifiedProof, payment: Payment, price: Price) -> Result<Amount, Refusal> {
        let top = proof.balance();
        let paid = match payment {
            Payment::Stated(paid) => paid,
            Payment::Increment => match top.checked_since(self.row.balance) {
                Some(increment) if !increment.is_zero() => increment,
                _ if self.is_unspent_below(proof, price) => price.into(),
                Some(_) => Amount::ZERO,
                None => return Err(Refusal::DecreasingBalance),
            },
        };
        if paid.is_zero() {
            Err(Refusal::BalanceQuery)
        } else {
            Ok(paid)
        }
    }

    /// Whether the `price` units that end at the proof's are unspent: our own failure released them.
    fn is_unspent_below(&self, proof: &VerifiedProof, price: Price) -> bool {
        let first = proof
            .balance()
            .checked_sub(price)
            .and_then(|below| below.checked_add(Amount::from(1)));
        !price.is_zero()
            && !self.is_public(proof.balance())
            && first.is_some_and(|first| self.row.unspent.contains_all(first, proof.balance()))
    }

    fn sell(
        &self,
        proof: &VerifiedProof,
        units: UnitSet,
        unspent: UnitSet,
        by: Writer,
    ) -> (Transition, Spend) {
        let raises = proof.balance() > self.row.balance;
        let spend = Spend {
            channel: *self.channel(),
            number: self.row.spends,
            writer: by,
            units,
        };
        let transition = self.change(by, |after| {
            after.row.spends += 1;
            after.open_spends.push(spend.name());
            after.row.unspent = unspent;
            after.row.balance = after.row.balance.max(proof.balance());
            after.row.keep_proof(StoredProof {
                balance: proof.balance(),
                signature: proof.signature(),
            });
            if !raises {
                after.fold();
            }
        });
        (transition, spend)
    }

    /// Turns the lowest unspent intervals into refund until [`KEPT_INTERVALS`] are left.
    pub(super) fn fold(&mut self) {
        let folded = self.row.unspent.fold_lowest(KEPT_INTERVALS);
        self.row.refund = self
            .row
            .refund
            .checked_add(folded)
            .expect("unspent and refund are parts of the balance");
    }
}
