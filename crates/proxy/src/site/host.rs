//! Which host a request is for.

use axum::Router;
use axum::body::Body;
use axum::routing::future::RouteFuture;
use http::uri::Authority;
use http::{HeaderMap, Request, Response, header};
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// The name of a host without its port: `api.example.org`, or `*.example.org` for all below a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    name: String,
    /// Everything below the name, and not the name itself.
    below: bool,
}

/// Why a text is no [`Host`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the name of a host: write api.example.org without a port, or *.example.org for all below it"
)]
pub struct NotAHost(String);

impl FromStr for Host {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let authority: Option<Authority> = name.parse().ok();
        authority
            .filter(|authority| authority.as_str() == authority.host() && !name.contains('*'))
            .map(|authority| Self {
                name: canonical(authority.host()),
                below,
            })
            .filter(|host| !host.name.is_empty())
            .ok_or_else(|| NotAHost(text.to_owned()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.below { "*." } else { "" })?;
        f.write_str(&self.name)
    }
}

/// A name in the one form in which names are compared.
fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// The host that a request names.
fn requested(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let authority: Authority = host.parse().ok()?;
    Some(canonical(authority.host()))
}

/// Gives each request to the routes of its host.
#[derive(Debug, Clone)]
pub(super) struct ByHost {
    routers: Arc<HashMap<Host, Router>>,
    others: Router,
}

impl ByHost {
    pub(super) fn new(named: impl Iterator<Item = (Host, Router)>, others: Router) -> Self {
        Self {
            routers: Arc::new(named.collect()),
            others,
        }
    }

    fn find(&self, headers: &HeaderMap) -> &Router {
        let Some(name) = requested(headers) else {
            return &self.others;
        };
        let mut host = Host { name, below: false };
        loop {
            if let Some(router) = self.routers.get(&host) {
                return router;
            }
            // All below the next name.
            let Some((_, parent)) = host.name.split_once('.') else {
                return &self.others;
            };
            host = Host {
                name: parent.to_owned(),
                below: true,
            };
        }
    }
}

impl Service<Request<Body>> for ByHost {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.find(request.headers()).clone().call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use http::HeaderValue;
    use tower::ServiceExt;

    #[test]
    fn a_host_is_a_name_without_a_port() {
        for (text, shown) in [
            ("api.example.org", "api.example.org"),
            ("*.Example.ORG.", "*.example.org"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
        ] {
            let host = text.parse::<Host>().map(|host| host.to_string());
            assert_eq!(host.as_deref(), Ok(shown), "{text}");
        }
        for bad in [
            "",
            ".",
            "*",
            "*.",
            "a:1",
            "http://a",
            "a/b",
            "a b",
            "me@a",
            "a.*.b",
            "bücher.example",
        ] {
            assert!(bad.parse::<Host>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_most_exact_name_answers() {
        let answering = |text: &'static str| Router::new().route("/", get(move || async move { text }));
        let named = ["a.example", "*.a.example", "*.example"]
            .map(|name| (name.parse::<Host>().expect("a host"), answering(name)));
        let service = ByHost::new(named.into_iter(), answering("others"));
        for (host, answer) in [
            (Some("a.example"), "a.example"),
            (Some("A.Example.:8080"), "a.example"),
            (Some("b.a.example"), "*.a.example"),
            (Some("c.b.a.example"), "*.a.example"),
            (Some("b.example"), "*.example"),
            (Some("example"), "others"),
            (Some("xexample"), "others"),
            (Some("a.example.org"), "others"),
            (Some("/"), "others"),
            (None, "others"),
        ] {
            let mut request = Request::new(Body::empty());
            if let Some(host) = host {
                request
                    .headers_mut()
                    .insert(header::HOST, HeaderValue::from_static(host));
            }
            let response = service.clone().oneshot(request).await.expect("it cannot fail");
            let body = axum::body::to_bytes(response.into_body(), 100)
                .await
                .expect("a short body");
            assert_eq!(body, answer, "{host:?}");
        }
    }
}
