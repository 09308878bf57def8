//! A close that the operator wants: the receiver brings it on chain itself.

use crate::decide::{Decision, Failed};
use crate::follow::{agreed_close, heads};
use crate::manager::ChannelManager;
use crate::payment::Unavailable;
use microraiden_protocol::ledger::{Account, CloseRefusal, Transition, Writer};
use microraiden_protocol::{BlockNumber, ChannelId, Phase};
use microraiden_store::{Task, TaskChange, TaskKind};

/// Why a channel is not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForceCloseError {
    /// The channel is not known, or not confirmed.
    #[error("no such channel is known")]
    UnknownChannel,
    /// The state does not allow it: more was withdrawn than any proof is for.
    #[error("the channel cannot be closed: {0}")]
    Refused(CloseRefusal),
    /// Ours or the world's.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// What closing takes: the promise, unless it was given before, and whether there is something to
/// bring on chain.
struct Close {
    promise: Option<Transition>,
    on_chain: bool,
}

impl ChannelManager {
    /// Stops selling on a channel for good, and closes it on chain: at the agreed balance if a close
    /// was agreed and the sender's signature for it is at hand, else at the best proof that the
    /// deposit covers. Where nothing was paid there is nothing to claim, and the selling stops only.
    ///
    /// Returns when promise and task are durable; the transaction is sent, and sent again, until the
    /// channel is settled. Asked again, it is the same. Where a settlement is confirmed there is nothing to do.
    ///
    /// # Errors
    /// See [`ForceCloseError`].
    pub async fn force_close(&self, channel: &ChannelId) -> Result<(), ForceCloseError> {
        let shared = &self.shared;
        shared.check_store()?;
        let unknown = ForceCloseError::UnknownChannel;
        let slot = shared.accounts.get(channel).ok_or(unknown)?;
        let (manager, channel) = (self.shared.clone(), *channel);
        let closed = shared.decide(&slot, move |account| {
            let head = manager.head();
            match account.facts().phase {
                Phase::Pending => return Err(unknown),
                Phase::Settled { at } if at <= heads(head, &manager).confirmed => {
                    return Ok(Decision::new(None, false));
                }
                Phase::Settled { .. } | Phase::Open | Phase::Challenged { .. } => {}
            }
            let close = decide(account, || manager.writer()).map_err(ForceCloseError::Refused)?;
            let put = TaskChange::Put(Task {
                channel,
                kind: TaskKind::Close,
                transaction: None,
                not_before: BlockNumber(0),
            });
            // Where we would have waited for the sender, now we do not.
            let wanted = close.on_chain && !manager.disputes.is_due(&channel, TaskKind::Close, head);
            Ok(Decision {
                tasks: wanted.then_some(put).into_iter().collect(),
                ..Decision::new(close.promise, true)
            })
        });
        if !closed.await.map_err(Failed::into_reason)? {
            return Ok(());
        }
        shared.dispute_bell.notify_one();
        tracing::info!(%channel, "the operator closes the channel");
        Ok(())
    }
}

fn decide(account: &Account, writer: impl Fn() -> Writer) -> Result<Close, CloseRefusal> {
    // Where a settlement that is not confirmed vanishes, the follower makes the promise for the task.
    let is_settled = matches!(account.facts().phase, Phase::Settled { .. });
    if is_settled || agreed_close(account).is_some() {
        return Ok(Close {
            promise: None,
            on_chain: true,
        });
    }
    match account.dispute(writer()) {
        Ok(claim) => Ok(Close {
            promise: claim.transition,
            on_chain: true,
        }),
        // No proof is covered, or none at all is there. Where one comes to be covered, when the chain
        // recovers, the task claims it.
        Err(CloseRefusal::NothingToClaim) if account.promise().is_none() => {
            let claim = account.close_at(account.balance(), None, writer())?;
            Ok(Close {
                promise: claim.transition,
                on_chain: !account.balance().is_zero(),
            })
        }
        Err(CloseRefusal::NothingToClaim) => Ok(Close {
            promise: None,
            on_chain: !account.balance().is_zero(),
        }),
        Err(refusal) => Err(refusal),
    }
}
