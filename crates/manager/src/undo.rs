//! A payment that may be stored, and for which nothing was sold since the store was lost sight of.
//!
//! It is given back if it is stored. If it is not, the account is written once more, so that it cannot be stored
//! later by a statement that is still on its way.

use crate::decide::{Decision, Mark};
use crate::manager::Shared;
use crate::payment::{Permit, Unavailable};
use crate::turn::{Fate, Held};
use microraiden_protocol::ledger::Spend;
use microraiden_store::{SharedStore, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// The pause before the store is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// What is to be found out, or to be done.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// What became of the payment.
    Payment(Mark),
    /// What became of its release.
    Release(Mark),
    /// The release certainly is not stored.
    ReleaseAgain,
}

/// What was done in a turn.
#[derive(Debug)]
enum Done {
    Nothing(Fate),
    Released(Mark),
    /// Another version was put where the payment's would have been.
    Covered,
}

/// Finds out what became of a payment for which nothing was sold, and gives it back if it was stored.
pub(crate) async fn release_if_stored(store: Arc<dyn SharedStore>, permit: Permit, mark: Mark) {
    let (slot, shared, spend) = permit.parts();
    let channel = *spend.channel();
    let mut stop = shared.stop.subscribe();
    let mut step = Step::Payment(mark);
    while !*stop.borrow_and_update() {
        let (manager, named) = (shared.clone(), spend.clone());
        let asked = shared.in_turn(&store, slot, move |held| step.take(held, &named, &manager));
        let fate = match asked.await {
            Ok((Done::Nothing(fate), _)) => Some(fate),
            Ok((Done::Released(_), Ok(()))) => Some(Fate::Stored),
            Ok((Done::Covered, Ok(()))) => Some(Fate::Lost),
            Ok((Done::Released(release), Err(StoreError::Unknown { .. }))) => {
                step = Step::Release(release);
                None
            }
            Ok((Done::Released(_), Err(_))) => {
                step = Step::ReleaseAgain;
                None
            }
            Err(Unavailable::StoreStopped) => Some(Fate::Unknown),
            Ok((Done::Covered, Err(_))) | Err(_) => None,
        };
        if let Some(fate) = fate {
            tracing::warn!(%channel, ?fate, "the store was lost sight of while it kept a payment");
            break;
        }
        let _ = tokio::time::timeout(PAUSE, stop.changed()).await;
    }
    shared.doubts.answered(&channel);
}

impl Step {
    fn take(self, held: &mut Held<'_>, spend: &Spend, shared: &Shared) -> Done {
        let mark = match self {
            Self::Payment(mark) | Self::Release(mark) => Some(mark),
            Self::ReleaseAgain => None,
        };
        let fate = mark.map(|mark| held.fate(&mark));
        #[cfg(feature = "planted")]
        let fate = fate.map(crate::planted::fate);
        match (self, fate) {
            (Self::Payment(_), Some(Fate::Missing)) => {
                let same = held.account.facts().clone();
                let covered = held.account.observe(same, shared.writer());
                held.take(&Decision::new(covered, ()));
                return Done::Covered;
            }
            (Self::Payment(_), Some(Fate::Stored)) => {}
            (Self::Release(_), Some(Fate::Lost | Fate::Missing)) | (Self::ReleaseAgain, _) => {
                held.account.reopen(spend);
            }
            (_, fate) => return Done::Nothing(fate.unwrap_or(Fate::Unknown)),
        }
        let epoch = held.account.epoch();
        match held.account.release(spend, shared.writer()) {
            Ok(release) => {
                let version = Some(release.after().version());
                held.take(&Decision::new(release, ()));
                Done::Released(Mark { epoch, version })
            }
            Err(_) => Done::Nothing(Fate::Unknown),
        }
    }
}
