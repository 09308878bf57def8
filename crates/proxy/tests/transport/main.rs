//! How requests travel: TLS and HTTP/2 on the side of the client, HTTPS and HTTP/2 on that of the
//! upstream, and what happens to them when routes are replaced or the server stops.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod abuse;
mod authority;
mod certificates;
mod clients;
mod http2;
mod paid;
mod plain;
mod replacing;
mod stopping;
mod streaming;
mod upstreams;

use std::time::Duration;

/// Longer than anything takes that a test waits for.
const DEADLINE: Duration = Duration::from_secs(30);

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Waits for something that has to happen.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens")
}

/// Checks that something took as long as it should, on a busy machine too.
fn about(taken: Duration, expected: Duration) {
    assert!(
        taken + millis(20) >= expected && taken < expected + millis(2_500),
        "{taken:?}, not {expected:?}"
    );
}
