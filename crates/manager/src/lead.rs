//! Several instances of one receiver: one of them leads.
//!
//! Whoever leads follows the chain and brings on chain what is owed; the others know from it how far the chain
//! was read and how long ago, and read what it has written. When it dies or hangs, or its node does, another one
//! takes the lead. Whoever led and does not know yet that it does not any more, cannot write what it reads of the chain.

use crate::follow::{ChainFollower, FollowError};
use crate::loss::Known;
use crate::manager::Shared;
use crate::payment::Unavailable;
use crate::{dispute, follow, gas};
use microraiden_chain::{Follower, Party};
use microraiden_protocol::ledger::{Account, AccountRow};
use microraiden_protocol::{BlockNumber, ChannelId};
use microraiden_store::{
    Bid, Changes, Halt, LEASE, Leadership, Reading, SharedStore, StoreError, Task, Word,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// The pause between two words of the leader, and between two looks of the others.
const PAUSE: Duration = Duration::from_secs(1);
/// For how long whoever has given the lead away, since its node is silent, leaves it to others.
const REST: Duration = LEASE.saturating_mul(2);

/// Told once: how the first catching up has ended, or that another instance leads.
type Started = oneshot::Sender<Result<(), FollowError>>;

/// One time of leading, under one fencing number.
///
/// When it has ended, the next one of this instance has another number: what was handed to the store in this one
/// and lost sight of cannot be stored on top of what the next one writes.
struct Term {
    fence: u64,
    task: JoinHandle<()>,
    since: Instant,
    /// It ends then, unless the store has said otherwise.
    until: Instant,
}

impl Drop for Term {
    fn drop(&mut self) {
        // What was handed to the store is whole, and what was sent to the chain goes its way.
        self.task.abort();
    }
}

/// Bids for the lead, and leads while it has it, until it is told to stop.
pub(crate) async fn run(shared: Arc<Shared>, store: Arc<dyn SharedStore>, started: Started) {
    let mut stop = shared.stop.subscribe();
    let mut candidate = Candidate {
        shared: shared.clone(),
        store,
        started: Some(started),
        term: None,
        ended: None,
        rests_until: Instant::now(),
    };
    while !*stop.borrow_and_update() {
        candidate.bid().await;
        shared.leads.store(candidate.term.is_some(), Ordering::Relaxed);
        let _ = timeout(PAUSE, stop.changed()).await;
    }
    if candidate.term.take().is_some() {
        shared.leads.store(false, Ordering::Relaxed);
        let _ = candidate.ask(Bid::Resign).await;
    }
}

/// An instance that leads or would.
struct Candidate {
    shared: Arc<Shared>,
    store: Arc<dyn SharedStore>,
    started: Option<Started>,
    term: Option<Term>,
    /// The number of the last term of this instance.
    ended: Option<u64>,
    rests_until: Instant,
}

impl Candidate {
    async fn ask(&self, bid: Bid) -> Option<Result<Leadership, StoreError>> {
        timeout(LEASE, self.store.bid(bid)).await.ok()
    }

    /// Bids, or looks who leads, and acts on the answer.
    async fn bid(&mut self) {
        self.end_if_over().await;
        let shared = &self.shared;
        let cannot = shared.has_failed() || shared.check_store().is_err();
        // What the last leader has said of the head counts no more after so long.
        let is_old = |term: &Term| term.since.elapsed() > shared.config.node_timeout;
        let stands_still = self.term.as_ref().is_some_and(is_old) && shared.is_head_too_old();
        let gives_up = self.term.is_some() && (cannot || shared.is_node_silent() || stands_still);
        if gives_up {
            tracing::warn!("this instance cannot follow the chain; another one may lead");
            self.rests_until = Instant::now() + REST;
        }
        if gives_up || self.term.as_ref().is_some_and(|term| term.task.is_finished()) {
            self.end().await;
            #[cfg(feature = "planted")]
            if !gives_up && crate::planted::has(crate::planted::Bug::KeepsTheFence) {
                return;
            }
            let _ = self.ask(Bid::Resign).await;
            return;
        }
        if self.started.is_some() {
            // A new program has nothing to say yet, and whoever led before may have said that nothing is to be sold.
            if let Some(Ok(found)) = self.ask(Bid::Look).await {
                shared.hear(&found);
            }
        }
        let bid = match cannot || Instant::now() < self.rests_until {
            true => Bid::Look,
            false => Bid::Lead(word(shared)),
        };
        let begin = Instant::now();
        match self.ask(bid).await {
            Some(Ok(leadership)) if leadership.is_ours => self.lead(leadership.fence, begin + LEASE).await,
            Some(Ok(leadership)) => {
                if self.term.is_some() {
                    tracing::warn!("another instance leads now");
                }
                self.end().await;
                self.shared.hear(&leadership);
                self.started.take().map(|started| started.send(Ok(())));
            }
            answer => {
                if let Some(Err(error)) = answer {
                    tracing::warn!(%error, "the lead cannot be looked at; trying again");
                    self.shared.store_failed(&error);
                }
                self.end_if_over().await;
            }
        }
    }

    /// Ends the term when its time is over: the next one may have begun elsewhere.
    async fn end_if_over(&mut self) {
        let is_over = |term: &Term| Instant::now() >= term.until;
        if self.term.as_ref().is_some_and(is_over) {
            self.end().await;
        }
    }

    async fn end(&mut self) {
        if let Some(mut term) = self.term.take() {
            self.ended = Some(term.fence);
            term.task.abort();
            // What it hands in while it is being ended must not come into the next term.
            let _ = (&mut term.task).await;
        }
        #[cfg(feature = "planted")]
        if crate::planted::has(crate::planted::Bug::KeepsTheFence) {
            self.ended = None;
        }
    }

    /// The store says that this instance leads.
    async fn lead(&mut self, fence: u64, until: Instant) {
        if self.term.as_ref().is_some_and(|term| term.fence != fence) {
            self.end().await;
        }
        if let Some(term) = &mut self.term {
            term.until = until;
        } else if self.ended == Some(fence) {
            let _ = self.ask(Bid::Resign).await;
        } else {
            self.shared.node_spoke();
            tracing::info!(fence, "this instance leads");
            let lead = lead(self.shared.clone(), self.store.clone(), self.started.take());
            let task = tokio::spawn(lead);
            self.term = Some(Term {
                fence,
                task,
                since: Instant::now(),
                until,
            });
        }
    }
}

/// Takes over what others write, until it is told to stop.
pub(crate) async fn keep_up(shared: Arc<Shared>, store: Arc<dyn SharedStore>) {
    let mut stop = shared.stop.subscribe();
    let mut is_told = true;
    loop {
        let _ = timeout(PAUSE, async {
            tokio::select! {
                biased;
                _ = stop.changed() => {}
                () = store.changed() => {}
            }
        })
        .await;
        if *stop.borrow_and_update() {
            // After that, nobody remembers what was lost.
            let _ = timeout(LEASE, shared.tell_of_loss()).await;
            return;
        }
        let changes = shared.read_changes(&*store).await;
        let is_away = matches!(changes, Err(StoreError::Away { .. }));
        shared.store_away.store(is_away, Ordering::Relaxed);
        let read = match changes {
            Ok(()) => shared.settle_doubts(&*store).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &read {
            shared.store_failed(error);
        }
        let told = shared.tell_of_loss().await;
        if let Err(error) = &read
            && is_told
        {
            tracing::warn!(%error, "what other instances write cannot be read; trying again");
        }
        is_told = read.is_ok();
        if read.is_err() || told.is_err() {
            let _ = timeout(PAUSE, stop.changed()).await;
        }
    }
}

/// What this instance says of the chain.
fn word(shared: &Shared) -> Word {
    Word {
        head: shared.head(),
        head_time: shared.head_time.load(Ordering::Relaxed),
        node_age: shared.node_age(),
        gas_short: shared.gas_short.load(Ordering::Relaxed),
    }
}

impl Shared {
    /// Takes over what the leader has said of the chain.
    fn hear(&self, leadership: &Leadership) {
        let Some(word) = leadership.word else {
            return;
        };
        self.set_head(word.head);
        self.set_head_time(word.head_time);
        self.gas_short.store(word.gas_short, Ordering::Relaxed);
        if let Some(age) = word.node_age {
            self.node_answered_before(age);
        }
    }

    /// Reads what others have written, and takes it over.
    async fn read_changes(&self, store: &dyn SharedStore) -> Result<(), StoreError> {
        let _alone = self.taking.lock().await;
        let rereads = self.rereads.swap(false, Ordering::Relaxed);
        let reading = if rereads {
            Reading::TasksAndHalts
        } else {
            Reading::Changed
        };
        let changes = store.changes(reading).await;
        if changes.is_err() {
            self.rereads.fetch_or(rereads, Ordering::Relaxed);
        }
        let Changes {
            accounts,
            is_all,
            tasks,
            halts,
        } = changes?;
        if is_all {
            let rows = accounts.iter().map(|row| (row.channel, row.version));
            self.doubt_what_is_not(&rows.collect());
        }
        for row in accounts {
            self.take_newer(row)?;
        }
        if let Some(halts) = halts {
            self.halts.replace(&halts);
        }
        if let Some(tasks) = tasks {
            self.disputes.replace(&tasks);
            self.dispute_bell.notify_one();
        }
        Ok(())
    }

    /// Takes an account that was read, if it is newer than the one in memory.
    fn take_newer(&self, row: AccountRow) -> Result<(), StoreError> {
        match self.accounts.get(&row.channel) {
            None => self.accounts.add(Account::from_row(row)?),
            Some(slot) => {
                let mut account = slot.lock();
                // What is doubtful is read where it is found out what became of it.
                let (known, found) = (account.version(), row.version);
                let is_newer = found != known && found.number >= known.number;
                if is_newer && !account.is_doubtful() && !account.known().is_missing(Some(found)) {
                    self.read(&mut account, row)?;
                }
            }
        }
        Ok(())
    }

    /// Takes accounts that are held, and lets go of those that the store has none of.
    pub(crate) fn take_held(
        &self,
        held: &BTreeMap<ChannelId, Known>,
        rows: Vec<AccountRow>,
    ) -> Result<(), StoreError> {
        let mut missing = held.clone();
        for row in rows {
            let before = missing.remove(&row.channel).unwrap_or_default();
            before.check(row.channel, Some(row.version))?;
            match self.accounts.get(&row.channel) {
                None => self.accounts.add(Account::from_row(row)?),
                Some(slot) => {
                    let mut account = slot.lock();
                    if account.known() != before && account.known().is_missing(Some(row.version)) {
                        // It was held for too long, and is not any more.
                        return Err(StoreError::Busy);
                    }
                    self.read(&mut account, row)?;
                }
            }
        }
        for (channel, before) in missing {
            before.check(channel, None)?;
            if let Some(slot) = self.accounts.get(&channel)
                && slot.known() == before
            {
                self.accounts.remove(&slot);
            }
        }
        Ok(())
    }
}

/// Leads from what is stored, until the store or the chain is not as it should be.
async fn lead(shared: Arc<Shared>, store: Arc<dyn SharedStore>, mut started: Option<Started>) {
    let chain = match begin(&shared, &store, started.is_some()).await {
        Ok(chain) => chain,
        Err(error) => {
            if let FollowError::Store(error) = &error {
                shared.store_failed(error);
            }
            match started.take() {
                Some(started) => drop(started.send(Err(error))),
                None => tracing::warn!(%error, "leading has not begun; trying again"),
            }
            return;
        }
    };
    started.take().map(|started| started.send(Ok(())));
    let (_never, stop) = watch::channel(false);
    tokio::select! {
        biased;
        () = follow::run(chain, stop.clone()) => {}
        () = dispute::run(shared.clone(), stop.clone()) => {}
        () = gas::run(shared.clone(), stop.clone()) => {}
    }
}

/// Reads all that is stored and catches up with the chain.
///
/// The first time, whoever starts the program is told what is wrong with the node.
async fn begin(
    shared: &Arc<Shared>,
    store: &Arc<dyn SharedStore>,
    is_first: bool,
) -> Result<ChainFollower, FollowError> {
    let mut chain = {
        let _alone = shared.taking.lock().await;
        let snapshot = store.load().await?;
        let doubtful = shared.adopt(snapshot.accounts, &snapshot.halts, &snapshot.tasks)?;
        for channel in doubtful {
            if let Some(slot) = shared.accounts.get(&channel) {
                shared
                    .in_turn(store, &slot, |_| ())
                    .await
                    .map_err(FollowError::Away)?
                    .1?;
            }
        }
        let party = Party::Receiver(shared.key.address());
        let start = shared.config.start_block;
        let follower = Follower::new(shared.contract.clone(), party, start, snapshot.blocks);
        shared.set_head(follower.head().map_or(BlockNumber(0), |block| block.number));
        ChainFollower::new(shared.clone(), follower, snapshot.events)
    };
    loop {
        match chain.catch_up().await {
            Ok(()) => return Ok(chain),
            Err(FollowError::Chain(error)) if !is_first => {
                if error.is_fatal() {
                    shared.fail(error);
                    return Err(FollowError::Away(Unavailable::WrongChain));
                }
                // The node may come back before another instance leads.
                tracing::warn!(%error, "the node does not answer as it should; trying again");
                sleep(shared.config.poll_interval).await;
            }
            Err(error) => return Err(error),
        }
    }
}

impl Shared {
    /// Takes everything that the store has; gives the accounts of which it must be found out first what became of
    /// what was decided.
    fn adopt(
        &self,
        accounts: Vec<Account>,
        halts: &[Halt],
        tasks: &[Task],
    ) -> Result<Vec<ChannelId>, StoreError> {
        self.halts.replace(halts);
        self.disputes.replace(tasks);
        let found = accounts
            .iter()
            .map(|account| (*account.channel(), account.version()));
        let found: HashMap<_, _> = found.collect();
        self.doubt_what_is_not(&found);
        for account in accounts {
            self.take_newer(account.row().clone())?;
        }
        let mut doubtful = Vec::new();
        for slot in self.accounts.all() {
            let account = slot.lock();
            let (channel, is_doubtful) = (*account.channel(), account.is_doubtful());
            drop(account);
            if !found.contains_key(&channel) && slot.known() == Known::default() {
                self.accounts.remove(&slot);
            } else if is_doubtful {
                doubtful.push(channel);
            }
        }
        doubtful.sort_unstable();
        Ok(doubtful)
    }
}
