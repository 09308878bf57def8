//! Requests and answers that two readers may read differently, and what was never to pass: what the
//! upstream and the client really get, byte by byte. What is refused and why is in `docs/abuse.md`.

mod answers;
mod dice;
mod framing;
mod headers;
mod hosts;
mod paths;
mod wire;

use crate::shop::Shop;
use http::HeaderMap;
use microraiden_proxy::{Config, Route};
use wire::Recorder;

/// A receiver that sells some of an upstream for 5, gives some away, and sells the rest for 1.
async fn shop(upstream: &Recorder, change: impl FnOnce(&mut Config)) -> Shop {
    let url = upstream.url();
    let set = |config: &mut Config| {
        let routes = [("/paid/{*rest}", 5), ("/free/{*rest}", 0), ("/{*rest}", 1)];
        config.site.routes = routes
            .into_iter()
            .map(|(path, price)| Route::new(path, price, url.clone()))
            .collect();
        change(config);
    };
    Shop::open_as(|_| upstream.url(), set).await
}

/// A request without a body, whose connection ends with its answer.
fn request(first_line: &str, headers: &str) -> String {
    format!("{first_line} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{headers}\r\n")
}

/// A payment, or other headers, as lines.
fn lines(headers: &HeaderMap) -> String {
    headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()))
        .collect()
}
