//! What the operator wants done for all channels: closing them, or withdrawing from them.

use crate::decide::{Decision, Failed};
use crate::force_close::ForceCloseError;
use crate::manager::ChannelManager;
use crate::overview::Filter;
use crate::payment::Unavailable;
use crate::worth;
use microraiden_protocol::ledger::Account;
use microraiden_protocol::{Amount, BlockNumber, ChannelId, Phase};
use microraiden_store::{Task, TaskChange, TaskKind};
use std::ops::Bound;

/// What was begun for all channels, and what was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Begun {
    /// How many channels a transaction is sent for.
    pub channels: u64,
    /// What these transactions bring in.
    pub amount: Amount,
    /// How many channels there is nothing to claim on, or where a transaction of ours is under way already.
    pub without_claim: u64,
    /// How many bring in too little.
    pub too_little: u64,
    /// What those would bring in.
    pub too_little_amount: Amount,
    /// How many were left because the sender has credit there, which a withdrawal would take.
    pub with_credit: u64,
}

/// Which channels are withdrawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withdrawing {
    /// The least that a channel must bring in.
    pub minimum: Amount,
    /// Also where the sender has credit.
    pub takes_credit: bool,
}

/// What becomes of one channel.
#[derive(Debug)]
enum Found {
    Nothing,
    TooLittle(Amount),
    Credit,
    Worth(Amount),
}

impl Begun {
    fn count(&mut self, found: &Found) {
        let add = |sum: &mut Amount, amount: Amount| *sum = sum.checked_add(amount).unwrap_or(Amount::MAX);
        match *found {
            Found::Nothing => self.without_claim += 1,
            Found::Credit => self.with_credit += 1,
            Found::TooLittle(amount) => {
                self.too_little += 1;
                add(&mut self.too_little_amount, amount);
            }
            Found::Worth(amount) => {
                self.channels += 1;
                add(&mut self.amount, amount);
            }
        }
    }
}

impl ChannelManager {
    /// Closes every channel that brings in at least `minimum`, as [`force_close`](Self::force_close) does:
    /// nothing is sold on those any more, and the closes are brought on chain one after the other. Channels
    /// with a task of this kind already are counted as without a claim.
    ///
    /// # Errors
    /// When a promise cannot be kept; those before it are kept.
    pub async fn close_all(&self, minimum: Amount) -> Result<Begun, Unavailable> {
        let mut begun = Begun::default();
        for channel in self.unsettled() {
            let mut found = self.look(&channel, |account| {
                let is_begun = self.is_begun(account, TaskKind::Close);
                Found::of(worth::unpaid(account), minimum, is_begun)
            });
            if matches!(found, Found::Worth(_)) {
                match self.force_close(&channel).await {
                    Ok(()) => {}
                    Err(ForceCloseError::Unavailable(error)) => return Err(error),
                    Err(_) => found = Found::Nothing,
                }
            }
            begun.count(&found);
        }
        Ok(begun)
    }

    /// Withdraws from every open channel that brings in enough what its best proof is for; the channels
    /// stay open. Returns when it is durable; the transactions are sent one after the other. Each proof is
    /// public from then on: it buys nothing any more, and shows nothing about who presents it.
    ///
    /// # Errors
    /// When it cannot be kept; channels before that are kept.
    pub async fn withdraw(&self, which: Withdrawing) -> Result<Begun, Unavailable> {
        let shared = &self.shared;
        shared.check_store()?;
        let mut begun = Begun::default();
        for channel in self.unsettled() {
            let Some(slot) = shared.accounts.get(&channel) else {
                continue;
            };
            let manager = self.clone();
            let found = shared.decide(&slot, move |account| Ok(manager.begin_withdrawal(account, which)));
            begun.count(&found.await.map_err(Failed::into_reason)?);
        }
        shared.dispute_bell.notify_one();
        Ok(begun)
    }

    fn begin_withdrawal(&self, account: &Account, which: Withdrawing) -> Decision<Found> {
        let channel = *account.channel();
        let is_begun = self.is_begun(account, TaskKind::Withdraw);
        let is_open = account.facts().phase == Phase::Open && account.promise().is_none();
        let found = Found::of(worth::unpaid(account), which.minimum, is_begun || !is_open);
        let has_credit = account.spent() < account.balance();
        match found {
            Found::Worth(_) if has_credit && !which.takes_credit => Decision::new(None, Found::Credit),
            Found::Worth(_) => match account.withdraw(self.shared.writer()) {
                Ok(claim) => {
                    let put = TaskChange::Put(Task {
                        channel,
                        kind: TaskKind::Withdraw,
                        transaction: None,
                        not_before: BlockNumber(0),
                    });
                    Decision {
                        tasks: vec![put],
                        ..Decision::new(claim.transition, found)
                    }
                }
                Err(_) => Decision::new(None, Found::Nothing),
            },
            found => Decision::new(None, found),
        }
    }

    fn unsettled(&self) -> Vec<ChannelId> {
        let everything = (Bound::Unbounded, Bound::Unbounded);
        self.shared.accounts.listed(Filter::All, everything, usize::MAX)
    }

    fn look(&self, channel: &ChannelId, look: impl FnOnce(&Account) -> Found) -> Found {
        let slot = self.shared.accounts.get(channel);
        slot.map_or(Found::Nothing, |slot| look(&slot.lock()))
    }

    fn is_begun(&self, account: &Account, kind: TaskKind) -> bool {
        let head = self.shared.head();
        self.shared.disputes.is_due(account.channel(), kind, head)
    }
}

impl Found {
    fn of(amount: Amount, minimum: Amount, is_begun: bool) -> Self {
        match amount {
            _ if is_begun || amount.is_zero() => Self::Nothing,
            amount if amount < minimum => Self::TooLittle(amount),
            amount => Self::Worth(amount),
        }
    }
}
