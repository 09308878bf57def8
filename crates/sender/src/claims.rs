//! Which session pays with which channel, and where.

use microraiden_protocol::ChannelId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A channel that pays at one server pays nowhere else: another server, or another session that does
/// not know of this one's requests in flight, would take its answers for lies.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    taken: Mutex<HashMap<ChannelId, u64>>,
    sessions: AtomicU64,
    /// Held while a channel is chosen, opened or topped up.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

/// The claims of one session; dropped with it.
#[derive(Debug)]
pub(crate) struct Claimant {
    claims: Arc<Claims>,
    session: u64,
}

impl Claimant {
    pub(crate) fn new(claims: &Arc<Claims>) -> Self {
        Self {
            claims: claims.clone(),
            session: claims.sessions.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Whether nobody pays with it. What the session used itself and let go of is not free either.
    pub(crate) fn is_free(&self, channel: &ChannelId) -> bool {
        let taken = self.claims.taken.lock().unwrap_or_else(PoisonError::into_inner);
        !taken.contains_key(channel)
    }

    /// Takes a channel for a server.
    pub(crate) fn take(&self, channel: ChannelId) {
        let mut taken = self.claims.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(channel, self.session);
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }
}

impl Drop for Claimant {
    fn drop(&mut self) {
        let mut taken = self.claims.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, session| *session != self.session);
    }
}
