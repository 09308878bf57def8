//! A decision about one account, made under its lock and durable before anybody relies on it.
//!
//! Where this process is the only one that writes the store, what is in memory is right, and every decision
//! holds. Where several instances write it, another one may have been faster. A decision that changes the account
//! is then handed in on trust, and the store refuses it if what is in memory was old; a decision that changes
//! nothing, or that refuses, has no such proof. Both are made again in a [turn](crate::turn), on the account as it is
//! held in the store, and that is final.

use crate::accounts::{Slot, SlotGuard};
use crate::manager::Shared;
use crate::payment::Unavailable;
use crate::turn::Held;
use microraiden_protocol::ledger::{Account, Transition, Version};
use microraiden_store::{Batch, SharedStore, StoreError, TaskChange, Ticket};
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[cfg(feature = "planted")]
use crate::planted::Bug;

/// What was decided about an account.
#[derive(Debug)]
pub(crate) struct Decision<T> {
    /// How the account changes, if it does.
    pub(crate) transition: Option<Transition>,
    /// What is to be done on the chain for it.
    pub(crate) tasks: Vec<TaskChange>,
    /// What the decision is worth once it is durable.
    pub(crate) value: T,
    /// Whether a mistake is planted: the value is given before it is durable.
    #[cfg(feature = "planted")]
    pub(crate) at_once: bool,
}

impl<T> Decision<T> {
    pub(crate) fn new(transition: impl Into<Option<Transition>>, value: T) -> Self {
        Self {
            transition: transition.into(),
            tasks: Vec::new(),
            value,
            #[cfg(feature = "planted")]
            at_once: false,
        }
    }

    pub(crate) fn batch(&self) -> Batch {
        Batch {
            transitions: self.transition.iter().cloned().collect(),
            tasks: self.tasks.clone(),
            ..Batch::default()
        }
    }
}

/// Why nothing came of a decision.
#[derive(Debug)]
pub(crate) enum Failed<T, E> {
    /// For this reason; nothing has changed.
    Denied(E),
    /// The store was lost sight of: it may be durable, or may not.
    Unknown(Doubt<T>),
}

/// A decision of which it is unknown whether it is stored.
#[derive(Debug)]
pub(crate) struct Doubt<T> {
    value: T,
    mark: Mark,
}

/// Names a decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    /// When it was decided, as the account counts.
    pub(crate) epoch: u32,
    /// What it made of the account; `None` where it changed nothing.
    pub(crate) version: Option<Version>,
}

impl<T> Doubt<T> {
    /// What it would have been worth, and its name.
    pub(crate) fn part(self) -> (T, Mark) {
        (self.value, self.mark)
    }
}

/// An account that was changed in memory before the store had it; dropped, also by whoever does not wait any
/// more, it is doubtful.
struct Trusted<'a> {
    shared: &'a Shared,
    slot: &'a Slot,
    epoch: u32,
}

impl Drop for Trusted<'_> {
    fn drop(&mut self) {
        #[cfg(feature = "planted")]
        if crate::planted::has(Bug::LostIsNotDoubted) {
            return;
        }
        self.shared.doubt(self.slot, self.epoch);
    }
}

impl<T, E: From<Unavailable>> Failed<T, E> {
    /// For those who ask again.
    pub(crate) fn into_reason(self) -> E {
        match self {
            Self::Denied(error) => error,
            Self::Unknown(_) => Unavailable::StoreAway.into(),
        }
    }
}

impl Shared {
    /// Decides about an account and waits until it is durable.
    ///
    /// `decide` may be called again, on another state of the account, after what it decided before has certainly come to
    /// nothing. It is called under the account's lock: what it gives must not take that when it is dropped there.
    pub(crate) async fn decide<T, E>(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        mut decide: impl FnMut(&mut Account) -> Result<Decision<T>, E> + Send + 'static,
    ) -> Result<T, Failed<T, E>>
    where
        T: Send + 'static,
        E: From<Unavailable> + Send + 'static,
    {
        match &self.others {
            None => self.decide_alone(slot, decide).await.map_err(Failed::Denied),
            Some(store) => match self.decide_on_trust(slot, &mut decide).await? {
                Some(value) => Ok(value),
                None => self.decide_held(store, slot, decide).await,
            },
        }
    }

    async fn decide_alone<T, E: From<Unavailable>>(
        &self,
        slot: &Slot,
        decide: impl FnOnce(&mut Account) -> Result<Decision<T>, E>,
    ) -> Result<T, E> {
        let (decision, ticket) = {
            let mut account = slot.lock();
            let decision = decide(&mut account)?;
            #[cfg(feature = "shuttle")]
            let mut account = crate::schedules::before_install(account, slot);
            let ticket = self.hand_in(&mut account, &decision);
            (decision, ticket)
        };
        // Dropped where the lock is not held.
        let ticket = ticket.map_err(|error| self.store_failed(&error))?;
        #[cfg(feature = "shuttle")]
        if crate::schedules::has(crate::schedules::Bug::PermitBeforeDurable) {
            return Ok(decision.value);
        }
        #[cfg(feature = "planted")]
        if decision.at_once {
            return Ok(decision.value);
        }
        ticket.await.map_err(|error| self.stop_selling(&error))?;
        // What an earlier request has decided, and this one found, may be what could not be kept.
        self.check_store()?;
        Ok(decision.value)
    }

    /// Decides on what is in memory; `None` when it has to be decided in a turn.
    async fn decide_on_trust<T, E: From<Unavailable>>(
        &self,
        slot: &Slot,
        decide: &mut impl FnMut(&mut Account) -> Result<Decision<T>, E>,
    ) -> Result<Option<T>, Failed<T, E>> {
        self.check_store().map_err(|error| Failed::Denied(error.into()))?;
        let (decision, epoch, ticket) = {
            let mut account = slot.lock();
            let decided = account.is_trusted().then(|| decide(&mut account));
            let changes = |decision: &Decision<T>| decision.transition.is_some();
            let Some(decision) = decided.and_then(Result::ok).filter(changes) else {
                return Ok(None);
            };
            let ticket = self.hand_in(&mut account, &decision);
            (decision, account.epoch(), ticket)
        };
        let version = decision.transition.as_ref().map(|next| next.after().version());
        let ticket = ticket.map_err(|error| Failed::Denied(self.store_failed(&error).into()))?;
        let shared = self;
        let trusted = Trusted { shared, slot, epoch };
        let Err(error) = ticket.await else {
            std::mem::forget(trusted);
            self.disputes.apply(&decision.tasks);
            version.into_iter().for_each(|version| slot.is_durable(version));
            return Ok(Some(decision.value));
        };
        drop(trusted);
        match error {
            StoreError::Conflict { .. } => {
                self.config.meters.conflict();
                self.conflicts.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            }
            StoreError::Unknown { .. } => {
                self.store_failed(&error);
                Err(Failed::Unknown(Doubt {
                    value: decision.value,
                    mark: Mark { epoch, version },
                }))
            }
            error => Err(Failed::Denied(self.store_failed(&error).into())),
        }
    }

    /// Decides on the account as it is held in the store.
    async fn decide_held<T, E>(
        self: &Arc<Self>,
        store: &Arc<dyn SharedStore>,
        slot: &Arc<Slot>,
        mut decide: impl FnMut(&mut Account) -> Result<Decision<T>, E> + Send + 'static,
    ) -> Result<T, Failed<T, E>>
    where
        T: Send + 'static,
        E: From<Unavailable> + Send + 'static,
    {
        let decided = self.in_turn(store, slot, move |held: &mut Held<'_>| {
            let epoch = held.account.epoch();
            let decision = decide(&mut held.account).map_err(Failed::Denied);
            decision.map(|decision| {
                held.take(&decision);
                let version = decision.transition.map(|next| next.after().version());
                Doubt {
                    value: decision.value,
                    mark: Mark { epoch, version },
                }
            })
        });
        let (decided, stored) = decided.await.map_err(|error| Failed::Denied(error.into()))?;
        let decided = decided?;
        match stored {
            Ok(()) => Ok(decided.value),
            Err(StoreError::Unknown { .. }) if decided.mark.version.is_some() => {
                Err(Failed::Unknown(decided))
            }
            Err(error) => Err(Failed::Denied(self.store_failed(&error).into())),
        }
    }

    /// Hands a decision to the store and takes it over; the account is as it was on an error. Where others write
    /// the store, tasks count only when they are stored: somebody may leave it at those that there are.
    pub(crate) fn hand_in<T>(
        &self,
        account: &mut SlotGuard<'_>,
        decision: &Decision<T>,
    ) -> Result<Ticket, StoreError> {
        // Empty where nothing changes: then it resolves when what was decided before is durable.
        let ticket = self.store.commit(decision.batch())?;
        if let Some(transition) = &decision.transition {
            **account = transition.after().clone();
        }
        let counts = self.others.is_none();
        #[cfg(feature = "planted")]
        let counts = counts || crate::planted::has(Bug::TasksCountAtOnce);
        if counts {
            self.disputes.apply(&decision.tasks);
        }
        Ok(ticket)
    }
}
