//! Routes as the file has them, and what the proxy makes of them.

use super::file::Step;
use super::settings::Loaded;
use super::values::{Money, Span, Text, one_or_many};
use crate::{Failure, amounts};
use http::Method;
use microraiden_chain::TokenInfo;
use microraiden_protocol::{Amount, Price};
use microraiden_proxy::{Host, Prices, Resource, Route, RouteFault, SiteError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// How long an upstream may take unless it is said.
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(60);

/// A `[[route]]` of the file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RouteEntry {
    #[serde(deserialize_with = "one_or_many")]
    host: Vec<Text<Host>>,
    path: Option<String>,
    price: Option<Money>,
    prices: Option<BTreeMap<String, Money>>,
    upstream: Option<Url>,
    timeout: Option<Span>,
}

/// How amounts are read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Coin<'a> {
    /// In this token.
    Known(&'a TokenInfo),
    /// The token is not asked: any symbol and any number of decimals will do.
    Unknown,
}

impl Coin<'_> {
    /// Reads an amount.
    ///
    /// # Errors
    /// When it is none, or none of this token.
    pub(crate) fn read(self, money: &Money) -> Result<Amount, Failure> {
        let Money(text) = money;
        let amount = match self {
            Self::Known(token) => amounts::parse(text, &token.symbol, token.decimals),
            Self::Unknown => {
                let unit = text
                    .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                    .trim();
                let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
                let decimals = fraction.bytes().take_while(u8::is_ascii_digit).count();
                amounts::parse(text, unit, u8::try_from(decimals).unwrap_or(u8::MAX))
            }
        };
        Ok(amount?)
    }
}

/// Which part of the settings a route is from.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// The settings of a proxy with one route.
    Whole,
    /// One of the list.
    Route(usize),
}

impl Place {
    /// A fault of one of its values.
    fn fault(self, loaded: &Loaded, key: &'static str, message: impl std::fmt::Display) -> Failure {
        match self {
            Self::Whole => loaded.fault(
                match key {
                    "timeout" => "upstream_timeout",
                    key => key,
                },
                message,
            ),
            Self::Route(number) => loaded.route_fault(number, &[Step::Key(key)], message),
        }
    }
}

/// All routes, ready for the proxy, and for each where it is from.
pub(super) struct Routes {
    pub(super) routes: Vec<Route>,
    places: Vec<Place>,
}

impl Routes {
    /// Reads all routes.
    ///
    /// # Errors
    /// The first fault.
    pub(super) fn read(loaded: &Loaded, coin: Coin<'_>) -> Result<Self, Failure> {
        let settings = &loaded.settings;
        let entries: Vec<(Place, RouteEntry)> = match settings.route.is_empty() {
            true => vec![(Place::Whole, simple(loaded)?)],
            false => {
                let entries = settings.route.iter().cloned().enumerate();
                entries
                    .map(|(number, entry)| (Place::Route(number), entry))
                    .collect()
            }
        };
        let mut read = Self {
            routes: Vec::new(),
            places: Vec::new(),
        };
        for (place, entry) in entries {
            for route in entry.read(loaded, place, coin)? {
                read.routes.push(route);
                read.places.push(place);
            }
        }
        Ok(read)
    }

    /// Tells a fault of the whole with the place that it is from.
    pub(super) fn fault(&self, loaded: &Loaded, error: &SiteError) -> Failure {
        let key = match &error.fault {
            RouteFault::UpstreamScheme(_) => "upstream",
            RouteFault::Pattern(..) => "path",
        };
        match self.places.get(error.route) {
            Some(place) => place.fault(loaded, key, &error.fault),
            None => error.to_string().into(),
        }
    }
}

/// The one route of a proxy without a list of them.
fn simple(loaded: &Loaded) -> Result<RouteEntry, Failure> {
    let settings = &loaded.settings;
    if settings.upstream.is_none() || settings.price.is_none() {
        let missing = match settings.upstream {
            None => "upstream",
            Some(_) => "price",
        };
        let message = "it is not said what is sold, and for how much: give --upstream URL and --price AMOUNT, or a \
                       --config file with them or with [[route]]s";
        return Err(loaded.fault(missing, message));
    }
    Ok(RouteEntry {
        path: settings.path.clone(),
        price: settings.price.clone(),
        upstream: settings.upstream.clone(),
        timeout: settings.upstream_timeout,
        ..RouteEntry::default()
    })
}

impl RouteEntry {
    /// All files and folders that are named.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [].into_iter()
    }

    fn read(self, loaded: &Loaded, place: Place, coin: Coin<'_>) -> Result<Vec<Route>, Failure> {
        let fault = |key, message: &dyn std::fmt::Display| place.fault(loaded, key, message);
        let price = |key, money: &Money| -> Result<Price, Failure> {
            let amount = coin.read(money).map_err(|error| fault(key, &error))?;
            Ok(Price::new(amount.base_units()))
        };
        let prices = match (&self.price, &self.prices) {
            (Some(money), None) => Prices::from(price("price", money)?),
            (None, Some(methods)) => {
                let of_method = |(name, money): (&String, &Money)| {
                    let method = method(name).map_err(|error| fault("prices", &error))?;
                    Ok((method, price("prices", money)?))
                };
                methods.iter().map(of_method).collect::<Result<_, Failure>>()?
            }
            (Some(_), Some(_)) => {
                return Err(fault(
                    "prices",
                    &"a route has one price, or prices by method, not both",
                ));
            }
            (None, None) => {
                return Err(fault(
                    "price",
                    &"the route has no price: write price = \"0.002 TKN\", or price = 0 for a free one",
                ));
            }
        };
        let Some(url) = self.upstream else {
            return Err(fault(
                "upstream",
                &"the route has no upstream: write upstream = \"http://127.0.0.1:8000\"",
            ));
        };
        let route = Route {
            hosts: self.host.into_iter().map(|Text(host)| host).collect(),
            prices,
            resource: Resource::Upstream {
                url: url.clone(),
                timeout: self.timeout.map_or(UPSTREAM_TIMEOUT, |Span(timeout)| timeout),
            },
            ..Route::new("/", Price::ZERO, url)
        };
        let paths = match self.path {
            Some(path) => vec![path],
            None => vec!["/".to_owned(), "/{*rest}".to_owned()],
        };
        Ok(paths
            .into_iter()
            .map(|path| Route {
                path,
                ..route.clone()
            })
            .collect())
    }
}

/// A route in words, as it was written.
#[derive(Debug, Serialize)]
pub(super) struct RouteLine {
    pub(super) hosts: String,
    pub(super) path: String,
    pub(super) price: String,
    pub(super) resource: String,
    /// What else is set.
    pub(super) more: Vec<String>,
}

impl Loaded {
    /// All routes in words, of settings that were read without a fault.
    pub(super) fn route_lines(&self) -> Vec<RouteLine> {
        match self.settings.route.is_empty() {
            true => simple(self).iter().map(RouteEntry::line).collect(),
            false => self.settings.route.iter().map(RouteEntry::line).collect(),
        }
    }
}

impl RouteEntry {
    fn line(&self) -> RouteLine {
        let list = |hosts: &[Text<Host>]| {
            let names: Vec<_> = hosts.iter().map(|Text(host)| host.to_string()).collect();
            names.join(", ")
        };
        let in_words = |Money(text): &Money| match text.as_str() {
            "0" => "free".to_owned(),
            text if text.bytes().all(|byte| byte.is_ascii_digit()) => format!("{text} base units"),
            text => text.to_owned(),
        };
        let price = match (&self.price, &self.prices) {
            (Some(money), _) => in_words(money),
            (None, Some(methods)) => {
                let lines = methods
                    .iter()
                    .map(|(name, money)| format!("{name} {}", in_words(money)));
                lines.collect::<Vec<_>>().join("\n")
            }
            (None, None) => String::new(),
        };
        let timeout = self
            .timeout
            .map(|Span(time)| format!("timeout {}", humantime::format_duration(time)));
        RouteLine {
            hosts: if self.host.is_empty() {
                "any".to_owned()
            } else {
                list(&self.host)
            },
            path: self.path.clone().unwrap_or_else(|| "everything".to_owned()),
            price,
            resource: self.upstream.as_ref().map(Url::to_string).unwrap_or_default(),
            more: timeout.into_iter().collect(),
        }
    }
}

/// A method's name, as requests have it.
fn method(name: &str) -> Result<Method, String> {
    let method = name
        .parse()
        .ok()
        .filter(|_| !name.chars().any(|c| c.is_ascii_lowercase()));
    method.ok_or_else(|| format!("{name:?} is not a method: write GET, POST, … in capitals"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_coin_takes_any_symbol_and_any_decimals() {
        for good in ["0.002 TKN", "7", "1 A", "0.000000000000000000000001 X"] {
            assert!(Coin::Unknown.read(&Money(good.to_owned())).is_ok(), "{good}");
        }
        for bad in ["1.5", "-1 TKN", "TKN", "1.2.3 TKN", ".5 TKN"] {
            assert!(Coin::Unknown.read(&Money(bad.to_owned())).is_err(), "{bad}");
        }
    }

    #[test]
    fn methods_are_in_capitals() {
        assert_eq!(method("GET"), Ok(Method::GET));
        assert!(method("PURGE").is_ok());
        for bad in ["get", "", "G T"] {
            assert!(method(bad).is_err(), "{bad}");
        }
    }
}
