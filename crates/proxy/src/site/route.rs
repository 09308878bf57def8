//! One priced piece of a site.

use super::{Counts, Host, RouteFault};
use crate::admission::{Admission, AdmissionLayer};
use crate::folder::{self, Folder};
use crate::metering::{Metering, MeteringLayer};
use crate::quota::FreeQuota;
use crate::rewrite::{HeaderRules, RewriteLayer};
use crate::upstream::{Upstream, UpstreamOptions};
use axum::body::Body;
use axum::response::Response;
use http::{Method, Request, StatusCode};
use microraiden_paywall::{MethodPrices, Paywall, PriceRequest, Pricing, Quote};
use microraiden_protocol::Price;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use tower::Layer;
use tower::util::BoxCloneSyncService;
use url::Url;

/// A service whose kind is known only from the configuration.
type Boxed = BoxCloneSyncService<Request<Body>, Response, Infallible>;

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
    /// How it is found out what a request has cost; its price is then the most. By default it is the
    /// cost.
    pub metering: Option<Metering>,
    /// Answers that cost nothing; those of 5xx never do, and with a folder only content costs.
    pub free_statuses: Vec<Statuses>,
    /// What is changed in the headers of requests that go to the resource.
    pub request_headers: HeaderRules,
    /// What is changed in the headers of its answers.
    pub response_headers: HeaderRules,
    /// Who may come, and how often.
    pub admission: Admission,
    /// What each client gets for nothing.
    pub free: Option<FreeQuota>,
    /// What requests are counted under, for `admission` and `free`. Routes of one name share the counts,
    /// and another site goes on with them. They pass for one: a path that a server could read as that of
    /// another route is refused, but not for another of its name.
    pub name: String,
}

/// One status, or a hundred of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statuses {
    /// This one.
    One(StatusCode),
    /// All that begin with this digit.
    Class(u16),
}

/// Why a text is no [`Statuses`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no status of an answer: write 404, or 4xx for all of them")]
pub struct NotAStatus(String);

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
        /// How it is reached, and how long it may take.
        options: UpstreamOptions,
    },
    /// Files.
    Folder(Folder),
}

impl Route {
    /// Sells what a server has at these paths, for one price.
    pub fn new(path: impl Into<String>, price: impl Into<Price>, upstream: Url) -> Self {
        let path = path.into();
        Self {
            hosts: Vec::new(),
            name: path.clone(),
            path,
            prices: Prices::All(price.into()),
            resource: Resource::Upstream {
                url: upstream,
                options: UpstreamOptions::default(),
            },
            metering: None,
            free_statuses: Vec::new(),
            request_headers: HeaderRules::default(),
            response_headers: HeaderRules::default(),
            admission: Admission::default(),
            free: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), RouteFault> {
        self.resource().map(drop)
    }

    /// Everything that stands between the router and the resource.
    pub(super) fn service(&self, paywall: &Paywall, counts: &Counts) -> Result<Boxed, RouteFault> {
        let prices = self.prices.clone();
        let sold = match self.free.zip(counts.quotas.as_ref()) {
            Some((quota, quotas)) => {
                let free = quotas.free(&self.name, quota);
                let sold = self.sold(paywall, free.clone().first(prices))?;
                BoxCloneSyncService::new(free.layer(sold))
            }
            None => self.sold(paywall, prices)?,
        };
        if self.admission == Admission::default() {
            return Ok(sold);
        }
        let admission = AdmissionLayer::new(self.admission.clone(), &self.name, &counts.limiters);
        Ok(BoxCloneSyncService::new(admission.layer(sold)))
    }

    /// The resource behind the paywall.
    fn sold(&self, paywall: &Paywall, pricing: impl Pricing) -> Result<Boxed, RouteFault> {
        let mut paid = paywall.sell(pricing);
        if let Some(metering) = &self.metering {
            paid = metering.terms(paid);
        }
        let (statuses, files) = (
            self.free_statuses.clone(),
            matches!(self.resource, Resource::Folder(_)),
        );
        if files || !statuses.is_empty() {
            let listed = move |status| statuses.iter().any(|statuses| statuses.contains(status));
            paid = paid.free_when(move |status| listed(status) || files && folder::is_free(status));
        }
        Ok(BoxCloneSyncService::new(paid.layer(self.resource()?)))
    }

    /// The resource with what reads and changes its answers. Metering comes first: it reads what the
    /// rules for headers may remove.
    fn resource(&self) -> Result<Boxed, RouteFault> {
        let mut service = match &self.resource {
            Resource::Upstream { url, options } => {
                let upstream = Upstream::with_options(url.clone(), options.clone())?;
                BoxCloneSyncService::new(upstream)
            }
            Resource::Folder(folder) => BoxCloneSyncService::new(folder.clone()),
        };
        if let Some(metering) = &self.metering {
            service = BoxCloneSyncService::new(MeteringLayer::new(metering.clone()).layer(service));
        }
        let (request, response) = (self.request_headers.clone(), self.response_headers.clone());
        if request != HeaderRules::default() || response != HeaderRules::default() {
            service = BoxCloneSyncService::new(RewriteLayer::new(request, response).layer(service));
        }
        Ok(service)
    }
}

impl Statuses {
    fn contains(self, status: StatusCode) -> bool {
        match self {
            Self::One(one) => one == status,
            Self::Class(digit) => status.as_u16() / 100 == digit,
        }
    }
}

impl FromStr for Statuses {
    type Err = NotAStatus;

    fn from_str(text: &str) -> Result<Self, NotAStatus> {
        let wrong = || NotAStatus(text.to_owned());
        if let Some(digit) = text.strip_suffix("xx") {
            let digit = digit.parse().map_err(|_| wrong())?;
            return (2..=5)
                .contains(&digit)
                .then_some(Self::Class(digit))
                .ok_or_else(wrong);
        }
        let status = text.parse().map_err(|_| wrong())?;
        Ok(Self::One(status))
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(status) => write!(f, "{}", status.as_u16()),
            Self::Class(digit) => write!(f, "{digit}xx"),
        }
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
