//! Bringing closes on chain ourselves, against stale ones and for the operator: durable tasks,
//! carried out at their own pace.
//!
//! A task and the promise it needs are written together. It is done when the channel's settlement is
//! confirmed, whoever caused it.

use crate::follow::agreed_close;
use crate::manager::Shared;
use crate::payment::Unavailable;
use microraiden_chain::TransactionError;
use microraiden_protocol::ledger::{Account, Promise};
use microraiden_protocol::{Balance, ChannelId, Phase, Signature};
use microraiden_store::{StoreError, Task, TaskChange, TaskKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How many are carried out at once: nodes keep so many transactions of one account.
const AT_ONCE: usize = 16;

/// What is to be done for the channels, as far as it is durable.
#[derive(Debug)]
pub(crate) struct Disputes(Mutex<BTreeMap<ChannelId, Due>>);

/// What is to be done for one channel.
#[derive(Debug, Default)]
struct Due {
    /// Never empty.
    kinds: BTreeSet<TaskKind>,
    /// `None` while it is being carried out.
    at: Option<Instant>,
}

impl Disputes {
    pub(crate) fn new(tasks: Vec<Task>) -> Self {
        let disputes = Self(Mutex::new(BTreeMap::new()));
        let changes: Vec<_> = tasks.into_iter().map(TaskChange::Put).collect();
        disputes.apply(&changes);
        disputes
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ChannelId, Due>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn contains(&self, channel: &ChannelId, kind: TaskKind) -> bool {
        self.kinds(channel).contains(&kind)
    }

    /// What is to be done for a channel.
    pub(crate) fn kinds(&self, channel: &ChannelId) -> BTreeSet<TaskKind> {
        let disputes = self.lock();
        disputes
            .get(channel)
            .map(|due| due.kinds.clone())
            .unwrap_or_default()
    }

    /// Takes over changes that are durable.
    pub(crate) fn apply(&self, changes: &[TaskChange]) {
        let mut disputes = self.lock();
        for change in changes {
            match change {
                TaskChange::Put(task) => {
                    let due = disputes.entry(task.channel).or_default();
                    due.kinds.insert(task.kind);
                    due.at = Some(Instant::now());
                }
                TaskChange::Remove { channel, kind } => {
                    if let Some(due) = disputes.get_mut(channel) {
                        due.kinds.remove(kind);
                        if due.kinds.is_empty() {
                            disputes.remove(channel);
                        }
                    }
                }
            }
        }
    }

    /// Takes out up to so many that are due.
    fn take_due(&self, most: usize) -> Vec<ChannelId> {
        let now = Instant::now();
        let mut disputes = self.lock();
        let due = disputes
            .iter_mut()
            .filter(|(_, due)| due.at.is_some_and(|at| at <= now));
        due.take(most)
            .map(|(channel, due)| {
                due.at = None;
                *channel
            })
            .collect()
    }
}

/// One that is being carried out; dropped, however it ended, it is due again after a pause.
struct Attempt {
    shared: Arc<Shared>,
    channel: ChannelId,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let next = Instant::now() + self.shared.config.dispute_retry;
        if let Some(due) = self.shared.disputes.lock().get_mut(&self.channel) {
            due.at = Some(next);
        }
    }
}

/// Carries disputes out until it is told to stop, several at once: each waits for its block.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut stop = shared.stop.subscribe();
    let mut attempts = JoinSet::new();
    while !*stop.borrow_and_update() {
        for channel in shared.disputes.take_due(AT_ONCE - attempts.len()) {
            let shared = shared.clone();
            attempts.spawn(Attempt { shared, channel }.run());
        }
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            Some(ended) = attempts.join_next() => if let Err(error) = ended {
                tracing::error!(%error, "a close has failed; it will be tried again");
            },
            () = shared.dispute_bell.notified() => {}
            () = tokio::time::sleep(shared.config.dispute_retry) => {}
        }
    }
    // What was sent goes its way, and the tasks are taken up by the next start.
    attempts.shutdown().await;
}

/// Why an attempt has ended before its transaction was mined.
#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    #[error(transparent)]
    Promise(#[from] StoreError),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Attempt {
    async fn run(self) {
        if let Err(error) = self.carry_out().await {
            let channel = self.channel;
            tracing::error!(%channel, %error, "a close did not go through; it will be tried again");
        }
    }

    /// Sends one `cooperativeClose` at what is owed, while there is something to claim.
    async fn carry_out(&self) -> Result<(), AttemptError> {
        let Self { shared, channel } = self;
        let Some((balance, signature)) = claim(shared, channel) else {
            return Ok(());
        };
        // The promise may have been made a moment ago: nothing is signed before it is durable.
        shared.barrier()?.await?;
        let scheme = shared.contract.scheme();
        let closing = scheme.sign_closing(&shared.key, channel, balance);
        tracing::warn!(%channel, %balance, "closing the channel on chain");
        let receipt = shared
            .contract
            .cooperative_close(&shared.wallet, channel, balance, &signature, &closing)
            .await?;
        let (transaction, gas) = (receipt.transaction, receipt.gas_used);
        tracing::info!(%channel, %balance, %transaction, gas, "the close is on chain");
        Ok(())
    }
}

/// What to claim: the agreed close if the sender signed it, else the disputed proof. `None` while
/// there is nothing to act on. Promised before.
fn claim(shared: &Shared, channel: &ChannelId) -> Option<(Balance, Signature)> {
    let forced = shared.disputes.contains(channel, TaskKind::Close);
    let slot = shared.accounts.get(channel)?;
    let account = slot.lock();
    let claim = agreed_close(&account).or_else(|| disputed(&account))?;
    let acts = match account.facts().phase {
        Phase::Open => forced,
        // Where the sender has claimed more than we could, its settlement pays us more.
        Phase::Challenged { closing_balance, .. } => {
            account.is_stale_close(closing_balance) || forced && closing_balance <= claim.0
        }
        Phase::Pending | Phase::Settled { .. } => false,
    };
    acts.then_some(claim)
}

fn disputed(account: &Account) -> Option<(Balance, Signature)> {
    let at = account.promise().and_then(Promise::dispute)?;
    let proof = account.row().proofs.iter().find(|proof| proof.balance == at)?;
    Some((proof.balance, proof.signature))
}
