//! What is sold while the proxy is killed: a server that knows how often it gave what away.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

/// How long `/slow` takes: so long, a payment is in flight and committed.
const SLOW: Duration = Duration::from_millis(10);

type Given = Arc<Mutex<HashMap<String, u64>>>;

/// A running server: `/quick/{name}` and `/slow/{name}` give the name back.
pub(crate) struct Content {
    pub(crate) url: String,
    given: Given,
}

impl Content {
    /// Starts on a free port; it ends with the runtime.
    pub(crate) async fn start() -> Self {
        let given = Given::default();
        let router = Router::new()
            .route("/quick/{name}", get(give))
            .route("/slow/{name}", get(give_slowly))
            .with_state(given.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, given }
    }

    /// How often something was given away, to clients that are there or have gone.
    pub(crate) fn given(&self, name: &str) -> u64 {
        self.given.lock().unwrap().get(name).copied().unwrap_or_default()
    }
}

async fn give(State(given): State<Given>, Path(name): Path<String>) -> String {
    *given.lock().unwrap().entry(name.clone()).or_default() += 1;
    name
}

async fn give_slowly(given: State<Given>, name: Path<String>) -> String {
    let given = give(given, name).await;
    tokio::time::sleep(SLOW).await;
    given
}
