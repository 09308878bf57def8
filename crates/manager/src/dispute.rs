//! Bringing closes and withdrawals on chain ourselves, against stale closes, for the operator, and where
//! the sender does not do its part: durable tasks, carried out at their own pace.
//!
//! A task and the promise it needs are written together. A dispute is done when the channel's settlement is
//! confirmed, whoever caused it, a close when that is final, and a withdrawal when the chain shows it.

use crate::decide::Decision;
use crate::follow::agreed_close;
use crate::manager::Shared;
use crate::payment::Unavailable;
use microraiden_chain::TransactionError;
use microraiden_protocol::ledger::{Account, Promise};
use microraiden_protocol::{Amount, Balance, BlockNumber, ChannelId, Phase, Signature};
use microraiden_store::{StoreError, Task, TaskChange, TaskKind};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;

/// How many are carried out at once: nodes keep so many transactions of one account.
const AT_ONCE: usize = 16;

/// The pause between two calls of the operator for the same reason.
const ALARM_PAUSE: Duration = Duration::from_secs(60);

/// What is to be done for the channels, as the store has it: a change is taken over as soon as the store has
/// taken it, under the account's lock, and so in the same order. It may not be durable yet; an [`Attempt`]
/// waits for that.
#[derive(Debug)]
pub(crate) struct Disputes(Mutex<BTreeMap<ChannelId, Due>>);

/// What is to be done for one channel.
#[derive(Debug, Default)]
struct Due {
    /// Not before a block each; empty only while the last one is being carried out and not wanted any more.
    kinds: BTreeMap<TaskKind, BlockNumber>,
    /// Not before this moment; `None` for at once.
    at: Option<Instant>,
    /// Whether it is being carried out.
    is_running: bool,
}

impl Due {
    fn has(&self, kind: TaskKind, head: BlockNumber) -> bool {
        self.kinds
            .get(&kind)
            .is_some_and(|not_before| *not_before <= head)
    }
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

    /// Whether something is to be done for a channel, now or later.
    pub(crate) fn contains(&self, channel: &ChannelId, kind: TaskKind) -> bool {
        self.lock()
            .get(channel)
            .is_some_and(|due| due.kinds.contains_key(&kind))
    }

    /// Whether something is to be done for a channel that the chain is far enough for.
    pub(crate) fn is_due(&self, channel: &ChannelId, kind: TaskKind, head: BlockNumber) -> bool {
        self.lock().get(channel).is_some_and(|due| due.has(kind, head))
    }

    /// What is to be done for a channel, now or later.
    pub(crate) fn kinds(&self, channel: &ChannelId) -> Vec<TaskKind> {
        let disputes = self.lock();
        let kinds = disputes.get(channel).map(|due| due.kinds.keys().copied());
        kinds.into_iter().flatten().collect()
    }

    /// The channels for which something is to be done, now or later.
    pub(crate) fn channels(&self) -> Vec<ChannelId> {
        self.lock().keys().copied().collect()
    }

    /// Everything that is to be done.
    pub(crate) fn all(&self) -> Vec<(ChannelId, TaskKind)> {
        let disputes = self.lock();
        let tasks = disputes.iter();
        tasks
            .flat_map(|(channel, due)| due.kinds.keys().map(|kind| (*channel, *kind)))
            .collect()
    }

    /// Takes over changes that the store has taken.
    pub(crate) fn apply(&self, changes: &[TaskChange]) {
        let mut disputes = self.lock();
        for change in changes {
            match change {
                TaskChange::Put(task) => {
                    let due = disputes.entry(task.channel).or_default();
                    let not_before = due.kinds.entry(task.kind).or_insert(task.not_before);
                    *not_before = task.not_before.min(*not_before);
                    due.at = None;
                }
                TaskChange::Remove { channel, kind } => {
                    if let Some(due) = disputes.get_mut(channel) {
                        due.kinds.remove(kind);
                        // What is being carried out may be wanted again before that has ended.
                        if due.kinds.is_empty() && !due.is_running {
                            disputes.remove(channel);
                        }
                    }
                }
            }
        }
    }

    /// Takes the tasks that are stored; what is being carried out stays so.
    pub(crate) fn replace(&self, tasks: &[Task]) {
        let mut disputes = self.lock();
        let mut wanted = BTreeMap::<ChannelId, BTreeMap<TaskKind, BlockNumber>>::new();
        for task in tasks {
            wanted
                .entry(task.channel)
                .or_default()
                .insert(task.kind, task.not_before);
        }
        disputes.retain(|channel, due| {
            due.kinds = wanted.remove(channel).unwrap_or_default();
            !due.kinds.is_empty() || due.is_running
        });
        let fresh = wanted.into_iter().map(|(channel, kinds)| {
            let due = Due {
                kinds,
                ..Due::default()
            };
            (channel, due)
        });
        disputes.extend(fresh);
    }

    /// Takes out up to so many that are due, those with the least `rank` first; those without one stay.
    fn take_due<R: Ord>(&self, most: usize, rank: impl Fn(&ChannelId) -> Option<R>) -> Vec<ChannelId> {
        let now = Instant::now();
        let waiting: Vec<_> = {
            let disputes = self.lock();
            let waiting = disputes
                .iter()
                .filter(|(_, due)| !due.is_running && due.at.is_none_or(|at| at <= now));
            waiting.map(|(channel, _)| *channel).collect()
        };
        // Ranked without the lock: a rank is made of the account, whose lock comes first.
        let ranked = waiting
            .into_iter()
            .filter_map(|channel| Some((rank(&channel)?, channel)));
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_unstable();
        ranked.truncate(most);
        let mut disputes = self.lock();
        let mut take = |channel| {
            disputes.get_mut(&channel)?.is_running = true;
            Some(channel)
        };
        ranked
            .into_iter()
            .filter_map(|(_, channel)| take(channel))
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
        let mut disputes = self.shared.disputes.lock();
        if let Some(due) = disputes.get_mut(&self.channel) {
            due.at = Some(next);
            due.is_running = false;
            if due.kinds.is_empty() {
                disputes.remove(&self.channel);
            }
        }
    }
}

/// Carries tasks out until it is told to stop, several at once: each waits for its block.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut attempts = JoinSet::new();
    let mut alarmed = None::<Instant>;
    while !*stop.borrow_and_update() {
        // Also while the node is silent.
        if alarmed.is_none_or(|at| at.elapsed() >= ALARM_PAUSE) {
            alarmed = Some(Instant::now());
            alarm(&shared);
        }
        let rank = |channel: &ChannelId| Some(Action::of(&shared, channel)?.rank());
        for channel in shared.disputes.take_due(AT_ONCE - attempts.len(), rank) {
            let shared = shared.clone();
            // What the wallet logs is about this channel, too.
            let span = tracing::info_span!("transaction", %channel);
            attempts.spawn(Attempt { shared, channel }.run().instrument(span));
        }
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            Some(ended) = attempts.join_next() => if let Err(error) = ended {
                tracing::error!(%error, "a transaction has failed; it will be tried again");
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
            let blocks_left = blocks_left(&self.shared, &channel);
            tracing::warn!(%channel, ?blocks_left, %error, "a transaction did not go through; it will be tried again");
        }
    }

    /// What is to be done. The promise may have been made a moment ago, or by another instance: nothing is signed
    /// before it is durable.
    async fn durable_action(&self) -> Result<Option<Action>, AttemptError> {
        let Self { shared, channel } = self;
        let Some(store) = &shared.others else {
            let action = Action::of(shared, channel);
            shared.barrier()?.await?;
            return Ok(action);
        };
        let Some(slot) = shared.accounts.get(channel) else {
            return Ok(None);
        };
        let manager = shared.clone();
        let judged = shared.in_turn(store, &slot, move |held| {
            let action = Action::judge(&manager, &held.account);
            if action.is_some() {
                // What it rests on may only be seen so far; what is written now makes it durable.
                let same = held.account.facts().clone();
                let again = held.account.observe(same, manager.writer());
                held.take(&Decision::new(again, ()));
            }
            action
        });
        let (action, stored) = judged.await?;
        stored?;
        Ok(action)
    }

    /// Sends one transaction, while there is something to do.
    async fn carry_out(&self) -> Result<(), AttemptError> {
        let Self { shared, channel } = self;
        let Some(action) = self.durable_action().await? else {
            return Ok(());
        };
        let Action {
            balance,
            signature,
            gain,
            ..
        } = action;
        let wallet = match shared.config.max_cost_wei(gain, shared.contract.token().decimals) {
            Some(cost) => shared.wallet.with_max_cost(cost),
            None => shared.wallet.clone(),
        };
        let contract = &shared.contract;
        let receipt = if action.kind == TaskKind::Withdraw {
            tracing::info!(%channel, %balance, %gain, "withdrawing");
            contract.withdraw(&wallet, channel, balance, &signature).await?
        } else {
            let closing = contract.scheme().sign_closing(&shared.key, channel, balance);
            tracing::warn!(%channel, %balance, %gain, "closing the channel on chain");
            let close = contract.cooperative_close(&wallet, channel, balance, &signature, &closing);
            close.await?
        };
        shared.config.meters.mined(action.kind, &receipt);
        let (transaction, gas, cost_wei) = (receipt.transaction, receipt.gas_used, receipt.cost_wei());
        tracing::info!(%channel, %balance, %transaction, gas, %cost_wei, "the transaction is on chain");
        Ok(())
    }
}

/// What one transaction of ours would do.
struct Action {
    balance: Balance,
    /// The sender's, for that balance.
    signature: Signature,
    /// Which task it is for.
    kind: TaskKind,
    /// Until when, where the sender has begun a close.
    settle_block: Option<BlockNumber>,
    /// What it brings in.
    gain: Amount,
}

impl Action {
    /// What is to be done for a channel and can be done now. Promised before.
    fn of(shared: &Shared, channel: &ChannelId) -> Option<Self> {
        let slot = shared.accounts.get(channel)?;
        let account = slot.lock();
        Self::judge(shared, &account)
    }

    /// The same for an account that is locked.
    fn judge(shared: &Shared, account: &Account) -> Option<Self> {
        let (channel, head) = (account.channel(), shared.head());
        let is_due = |kind| shared.disputes.is_due(channel, kind, head);
        let (dispute, close) = (is_due(TaskKind::Dispute), is_due(TaskKind::Close));
        let withdraw = is_due(TaskKind::Withdraw);
        let claim = agreed_close(account).or_else(|| disputed(account));
        let closing = claim.filter(|(balance, _)| match account.facts().phase {
            Phase::Open => close,
            // Where the sender has claimed more than we could, its settlement pays us more.
            Phase::Challenged { closing_balance, .. } => {
                dispute && account.is_stale_close(closing_balance) || close && closing_balance <= *balance
            }
            Phase::Pending | Phase::Settled { .. } => false,
        });
        let (kind, (balance, signature)) = match closing {
            Some(claim) if dispute => (TaskKind::Dispute, claim),
            Some(claim) => (TaskKind::Close, claim),
            None => (
                TaskKind::Withdraw,
                withdraw.then(|| withdrawal(account)).flatten()?,
            ),
        };
        let (settle_block, paid) = match account.facts().phase {
            Phase::Challenged {
                settle_block,
                closing_balance,
                ..
            } => (Some(settle_block), closing_balance),
            _ => (None, Balance::ZERO),
        };
        // A close that the sender leaves unsettled brings in all of it.
        let paid = if close { Balance::ZERO } else { paid };
        let paid = paid.max(account.facts().withdrawn());
        Some(Self {
            balance,
            signature,
            kind,
            settle_block,
            gain: balance.checked_since(paid).unwrap_or(Amount::ZERO),
        })
    }

    /// The order in which actions are taken: those with the least time left first, then by what they bring in.
    fn rank(&self) -> (BlockNumber, TaskKind, Reverse<Amount>) {
        let until = self.settle_block.unwrap_or(BlockNumber(u64::MAX));
        (until, self.kind, Reverse(self.gain))
    }
}

fn disputed(account: &Account) -> Option<(Balance, Signature)> {
    let at = account.promise().and_then(Promise::dispute)?;
    let proof = account.row().proofs.iter().find(|proof| proof.balance == at)?;
    Some((proof.balance, proof.signature))
}

/// The last withdrawal that was decided, unless the chain shows it or a close is in its way.
fn withdrawal(account: &Account) -> Option<(Balance, Signature)> {
    let at = *account.row().sent_withdrawals.last()?;
    let facts = account.facts();
    let is_open = facts.phase == Phase::Open && at > facts.withdrawn() && at <= facts.deposit.limit();
    let proof = account.row().proofs.iter().find(|proof| proof.balance == at)?;
    is_open.then_some((proof.balance, proof.signature))
}

/// How many blocks are left until the sender may settle; `None` where it has not begun to close.
fn blocks_left(shared: &Shared, channel: &ChannelId) -> Option<u64> {
    let slot = shared.accounts.get(channel)?;
    match slot.lock().facts().phase {
        Phase::Challenged { settle_block, .. } => Some(settle_block.0.saturating_sub(shared.head().0)),
        _ => None,
    }
}

/// For how many channels a transaction of a kind can and must be sent still.
pub(crate) fn transactions_left(shared: &Shared, kind: TaskKind) -> usize {
    let channels = shared.disputes.channels().into_iter();
    let actions = channels.filter_map(|channel| Action::of(shared, &channel));
    actions.filter(|action| action.kind == kind).count()
}

/// Calls the operator where the time of a dispute is running out.
fn alarm(shared: &Shared) {
    for channel in shared.disputes.channels() {
        let is_dispute = shared.disputes.contains(&channel, TaskKind::Dispute);
        let left = blocks_left(shared, &channel).filter(|_| is_dispute);
        if let Some(blocks_left) = left.filter(|left| *left < shared.config.dispute_margin) {
            tracing::error!(%channel, blocks_left, "the time for answering a stale close is running out; look after node and wallet");
        }
    }
}
