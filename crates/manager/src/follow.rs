//! Following the chain: its events become transitions, in one batch with the new head.

use crate::accounts::{Holding, Slot, SlotGuard};
use crate::events::KeptEvents;
use crate::manager::Shared;
use crate::payment::Unavailable;
use crate::progress::ProgressLog;
use crate::worth;
use microraiden_chain::{ChainError, Contract, Follower};
use microraiden_protocol::ledger::{Account, Promise, Transition, Version};
use microraiden_protocol::{
    Balance, BlockNumber, ChainFacts, ChainUpdate, ChannelChange, ChannelEvent, ChannelId, Heads, Phase,
    Signature,
};
use microraiden_store::{
    Batch, Halt, HaltChange, HaltKind, Purpose, SharedStore, StoreError, Task, TaskChange, TaskKind, Ticket,
};
use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// The pause before a batch that found the store's queue full is handed in again.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Takes the chain over into the accounts; the only one that holds several accounts' locks.
pub(crate) struct ChainFollower {
    shared: Arc<Shared>,
    follower: Follower,
    events: KeptEvents,
    /// Channels with a close requested on chain that is not settled: each new head may ask for more.
    challenged: BTreeSet<ChannelId>,
    /// `None` until everything kept was looked at.
    heads: Option<Heads>,
    /// What was read, and is to be taken over before anything else is read.
    unkept: Option<ChainUpdate>,
}

/// What became of taking an update over.
enum Taking {
    /// It was handed in.
    Taken(Taken),
    /// These accounts change, and not all of them are held.
    Wants(BTreeSet<ChannelId>),
}

/// An update that was handed to the store.
struct Taken {
    ticket: Ticket,
    tasks: Vec<TaskChange>,
    /// Accounts that it has changed, with their epochs.
    changed: Vec<(ChannelId, u32, Version)>,
}

/// Accounts that an update has changed in memory; dropped before it is durable, they are doubtful.
struct Written<'a> {
    shared: &'a Shared,
    changed: Vec<(ChannelId, u32, Version)>,
    is_durable: bool,
}

impl Written<'_> {
    fn durable(mut self) {
        self.is_durable = true;
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        if self.shared.others.is_none() {
            return;
        }
        if !self.is_durable {
            // Tasks and halts were taken over, too.
            self.shared.rereads.store(true, Ordering::Relaxed);
        }
        for (channel, epoch, version) in &self.changed {
            let Some(slot) = self.shared.accounts.get(channel) else {
                continue;
            };
            if self.is_durable {
                slot.is_durable(*version);
            } else {
                self.shared.doubt(&slot, *epoch);
            }
        }
    }
}

/// Follows until it is told to stop, or the chain or the store cannot be used.
pub(crate) async fn run(mut chain: ChainFollower, mut stop: watch::Receiver<bool>) {
    let mut heads = chain.shared.contract.node().new_heads();
    while !*stop.borrow_and_update() {
        let polled = tokio::select! {
            biased;
            // What was handed to the store is whole; the next start goes on from there.
            _ = stop.changed() => return,
            polled = chain.poll_once() => polled,
        };
        let more = match polled {
            Ok(more) => more,
            Err(FollowError::Chain(error)) if error.is_fatal() => {
                chain.shared.fail(error);
                return;
            }
            Err(FollowError::Chain(error)) => {
                tracing::warn!(%error, "the node does not answer as it should; trying again");
                false
            }
            Err(FollowError::Store(error)) => {
                let reason = chain.shared.store_failed(&error);
                tracing::warn!(%error, %reason, "what was read of the chain is not stored");
                return;
            }
            // The store has said why.
            Err(FollowError::Halt(_) | FollowError::Away(_)) => return,
        };
        if !more {
            tokio::select! {
                biased;
                _ = stop.changed() => {}
                () = heads.next() => {}
                () = tokio::time::sleep(chain.shared.config.poll_interval) => {}
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("it cannot be kept that the state is a restored backup")]
    Halt(#[source] Unavailable),
    #[error("the state cannot be read anew")]
    Away(#[source] Unavailable),
}

impl From<FollowError> for crate::StartError {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Chain(error) => Self::Chain(error),
            FollowError::Store(error) => Self::Store(error),
            FollowError::Halt(error) | FollowError::Away(error) => Self::Halt(error),
        }
    }
}

impl ChainFollower {
    /// Begins with what the store has kept.
    pub(crate) fn new(shared: Arc<Shared>, follower: Follower, events: Vec<ChannelEvent>) -> Self {
        let events = KeptEvents::new(events, heads(shared.head(), &shared).last_final);
        Self {
            heads: None,
            shared,
            follower,
            events,
            challenged: BTreeSet::new(),
            unkept: None,
        }
    }

    /// Reads on until the node has nothing new.
    ///
    /// Everything that was kept is decided again: the settings may be others than before.
    pub(crate) async fn catch_up(&mut self) -> Result<(), FollowError> {
        let mut log = ProgressLog::new();
        loop {
            if self.poll_once().await? {
                log.tell(self.follower.progress());
            } else if self.follower.caught_up() {
                break;
            } else {
                // The node is late: another one had read on.
                tokio::time::sleep(self.shared.config.poll_interval).await;
            }
        }
        if self.heads.is_none() {
            self.keep(&ChainUpdate::default()).await?;
        }
        Ok(())
    }

    /// After a backup was restored, or the store has lost what it had: all channels that are there now are from
    /// before.
    async fn date_the_backup(&self) -> Result<(), FollowError> {
        if !self.shared.halts.is_undated() {
            return Ok(());
        }
        let head = self.shared.head();
        let set = HaltChange::Set(Halt {
            kind: HaltKind::Restored,
            block: Some(head),
        });
        tracing::warn!(%head, "the state is older than it was: channels opened up to this block are closed only, until the operator resumes the selling");
        self.shared.keep_halts(vec![set]).await.map_err(FollowError::Halt)
    }

    /// Takes over one update; whether there is more at once.
    async fn poll_once(&mut self) -> Result<bool, FollowError> {
        if self.unkept.is_none() {
            self.unkept = self.follower.poll().await?;
        }
        if let Some(update) = self.unkept.take() {
            // Another chain has no block of ours: nothing may be forgotten for it.
            if let Err(error) = self.check_chain(&update).await {
                self.unkept = Some(update);
                return Err(error.into());
            }
            self.keep(&update).await?;
        }
        self.look_at_the_clock().await?;
        let (caught_up, is_late) = (self.follower.caught_up(), self.follower.is_late());
        if !is_late {
            self.shared.node_spoke();
        }
        if caught_up {
            // Before, there may be a close that was not read yet.
            self.shared.node_answered();
            self.date_the_backup().await?;
        }
        Ok(!caught_up && !is_late)
    }

    /// Takes an update over, and waits until it is durable.
    async fn keep(&mut self, update: &ChainUpdate) -> Result<(), FollowError> {
        let shared = self.shared.clone();
        let _alone = shared.taking.lock().await;
        let (
            Taken {
                ticket,
                tasks,
                changed,
            },
            _holding,
        ) = match &shared.others {
            None => (self.take_over_alone(update).await?, Vec::new()),
            Some(store) => self.take_over_held(&**store, update).await?,
        };
        let written = Written {
            shared: &shared,
            changed,
            is_durable: false,
        };
        ticket.await?;
        written.durable();
        shared.config.meters.done(&tasks);
        shared.dispute_bell.notify_one();
        Ok(())
    }

    async fn take_over_alone(&mut self, update: &ChainUpdate) -> Result<Taken, StoreError> {
        loop {
            let store = self.shared.store.clone();
            match self.take_over(update, None, |batch| store.commit(batch)) {
                Ok(Taking::Taken(taken)) => return Ok(taken),
                Ok(Taking::Wants(_)) => unreachable!("all accounts are ours alone"),
                Err(error) if error.is_transient() => tokio::time::sleep(BUSY_PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes an update over on accounts as they are held in the store.
    async fn take_over_held(
        &mut self,
        store: &dyn SharedStore,
        update: &ChainUpdate,
    ) -> Result<(Taken, Vec<Holding>), StoreError> {
        let shared = self.shared.clone();
        #[cfg(feature = "planted")]
        if crate::planted::has(crate::planted::Bug::LeaderDoesNotHold) {
            return Ok((self.take_over_alone(update).await?, Vec::new()));
        }
        // Which of them change is known only when it is decided, and that on accounts that may be old.
        let mut held = BTreeSet::new();
        loop {
            let slots = held.iter().filter_map(|channel| shared.accounts.get(channel));
            let holding: Vec<_> = slots.map(|slot| slot.hold()).collect();
            let hold = match held.is_empty() {
                true => None,
                false => {
                    let known = shared.known(held.iter().copied());
                    let found = store.hold(held.iter().copied().collect(), Purpose::Chain).await?;
                    shared.take_held(&known, found.rows)?;
                    Some(found.hold)
                }
            };
            let write = |batch| match hold {
                Some(hold) => Ok(hold.commit(batch)),
                None => shared.store.commit(batch),
            };
            match self.take_over(update, Some(&held), write) {
                Ok(Taking::Taken(taken)) => return Ok((taken, holding)),
                Ok(Taking::Wants(more)) => held.extend(more),
                Err(error) if error.is_transient() => tokio::time::sleep(BUSY_PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a chain that was reorganised is still the one that holds our contract.
    async fn check_chain(&self, update: &ChainUpdate) -> Result<(), ChainError> {
        let contract = &self.shared.contract;
        if update.rewind_to.is_some() {
            contract.node().check_chain_id().await?;
        }
        if self.deep_fork(update).is_some() {
            Contract::at(contract.node().clone(), contract.address()).await?;
        }
        Ok(())
    }

    /// Learns how old the newest block is, where that matters.
    async fn look_at_the_clock(&self) -> Result<(), ChainError> {
        if self.shared.config.max_head_age.is_some() {
            let header = self.shared.contract.node().latest_header().await?;
            self.shared.set_head_time(header.timestamp);
        }
        Ok(())
    }

    /// The last block that stayed, if an update goes back behind what counted as confirmed.
    fn deep_fork(&self, update: &ChainUpdate) -> Option<BlockNumber> {
        let known = || heads(self.shared.head(), &self.shared);
        let confirmed = self.heads.unwrap_or_else(known).confirmed;
        update.rewind_to.filter(|last| *last < confirmed)
    }

    fn halts(&self, update: &ChainUpdate) -> Vec<HaltChange> {
        let Some(last) = self.deep_fork(update) else {
            return Vec::new();
        };
        let head = self.shared.head();
        tracing::error!(%head, fork = %last, "the chain was reorganised deeper than the confirmations; selling stops until the operator resumes it");
        vec![HaltChange::Set(Halt {
            kind: HaltKind::Reorganised,
            block: Some(last),
        })]
    }

    /// Decides everything that follows from an update and hands it to the store in one batch, unless that changes
    /// an account that must be held and is not. Nothing has changed on an error.
    fn take_over(
        &mut self,
        update: &ChainUpdate,
        held: Option<&BTreeSet<ChannelId>>,
        write: impl FnOnce(Batch) -> Result<Ticket, StoreError>,
    ) -> Result<Taking, StoreError> {
        let head = update
            .blocks
            .last()
            .map_or_else(|| self.shared.head(), |block| block.number);
        let new_heads = heads(head, &self.shared);
        let affected = self.affected(update, new_heads);
        // That the others stay as they are was found before, when nothing was held: who holds has little time.
        let held_only = held.filter(|held| !held.is_empty());
        let looked_at: Vec<_> = match held_only {
            Some(held) => affected.intersection(held).copied().collect(),
            None => affected.iter().copied().collect(),
        };
        let slots: HashMap<ChannelId, Arc<Slot>> = looked_at
            .iter()
            .filter_map(|channel| Some((*channel, self.shared.accounts.get(channel)?)))
            .collect();
        // Of those that change; the others need no lock for longer than the decision.
        let mut guards = HashMap::<ChannelId, SlotGuard<'_>>::new();
        let mut batch = Batch {
            chain: Some(update.clone()),
            halts: self.halts(update),
            ..Batch::default()
        };
        let mut fresh = HashMap::<ChannelId, Vec<&ChannelEvent>>::new();
        for event in &update.events {
            fresh.entry(event.channel).or_default().push(event);
        }
        let (mut decided, mut changing) = (Vec::new(), BTreeSet::new());
        for channel in &looked_at {
            let stays = |event: &&ChannelEvent| update.rewind_to.is_none_or(|last| event.block <= last);
            let kept = self.events.of(*channel);
            let kept = kept.iter().filter(stays);
            let events = kept.chain(fresh.get(channel).into_iter().flatten().copied());
            #[cfg(feature = "planted")]
            let events = events.filter(|event| crate::planted::is_seen(event, new_heads.confirmed));
            let facts = ChainFacts::from_events(events, new_heads, self.shared.contract.challenge_period());
            let guard = slots.get(channel).map(|slot| slot.lock());
            let before = (batch.transitions.len(), batch.tasks.len());
            self.decide(*channel, guard.as_deref(), facts, head, new_heads, &mut batch);
            if batch.transitions.len() > before.0 {
                decided.extend(batch.transitions.last().cloned());
            }
            // What is doubtful is not known to stay as it is.
            let is_doubtful = guard.as_ref().is_some_and(|guard| guard.is_doubtful());
            if is_doubtful || (batch.transitions.len(), batch.tasks.len()) != before {
                changing.insert(*channel);
                guards.extend(guard.map(|guard| (*channel, guard)));
            }
        }
        if held.is_some_and(|held| !changing.is_subset(held)) {
            return Ok(Taking::Wants(changing));
        }
        self.report(update, &guards);
        let (tasks, halts) = (batch.tasks.clone(), batch.halts.clone());
        let ticket = write(batch)?;
        // Before anybody can sell on what is new.
        self.shared.halts.apply(&halts);
        let mut changed = Vec::new();
        for transition in decided {
            let (channel, version) = (*transition.after().channel(), transition.after().version());
            let epoch = guards.get(&channel).map_or(0, |guard| guard.epoch());
            changed.push((channel, epoch, version));
            self.install(transition, &mut guards);
        }
        self.shared.disputes.apply(&tasks);
        drop(guards);
        if let Some(last) = update.rewind_to {
            tracing::warn!(block = %last, "the chain was reorganised");
        }
        self.events.take(update, new_heads.last_final);
        self.challenged = affected;
        self.challenged
            .retain(|channel| is_challenged(&self.shared, channel));
        self.heads = Some(new_heads);
        self.shared.set_head(head);
        Ok(Taking::Taken(Taken {
            ticket,
            tasks,
            changed,
        }))
    }

    /// Channels whose facts may differ: touched by the update, or by a head that passes an event.
    fn affected(&self, update: &ChainUpdate, new: Heads) -> BTreeSet<ChannelId> {
        let mut affected: BTreeSet<ChannelId> = update.events.iter().map(|event| event.channel).collect();
        let rewind_to = update.rewind_to;
        #[cfg(feature = "planted")]
        let rewind_to = rewind_to.filter(|_| !crate::planted::has(crate::planted::Bug::RewindForgets));
        if let Some(last) = rewind_to {
            let gone = last.saturating_add(1)..=BlockNumber(u64::MAX);
            affected.extend(self.events.channels_in(gone));
        }
        let Some(old) = self.heads else {
            affected.extend(self.events.channels());
            return affected;
        };
        let passed = [
            between(old.confirmed, new.confirmed),
            between(old.last_final, new.last_final),
        ];
        for range in passed {
            affected.extend(self.events.channels_in(range));
        }
        affected.extend(&self.challenged);
        affected.extend(self.shared.disputes.channels());
        affected
    }

    /// Tells the operator of settlements that pay less than was claimed.
    fn report(&self, update: &ChainUpdate, accounts: &HashMap<ChannelId, SlotGuard<'_>>) {
        for event in &update.events {
            let ChannelChange::Settled { balance, .. } = event.change else {
                continue;
            };
            let claimed = accounts
                .get(&event.channel)
                .and_then(|account| account.promise()?.dispute())
                .filter(|claimed| *claimed > balance);
            if let Some(claimed) = claimed {
                let channel = event.channel;
                tracing::error!(%channel, %balance, %claimed, "settled at less than was claimed");
            }
        }
    }

    /// The transitions and tasks that a channel's new facts ask for.
    fn decide(
        &self,
        channel: ChannelId,
        account: Option<&Account>,
        facts: ChainFacts,
        head: BlockNumber,
        heads: Heads,
        batch: &mut Batch,
    ) {
        let observed = match account {
            None => Some(Account::open(channel, facts, self.shared.writer())),
            Some(account) if *account.facts() != facts => Some(account.observe(facts, self.shared.writer())),
            Some(_) => None,
        };
        let Some(account) = observed.as_ref().map(Transition::after).or(account) else {
            return;
        };
        let (tasks, promise) = self.tasks(account, head, heads);
        batch.tasks.extend(tasks);
        batch.transitions.extend(observed);
        batch.transitions.extend(promise);
    }

    /// What is to be done for an account now, and is not done any more; and the promise that this takes.
    fn tasks(
        &self,
        account: &Account,
        head: BlockNumber,
        heads: Heads,
    ) -> (Vec<TaskChange>, Option<Transition>) {
        let (disputes, channel) = (&self.shared.disputes, *account.channel());
        let settled_by =
            |last: BlockNumber| matches!(account.facts().phase, Phase::Settled { at } if at <= last);
        let (over, last) = (settled_by(heads.confirmed), settled_by(heads.last_final));
        #[cfg(feature = "planted")]
        let [over, last] = [over, last].map(|over| crate::planted::is_over(over, account.facts().phase));
        if over {
            // A close is what the operator or the sender asked for: where the settlement vanishes after all,
            // the chain's facts alone would not ask for it again, as they do for the others.
            let is_done = |kind: &TaskKind| last || *kind != TaskKind::Close;
            let done = disputes.kinds(&channel).into_iter().filter(is_done);
            return (
                done.map(|kind| TaskChange::Remove { channel, kind }).collect(),
                None,
            );
        }
        let mut changes = Vec::new();
        let mut put = |kind| {
            changes.push(TaskChange::Put(Task {
                channel,
                kind,
                transaction: None,
                not_before: BlockNumber(0),
            }));
        };
        let is_disputed = self.is_to_dispute(account, head, heads);
        let is_left = self.is_left_unsettled(account, head);
        let is_closing = is_left || disputes.is_due(&channel, TaskKind::Close, head);
        let mut promise = None;
        if (is_disputed || is_closing) && agreed_close(account).is_none() {
            match account.dispute(self.shared.writer()) {
                Ok(claim) => promise = claim.transition,
                // Where the chain recovers, there may be something again.
                Err(_) if !is_disputed => {}
                Err(error) => {
                    tracing::error!(%channel, %error, "a stale close cannot be disputed");
                    return (changes, None);
                }
            }
        }
        if is_disputed && (!disputes.contains(&channel, TaskKind::Dispute) || promise.is_some()) {
            put(TaskKind::Dispute);
        }
        if is_left && !disputes.is_due(&channel, TaskKind::Close, head) {
            put(TaskKind::Close);
        }
        let shown = account.facts().withdrawn() >= account.withdrawn();
        match (shown, disputes.contains(&channel, TaskKind::Withdraw)) {
            (true, true) => changes.push(TaskChange::Remove {
                channel,
                kind: TaskKind::Withdraw,
            }),
            // A withdrawal that a reorganisation took back.
            (false, false) if account.facts().phase == Phase::Open => put(TaskKind::Withdraw),
            _ => {}
        }
        (changes, promise)
    }

    /// Whether a stale close must be answered now.
    fn is_to_dispute(&self, account: &Account, head: BlockNumber, heads: Heads) -> bool {
        let Phase::Challenged {
            requested_at,
            settle_block,
            closing_balance,
        } = account.facts().phase
        else {
            return false;
        };
        let config = &self.shared.config;
        let margin = settle_block.saturating_sub(config.dispute_margin);
        (requested_at <= heads.confirmed || head >= margin)
            && account.is_stale_close(closing_balance)
            && config.is_worth_it(worth::gain(account))
    }

    /// Whether the sender could have settled its close long ago, so that we claim what it owes.
    fn is_left_unsettled(&self, account: &Account, head: BlockNumber) -> bool {
        let Phase::Challenged {
            settle_block,
            closing_balance,
            ..
        } = account.facts().phase
        else {
            return false;
        };
        let config = &self.shared.config;
        // Where the sender owes more than we can claim, we wait for it.
        let can = worth::claimable(account).is_some_and(|balance| balance >= closing_balance);
        head > settle_block.saturating_add(config.settle_patience)
            && can
            && config.is_worth_it(worth::unpaid(account))
    }

    fn install(&self, transition: Transition, guards: &mut HashMap<ChannelId, SlotGuard<'_>>) {
        let account = transition.into_after();
        let channel = *account.channel();
        let (version, facts) = (account.version().number, account.facts());
        tracing::info!(%channel, version, phase = ?facts.phase, deposit = %facts.deposit, "channel changed");
        match guards.get_mut(&channel) {
            Some(guard) => **guard = account,
            None => self.shared.accounts.add(account),
        }
    }
}

/// The agreed close, if we can bring it on chain ourselves: the sender has signed it too, and the
/// deposit covers it.
pub(crate) fn agreed_close(account: &Account) -> Option<(Balance, Signature)> {
    let closing = account.promise().and_then(Promise::closing)?;
    let covered = closing.at <= account.facts().deposit.limit();
    Some((closing.at, closing.sender_signature?)).filter(|_| covered)
}

fn is_challenged(shared: &Shared, channel: &ChannelId) -> bool {
    let slot = shared.accounts.get(channel);
    slot.is_some_and(|slot| matches!(slot.lock().facts().phase, Phase::Challenged { .. }))
}

pub(crate) fn heads(head: BlockNumber, shared: &Shared) -> Heads {
    Heads {
        confirmed: head.saturating_sub(shared.config.n_confirmations),
        last_final: head.saturating_sub(shared.config.final_after.max(shared.config.n_confirmations)),
    }
}

/// The blocks that one of two heads has passed and the other has not.
fn between(old: BlockNumber, new: BlockNumber) -> RangeInclusive<BlockNumber> {
    let (low, high) = (old.min(new), old.max(new));
    // A range of one block too many at most: folding facts again is harmless.
    low..=high
}
