//! Who follows the chain.

use crate::shared::{Bid, LEASE, Leadership, Word};
use tokio::time::Instant;

/// The lead, as the last bid has left it.
#[derive(Debug, Default)]
pub(super) struct Lead {
    holder: Option<Holder>,
    fence: u64,
    word: Option<(Word, Instant)>,
}

#[derive(Debug)]
struct Holder {
    instance: u64,
    until: Instant,
}

impl Lead {
    /// Who leads at this time.
    pub(super) fn holder(&self, now: Instant) -> Option<u64> {
        let holder = self.holder.as_ref().filter(|holder| now < holder.until);
        holder.map(|holder| holder.instance)
    }

    pub(super) fn bid(&mut self, instance: u64, bid: Bid, now: Instant) -> Leadership {
        let holder = self.holder(now);
        match bid {
            Bid::Lead(word) if holder.is_none_or(|holder| holder == instance) => {
                self.fence += u64::from(holder.is_none());
                let until = now + LEASE;
                self.holder = Some(Holder { instance, until });
                self.word = Some((word, now));
            }
            Bid::Resign if holder == Some(instance) => self.holder = None,
            Bid::Look | Bid::Lead(_) | Bid::Resign => {}
        }
        let holder = self.holder(now);
        Leadership {
            is_ours: holder == Some(instance),
            is_held: holder.is_some(),
            fence: self.fence,
            word: self.word.map(|(word, said)| Word {
                node_age: word.node_age.map(|age| age.saturating_add(now - said)),
                ..word
            }),
        }
    }
}
