//! The statistics: read once a second at most, however many ask.

use super::{Rest, answer, lists};
use crate::answer::unavailable;
use crate::layer::Paywall;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use bytes::Bytes;
use http::{Response, StatusCode};
use microraiden_http::rest::{self, AbiForm};
use microraiden_manager::Unavailable;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long an answer is good for.
const KEPT: Duration = Duration::from_secs(1);

/// A value that is computed at most once in [`KEPT`], by one of those that ask; the others wait.
pub(super) struct Cached<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Cached<T> {
    async fn get(&self, compute: impl AsyncFnOnce() -> T) -> T {
        let mut kept = self.0.lock().await;
        if let Some((since, value)) = &*kept
            && since.elapsed() < KEPT
        {
            return value.clone();
        }
        let value = compute().await;
        *kept = Some((Instant::now(), value.clone()));
        value
    }
}

/// The answers as they are sent; `None` while the node is silent.
pub(super) type Bodies = Option<(Bytes, Bytes)>;

/// `GET /api/1/stats`.
pub(super) async fn stats(State(rest): State<Arc<Rest>>, RawQuery(query): RawQuery) -> Response<Body> {
    let form = match AbiForm::read(query.as_deref().unwrap_or_default()) {
        Ok(form) => form,
        Err(error) => return lists::malformed(error),
    };
    let bodies = rest.stats.get(async || read(&rest.paywall).await).await;
    let body = bodies.map(|(text, arrays)| match form {
        AbiForm::Text => text,
        AbiForm::Json => arrays,
    });
    match body {
        Some(body) => answer(StatusCode::OK, "application/json", body),
        None => unavailable(Unavailable::NodeSilent),
    }
}

async fn read(paywall: &Paywall) -> Bodies {
    let manager = paywall.manager.clone();
    // With very many channels it takes some milliseconds.
    let totals = tokio::task::spawn_blocking(move || manager.totals()).await;
    let manager = &paywall.manager;
    let balance = manager.contract().token_balance(manager.receiver()).await;
    let (totals, liquid_balance) = match (totals, balance) {
        (Ok(totals), Ok(balance)) => (totals, balance),
        (Err(error), _) => {
            tracing::error!(%error, "the channels could not be counted");
            return None;
        }
        (_, Err(error)) => {
            tracing::warn!(%error, "the token balance could not be read");
            return None;
        }
    };
    let stats = rest::Stats {
        deposit_sum: totals.deposit_sum,
        open_channels: totals.open_channels,
        pending_channels: totals.pending_channels,
        balance_sum: totals.balance_sum,
        unique_senders: totals.unique_senders,
        liquid_balance,
        token_address: paywall.seller.token,
        contract_address: paywall.seller.contract,
        receiver_address: paywall.seller.receiver,
        manager_abi: manager.channel_abi().to_owned(),
        token_abi: manager.token_abi().to_owned(),
        sync_block: manager.start_block().0,
    };
    match bodies(&stats) {
        Ok(bodies) => Some(bodies),
        Err(error) => {
            tracing::error!(%error, "the statistics cannot be written as JSON");
            None
        }
    }
}

/// With the ABIs as text, and as arrays.
fn bodies(stats: &rest::Stats) -> serde_json::Result<(Bytes, Bytes)> {
    let line = |value: &Value| Bytes::from(format!("{value}\n"));
    let text = serde_json::to_value(stats)?;
    let mut arrays = text.clone();
    arrays["manager_abi"] = serde_json::from_str(&stats.manager_abi)?;
    arrays["token_abi"] = serde_json::from_str(&stats.token_abi)?;
    Ok((line(&text), line(&arrays)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::task::JoinSet;

    #[tokio::test(start_paused = true)]
    async fn a_flood_computes_once() {
        let (cached, computed) = (Arc::new(Cached::default()), Arc::new(AtomicU64::new(0)));
        let mut flood = JoinSet::new();
        for _ in 0..1_000 {
            let (cached, computed) = (cached.clone(), computed.clone());
            flood.spawn(async move {
                let compute = async || {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    computed.fetch_add(1, Ordering::SeqCst)
                };
                cached.get(compute).await
            });
        }
        assert_eq!(flood.join_all().await, [0; 1_000]);
        assert_eq!(computed.load(Ordering::SeqCst), 1);
        std::thread::sleep(KEPT);
        assert_eq!(cached.get(async || 5).await, 5);
    }
}
