//! What the operator has to be asked about before selling goes on.

use crate::manager::{ChannelManager, Shared};
use crate::payment::Unavailable;
use crate::sync::{AtomicBool, AtomicU64};
use microraiden_protocol::ledger::Refusal;
use microraiden_protocol::{BlockNumber, ChannelId};
use microraiden_store::{Batch, Halt, HaltChange, HaltKind};
use std::sync::atomic::Ordering;

/// The halts in force. All of them are durable besides.
#[derive(Debug)]
pub(crate) struct Halts {
    reorganised: AtomicBool,
    is_restored: AtomicBool,
    /// The newest block whose channels are from before a backup was restored; `u64::MAX` until it is
    /// known. Only with `is_restored`.
    restored_up_to: AtomicU64,
    /// How often something has halted the selling in this life.
    times: AtomicU64,
}

impl Halts {
    pub(crate) fn new(halts: &[Halt]) -> Self {
        let in_force = Self {
            reorganised: AtomicBool::new(false),
            is_restored: AtomicBool::new(false),
            restored_up_to: AtomicU64::new(u64::MAX),
            times: AtomicU64::new(0),
        };
        let changes: Vec<_> = halts.iter().copied().map(HaltChange::Set).collect();
        in_force.apply(&changes);
        in_force
    }

    pub(crate) fn apply(&self, changes: &[HaltChange]) {
        for change in changes {
            match *change {
                HaltChange::Set(Halt { kind, block }) => self.set(kind, block),
                HaltChange::Lift(HaltKind::Reorganised) => self.reorganised.store(false, Ordering::Relaxed),
                HaltChange::Lift(HaltKind::Restored) => self.is_restored.store(false, Ordering::Relaxed),
            }
        }
    }

    /// Takes the halts that are stored.
    pub(crate) fn replace(&self, halts: &[Halt]) {
        for kind in [HaltKind::Reorganised, HaltKind::Restored] {
            match halts.iter().find(|halt| halt.kind == kind) {
                Some(halt) => self.apply(&[HaltChange::Set(*halt)]),
                None => self.apply(&[HaltChange::Lift(kind)]),
            }
        }
    }

    fn set(&self, kind: HaltKind, block: Option<BlockNumber>) {
        self.times.fetch_add(1, Ordering::Relaxed);
        match kind {
            HaltKind::Reorganised => self.reorganised.store(true, Ordering::Relaxed),
            HaltKind::Restored => {
                let up_to = block.map_or(u64::MAX, |block| block.0);
                self.restored_up_to.store(up_to, Ordering::Relaxed);
                self.is_restored.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Whether anything may be sold.
    pub(crate) fn check(&self) -> Result<(), Unavailable> {
        if self.reorganised.load(Ordering::Relaxed) {
            return Err(Unavailable::Reorganised);
        }
        Ok(())
    }

    /// Whether anything may be sold on a channel.
    pub(crate) fn check_channel(&self, channel: &ChannelId) -> Result<(), Refusal> {
        let is_restored = self.is_restored.load(Ordering::Relaxed);
        if is_restored && u64::from(channel.open_block) <= self.restored_up_to.load(Ordering::Relaxed) {
            return Err(Refusal::ClosingOnly);
        }
        Ok(())
    }

    /// Whether a backup was restored, and how far its channels go is not known yet.
    pub(crate) fn is_undated(&self) -> bool {
        self.is_restored.load(Ordering::Relaxed) && self.restored_up_to.load(Ordering::Relaxed) == u64::MAX
    }

    fn in_force(&self) -> Vec<HaltKind> {
        let flags = [
            (&self.reorganised, HaltKind::Reorganised),
            (&self.is_restored, HaltKind::Restored),
        ];
        let set = flags.iter().filter(|(flag, _)| flag.load(Ordering::Relaxed));
        set.map(|(_, kind)| *kind).collect()
    }
}

impl ChannelManager {
    /// Why selling goes on only when the operator says so; empty when it does.
    pub fn halts(&self) -> Vec<HaltKind> {
        self.shared.halts.in_force()
    }

    /// The operator says that selling may go on after all that has halted it, and accepts the risk: after a
    /// deep reorganisation that it happens again, after a restored backup that what was paid later than it
    /// is paid with again. Gives what had halted it. What halts it again meanwhile stays in force.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub async fn resume_selling(&self) -> Result<Vec<HaltKind>, Unavailable> {
        let shared = &self.shared;
        let halts = shared.halts.in_force();
        let lifts: Vec<_> = halts.iter().copied().map(HaltChange::Lift).collect();
        shared.keep_halts(lifts).await?;
        if !halts.is_empty() {
            tracing::warn!(?halts, "the operator has resumed the selling");
        }
        Ok(halts)
    }
}

impl Shared {
    /// Makes changes durable, and only then lets them take effect.
    pub(crate) async fn keep_halts(&self, mut halts: Vec<HaltChange>) -> Result<(), Unavailable> {
        let batch = Batch {
            halts: halts.clone(),
            ..Batch::default()
        };
        let ticket = self
            .store
            .commit(batch)
            .map_err(|error| self.store_failed(&error))?;
        let times = self.halts.times.load(Ordering::Relaxed);
        ticket.await.map_err(|error| self.store_failed(&error))?;
        if self.halts.times.load(Ordering::Relaxed) != times {
            // What was handed in after a lift took effect at once, and stays.
            halts.retain(|change| matches!(change, HaltChange::Set(_)));
        }
        self.halts.apply(&halts);
        Ok(())
    }
}
