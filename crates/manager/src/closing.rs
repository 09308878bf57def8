//! A close by agreement: the promise is durable before its signature leaves.

use crate::decide::{Decision, Failed};
use crate::manager::{ChannelManager, Shared};
use crate::payment::Unavailable;
use microraiden_protocol::ledger::{Account, Claim, CloseRefusal};
use microraiden_protocol::{Amount, Balance, BalanceProof, ChannelId, Signature, VerifiedProof};
use microraiden_store::{Task, TaskChange, TaskKind};

/// Asks for a closing signature at a balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseRequest {
    /// The channel.
    pub channel: ChannelId,
    /// Where it shall be closed.
    pub balance: Balance,
    /// Who asks.
    pub asker: Asker,
}

/// Who asks for a close, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// The sender, who shows it by signatures.
    Sender {
        /// The sender's balance signature for exactly the closing balance; it lets us close too.
        signature: Signature,
        /// The sender's balance signature for any smaller balance. It is needed where the proof for
        /// the closing balance was made public, by a withdrawal, and so shows nothing.
        other: Option<(Balance, Signature)>,
    },
    /// The operator; the caller has seen to it.
    Operator,
    /// Anybody, where the operator allows that. A close of this kind is brought on chain by the sender only.
    Anybody,
}

/// Why there is no closing signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseError {
    /// The customer's doing.
    #[error(transparent)]
    Refused(#[from] CloseRefusal),
    /// Nothing was paid on the channel.
    #[error("nothing was paid on this channel; close it on chain")]
    NothingPaid,
    /// The request does not come from the sender.
    #[error("a close is asked for with the sender's balance signature for the closing balance")]
    NotTheSender,
    /// The signature is the sender's, but anybody can read it from the chain.
    #[error(
        "the balance proof for this balance is public; show by auth_balance and auth_signature, \
         the sender's balance signature for any smaller balance, who asks"
    )]
    ProofIsPublic,
    /// Ours or the world's.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl ChannelManager {
    /// Agrees to a close and signs it. Afterwards nothing is sold on this channel, ever; the same
    /// balance again gives the same signature.
    ///
    /// # Errors
    /// See [`CloseError`]; only for [`CloseError::Unavailable`] a promise may have been kept.
    pub async fn close(&self, request: CloseRequest) -> Result<Signature, CloseError> {
        let CloseRequest {
            channel,
            balance,
            asker,
        } = request;
        let slot = self
            .shared
            .accounts
            .get(&channel)
            .ok_or(CloseRefusal::UnknownChannel)?;
        // Verified before the account is locked: each takes some 45 µs.
        let proofs = match asker {
            Asker::Operator | Asker::Anybody => None,
            Asker::Sender { signature, other } => {
                let other = other.filter(|(smaller, _)| *smaller < balance);
                let other = other.map(|(smaller, signature)| self.verified(channel, smaller, signature));
                Some((self.verified(channel, balance, signature)?, other.transpose()?))
            }
        };
        let manager = self.shared.clone();
        let closed = self.shared.decide(&slot, move |account| {
            if let Some((proof, other)) = &proofs {
                // A proof that went to the chain shows nothing about who asks.
                let shown = [Some(proof), other.as_ref()].into_iter().flatten();
                if !shown.clone().any(|proof| account.standing(proof).is_some()) {
                    return Err(CloseError::ProofIsPublic);
                }
            }
            if account.balance().is_zero() {
                return Err(CloseError::NothingPaid);
            }
            let signature = proofs.as_ref().map(|(proof, _)| proof.signature());
            let claim = account.close_at(balance, signature, manager.writer())?;
            let tasks = match asker {
                Asker::Anybody => Vec::new(),
                _ => closes_later(&manager, account, &claim),
            };
            // A promise that is there already may have been read from a database that fails over to one without it.
            // What is written once more has been replicated when it is durable.
            let again = || {
                let same = account.facts().clone();
                let is_shared = manager.others.is_some();
                is_shared.then(|| account.observe(same, manager.writer()))
            };
            let transition = claim.transition.or_else(again);
            Ok(Decision {
                tasks,
                #[cfg(feature = "planted")]
                at_once: crate::planted::has(crate::planted::Bug::SignsBeforeDurable),
                ..Decision::new(transition, ())
            })
        });
        closed.await.map_err(Failed::into_reason)?;
        tracing::info!(%channel, %balance, "close agreed");
        let scheme = self.shared.contract.scheme();
        Ok(scheme.sign_closing(&self.shared.key, &channel, balance))
    }

    /// The proof, if it is the sender's.
    fn verified(
        &self,
        channel: ChannelId,
        balance: Balance,
        signature: Signature,
    ) -> Result<VerifiedProof, CloseError> {
        let proof = BalanceProof {
            channel,
            balance,
            signature,
        };
        proof
            .verify(&self.shared.contract.scheme())
            .map_err(|_| CloseError::NotTheSender)
    }
}

/// The task to bring an agreed close on chain ourselves if the sender does not in time: where we
/// hold its signature, and it is worth the gas.
fn closes_later(shared: &Shared, account: &Account, claim: &Claim) -> Vec<TaskChange> {
    let (channel, kind) = (*account.channel(), TaskKind::Close);
    let paid = account.facts().withdrawn();
    let gain = claim.balance.checked_since(paid).unwrap_or(Amount::ZERO);
    let can = claim.sender_signature.is_some() && shared.config.is_worth_it(gain);
    let put = TaskChange::Put(Task {
        channel,
        kind,
        transaction: None,
        not_before: shared.head().saturating_add(shared.config.close_patience),
    });
    let wanted = can && !shared.disputes.contains(&channel, kind);
    wanted.then_some(put).into_iter().collect()
}
