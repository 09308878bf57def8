//! Closing: promises, disputes and withdrawals. Each is committed before a signature leaves.

use super::account::{Account, Closing, Promise, StoredProof, Transition, Writer};
use super::refusal::CloseRefusal;
use crate::amount::Balance;
use crate::channel::Phase;
use crate::signature::Signature;

/// What is asked of the contract, and the transition that must be durable before; `None` when it
/// was promised before, so that the same may be signed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The balance, with the sender's signature for it where we hold one.
    pub balance: Balance,
    /// The sender's balance signature.
    pub sender_signature: Option<Signature>,
    /// What to commit first.
    pub transition: Option<Transition>,
}

impl Account {
    /// Promises the sender a close at `at`. After it nothing is sold on this channel, ever.
    ///
    /// Allowed from what was sold (or withdrawn) up to the balance; the sender may leave its
    /// credit to us. The same `at` again is the same promise. `sender_signature` is the sender's
    /// verified balance signature for `at`, if one was given.
    ///
    /// # Errors
    /// When another close was promised, or a dispute; when `at` is outside the range; when the
    /// channel is not confirmed, or settled.
    pub fn close_at(
        &self,
        at: Balance,
        sender_signature: Option<Signature>,
        by: Writer,
    ) -> Result<Claim, CloseRefusal> {
        match self.row.promise {
            Some(Promise::Closing(closing) | Promise::ClosingAndDispute(closing, _)) if closing.at == at => {
                return Ok(Claim {
                    balance: at,
                    sender_signature: closing.sender_signature,
                    transition: None,
                });
            }
            Some(_) => return Err(CloseRefusal::OtherPromise),
            None => {}
        }
        self.closable()?;
        if at < self.spent().max(self.withdrawn()) || at > self.row.balance {
            return Err(CloseRefusal::WrongBalance);
        }
        // At a stored balance we hold the sender's signature anyway.
        let stored = self
            .row
            .proofs
            .iter()
            .find(|proof| proof.balance == at)
            .map(|proof| proof.signature);
        let sender_signature = sender_signature.or(stored);
        let transition = self.change(by, |after| {
            after.row.promise = Some(Promise::Closing(Closing { at, sender_signature }))
        });
        Ok(Claim {
            balance: at,
            sender_signature,
            transition: Some(transition),
        })
    }

    /// Whether a close on chain claims less than was sold or withdrawn, and so must be disputed.
    pub fn is_stale_close(&self, closing_balance: Balance) -> bool {
        closing_balance < self.spent().max(self.withdrawn())
    }

    /// Promises our signature for the best proof that the deposit covers, to claim it ourselves.
    /// After it nothing is sold on this channel, ever.
    ///
    /// A dispute may follow a promised close, never precede one. Asked again, it is the same.
    ///
    /// # Errors
    /// When the channel is not confirmed, or settled, or no stored proof is above the withdrawals.
    pub fn dispute(&self, by: Writer) -> Result<Claim, CloseRefusal> {
        let disputed = self.row.promise.as_ref().and_then(Promise::dispute);
        if let Some(proof) = disputed.and_then(|at| self.row.proofs.iter().find(|proof| proof.balance == at))
        {
            return Ok(Claim::of(proof, None));
        }
        self.closable()?;
        let proof = self
            .best_proof(self.row.facts.deposit)
            .filter(|proof| disputed.is_none() && proof.balance >= self.withdrawn())
            .ok_or(CloseRefusal::NothingToClaim)?;
        let transition = self.change(by, |after| {
            after.row.promise = Some(match self.row.promise {
                Some(Promise::Closing(closing)) => Promise::ClosingAndDispute(closing, proof.balance),
                _ => Promise::Dispute(proof.balance),
            });
        });
        Ok(Claim::of(proof, Some(transition)))
    }

    /// Takes note that the best covered proof is about to be withdrawn. Once sent it is public.
    ///
    /// Never above a promised close.
    ///
    /// # Errors
    /// When the channel is not open, or there is nothing above what was withdrawn.
    pub fn withdraw(&self, by: Writer) -> Result<Claim, CloseRefusal> {
        self.closable()?;
        let promised = self
            .row
            .promise
            .as_ref()
            .and_then(Promise::closing)
            .map_or(Balance::MAX, |c| c.at);
        let proof = self
            .best_proof(self.row.facts.deposit)
            .filter(|proof| self.row.facts.phase == Phase::Open && proof.balance <= promised)
            .filter(|proof| {
                proof.balance > self.row.facts.withdrawn() && proof.balance >= self.row.withdrawing()
            })
            .ok_or(CloseRefusal::NothingToClaim)?;
        if proof.balance == self.row.withdrawing() {
            return Ok(Claim::of(proof, None));
        }
        let transition = self.change(by, |after| after.row.sent_withdrawals.push(proof.balance));
        Ok(Claim::of(proof, Some(transition)))
    }

    fn closable(&self) -> Result<(), CloseRefusal> {
        match self.row.facts.phase {
            Phase::Pending => Err(CloseRefusal::Unconfirmed),
            Phase::Settled { .. } => Err(CloseRefusal::Settled),
            Phase::Open | Phase::Challenged { .. } => Ok(()),
        }
    }
}

impl Claim {
    fn of(proof: &StoredProof, transition: Option<Transition>) -> Self {
        Self {
            balance: proof.balance,
            sender_signature: Some(proof.signature),
            transition,
        }
    }
}
