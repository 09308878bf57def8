//! Answering stale closes: durable tasks, carried out at their own pace.
//!
//! A task and the promise it needs are written with the chain's event. It is done when the
//! channel's settlement is confirmed, whoever caused it.

use crate::follow::agreed_close;
use crate::manager::Shared;
use microraiden_chain::TransactionError;
use microraiden_protocol::ledger::Promise;
use microraiden_protocol::{Balance, ChannelId, Phase, Signature};
use microraiden_store::{Task, TaskChange, TaskKind};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::task::JoinSet;

/// How many disputes are carried out at once: nodes keep so many transactions of one account.
const AT_ONCE: usize = 16;

/// The disputes that are not over, and when each is due; `None` while it is being carried out.
#[derive(Debug)]
pub(crate) struct Disputes(Mutex<HashMap<ChannelId, Option<Instant>>>);

impl Disputes {
    pub(crate) fn new(tasks: Vec<Task>) -> Self {
        let disputes = Self(Mutex::new(HashMap::new()));
        let changes: Vec<_> = tasks.into_iter().map(TaskChange::Put).collect();
        disputes.apply(&changes);
        disputes
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, Option<Instant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn contains(&self, channel: &ChannelId) -> bool {
        self.lock().contains_key(channel)
    }

    /// Leaves a dispute alone until it is applied again.
    pub(crate) fn forget(&self, channel: &ChannelId) {
        self.lock().remove(channel);
    }

    /// Takes over changes that are durable.
    pub(crate) fn apply(&self, changes: &[TaskChange]) {
        let mut disputes = self.lock();
        for change in changes {
            match change {
                TaskChange::Put(task) => disputes.insert(task.channel, Some(Instant::now())),
                TaskChange::Remove {
                    channel,
                    kind: TaskKind::Dispute,
                } => disputes.remove(channel),
            };
        }
    }

    /// Takes out up to so many that are due.
    fn take_due(&self, most: usize) -> Vec<ChannelId> {
        let now = Instant::now();
        let mut disputes = self.lock();
        let due = disputes
            .iter_mut()
            .filter(|(_, due)| due.is_some_and(|due| due <= now));
        due.take(most)
            .map(|(channel, due)| {
                *due = None;
                *channel
            })
            .collect()
    }
}

/// A dispute that is being carried out; dropped, however it ended, it is due again after a pause.
struct Attempt {
    shared: Arc<Shared>,
    channel: ChannelId,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let next = Instant::now() + self.shared.config.dispute_retry;
        if let Some(due) = self.shared.disputes.lock().get_mut(&self.channel) {
            *due = Some(next);
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
            _ = stop.changed() => {}
            Some(ended) = attempts.join_next() => if let Err(error) = ended {
                tracing::error!(%error, "a dispute has failed; it will be tried again");
            },
            () = shared.dispute_bell.notified() => {}
            () = tokio::time::sleep(shared.config.dispute_retry) => {}
        }
    }
    // What was sent goes its way, and the tasks are taken up by the next start.
    attempts.shutdown().await;
}

impl Attempt {
    async fn run(self) {
        if let Err(error) = self.carry_out().await {
            let channel = self.channel;
            tracing::error!(%channel, %error, "a dispute did not go through; it will be tried again");
        }
    }

    /// Sends one `cooperativeClose` at what is owed, while there is a stale close.
    async fn carry_out(&self) -> Result<(), TransactionError> {
        let Self { shared, channel } = self;
        let Some((balance, signature)) = claim(shared, channel) else {
            return Ok(());
        };
        let scheme = shared.contract.scheme();
        let closing = scheme.sign_closing(&shared.key, channel, balance);
        tracing::warn!(%channel, %balance, "disputing a stale close");
        let receipt = shared
            .contract
            .cooperative_close(&shared.wallet, channel, balance, &signature, &closing)
            .await?;
        let (transaction, gas) = (receipt.transaction, receipt.gas_used);
        tracing::info!(%channel, %balance, %transaction, gas, "the dispute is on chain");
        Ok(())
    }
}

/// What to claim: the agreed close if the sender signed it, else the disputed proof. `None` while
/// no stale close is on chain, or when it is settled. Promised before, and durable.
fn claim(shared: &Shared, channel: &ChannelId) -> Option<(Balance, Signature)> {
    let slot = shared.accounts.get(channel)?;
    let account = slot.lock();
    let Phase::Challenged { closing_balance, .. } = account.facts().phase else {
        return None;
    };
    if !account.is_stale_close(closing_balance) {
        return None;
    }
    agreed_close(&account).or_else(|| {
        let at = account.promise().and_then(Promise::dispute)?;
        let proof = account.row().proofs.iter().find(|proof| proof.balance == at)?;
        Some((proof.balance, proof.signature))
    })
}
