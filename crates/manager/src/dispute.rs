//! Answering stale closes: durable tasks, carried out at their own pace.
//!
//! A task and the promise it needs are written with the chain's event. It is done when the
//! channel's settlement is confirmed, whoever caused it.

use crate::follow::agreed_close;
use crate::manager::Shared;
use microraiden_chain::TransactionError;
use microraiden_protocol::ledger::Promise;
use microraiden_protocol::{Balance, ChannelId, Phase, Signature};
use microraiden_store::{Batch, Task, TaskChange, TaskKind};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The disputes that are not over.
#[derive(Debug)]
pub(crate) struct Disputes(Mutex<HashMap<ChannelId, State>>);

#[derive(Debug)]
struct State {
    task: Task,
    /// Not before this.
    next: Instant,
}

impl Disputes {
    pub(crate) fn new(tasks: Vec<Task>) -> Self {
        let disputes = Self(Mutex::new(HashMap::new()));
        let changes: Vec<_> = tasks.into_iter().map(TaskChange::Put).collect();
        disputes.apply(&changes);
        disputes
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn contains(&self, channel: &ChannelId) -> bool {
        self.lock().contains_key(channel)
    }

    pub(crate) fn apply(&self, changes: &[TaskChange]) {
        let mut disputes = self.lock();
        for change in changes {
            match change {
                TaskChange::Put(task) => {
                    disputes.insert(
                        task.channel,
                        State {
                            task: *task,
                            next: Instant::now(),
                        },
                    );
                }
                TaskChange::Remove {
                    channel,
                    kind: TaskKind::Dispute,
                } => {
                    disputes.remove(channel);
                }
            }
        }
    }

    fn due(&self) -> Vec<Task> {
        let now = Instant::now();
        self.lock()
            .values()
            .filter(|state| state.next <= now)
            .map(|state| state.task)
            .collect()
    }

    fn postpone(&self, channel: &ChannelId, until: Instant) {
        if let Some(state) = self.lock().get_mut(channel) {
            state.next = until;
        }
    }
}

/// Carries disputes out until it is told to stop.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut stop = shared.stop.subscribe();
    while !*stop.borrow_and_update() {
        for task in shared.disputes.due() {
            shared
                .disputes
                .postpone(&task.channel, Instant::now() + shared.config.dispute_retry);
            if let Err(error) = attempt(&shared, task).await {
                let channel = task.channel;
                tracing::error!(%channel, %error, "a dispute did not go through; it will be tried again");
            }
        }
        tokio::select! {
            _ = stop.changed() => {}
            () = shared.dispute_bell.notified() => {}
            () = tokio::time::sleep(shared.config.dispute_retry) => {}
        }
    }
}

/// Sends one `cooperativeClose` at what is owed, unless it is settled or was sent and waits.
async fn attempt(shared: &Shared, task: Task) -> Result<(), TransactionError> {
    let Some((balance, signature)) = claim(shared, &task.channel) else {
        return Ok(());
    };
    let closing = shared
        .contract
        .scheme()
        .sign_closing(&shared.key, &task.channel, balance);
    tracing::warn!(channel = %task.channel, %balance, "disputing a stale close");
    let receipt = shared
        .contract
        .cooperative_close(&shared.wallet, &task.channel, balance, &signature, &closing)
        .await?;
    tracing::info!(channel = %task.channel, %balance, gas = receipt.gas_used, "the dispute is on chain");
    let sent = TaskChange::Put(Task {
        transaction: Some(receipt.transaction),
        ..task
    });
    shared
        .disputes
        .postpone(&task.channel, Instant::now() + shared.config.dispute_retry);
    // Only a note for operators: when it is lost, the contract refuses the second attempt.
    if let Ok(ticket) = shared.store.commit(Batch {
        tasks: vec![sent],
        ..Batch::default()
    }) && let Err(error) = ticket.await
    {
        shared.stop_selling(&error);
    }
    Ok(())
}

/// What to claim: the agreed close if the sender signed it, else the disputed proof. `None` while
/// the close is not on chain, or when it is settled. Promised before, and durable.
fn claim(shared: &Shared, channel: &ChannelId) -> Option<(Balance, Signature)> {
    let slot = shared.accounts.get(channel)?;
    let account = slot.lock();
    if !matches!(account.facts().phase, Phase::Challenged { .. }) {
        return None;
    }
    agreed_close(&account).or_else(|| {
        let at = account.promise().and_then(Promise::dispute)?;
        let proof = account.row().proofs.iter().find(|proof| proof.balance == at)?;
        Some((proof.balance, proof.signature))
    })
}
