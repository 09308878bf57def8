//! What operators and their tools look at, at an address of its own: metrics, health and readiness.
//!
//! Nothing of it is secret, but it tells what is earned and where it hurts, so customers do not see it.

use crate::server::{Limits, Server};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use microraiden_manager::meters::{METRICS, MetricKind, record_selling};
use microraiden_manager::{ChannelManager, Meters};
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// The text format of Prometheus.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How often measured values are added up, also when nobody asks for them: until then each takes room.
const UPKEEP_PAUSE: Duration = Duration::from_secs(5);
/// Operators are few, and send no bodies.
const CONNECTIONS: usize = 64;
const BODY_BYTES: u64 = 1024;

/// A server for operators, from before the start of the receiver until after its end; it ends when dropped.
pub(crate) struct Monitor {
    watched: Arc<Watched>,
    meters: Meters,
    upkeep: AbortHandle,
    _server: Server,
}

/// What is looked at.
struct Watched {
    counted: PrometheusHandle,
    stage: Mutex<Stage>,
}

/// How far the receiver is.
#[derive(Clone)]
enum Stage {
    Starting,
    Running(ChannelManager),
    Stopping,
}

/// Why nothing is sold, as `/ready` tells it.
#[derive(Debug, Clone, Serialize)]
struct NotReady {
    ready: bool,
    reason: &'static str,
    message: String,
}

impl Monitor {
    /// Begins to show what there is.
    pub(crate) fn start(listener: TcpListener) -> Self {
        let recorder = recorder();
        let meters = Meters::new(&recorder);
        let watched = Arc::new(Watched {
            counted: recorder.handle(),
            stage: Mutex::new(Stage::Starting),
        });
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/health", get(|| async { "alive\n" }))
            .route("/ready", get(ready))
            .with_state(watched.clone());
        let limits = Limits {
            connections: CONNECTIONS,
            body_bytes: BODY_BYTES,
            ..Limits::default()
        };
        let counted = recorder.handle();
        let upkeep = tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP_PAUSE).await;
                counted.run_upkeep();
            }
        });
        Self {
            watched,
            meters,
            upkeep: upkeep.abort_handle(),
            _server: Server::with_limits(listener, router, limits),
        }
    }

    /// What the receiver shall count with.
    pub(crate) fn meters(&self) -> Meters {
        self.meters.clone()
    }

    /// The receiver has started.
    pub(crate) fn runs(&self, manager: ChannelManager) {
        self.watched.set(Stage::Running(manager));
    }

    /// The receiver takes no more requests.
    pub(crate) fn stops(&self) {
        self.watched.set(Stage::Stopping);
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.upkeep.abort();
    }
}

impl Watched {
    fn set(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    fn stage(&self) -> Stage {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Stage {
    fn readiness(&self) -> Result<(), NotReady> {
        let not_ready = |reason, message| NotReady {
            ready: false,
            reason,
            message,
        };
        match self {
            Self::Starting => Err(not_ready("syncing", "the chain is being read".to_owned())),
            Self::Running(manager) => manager
                .readiness()
                .map_err(|reason| not_ready(reason.code(), reason.to_string())),
            Self::Stopping => Err(not_ready("stopping", "the receiver is shutting down".to_owned())),
        }
    }
}

/// One that puts measured values into the buckets of the table.
fn recorder() -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS {
        if let MetricKind::Histogram(buckets) = metric.kind {
            let matcher = Matcher::Full(metric.name.to_owned());
            let set = builder.set_buckets_for_metric(matcher, buckets);
            builder = set.expect("there are buckets");
        }
    }
    builder.build_recorder()
}

async fn metrics(State(watched): State<Arc<Watched>>) -> Response {
    // With very many channels it takes some milliseconds.
    let text = tokio::task::spawn_blocking(move || watched.text()).await;
    match text {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be collected");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Watched {
    fn text(&self) -> String {
        let stage = self.stage();
        // New each time, so that what has ended is not shown again.
        let now = PrometheusBuilder::new().build_recorder();
        record_selling(&now, stage.readiness().map_err(|error| error.reason));
        if let Stage::Running(manager) = &stage {
            manager.record(&now);
        }
        now.handle().render() + &self.counted.render()
    }
}

async fn ready(State(watched): State<Arc<Watched>>) -> Response {
    match watched.stage().readiness() {
        Ok(()) => Json(serde_json::json!({ "ready": true })).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, Json(error)).into_response(),
    }
}
