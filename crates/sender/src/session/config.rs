//! What a session may spend, and how long it waits.

use crate::policy::DepositPolicy;
use microraiden_protocol::{Address, Amount, Price};
use std::time::Duration;

/// The limits of a session. Whatever servers answer, it stays within them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// The most that one request may cost.
    pub max_price: Price,
    /// The most that the session signs away in all, unanswered payments included.
    pub budget: Amount,
    /// How much to lock into channels. What is locked and not spent comes back at the close.
    pub deposits: DepositPolicy,
    /// The only receiver to pay; otherwise each host's first one is kept to.
    pub receiver: Option<Address>,
    /// How long to wait for a connection, 10 seconds by default.
    pub connect_timeout: Duration,
    /// How long to wait for the head of an answer, and between parts of its body; 2 minutes by
    /// default.
    pub answer_timeout: Duration,
    /// How long to wait until a receiver accepts a channel or a top-up as confirmed; 5 minutes by
    /// default.
    pub confirmation_timeout: Duration,
    /// How often a failed request is repeated, and how often a refused payment is corrected; 4 by
    /// default.
    pub max_retries: u32,
    /// The pause before the first repetition, 250 ms by default; it doubles each time.
    pub retry_pause: Duration,
}

impl SessionConfig {
    /// Nobody but the user knows what a request may cost; everything else has a default.
    pub fn new(max_price: Price, budget: Amount) -> Self {
        Self {
            max_price,
            budget,
            deposits: DepositPolicy::default(),
            receiver: None,
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(120),
            confirmation_timeout: Duration::from_secs(300),
            max_retries: 4,
            retry_pause: Duration::from_millis(250),
        }
    }
}

/// A pause that doubles up to a limit.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            next: first.min(longest),
            longest,
        }
    }

    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = self.next.saturating_mul(2).min(self.longest);
    }
}
