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
    /// verified balance signature for `at`, if one was given; it may still come with a repetition.
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
        if let Some(promise) = &self.row.promise {
            let closing = promise.closing().filter(|closing| closing.at == at);
            return closing
                .map(|closing| self.repeat_close(closing, sender_signature, by))
                .ok_or(CloseRefusal::OtherPromise);
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

    /// The same promise again; takes the sender's signature if only now there is one.
    fn repeat_close(&self, closing: &Closing, given: Option<Signature>, by: Writer) -> Claim {
        let sender_signature = closing.sender_signature.or(given);
        let completed = Closing {
            sender_signature,
            ..*closing
        };
        let transition = (completed != *closing).then(|| {
            self.change(by, |after| {
                after.row.promise = Some(match self.row.promise.as_ref().and_then(Promise::dispute) {
                    Some(dispute) => Promise::ClosingAndDispute(completed, dispute),
                    None => Promise::Closing(completed),
                });
            })
        });
        Claim {
            balance: closing.at,
            sender_signature,
            transition,
        }
    }

    /// Whether a close on chain claims less than was sold, or than the chain shows as withdrawn, and
    /// so must be disputed.
    ///
    /// A withdrawal of ours that was sent but not mined does not count: the challenge makes it fail,
    /// and it may have asked for the sender's credit.
    pub fn is_stale_close(&self, closing_balance: Balance) -> bool {
        closing_balance < self.spent().max(self.row.facts.withdrawn())
    }

    /// Promises our signature for the best proof that the deposit covers, to claim it ourselves.
    /// After it nothing is sold on this channel, ever.
    ///
    /// A dispute may follow a promised close, never precede one. Asked again, it is the same.
    ///
    /// # Errors
    /// When the channel is not confirmed, or settled, or when what the chain shows as withdrawn is
    /// above the best covered proof. A withdrawal that was only sent does not count: where the
    /// deposit shrank below it, it can never be mined.
    pub fn dispute(&self, by: Writer) -> Result<Claim, CloseRefusal> {
        let disputed = self.row.promise.as_ref().and_then(Promise::dispute);
        if let Some(proof) = disputed.and_then(|at| self.row.proofs.iter().find(|proof| proof.balance == at))
        {
            return Ok(Claim::of(proof, None));
        }
        self.closable()?;
        let proof = self
            .best_proof(self.row.facts.deposit)
            .filter(|proof| disputed.is_none() && proof.balance >= self.row.facts.withdrawn())
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
    /// Never above a promised close or dispute, which the contract would then refuse.
    ///
    /// # Errors
    /// When the channel is not open, or there is nothing above what was withdrawn.
    pub fn withdraw(&self, by: Writer) -> Result<Claim, CloseRefusal> {
        self.closable()?;
        let promised = |at: &Promise| [at.closing().map(|closing| closing.at), at.dispute()];
        let mut promises = self.row.promise.iter().flat_map(promised).flatten();
        let proof = self
            .best_proof(self.row.facts.deposit)
            .filter(|proof| self.row.facts.phase == Phase::Open && promises.all(|at| proof.balance <= at))
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
