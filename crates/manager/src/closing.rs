//! A close that the sender asks for: the promise is durable before its signature leaves.

use crate::manager::ChannelManager;
use crate::payment::Unavailable;
use microraiden_protocol::ledger::CloseRefusal;
use microraiden_protocol::{Balance, BalanceProof, ChannelId, Signature};

/// Asks for a closing signature at a balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseRequest {
    /// The channel.
    pub channel: ChannelId,
    /// Where it shall be closed.
    pub balance: Balance,
    /// The sender's balance signature for exactly that: it shows who asks, and lets us close too.
    pub sender_signature: Signature,
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
            sender_signature,
        } = request;
        let slot = self
            .shared
            .accounts
            .get(&channel)
            .ok_or(CloseRefusal::UnknownChannel)?;
        let scheme = self.shared.contract.scheme();
        let proof = BalanceProof {
            channel,
            balance,
            signature: sender_signature,
        }
        .verify(&scheme)
        .map_err(|_| CloseError::NotTheSender)?;
        let ticket = {
            let mut account = slot.lock();
            // A proof that a withdrawal made public shows nothing about who asks.
            account.standing(&proof).ok_or(CloseError::NotTheSender)?;
            if account.balance().is_zero() {
                return Err(CloseError::NothingPaid);
            }
            let claim = account.close_at(balance, Some(sender_signature), self.shared.writer())?;
            match claim.transition {
                // Promised before, perhaps a moment ago: wait until that is durable.
                None => self.shared.barrier()?,
                Some(transition) => self.shared.commit(&mut account, transition)?,
            }
        };
        ticket.await.map_err(|error| self.shared.stop_selling(&error))?;
        // The promise of an earlier request may be the one that could not be kept.
        self.shared.check_store()?;
        tracing::info!(%channel, %balance, "close agreed");
        Ok(scheme.sign_closing(&self.shared.key, &channel, balance))
    }
}
