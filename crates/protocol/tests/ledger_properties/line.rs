//! The naive ledger: a plain list of units with what became of each, and every rule read off it.

use microraiden_protocol::ledger::{CloseRefusal, Payment, Refusal};
use microraiden_protocol::{Amount, Balance, ChainFacts, Deposit, Phase};
use std::collections::{BTreeMap, BTreeSet};

/// What became of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Unspent,
    Sold,
    Refunded,
}

/// A promised close, and whether the sender's signature for it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) at: u64,
    pub(crate) signed: bool,
}

/// One channel as its rules describe it; nothing is ever forgotten here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    /// Unit `n` stands at `n − 1`.
    pub(crate) units: Vec<Unit>,
    /// The balances of all accepted proofs.
    pub(crate) accepted: BTreeSet<u64>,
    /// For each deposit that could be paid with or fallen back to when something was last for
    /// sale: the highest accepted proof that it covers, as far as it was known as a level then.
    covered: BTreeMap<u64, u64>,
    pub(crate) closing: Option<Close>,
    pub(crate) disputed: Option<u64>,
    pub(crate) sent_withdrawals: BTreeSet<u64>,
}

pub(crate) fn small(amount: impl Into<Amount>) -> u64 {
    amount.into().base_units().to()
}

impl Line {
    pub(crate) fn balance(&self) -> u64 {
        u64::try_from(self.units.len()).expect("a short line")
    }

    pub(crate) fn count(&self, what: Unit) -> u64 {
        self.units.iter().map(|unit| u64::from(*unit == what)).sum()
    }

    /// The intervals of unspent units, both ends included.
    pub(crate) fn unspent(&self) -> Vec<(u64, u64)> {
        intervals((1..=self.balance()).filter(|unit| self.is_unspent(*unit)))
    }

    /// Whether nothing was sold for the unit yet; so for all above the balance.
    fn is_unspent(&self, unit: u64) -> bool {
        let at = unit.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        at.is_some_and(|at| self.units.get(at).is_none_or(|unit| *unit == Unit::Unspent))
    }

    fn is_impaired(&self, facts: &ChainFacts) -> bool {
        self.balance() > small(facts.deposit) || small(facts.withdrawn()) > self.balance()
    }

    pub(crate) fn is_public(&self, balance: u64, facts: &ChainFacts) -> bool {
        facts.withdrawals.contains(&Balance::from(balance))
            || self.sent_withdrawals.contains(&balance)
            || self.disputed == Some(balance)
    }

    /// Which units a request takes, or why it is refused.
    pub(crate) fn decide(
        &self,
        facts: &ChainFacts,
        top: u64,
        payment: Payment,
        price: u64,
        window: u64,
    ) -> Result<Vec<u64>, Refusal> {
        if self.closing.is_some() || self.disputed.is_some() {
            return Err(Refusal::ClosePromised);
        }
        match facts.phase {
            Phase::Open => {}
            Phase::Pending => return Err(Refusal::Unconfirmed),
            Phase::Challenged { .. } => return Err(Refusal::Challenged),
            Phase::Settled { .. } => return Err(Refusal::Settled),
        }
        if self.is_impaired(facts) {
            return Err(Refusal::Impaired);
        }
        if top > small(facts.deposit) {
            let is_seen = top <= small(facts.unconfirmed_deposit);
            return Err(if is_seen {
                Refusal::TopUpUnconfirmed
            } else {
                Refusal::AboveDeposit
            });
        }
        let is_public = self.is_public(top, facts);
        let paid = match payment {
            Payment::Stated(paid) => small(paid),
            Payment::Increment if top > self.balance() => top - self.balance(),
            Payment::Increment if !is_public && price > 0 && self.all_unspent(top, price) => price,
            Payment::Increment if top == self.balance() => 0,
            Payment::Increment => return Err(Refusal::DecreasingBalance),
        };
        if paid == 0 {
            return Err(Refusal::BalanceQuery);
        }
        if is_public || !self.is_unspent(top) {
            return Err(Refusal::AlreadySpent);
        }
        if paid != price {
            return Err(Refusal::InvalidAmount);
        }
        let highest = (1..=top).rev().filter(|unit| self.is_unspent(*unit));
        let taken: Vec<u64> = highest.zip(0..paid).map(|(unit, _)| unit).collect();
        if u64::try_from(taken.len()) != Ok(paid) {
            return Err(Refusal::NotCovered);
        }
        let left = |unit: &u64| self.is_unspent(*unit) && !taken.contains(unit);
        let skips = (self.balance() + 1..=top).any(|unit| left(&unit));
        let after: Vec<u64> = (1..=top.max(self.balance())).filter(left).collect();
        let is_too_much = u64::try_from(after.len()).is_ok_and(|total| total > window);
        if skips && (is_too_much || intervals(after.into_iter()).len() > 64) {
            return Err(Refusal::WindowExceeded);
        }
        Ok(taken)
    }

    fn all_unspent(&self, top: u64, price: u64) -> bool {
        price <= top && (top - price + 1..=top).all(|unit| self.is_unspent(unit))
    }

    /// Sells the units; says which one was sold before.
    pub(crate) fn sell(&mut self, top: u64, units: &[u64]) -> Result<(), u64> {
        let raises = top > self.balance();
        let length = usize::try_from(top).expect("a short line");
        self.units.resize(self.units.len().max(length), Unit::Unspent);
        for unit in units {
            let state = self.unit(*unit);
            if *state != Unit::Unspent {
                return Err(*unit);
            }
            *state = Unit::Sold;
        }
        self.accepted.insert(top);
        for (_, best) in self.covered.range_mut(top..) {
            *best = top.max(*best);
        }
        if !raises {
            self.fold();
        }
        Ok(())
    }

    /// Gives the lowest of the units back, all but `cost`.
    pub(crate) fn give_back(&mut self, units: &[u64], cost: u64) {
        let mut lowest = units.to_vec();
        lowest.sort_unstable();
        let kept = usize::try_from(cost).expect("a small cost");
        for unit in &lowest[..lowest.len() - kept] {
            *self.unit(*unit) = Unit::Unspent;
        }
        self.fold();
    }

    fn unit(&mut self, unit: u64) -> &mut Unit {
        &mut self.units[usize::try_from(unit - 1).expect("a short line")]
    }

    fn fold(&mut self) {
        let intervals = self.unspent();
        for (first, last) in &intervals[..intervals.len().saturating_sub(32)] {
            (*first..=*last).for_each(|unit| *self.unit(unit) = Unit::Refunded);
        }
    }

    /// Where a close may be promised; `true` when it was before.
    pub(crate) fn decide_close(&self, facts: &ChainFacts, at: u64) -> Result<bool, CloseRefusal> {
        if self.closing.is_some_and(|closing| closing.at == at) {
            return Ok(true);
        }
        if self.closing.is_some() || self.disputed.is_some() {
            return Err(CloseRefusal::OtherPromise);
        }
        closable(facts)?;
        let sent = self.sent_withdrawals.last().copied().unwrap_or(0);
        let least = self.count(Unit::Sold).max(small(facts.withdrawn())).max(sent);
        if (least..=self.balance()).contains(&at) {
            Ok(false)
        } else {
            Err(CloseRefusal::WrongBalance)
        }
    }

    /// Where to dispute, given the best covered proof that is still stored.
    pub(crate) fn decide_dispute(&self, facts: &ChainFacts, best: Option<u64>) -> Result<u64, CloseRefusal> {
        if let Some(at) = self.disputed {
            return Ok(at);
        }
        closable(facts)?;
        best.filter(|at| *at >= small(facts.withdrawn()))
            .ok_or(CloseRefusal::NothingToClaim)
    }

    /// What to withdraw, given the best covered proof that is still stored.
    pub(crate) fn decide_withdraw(&self, facts: &ChainFacts, best: Option<u64>) -> Result<u64, CloseRefusal> {
        closable(facts)?;
        let promised = self
            .closing
            .map(|closing| closing.at)
            .into_iter()
            .chain(self.disputed);
        let most = promised.min().unwrap_or(u64::MAX);
        let sent = self.sent_withdrawals.last().copied().unwrap_or(0);
        best.filter(|at| facts.phase == Phase::Open && *at <= most)
            .filter(|at| *at > small(facts.withdrawn()) && *at >= sent)
            .ok_or(CloseRefusal::NothingToClaim)
    }

    pub(crate) fn observe(&mut self, facts: &ChainFacts) {
        if self.balance() > small(facts.deposit) {
            return;
        }
        let levels = facts.lower_deposits.iter().chain([&facts.deposit]);
        self.covered = levels
            .map(|level| {
                let all = Some(self.balance()).filter(|balance| *balance <= small(*level));
                (small(*level), self.least_best_proof(*level).max(all).unwrap_or(0))
            })
            .collect();
    }

    /// The least that the best stored proof covered by this deposit may be; nothing when there may
    /// be none.
    pub(crate) fn least_best_proof(&self, deposit: Deposit) -> Option<u64> {
        let covered = self.covered.range(..=small(deposit)).next_back();
        covered.map(|(_, best)| *best).filter(|best| *best > 0)
    }
}

fn closable(facts: &ChainFacts) -> Result<(), CloseRefusal> {
    match facts.phase {
        Phase::Pending => Err(CloseRefusal::Unconfirmed),
        Phase::Settled { .. } => Err(CloseRefusal::Settled),
        Phase::Open | Phase::Challenged { .. } => Ok(()),
    }
}

fn intervals(units: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut intervals: Vec<(u64, u64)> = Vec::new();
    for unit in units {
        match intervals.last_mut() {
            Some((_, last)) if *last + 1 == unit => *last = unit,
            _ => intervals.push((unit, unit)),
        }
    }
    intervals
}
