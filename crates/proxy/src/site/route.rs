//! One priced piece of a site.

use super::{Host, RouteFault};
use crate::upstream::Upstream;
use axum::body::Body;
use axum::response::Response;
use http::{Method, Request};
use microraiden_paywall::{MethodPrices, Paywall, PriceRequest, Pricing, Quote};
use microraiden_protocol::Price;
use std::convert::Infallible;
use std::time::Duration;
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;
use url::Url;

/// One priced piece of the path space.
#[derive(Debug, Clone)]
pub struct Route {
    /// The hosts that it is for; all that no other route names, when there is none.
    pub hosts: Vec<Host>,
    /// A path pattern: `/echofix/{param}` for one segment, `/media/{*rest}` for everything below.
    pub path: String,
    /// What each request costs.
    pub prices: Prices,
    /// What is sold.
    pub resource: Resource,
}

/// What the requests of a route cost.
#[derive(Debug, Clone)]
pub enum Prices {
    /// The same, whatever the method; 0 is free.
    All(Price),
    /// A price for each method; others are answered 405.
    ByMethod(MethodPrices),
}

/// What answers the requests that are paid.
#[derive(Debug, Clone)]
pub enum Resource {
    /// A server.
    Upstream {
        /// Where it is; path and query of the request are appended.
        url: Url,
        /// How long it may take until the first byte of its answer's body, and then for each next
        /// piece. While a client's body is waited for, the time stands still.
        timeout: Duration,
    },
}

impl Route {
    /// Sells what a server has at these paths, for one price.
    pub fn new(path: impl Into<String>, price: impl Into<Price>, upstream: Url) -> Self {
        Self {
            hosts: Vec::new(),
            path: path.into(),
            prices: Prices::All(price.into()),
            resource: Resource::Upstream {
                url: upstream,
                timeout: Duration::from_secs(60),
            },
        }
    }

    pub(super) fn check(&self) -> Result<(), RouteFault> {
        let Resource::Upstream { url, .. } = &self.resource;
        if url.scheme() != "http" {
            return Err(RouteFault::UpstreamScheme(url.scheme().to_owned()));
        }
        Ok(())
    }

    /// Everything that stands between the router and the resource.
    pub(super) fn service(
        &self,
        paywall: &Paywall,
    ) -> BoxCloneSyncService<Request<Body>, Response, Infallible> {
        let Resource::Upstream { url, timeout } = &self.resource;
        let upstream = Upstream::new(url.clone(), *timeout);
        let paid = ServiceBuilder::new()
            .layer(paywall.sell(self.prices.clone()))
            .service(upstream);
        BoxCloneSyncService::new(paid)
    }
}

impl Pricing for Prices {
    const INSPECTS: bool = false;

    async fn quote(&self, request: &PriceRequest) -> Quote {
        match self {
            Self::All(price) => price.quote(request).await,
            Self::ByMethod(prices) => prices.quote(request).await,
        }
    }

    fn allowed(&self) -> Option<http::HeaderValue> {
        match self {
            Self::All(price) => price.allowed(),
            Self::ByMethod(prices) => prices.allowed(),
        }
    }
}

impl<P: Into<Price>> From<P> for Prices {
    fn from(price: P) -> Self {
        Self::All(price.into())
    }
}

impl FromIterator<(Method, Price)> for Prices {
    fn from_iter<I: IntoIterator<Item = (Method, Price)>>(prices: I) -> Self {
        Self::ByMethod(MethodPrices::new(prices))
    }
}
