//! A receiver with one channel.

use crate::fixture::{new_account, open_facts, proof, writer};
use microraiden_protocol::ChainFacts;
use microraiden_protocol::ledger::{
    Account, Claim, CloseRefusal, Limits, Payment, Refusal, ReleaseError, Spend,
};

/// A receiver with one channel, who commits whatever the ledger allows.
pub(crate) struct Shop {
    pub(crate) account: Account,
    pub(crate) sequence: u64,
    pub(crate) limits: Limits,
}

/// The form of 2018: nothing is stated.
pub(crate) const OLD: Option<u64> = None;

impl Shop {
    pub(crate) fn with(deposit: u64) -> Self {
        Self {
            account: new_account(open_facts(deposit)),
            sequence: 0,
            limits: Limits::default(),
        }
    }

    /// Sells for `price` against a proof for `top`; `stated` is the request's `RDN-Payment`.
    pub(crate) fn sell(&mut self, top: u64, stated: Option<u64>, price: u64) -> Result<Spend, Refusal> {
        self.sequence += 1;
        let payment = stated.map_or(Payment::Increment, |paid| Payment::Stated(paid.into()));
        let by = writer(self.sequence);
        let (transition, spend) = self
            .account
            .accept(&proof(top), payment, price.into(), self.limits, by)?;
        assert_eq!(transition.before(), Some(self.account.version()));
        self.account = transition.into_after();
        Ok(spend)
    }

    /// Sells what is paid for exactly.
    pub(crate) fn pay(&mut self, top: u64, price: u64) -> Spend {
        self.sell(top, Some(price), price)
            .unwrap_or_else(|refusal| panic!("{price} by {top}: {refusal:?}"))
    }

    pub(crate) fn release(&mut self, spend: &Spend) -> Result<(), ReleaseError> {
        self.charge(spend, 0)
    }

    pub(crate) fn charge(&mut self, spend: &Spend, cost: u64) -> Result<(), ReleaseError> {
        let transition = self.account.spend_partly(spend, cost.into(), writer(99))?;
        self.account = transition.into_after();
        Ok(())
    }

    pub(crate) fn observe(&mut self, facts: ChainFacts) {
        self.account = self.account.observe(facts, writer(98)).into_after();
    }

    pub(crate) fn take(&mut self, claim: Result<Claim, CloseRefusal>) -> Result<u64, CloseRefusal> {
        let claim = claim?;
        if let Some(transition) = claim.transition {
            self.account = transition.into_after();
        }
        Ok(claim.balance.base_units().to())
    }

    pub(crate) fn close_at(&mut self, at: u64) -> Result<u64, CloseRefusal> {
        self.take(self.account.close_at(at.into(), None, writer(97)))
    }

    pub(crate) fn dispute(&mut self) -> Result<u64, CloseRefusal> {
        self.take(self.account.dispute(writer(96)))
    }

    pub(crate) fn withdraw(&mut self) -> Result<u64, CloseRefusal> {
        self.take(self.account.withdraw(writer(95)))
    }

    /// `balance; unspent; refund; spent`.
    pub(crate) fn state(&self) -> String {
        let row = self.account.row();
        format!(
            "{}; {}; {}; {}",
            row.balance,
            row.unspent,
            row.refund,
            self.account.spent()
        )
    }

    /// The balances that a proof is kept for.
    pub(crate) fn proofs(&self) -> Vec<u64> {
        let proofs = self.account.row().proofs.iter();
        proofs.map(|stored| stored.balance.base_units().to()).collect()
    }
}
