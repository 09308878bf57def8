//! The timestamps of blocks.

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock, moved on request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// How far the chain's time is ahead of the wall clock; negative if behind.
    offset_s: i64,
    /// The timestamp of the next block, if it was set.
    next: Option<u64>,
}

impl Clock {
    /// The timestamp of a block after one at `parent`: always later by a second at least.
    pub(crate) fn peek(&self, parent: u64) -> u64 {
        let now = self
            .next
            .unwrap_or_else(|| wall_clock().saturating_add_signed(self.offset_s));
        now.max(parent.saturating_add(1))
    }

    /// As [`Self::peek`], and a timestamp set by hand is used up.
    pub(crate) fn next_timestamp(&mut self, parent: u64) -> u64 {
        let timestamp = self.peek(parent);
        self.next = None;
        timestamp
    }

    /// Moves the time of all later blocks; the whole distance to the wall clock.
    pub(crate) fn increase(&mut self, seconds: u64) -> i64 {
        self.offset_s = self.offset_s.saturating_add_unsigned(seconds);
        self.offset_s
    }

    /// Sets the timestamp of the next block; time goes on from there.
    pub(crate) fn set_next(&mut self, timestamp: u64) {
        self.next = Some(timestamp);
        self.offset_s = timestamp.checked_signed_diff(wall_clock()).unwrap_or(i64::MAX);
    }
}

fn wall_clock() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
