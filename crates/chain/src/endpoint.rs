//! One of the addresses that a node is reached at: how it behaves, and when it may be asked.

use crate::rpc::{RpcError, Transport};
use alloy_primitives::U64;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

pub(crate) const CHAIN_ID: &str = "eth_chainId";
/// How long an endpoint is left alone after its first trouble; twice as long after each further one.
const FIRST_REST: Duration = Duration::from_millis(500);
/// The longest rest, whatever a node asks for. After as long without trouble, rests begin with the first again.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// A transport with what is known of the node behind it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Its place in the list, from 1. This names it, since its address is a secret.
    pub(crate) position: usize,
    transport: Box<dyn Transport>,
    standing: Mutex<Standing>,
    pace: Option<Pace>,
}

#[derive(Debug, Default)]
struct Standing {
    /// Whether its chain id was found right since it last failed.
    checked: bool,
    troubles: u32,
    rest_until: Option<Instant>,
    /// It refused for the number of requests, and must not be asked before.
    limited_until: Option<Instant>,
}

/// Whether an endpoint may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Readiness {
    /// It works.
    Ready,
    /// It has rested since it failed; nobody knows whether it works.
    Rested,
    /// It rests until then; better ask another.
    Resting(Instant),
    /// It must not be asked before.
    Limited(Instant),
}

/// The time between two requests.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Endpoint {
    pub(crate) fn new(
        position: usize,
        transport: Box<dyn Transport>,
        requests_per_second: Option<NonZeroU32>,
    ) -> Self {
        let pace = requests_per_second.map(|rate| Pace {
            interval: Duration::from_secs(1) / rate.get(),
            next: Mutex::new(Instant::now()),
        });
        Self {
            position,
            transport,
            standing: Mutex::default(),
            pace,
        }
    }

    pub(crate) fn readiness(&self) -> Readiness {
        let standing = self.standing();
        let now = Instant::now();
        let still = |until: Option<Instant>| until.filter(|until| *until > now);
        if let Some(until) = still(standing.limited_until) {
            return Readiness::Limited(until);
        }
        match still(standing.rest_until) {
            _ if standing.checked => Readiness::Ready,
            Some(until) => Readiness::Resting(until),
            None => Readiness::Rested,
        }
    }

    /// How many troubles there were; for [`Self::note`].
    pub(crate) fn troubles(&self) -> u32 {
        self.standing().troubles
    }

    /// Makes a request when it is its turn; [`RpcError::Limited`] when that is not before `latest`.
    pub(crate) async fn request(
        &self,
        method: &'static str,
        params: Value,
        latest: Instant,
    ) -> Result<Option<Box<RawValue>>, RpcError> {
        if let Some(pace) = &self.pace {
            sleep_until(pace.turn(latest).ok_or(RpcError::Limited)?).await;
        }
        self.transport.request(method, params).await
    }

    /// Asks for the chain id, and admits it when that is the expected one.
    pub(crate) async fn check(&self, expected: u64, latest: Instant) -> Result<(), RpcError> {
        let found = chain_id(self.request(CHAIN_ID, json!([]), latest).await?)?;
        if found != expected {
            return Err(RpcError::OtherChain { found, expected });
        }
        self.admit();
        Ok(())
    }

    /// Notes that it works and is of the right chain.
    pub(crate) fn admit(&self) {
        self.standing().checked = true;
    }

    /// Notes that it is being tried, and that nobody else needs to for so long.
    pub(crate) fn reserve(&self, time: Duration) {
        self.standing().rest_until = Some(Instant::now() + time);
    }

    /// Notes why a request failed that began when there were so many `troubles`.
    pub(crate) fn note(&self, error: &RpcError, troubles: u32) {
        let node = self.position;
        match error {
            // The limit is ours.
            RpcError::Limited => {}
            error if error.is_rate_limit() => {
                let rest = self.rest(error, troubles);
                tracing::info!(node, %error, ?rest, "the node wants fewer requests");
            }
            error => {
                let rest = self.rest(error, troubles);
                tracing::warn!(node, %error, ?rest, "the node fails");
            }
        }
    }

    /// The same before it is known whether any node answers. Whoever connects is told, and may try again and again; so
    /// it is not logged.
    pub(crate) fn note_first(&self, error: &RpcError, troubles: u32) {
        if !matches!(error, RpcError::Limited) {
            let rest = self.rest(error, troubles);
            tracing::debug!(node = self.position, %error, ?rest, "the node does not answer yet");
        }
    }

    /// How long it rests. Requests that fail together count as one trouble.
    fn rest(&self, error: &RpcError, troubles: u32) -> Duration {
        let now = Instant::now();
        let mut standing = self.standing();
        let quiet_since = standing.rest_until.max(standing.limited_until);
        if standing.troubles == troubles {
            standing.troubles = match quiet_since {
                Some(since) if now < since + LONGEST_REST => troubles.saturating_add(1),
                _ => 1,
            };
        }
        let doublings = standing.troubles.saturating_sub(1).min(16);
        let own = (FIRST_REST * (1 << doublings)).min(LONGEST_REST);
        if error.is_rate_limit() {
            let rest = own.max(error.retry_after().unwrap_or_default()).min(LONGEST_REST);
            standing.limited_until = standing.limited_until.max(Some(now + rest));
            return rest;
        }
        standing.checked = false;
        standing.rest_until = Some(now + own);
        own
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pace {
    /// When the next request may be made, unless that is later than now and than `latest`.
    fn turn(&self, latest: Instant) -> Option<Instant> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let at = (*next).max(now);
        if at > now && at > latest {
            return None;
        }
        *next = at + self.interval;
        Some(at)
    }
}

/// What an answer says the chain id is.
pub(crate) fn chain_id(answer: Option<Box<RawValue>>) -> Result<u64, RpcError> {
    let answer = answer.ok_or(RpcError::Empty)?;
    let id: U64 = serde_json::from_str(answer.get()).map_err(RpcError::Malformed)?;
    Ok(id.to())
}
