//! How often each client came of late, in a bounded memory.

use super::rate::Rate;
use crate::client::ClientKey;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// Places of the table that clients are spread over.
const BUCKETS: usize = 1 << 14;
/// How many clients share a place; the next one takes the turn of another.
const PER_BUCKET: usize = 8;

/// Counts the requests of each client against one rate; cheap to clone, with the same counts.
///
/// It remembers at most 131,072 clients, in less than 4 MB, and needs no cleaning up: when there are
/// more, those are forgotten, and begin anew, who are the nearest to a clean slate. So strangers
/// with many addresses forget each other rather than who has used up all that it may.
#[derive(Clone)]
pub struct Limiter {
    counts: Arc<Counts>,
}

type Counts = RateLimiter<ClientKey, Table, SinceStart, NoOpMiddleware<Nanos>>;

impl Limiter {
    /// With nobody counted yet.
    pub fn new(rate: Rate) -> Self {
        // The interval of a rate is not 0, which alone has no quota.
        let quota = Quota::with_period(rate.interval()).unwrap_or(Quota::per_second(rate.requests()));
        let quota = quota.allow_burst(rate.requests());
        Self {
            counts: Arc::new(RateLimiter::new(quota, Table::new(), SinceStart(Instant::now()))),
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// When it is one too many: how long to wait for the next.
    pub fn check(&self, client: ClientKey) -> Result<(), Duration> {
        let checked = self.counts.check_key(&client);
        checked.map_err(|refused| refused.wait_time_from(self.counts.clock().now()))
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").finish_non_exhaustive()
    }
}

/// The limiters in use, by name: who asks for the same rate by the same name gets the same counts, so
/// that a new configuration does not begin to count anew.
#[derive(Debug, Default)]
pub struct Limiters(Mutex<HashMap<String, (Rate, Weak<Counts>)>>);

impl Limiters {
    /// The one of this name and rate, if somebody still has it, or else a new one.
    pub fn get(&self, name: &str, rate: Rate) -> Limiter {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (_, counts)| counts.strong_count() > 0);
        let kept = known.get(name).filter(|(of, _)| *of == rate);
        if let Some(counts) = kept.and_then(|(_, counts)| counts.upgrade()) {
            return Limiter { counts };
        }
        let limiter = Limiter::new(rate);
        known.insert(name.to_owned(), (rate, Arc::downgrade(&limiter.counts)));
        limiter
    }
}

/// The time since a limiter began.
#[derive(Debug, Clone, Copy)]
struct SinceStart(Instant);

impl Clock for SinceStart {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

/// The clients of one place.
type Bucket = Vec<(ClientKey, Nanos)>;

/// For each client, when it would have a clean slate.
#[derive(Debug)]
struct Table {
    hasher: RandomState,
    buckets: Box<[Mutex<Bucket>]>,
}

impl Table {
    fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            buckets: (0..BUCKETS).map(|_| Mutex::default()).collect(),
        }
    }

    /// The place of a client, which nobody can choose.
    fn bucket(&self, client: ClientKey) -> &Mutex<Bucket> {
        let hash = self.hasher.hash_one(client);
        // Below the number of buckets.
        let index = usize::try_from(hash % (BUCKETS as u64)).unwrap_or_default();
        &self.buckets[index]
    }
}

impl StateStore for Table {
    type Key = ClientKey;

    fn measure_and_replace<T, F, E>(&self, client: &ClientKey, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut bucket = self
            .bucket(*client)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((_, clean)) = bucket.iter_mut().find(|(known, _)| known == client) {
            let (outcome, later) = decide(Some(*clean))?;
            *clean = later;
            return Ok(outcome);
        }
        let (outcome, clean) = decide(None)?;
        if bucket.len() < PER_BUCKET {
            bucket.push((*client, clean));
        } else if let Some(nearest) = bucket.iter_mut().min_by_key(|(_, clean)| *clean) {
            *nearest = (*client, clean);
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limiter(rate: &str) -> Limiter {
        Limiter::new(rate.parse().unwrap())
    }

    fn client(number: u32) -> ClientKey {
        ClientKey::V4(number.to_be_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_come_at_once_and_each_comes_back_in_its_time() {
        let limiter = limiter("10 per minute");
        for _ in 0..10 {
            assert_eq!(limiter.check(client(1)), Ok(()));
        }
        assert_eq!(limiter.check(client(1)), Err(6 * SECOND));
        assert_eq!(limiter.check(client(2)), Ok(()));
        tokio::time::advance(4 * SECOND).await;
        assert_eq!(limiter.check(client(1)), Err(2 * SECOND));
        tokio::time::advance(2 * SECOND).await;
        assert_eq!(limiter.check(client(1)), Ok(()));
        assert_eq!(limiter.check(client(1)), Err(6 * SECOND));
        tokio::time::advance(600 * SECOND).await;
        let served = (0..20).filter(|_| limiter.check(client(1)).is_ok());
        assert_eq!(served.count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_million_addresses_take_no_more_memory_and_free_nobody() {
        let limiter = limiter("5 per day");
        let greedy = ClientKey::V6([7; 8]);
        while limiter.check(greedy).is_ok() {}
        for number in 0..1_000_000 {
            assert_eq!(limiter.check(client(number)), Ok(()));
        }
        assert!(limiter.check(greedy).is_err());
        let counts = Arc::into_inner(limiter.counts).unwrap();
        let table = counts.into_state_store();
        let buckets = table
            .buckets
            .iter()
            .map(|bucket| bucket.lock().unwrap().capacity());
        let bytes: usize = buckets
            .map(|places| places * size_of::<(ClientKey, Nanos)>())
            .sum();
        assert!(
            bytes + BUCKETS * size_of::<Mutex<Bucket>>() < 4_000_000,
            "{bytes}"
        );
    }

    #[test]
    fn the_same_name_and_rate_has_the_same_counts() {
        let limiters = Limiters::default();
        let rate = |text: &str| text.parse::<Rate>().unwrap();
        let first = limiters.get("all", rate("1 per day"));
        assert!(first.check(client(1)).is_ok());
        assert!(limiters.get("all", rate("1 per day")).check(client(1)).is_err());
        assert!(limiters.get("/a", rate("1 per day")).check(client(1)).is_ok());
        // Another rate begins anew, and so does what nobody has any more.
        let other = limiters.get("all", rate("2 per day"));
        assert!(other.check(client(1)).is_ok());
        drop((first, other));
        let again = limiters.get("all", rate("2 per day"));
        assert!(again.check(client(1)).is_ok() && again.check(client(1)).is_ok());
        assert_eq!(limiters.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn parallel_requests_are_counted_exactly() {
        let limiter = limiter("1000 per day");
        let served: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..500).filter(|_| limiter.check(client(1)).is_ok()).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(served, 1000);
    }
}
