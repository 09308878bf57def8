//! Which web pages may use the proxy from a browser (CORS).

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LINK, RETRY_AFTER};
use http::{HeaderValue, Method, Uri};
use microraiden_http::headers;
use std::str::FromStr;
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may remember what is allowed.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Which web pages may use the proxy: by default only those that it serves itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cors {
    /// None of elsewhere.
    #[default]
    None,
    /// Those of these origins.
    Origins(Vec<Origin>),
    /// All.
    Any,
}

/// Where a web page is from: scheme, host, and port unless it is the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// Why a text is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an origin is written as a browser sends it, such as https://shop.example or http://localhost:8080")]
pub struct NotAnOrigin;

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let uri: Uri = text.parse().map_err(|_| NotAnOrigin)?;
        let scheme = uri.scheme_str().ok_or(NotAnOrigin)?;
        let authority = uri.authority().ok_or(NotAnOrigin)?;
        // Nothing else is in it, and in lower case, since it is compared to the letter.
        let whole = format!("{scheme}://{authority}");
        let own_port = [("http", 80), ("https", 443)].contains(&(scheme, uri.port_u16().unwrap_or(0)));
        if whole != text || text.contains('@') || text != text.to_ascii_lowercase() || own_port {
            return Err(NotAnOrigin);
        }
        HeaderValue::from_str(text).map(Self).map_err(|_| NotAnOrigin)
    }
}

impl Cors {
    /// What goes in front of all routes; nothing where no other pages are allowed.
    pub(crate) fn layer(&self) -> Option<CorsLayer> {
        let origins = match self {
            Self::None => return None,
            Self::Any => AllowOrigin::any(),
            Self::Origins(origins) => AllowOrigin::list(origins.iter().map(|origin| origin.0.clone())),
        };
        let methods = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ];
        let payment = || headers::ALL.iter().cloned();
        let layer = CorsLayer::new()
            .allow_origin(origins)
            .allow_methods(methods)
            .allow_headers(
                payment()
                    .chain([CONTENT_TYPE, AUTHORIZATION, ACCEPT])
                    .collect::<Vec<_>>(),
            )
            .expose_headers(payment().chain([LINK, RETRY_AFTER]).collect::<Vec<_>>())
            .max_age(REMEMBERED);
        Some(layer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for good in [
            "https://shop.example",
            "http://localhost:8080",
            "http://127.0.0.1:1",
            "https://[::1]:8443",
            "moz-extension://a-b",
        ] {
            assert!(good.parse::<Origin>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "*",
            "null",
            "shop.example",
            "https://shop.example/",
            "https://shop.example:443",
            "http://shop.example:80",
            "https://Shop.example",
            "https://a@shop.example",
            "https://shop.example?x",
            "https://shop.example https://b",
        ] {
            assert_eq!(bad.parse::<Origin>(), Err(NotAnOrigin), "{bad}");
        }
    }
}
