//! The nonces that a wallet has given to transactions which somebody waits for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Nonces that are not given to another transaction.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeldNonces(Arc<Mutex<BTreeSet<u64>>>);

/// A nonce that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct HeldNonce {
    held: HeldNonces,
    nonce: u64,
}

impl HeldNonces {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds the first one from `first` on that nobody holds.
    pub(crate) fn first_free(&self, first: u64) -> HeldNonce {
        let mut held = self.lock();
        let mut nonce = first;
        while !held.insert(nonce) {
            nonce += 1;
        }
        drop(held);
        self.holding(nonce)
    }

    /// Holds this one.
    pub(crate) fn hold(&self, nonce: u64) -> HeldNonce {
        self.lock().insert(nonce);
        self.holding(nonce)
    }

    fn holding(&self, nonce: u64) -> HeldNonce {
        let held = self.clone();
        HeldNonce { held, nonce }
    }
}

impl HeldNonce {
    /// Which one it is.
    pub(crate) const fn number(&self) -> u64 {
        self.nonce
    }
}

impl Drop for HeldNonce {
    fn drop(&mut self) {
        self.held.lock().remove(&self.nonce);
    }
}
