//! What a proxy shows: routes by host and path, the REST interface, and the files of the page.
//!
//! A request is answered by the routes of its host, most exact name first; by the routes that name
//! no host, when none names its own. The REST interface is there for every host.

mod host;
mod one_reading;
mod route;

pub use host::{Host, NotAHost};
pub use route::{NotAStatus, Prices, Resource, Route, Statuses};

use crate::admission::{Admission, AdmissionLayer, Limiters};
use crate::client::ClientLayer;
use crate::cors::Cors;
use crate::dev_chain::OfferedChain;
use crate::folder::Folder;
use crate::network::Network;
use crate::pages::{PAGE_FILES, PaywallPages};
use crate::quota::{QuotaError, Quotas};
use crate::upstream::UpstreamError;
use axum::Router;
use host::ByHost;
use microraiden_paywall::page::DEV_CHAIN_PATH;
use microraiden_paywall::{Paywall, rest};
use one_reading::Patterns;
use std::collections::HashMap;
use std::path::Path;

/// What all requests are counted under; no route has this name.
const EVERYTHING: &str = "";

/// What clients find, and for what price.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// What is sold.
    pub routes: Vec<Route>,
    /// Who may log in to the REST interface, and which closes it agrees to.
    pub rest: rest::Settings,
    /// Which web pages may use what is here.
    pub cors: Cors,
    /// The proxies in front of this one, whose word on who the client is is taken.
    pub trusted_proxies: Vec<Network>,
    /// Who may come at all, and how often. Senders stand better on routes: before the REST interface they
    /// would keep browsers, whose cookies pay, from closing their channels.
    pub admission: Admission,
    /// A page that is free at `/`; see [`index`](crate::pages::index).
    pub index: Option<Folder>,
    /// What browsers get with a 402, and the files of that page; by default one that pays from a wallet in the
    /// browser.
    pub pages: Option<PaywallPages>,
    /// A development chain on which that page can pay from a throw-away wallet; only where the contract is on one.
    pub dev_chain: Option<OfferedChain>,
}

/// What is counted, whatever site is shown.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) limiters: Limiters,
    /// `None` as long as nothing is free.
    pub(crate) quotas: Option<Quotas>,
}

impl Counts {
    /// Opens the file of free quotas when the site needs it.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(crate) fn prepare(&mut self, site: &Site, file: &Path) -> Result<(), QuotaError> {
        let is_needed = site.routes.iter().any(|route| route.free.is_some());
        if is_needed && self.quotas.is_none() {
            self.quotas = Some(Quotas::open(file)?);
        }
        Ok(())
    }
}

/// Why a site cannot be shown.
#[derive(Debug, thiserror::Error)]
#[error("route {}: {fault}", route + 1)]
pub struct SiteError {
    /// Which of the routes, from 0.
    pub route: usize,
    /// What is wrong with it.
    #[source]
    pub fault: RouteFault,
}

/// What is wrong with a route.
#[derive(Debug, thiserror::Error)]
pub enum RouteFault {
    /// The upstream cannot be used.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The pattern cannot be read, or matches the same paths as another route or the REST interface.
    #[error(
        "the path pattern {0:?} cannot be used: write /name, /{{one}} or /all/{{*rest}}, and not what the proxy or another route answers"
    )]
    Pattern(String, #[source] matchit::InsertError),
}

impl Site {
    /// Finds what would keep it from being shown.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&self) -> Result<(), SiteError> {
        for (number, route) in self.routes.iter().enumerate() {
            route
                .check()
                .map_err(|fault| SiteError { route: number, fault })?;
        }
        self.by_host().map(drop)
    }

    /// The numbers of the routes of each host, in order; of no host in particular under `None`.
    fn by_host(&self) -> Result<HashMap<Option<&Host>, Vec<usize>>, SiteError> {
        let mut tables: HashMap<Option<&Host>, (Vec<usize>, matchit::Router<()>)> = HashMap::new();
        tables.insert(None, (Vec::new(), self.reserved()));
        for (number, route) in self.routes.iter().enumerate() {
            let hosts: Vec<Option<&Host>> = match route.hosts.is_empty() {
                true => vec![None],
                false => route.hosts.iter().map(Some).collect(),
            };
            for host in hosts {
                let (routes, patterns) = tables
                    .entry(host)
                    .or_insert_with(|| (Vec::new(), self.reserved()));
                insert(patterns, &route.path).map_err(|error| SiteError {
                    route: number,
                    fault: RouteFault::Pattern(route.path.clone(), error),
                })?;
                routes.push(number);
            }
        }
        let routes = tables.into_iter().map(|(host, (routes, _))| (host, routes));
        Ok(routes.collect())
    }

    /// What is answered before any route.
    fn reserved(&self) -> matchit::Router<()> {
        let mut patterns = matchit::Router::new();
        let index = self.index.is_some().then_some("/");
        let pages = self.pages.is_some().then_some(PAGE_FILES);
        let chain = self.dev_chain.is_some().then_some(DEV_CHAIN_PATH);
        for pattern in rest::PATTERNS.into_iter().chain(index).chain(pages).chain(chain) {
            // Ours do not conflict.
            let _ = patterns.insert(pattern, ());
        }
        patterns
    }

    /// What every host answers.
    fn base(&self, paywall: &Paywall) -> Router {
        // Segments that begin with `:` or `*` are as good as any; axum would stop at them.
        let mut router = rest::router(paywall.clone(), self.rest.clone()).without_v07_checks();
        if let Some(index) = &self.index {
            router = router.route_service("/", index.clone());
        }
        if let Some(pages) = &self.pages {
            router = router.route_service(PAGE_FILES, pages.files());
        }
        if let Some(chain) = self.dev_chain.as_ref().filter(|_| paywall.offers_dev_chain()) {
            router = router.route(DEV_CHAIN_PATH, chain.relay());
        }
        router
    }

    /// The service that shows it.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(crate) fn router(&self, paywall: &Paywall, counts: &Counts) -> Result<Router, SiteError> {
        let mut tables = self.by_host()?;
        let mut paywall = paywall.clone();
        if let Some(pages) = &self.pages {
            paywall = paywall.with_page(pages.page());
        }
        if let Some(chain) = &self.dev_chain {
            paywall = paywall.with_dev_chain_funder(chain.funder.clone());
        }
        let paywall = &paywall;
        // Made once, though several hosts may have it.
        let service = |(number, route): (usize, &Route)| {
            let service = route.service(paywall, counts);
            service.map_err(|fault| SiteError { route: number, fault })
        };
        let services: Vec<_> = self
            .routes
            .iter()
            .enumerate()
            .map(service)
            .collect::<Result<_, _>>()?;
        let router_of = |routes: Vec<usize>| {
            let patterns = Patterns::new(routes.iter().map(|number| &self.routes[*number]));
            routes.into_iter().fold(self.base(paywall), |router, number| {
                let (route, service) = (&self.routes[number], services[number].clone());
                router.route_service(&route.path, patterns.only(route, service))
            })
        };
        let others = router_of(tables.remove(&None).unwrap_or_default());
        let mut router = if tables.is_empty() {
            others
        } else {
            let named = tables
                .into_iter()
                .filter_map(|(host, routes)| Some((host?.clone(), router_of(routes))));
            Router::new().fallback_service(ByHost::new(named, others))
        };
        if self.admission != Admission::default() {
            let admission = self.admission.clone();
            router = router.layer(AdmissionLayer::new(admission, EVERYTHING, &counts.limiters));
        }
        if !self.trusted_proxies.is_empty() {
            router = router.layer(ClientLayer::new(self.trusted_proxies.iter().cloned()));
        }
        Ok(match self.cors.layer() {
            // In front of everything, so that a browser's questions are answered and not sold.
            Some(cors) => router.layer(cors),
            None => router,
        })
    }
}

/// Finds what the router would panic on.
fn insert(patterns: &mut matchit::Router<()>, path: &str) -> Result<(), matchit::InsertError> {
    if !path.starts_with('/') {
        return Err(matchit::InsertError::InvalidParam);
    }
    patterns.insert(path, ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use microraiden_protocol::SecretKey;

    fn site(routes: &[(&[&str], &str)]) -> Site {
        let route = |(hosts, path): &(&[&str], &str)| Route {
            hosts: hosts.iter().map(|host| host.parse().expect("a host")).collect(),
            ..Route::new(*path, 1, "http://127.0.0.1:1".parse().expect("a URL"))
        };
        Site {
            routes: routes.iter().map(route).collect(),
            ..Site::default()
        }
    }

    fn check(patterns: &[&str]) -> Result<(), SiteError> {
        let routes: Vec<_> = patterns.iter().map(|path| (&[][..], *path)).collect();
        site(&routes).check()
    }

    #[test]
    fn patterns_that_the_router_cannot_take_are_refused() {
        for good in [
            &["/", "/{*rest}"][..],
            &["/a", "/a/{b}", "/a/{b}/{*c}", "/:x/*y"],
            &["/api/1/mine", "/api/1/channels/{sender}/{open_block}/more"],
        ] {
            assert!(check(good).is_ok(), "{good:?}");
            // The router agrees: it would panic.
            let mut router = Router::<()>::new().without_v07_checks();
            for path in good {
                router = router.route(path, axum::routing::get(|| async {}));
            }
        }
        for bad in ["", "a", "/{a", "/{}", "/{*a}/b"] {
            assert!(check(&[bad]).is_err(), "{bad:?}");
        }
        assert!(check(&["/{a}", "/{b}"]).is_err());
        for ours in rest::PATTERNS {
            assert!(check(&[ours]).is_err(), "{ours}");
        }
        // Of a folder of scripts, only those that are the page's are not the seller's.
        assert!(check(&["/js/{*rest}"]).is_ok());
        let relayed = Site {
            dev_chain: Some(OfferedChain {
                node: "http://127.0.0.1:1".parse().expect("a URL"),
                funder: SecretKey::from_bytes(&[1; 32]).expect("a key"),
            }),
            ..site(&[(&[], DEV_CHAIN_PATH)])
        };
        assert!(relayed.check().is_err());
    }

    #[test]
    fn hosts_have_routes_of_their_own() {
        let (a, b): (&[&str], &[&str]) = (&["a.example"], &["b.example", "*.example"]);
        assert!(site(&[(a, "/{x}"), (b, "/{y}"), (&[], "/{z}")]).check().is_ok());
        let twice = site(&[(&[], "/"), (b, "/{y}"), (&["*.EXAMPLE"], "/{x}")]).check();
        assert_eq!(twice.expect_err("two of one host").route, 2);
        assert!(site(&[(a, "/api/1/stats")]).check().is_err());
    }
}
