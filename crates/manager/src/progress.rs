//! Telling how far a long reading of the chain is.

use microraiden_chain::Progress;
use std::time::Duration;
use tokio::time::Instant;

/// The pause between two lines.
const PAUSE: Duration = Duration::from_secs(5);

/// Logs the progress every few seconds, so that short readings leave no trace.
pub(crate) struct ProgressLog {
    told: Instant,
    /// The head when it was last told.
    head: Option<u64>,
}

impl ProgressLog {
    pub(crate) fn new() -> Self {
        Self {
            told: Instant::now(),
            head: None,
        }
    }

    pub(crate) fn tell(&mut self, progress: Option<Progress>) {
        let elapsed = self.told.elapsed();
        let Some(progress) = progress.filter(|_| elapsed >= PAUSE) else {
            return;
        };
        let head = progress.head.0;
        let read = head.saturating_sub(self.head.unwrap_or(progress.begin.0));
        let blocks_per_second = u128::from(read) * 1000 / elapsed.as_millis().max(1);
        tracing::info!(
            block = %progress.head,
            of = %progress.newest,
            percent = progress.percent(),
            blocks_per_second,
            "reading the chain"
        );
        (self.told, self.head) = (Instant::now(), Some(head));
    }
}
