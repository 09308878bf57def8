//! How long somebody may be waited for who sends, or takes, piece by piece.

use std::time::Duration;
use tokio::time::Instant;

/// Measures the waiting in one direction of a request.
///
/// Only time counts in which nothing could be done but wait for the client.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    stall: Duration,
    /// Bytes per second.
    slowest: u64,
    /// How long was waited, what goes on now left out.
    waited: Duration,
    /// How many bytes came.
    moved: u64,
    /// Since when it is waited.
    since: Option<Instant>,
}

impl Pace {
    pub(super) const fn new(stall: Duration, slowest: u64) -> Self {
        Self {
            stall,
            slowest,
            waited: Duration::ZERO,
            moved: 0,
            since: None,
        }
    }

    /// The client is waited for.
    pub(super) fn waits(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// So many bytes could be moved.
    pub(super) fn moves(&mut self, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
        self.moved = self
            .moved
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// When the waiting is over; `None` while nobody waits.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let earned = Duration::from_secs(self.moved.checked_div(self.slowest).unwrap_or(u64::MAX / 2));
        let whole = self.stall.saturating_add(earned).saturating_sub(self.waited);
        Some(self.since? + whole.min(self.stall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn each_piece_has_its_time_and_the_whole_has_a_rate() {
        let mut pace = Pace::new(STALL, 1024);
        assert_eq!(pace.deadline(), None);
        pace.waits();
        assert_eq!(pace.deadline(), Some(Instant::now() + STALL));
        tokio::time::advance(Duration::from_secs(20)).await;
        // Still the same waiting.
        pace.waits();
        assert_eq!(pace.deadline(), Some(Instant::now() + Duration::from_secs(10)));
        pace.moves(1);
        assert_eq!(pace.deadline(), None);
        pace.waits();
        assert_eq!(pace.deadline(), Some(Instant::now() + Duration::from_secs(10)));
        pace.moves(1024 * 100);
        pace.waits();
        assert_eq!(pace.deadline(), Some(Instant::now() + STALL));
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_at_a_time_does_not_hold_on() {
        let begin = Instant::now();
        let mut pace = Pace::new(STALL, 1024);
        loop {
            pace.waits();
            if pace.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                break;
            }
            tokio::time::advance(Duration::from_secs(1)).await;
            pace.moves(1);
        }
        assert_eq!(begin.elapsed(), STALL);
    }
}
