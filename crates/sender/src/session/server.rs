//! What a session knows of one host: its receiver, its prices and the channel used there.

use super::exchange::Call;
use crate::channel::Channel;
use http::Method;
use microraiden_protocol::{Address, ChannelId, Price};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

/// How many requests may be in flight on one channel: receivers find room for so many.
const IN_FLIGHT: u32 = 64;
/// How many prices are remembered; when there are more, all are asked for again.
const PRICES: usize = 1024;

/// One origin: scheme, host and port.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) origin: Url,
    slots: Semaphore,
    known: Mutex<Known>,
}

/// What the server told, and what is used there.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Who is paid here; kept to once it is known.
    pub(super) receiver: Option<Address>,
    /// Path of the REST API.
    pub(super) gateway_path: Option<String>,
    /// Whether it understands `RDN-Payment`.
    pub(super) states_payments: bool,
    /// The channel that pays here, and nowhere else in this session.
    pub(super) channel: Option<Channel>,
    /// Channels that are open on chain, and that the server does not know any more.
    pub(super) left: Vec<Channel>,
    /// Channels that may not hold more than they have paid.
    pub(super) used_up: Vec<Channel>,
    /// Whether the receiver has accepted a payment on the channel since it was opened or topped up.
    pub(super) accepted: bool,
    /// Whether an answer was to say behind its body what it has cost, which is not read here: until then the price counts.
    pub(super) cost_follows: bool,
    /// What was paid for last: there the receiver can be asked for its balance.
    pub(super) last_paid: Option<(Method, Url)>,
    prices: HashMap<(Method, Url), Price>,
}

impl Server {
    /// A server that nothing is known of but, perhaps, who is to be paid there.
    pub(super) fn new(origin: Url, receiver: Option<Address>) -> Self {
        let slots = usize::try_from(IN_FLIGHT).expect("a small number");
        Self {
            origin,
            slots: Semaphore::new(slots),
            known: Mutex::new(Known {
                receiver,
                ..Known::default()
            }),
        }
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place among the requests in flight; alone, until the server has shown that it
    /// takes several at a time and knows the channel.
    pub(super) async fn slot(&self) -> SemaphorePermit<'_> {
        if self.takes_several() {
            return self.acquire(1).await;
        }
        let mut all = self.alone().await;
        if self.takes_several()
            && let Some(rest) = all.split(all.num_permits() - 1)
        {
            drop(rest);
        }
        all
    }

    /// Waits until nothing else is in flight.
    pub(super) async fn alone(&self) -> SemaphorePermit<'_> {
        self.acquire(IN_FLIGHT).await
    }

    async fn acquire(&self, slots: u32) -> SemaphorePermit<'_> {
        self.slots.acquire_many(slots).await.expect("never closed")
    }

    fn takes_several(&self) -> bool {
        let known = self.known();
        known.states_payments && known.accepted
    }
}

impl Known {
    /// Forgets a channel that is closed.
    pub(super) fn let_go(&mut self, channel: ChannelId) {
        self.left.retain(|left| left.id() != channel);
        self.used_up.retain(|used| used.id() != channel);
        if self.channel.as_ref().is_some_and(|used| used.id() == channel) {
            self.channel = None;
            self.accepted = false;
            self.cost_follows = false;
        }
    }

    /// The price of this request the last time.
    pub(super) fn price(&self, call: &Call<'_>) -> Option<Price> {
        self.prices.get(&call.resource()).copied()
    }

    /// Remembers what was paid for; `None` when it turned out to be free.
    pub(super) fn remember_price(&mut self, call: &Call<'_>, price: Option<Price>) {
        let Some(price) = price else {
            self.prices.remove(&call.resource());
            return;
        };
        if self.prices.len() >= PRICES {
            self.prices.clear();
        }
        self.prices.insert(call.resource(), price);
        self.last_paid = Some(call.resource());
        self.accepted = true;
    }
}
