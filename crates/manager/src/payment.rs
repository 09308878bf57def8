//! A payment: an offer becomes a permit, or is denied.

use crate::accounts::Slot;
use crate::decide::{Decision, Failed};
use crate::manager::{ChannelManager, Shared};
use crate::undo::release_if_stored;
use microraiden_protocol::ledger::{Account, Payment, Refusal, ReleaseError, Spend, Standing};
use microraiden_protocol::{
    Address, Amount, Balance, BalanceProof, ChannelId, Price, Signature, SignatureError,
};
use microraiden_store::{Batch, StoreError, Ticket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What a request offers for its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The channel that pays.
    pub channel: ChannelId,
    /// The cumulative balance of the proof.
    pub balance: Balance,
    /// The proof's signature, or why it is none.
    pub signature: Result<Signature, SignatureError>,
    /// What is said to be paid.
    pub payment: Payment,
}

/// Why there is no permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// The customer's doing. With the standing if the sender has proved itself.
    Refused(Refusal, Option<Standing>),
    /// Ours or the world's. Nothing was charged.
    Unavailable(Unavailable),
}

/// Why nothing is sold for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The node does not answer, or we have stopped asking: a close on chain would go unseen.
    #[error("Ethereum node is not responding")]
    NodeSilent,
    /// The wallet cannot pay for bringing on chain what was sold already.
    #[error("Channel manager ETH balance is below limit")]
    GasShort,
    /// The newest block is too old: the node has stopped following the chain, or the chain stands still.
    #[error("the newest block is too old; the node or the chain stands still")]
    HeadTooOld,
    /// The chain was reorganised deeper than the confirmations.
    #[error("the chain was reorganised deeper than its confirmations; the operator must resume the selling")]
    Reorganised,
    /// The challenge period is too short to answer a stale close through an outage.
    #[error("the challenge period of the contract is too short on this chain to sell safely")]
    ChallengeTooShort,
    /// The node is on another chain, or the contract is not there any more.
    #[error("the node or the contract is not the one that payments are for; the operator must restart")]
    WrongChain,
    /// More payments wait for the disk than may.
    #[error("too many payments are waiting; repeat the request")]
    Busy,
    /// The store that several instances share cannot be reached.
    #[error("payments cannot be stored for now; repeat the request in a moment")]
    StoreAway,
    /// The store cannot promise to keep a payment.
    #[error("payments cannot be stored; the operator must restart the receiver")]
    StoreStopped,
}

impl Unavailable {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::NodeSilent,
        Self::GasShort,
        Self::HeadTooOld,
        Self::Reorganised,
        Self::ChallengeTooShort,
        Self::WrongChain,
        Self::Busy,
        Self::StoreAway,
        Self::StoreStopped,
    ];
}

impl From<Unavailable> for Denied {
    fn from(reason: Unavailable) -> Self {
        Self::Unavailable(reason)
    }
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal, None)
    }
}

/// What a request was charged, and the account after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Who paid.
    pub sender: Address,
    /// The account's balance after this payment.
    pub balance: Balance,
    /// What this request was charged.
    pub cost: Amount,
    /// What the next payments can use up.
    pub credit: Amount,
    /// What counts at the close only.
    pub refund: Amount,
}

/// The right to one piece of content: its payment is durable.
///
/// Consumed by what becomes of the request. Dropped, the payment stays spent: the client has gone,
/// or what happened to the request is unknown.
#[derive(Debug)]
#[must_use = "a permit pays for content; say what became of it"]
pub struct Permit {
    open: OpenSpend,
    receipt: Receipt,
}

/// A spend in flight; when dropped, it is noted that it stays spent.
#[derive(Debug)]
struct OpenSpend {
    spend: Arc<Spend>,
    slot: Arc<Slot>,
    shared: Arc<Shared>,
}

impl Drop for OpenSpend {
    fn drop(&mut self) {
        // Nothing where it was released.
        self.slot.lock().finish(&self.spend);
    }
}

/// How often a release that found the store's queue full is tried again, a millisecond apart.
const RELEASE_ATTEMPTS: u32 = 1_000;

impl ChannelManager {
    /// Sells one piece of content for `price`, or says why not.
    ///
    /// Cheap refusals first, then the signature (about 45 µs), then what only its owner may learn.
    /// Returns when the payment is durable. Dropping the future before that leaves the payment
    /// spent if it was taken.
    ///
    /// # Errors
    /// See [`Denied`]; nothing was charged, unless the store stopped in the middle.
    pub async fn pay(&self, offer: Offer, price: Price) -> Result<Permit, Denied> {
        let paid = self.decide(offer, price).await;
        self.shared.config.meters.decided(&paid);
        paid
    }

    async fn decide(&self, offer: Offer, price: Price) -> Result<Permit, Denied> {
        let meters = &self.shared.config.meters;
        self.shared.check_selling().map_err(Denied::Unavailable)?;
        let slot = self
            .shared
            .accounts
            .get(&offer.channel)
            .ok_or(Refusal::UnknownChannel)?;
        self.shared.halts.check_channel(&offer.channel)?;
        let recognised = {
            let account = slot.lock();
            if account.is_trusted() {
                account.screen(offer.balance)?;
            }
            let signature = offer.signature.map_err(|_| Refusal::InvalidSignature)?;
            let proof = BalanceProof {
                channel: offer.channel,
                balance: offer.balance,
                signature,
            };
            account.recognise(&proof).ok_or(proof)
        };
        #[cfg(feature = "planted")]
        let at_once =
            recognised.is_ok() && crate::planted::has(crate::planted::Bug::KnownProofIsServedAtOnce);
        let proof = match recognised {
            Ok(proof) => proof,
            Err(proof) => {
                let begin = Instant::now();
                let verified = proof.verify(&self.shared.contract.scheme());
                meters.verified(begin);
                verified.map_err(|_| Refusal::InvalidSignature)?
            }
        };
        let (shared, limits) = (self.shared.clone(), self.shared.config.limits);
        let (kept, paying) = (slot.clone(), offer.payment);
        let begin = Instant::now();
        #[expect(clippy::result_large_err, reason = "it is what is answered")]
        let permit = self.shared.decide(&slot, move |account| {
            let (transition, spend) = account
                .accept(&proof, paying, price, limits, shared.writer())
                .map_err(|refusal| {
                    let standing = account.standing(&proof).filter(|_| refusal.is_after_signature());
                    Denied::Refused(refusal, standing)
                })?;
            let receipt = Receipt::of(transition.after(), spend.amount());
            let open = OpenSpend {
                spend: Arc::new(spend),
                slot: kept.clone(),
                shared: shared.clone(),
            };
            Ok(Decision {
                #[cfg(feature = "planted")]
                at_once,
                ..Decision::new(transition, Permit { open, receipt })
            })
        });
        match permit.await {
            Ok(permit) => {
                meters.committed(begin);
                Ok(permit)
            }
            Err(Failed::Unknown(doubt)) => {
                let (permit, mark) = doubt.part();
                self.shared.doubts.ask(&offer.channel);
                let others = self.shared.others.clone();
                others.map(|store| tokio::spawn(release_if_stored(store, permit, mark)));
                Err(Denied::Unavailable(Unavailable::StoreAway))
            }
            Err(Failed::Denied(denied)) => Err(denied),
        }
    }
}

impl Shared {
    /// A ticket that resolves when everything handed in before is durable.
    pub(crate) fn barrier(&self) -> Result<Ticket, Unavailable> {
        self.store
            .commit(Batch::default())
            .map_err(|error| self.store_failed(&error))
    }

    /// Why nothing is sold after the store has failed so.
    pub(crate) fn store_failed(&self, error: &StoreError) -> Unavailable {
        let others = self.others.is_some();
        match error {
            StoreError::Busy => Unavailable::Busy,
            // Only where others write, too, and where it comes back by itself.
            error if others && error.is_passing() => {
                self.rereads.store(true, Ordering::Relaxed);
                Unavailable::StoreAway
            }
            error => self.stop_selling(error),
        }
    }
}

impl Permit {
    pub(crate) fn parts(&self) -> (&Arc<Slot>, &Arc<Shared>, &Arc<Spend>) {
        let OpenSpend { slot, shared, spend } = &self.open;
        (slot, shared, spend)
    }

    /// Who pays, and what.
    pub const fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// The content was delivered, or may have been: the whole payment stays spent.
    pub fn charge(self) -> Receipt {
        self.receipt
    }

    /// The content was metered: `cost` stays spent, the rest becomes credit. A cost above the
    /// payment counts as the payment.
    pub async fn charge_partly(self, cost: Amount) -> Receipt {
        let cost = cost.min(self.receipt.cost);
        self.give_back(cost).await
    }

    /// We failed before anything of the content was passed on: nothing is charged, and the same
    /// proof buys again.
    pub async fn release(self) -> Receipt {
        self.give_back(Amount::ZERO).await
    }

    /// Keeps `cost` spent and gives the rest back. When that cannot be stored, all stays spent, and
    /// the receipt says so.
    async fn give_back(self, cost: Amount) -> Receipt {
        let OpenSpend { slot, shared, .. } = &self.open;
        for _ in 0..RELEASE_ATTEMPTS {
            let (manager, spend) = (shared.clone(), self.open.spend.clone());
            let mut decided = false;
            let receipt = shared.decide(slot, move |account| {
                if decided {
                    account.reopen(&spend);
                }
                let release = account.spend_partly(&spend, cost, manager.writer());
                let transition = release.map_err(|_: ReleaseError| None::<Unavailable>)?;
                decided = true;
                let receipt = Receipt::of(transition.after(), cost);
                Ok(Decision::new(transition, receipt))
            });
            match receipt.await {
                Ok(receipt) => {
                    shared.config.meters.released(cost);
                    return receipt;
                }
                Err(Failed::Denied(Some(Unavailable::Busy))) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(_) => break,
            }
        }
        tracing::warn!(channel = %slot.lock().channel(), "a release could not be stored; the payment stays spent");
        self.receipt
    }
}

impl Receipt {
    fn of(account: &Account, cost: Amount) -> Self {
        let row = account.row();
        Self {
            sender: row.channel.sender,
            balance: row.balance,
            cost,
            credit: row.unspent.total(),
            refund: row.refund,
        }
    }
}
