//! The timestamps of blocks.

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock, moved on request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// How far the chain's time is ahead of the wall clock; negative if behind.
    offset_s: i64,
    /// The timestamp of the next block, if it was set.
    next: Option<u64>,
    /// How far a block is from its parent, if that does not depend on the wall clock.
    step_s: Option<u64>,
}

impl Clock {
    /// The timestamp of a block after one at `parent`: always later by a second at least.
    pub(crate) fn peek(&self, parent: u64) -> u64 {
        let now = self
            .next
            .or(self.step_s.map(|step| parent.saturating_add(step)))
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

    /// Makes the time of the next blocks go on from a timestamp; how far that is from the wall clock.
    pub(crate) fn set_now(&mut self, timestamp: u64) -> i64 {
        self.offset_s = timestamp.checked_signed_diff(wall_clock()).unwrap_or(i64::MAX);
        self.offset_s
    }

    /// How far the chain's time is ahead of the wall clock; negative if behind.
    pub(crate) fn offset_s(&self) -> i64 {
        self.offset_s
    }

    /// A clock that is so far ahead of the wall clock.
    pub(crate) fn with_offset(offset_s: i64) -> Self {
        Self {
            offset_s,
            ..Self::default()
        }
    }

    /// Sets how far each block is from its parent in seconds, or lets the wall clock decide again.
    pub(crate) fn set_step(&mut self, step_s: Option<u64>) {
        self.step_s = step_s;
    }

    /// Sets the timestamp of the next block; time goes on from there.
    pub(crate) fn set_next(&mut self, timestamp: u64) {
        self.next = Some(timestamp);
        self.set_now(timestamp);
    }
}

fn wall_clock() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
