//! Routes as the file has them, and what the proxy makes of them.

use super::file::Step;
use super::said;
use super::settings::Loaded;
use super::values::{Money, Span, Text, one_or_many};
use crate::exit::Misuse;
use crate::{Failure, amounts};
use http::{HeaderName, Method};
use microraiden_chain::TokenInfo;
use microraiden_protocol::{Amount, Price};
use microraiden_proxy::folder::Folder;
use microraiden_proxy::metering::{JsonPointer, Metering, Source, Unit, Unknown};
use microraiden_proxy::rewrite::{self, HeaderRules};
use microraiden_proxy::{Host, Prices, Resource, Route, RouteFault, SiteError, Statuses};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::num::NonZeroU64;
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
    folder: Option<PathBuf>,
    #[serde(deserialize_with = "one_or_many")]
    free_status: Vec<Text<Statuses>>,
    metering: Option<MeteringEntry>,
    request_headers: HeadersEntry,
    response_headers: HeadersEntry,
}

/// What is counted in a route's answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct MeteringEntry {
    units: Vec<UnitEntry>,
    unknown: Option<Money>,
}

/// One thing that is counted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitEntry {
    body: Option<Text<JsonPointer>>,
    header: Option<Text<HeaderName>>,
    price: Money,
    per: Option<NonZeroU64>,
}

/// What is changed in headers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HeadersEntry {
    set: BTreeMap<String, String>,
    #[serde(deserialize_with = "one_or_many")]
    remove: Vec<Text<HeaderName>>,
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
    fn fault(self, loaded: &Loaded, steps: &[Step<'_>], message: &dyn Display) -> Failure {
        match (self, steps.first()) {
            (Self::Whole, Some(Step::Key("timeout"))) => loaded.fault("upstream_timeout", message),
            (Self::Whole, Some(Step::Key(key))) => loaded.fault(key, message),
            (Self::Whole, _) => Misuse(message.to_string()).into(),
            (Self::Route(number), _) => loaded.route_fault(number, steps, message),
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
            for route in entry.read(&Reading { loaded, place, coin })? {
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
            Some(place) => place.fault(loaded, &[Step::Key(key)], &error.fault),
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
        self.folder.iter_mut()
    }

    fn read(self, reading: &Reading<'_>) -> Result<Vec<Route>, Failure> {
        let paths = match &self.path {
            Some(path) => vec![path.clone()],
            // The index is at `/`.
            None if reading.loaded.settings.index_file.is_some() => vec!["/{*rest}".to_owned()],
            None => vec!["/{*rest}".to_owned(), "/".to_owned()],
        };
        let route = Route {
            hosts: self.host.iter().map(|Text(host)| host.clone()).collect(),
            path: String::new(),
            prices: self.prices(reading)?,
            resource: self.resource(reading, &paths[0])?,
            metering: self.metering(reading)?,
            free_statuses: self.free_status.iter().map(|Text(status)| *status).collect(),
            request_headers: reading.headers("request_headers", &self.request_headers)?,
            response_headers: reading.headers("response_headers", &self.response_headers)?,
        };
        // The folder itself is below the pattern, too.
        let itself = match (&route.resource, paths[0].rsplit_once("/{*")) {
            (Resource::Folder(_), Some((folder, _))) if paths.len() == 1 && !folder.is_empty() => {
                Some(format!("{folder}/"))
            }
            _ => None,
        };
        let paths = paths.into_iter().chain(itself);
        Ok(paths
            .map(|path| Route {
                path,
                ..route.clone()
            })
            .collect())
    }

    fn prices(&self, reading: &Reading<'_>) -> Result<Prices, Failure> {
        match (&self.price, &self.prices) {
            (Some(money), None) => Ok(Prices::from(reading.price(&[Step::Key("price")], money)?)),
            (None, Some(methods)) => {
                let of_method = |(name, money): (&String, &Money)| {
                    let place = [Step::Key("prices"), Step::Name(name)];
                    let method = method(name).map_err(|error| reading.fault(&place, &error))?;
                    Ok((method, reading.price(&place, money)?))
                };
                methods.iter().map(of_method).collect()
            }
            (Some(_), Some(_)) => Err(reading.fault(
                &[Step::Key("prices")],
                &"a route has one price, or prices by method, not both",
            )),
            (None, None) => Err(reading.fault(
                &[Step::Key("price")],
                &"the route has no price: write price = \"0.002 TKN\", or price = 0 for a free one",
            )),
        }
    }

    fn resource(&self, reading: &Reading<'_>, path: &str) -> Result<Resource, Failure> {
        match (&self.upstream, &self.folder) {
            (Some(url), None) => Ok(Resource::Upstream {
                url: url.clone(),
                timeout: self.timeout.map_or(UPSTREAM_TIMEOUT, |Span(timeout)| timeout),
            }),
            (None, Some(folder)) => {
                if self.timeout.is_some() {
                    return Err(reading.fault(&[Step::Key("timeout")], &"only an upstream has a timeout"));
                }
                let opened = Folder::open(folder, path);
                let opened = opened.map_err(|error| reading.fault(&[Step::Key("folder")], &said(&error)))?;
                Ok(Resource::Folder(opened))
            }
            (Some(_), Some(_)) => Err(reading.fault(
                &[Step::Key("folder")],
                &"a route has an upstream or a folder, not both",
            )),
            (None, None) => Err(reading.fault(
                &[Step::Key("upstream")],
                &"it is not said what is sold: write upstream = \"http://127.0.0.1:8000\", or folder = \"…\"",
            )),
        }
    }

    fn metering(&self, reading: &Reading<'_>) -> Result<Option<Metering>, Failure> {
        let Some(entry) = &self.metering else {
            return Ok(None);
        };
        if entry.units.is_empty() {
            let place = [Step::Key("metering"), Step::Key("units")];
            return Err(reading.fault(
                &place,
                &"something must be counted: units = [{ body = \"/usage/total_tokens\", price = \"…\" }]",
            ));
        }
        let unit = |(number, unit): (usize, &UnitEntry)| {
            let place = |key| {
                [
                    Step::Key("metering"),
                    Step::Key("units"),
                    Step::Item(number),
                    Step::Key(key),
                ]
            };
            let source = match (&unit.body, &unit.header) {
                (Some(Text(pointer)), None) => Source::Body(pointer.clone()),
                (None, Some(Text(name))) => Source::Header(name.clone()),
                _ => {
                    return Err(reading.fault(
                        &place("body"),
                        &"a unit is read from the body or from a header: name one of them",
                    ));
                }
            };
            Ok(Unit {
                source,
                price: reading.amount(&place("price"), &unit.price)?,
                per: unit.per.unwrap_or(NonZeroU64::MIN),
            })
        };
        let units = entry
            .units
            .iter()
            .enumerate()
            .map(unit)
            .collect::<Result<_, Failure>>()?;
        let unknown = match &entry.unknown {
            None => Unknown::Maximum,
            Some(Money(text)) if text == "maximum" => Unknown::Maximum,
            Some(Money(text)) if text == "free" => Unknown::Free,
            Some(money) => {
                Unknown::Cost(reading.amount(&[Step::Key("metering"), Step::Key("unknown")], money)?)
            }
        };
        Ok(Some(Metering { units, unknown }))
    }
}

/// What is needed to read an entry, and to tell where its faults are.
struct Reading<'a> {
    loaded: &'a Loaded,
    place: Place,
    coin: Coin<'a>,
}

impl Reading<'_> {
    fn fault(&self, steps: &[Step<'_>], message: &dyn Display) -> Failure {
        self.place.fault(self.loaded, steps, message)
    }

    fn amount(&self, steps: &[Step<'_>], money: &Money) -> Result<Amount, Failure> {
        self.coin.read(money).map_err(|error| self.fault(steps, &error))
    }

    fn price(&self, steps: &[Step<'_>], money: &Money) -> Result<Price, Failure> {
        Ok(Price::new(self.amount(steps, money)?.base_units()))
    }

    /// Rules for headers, with what the environment has in the place of variables.
    fn headers(&self, key: &'static str, entry: &HeadersEntry) -> Result<HeaderRules, Failure> {
        let mut set = Vec::new();
        for (name, value) in &entry.set {
            let fault = |error: &dyn Display| {
                self.fault(&[Step::Key(key), Step::Key("set"), Step::Name(name)], error)
            };
            let value = rewrite::expand(value, |variable| std::env::var(variable).ok())
                .map_err(|error| fault(&error))?;
            set.push((
                name.parse()
                    .map_err(|_| fault(&format!("{name:?} is no name of a header")))?,
                value,
            ));
        }
        let remove = entry.remove.iter().map(|Text(name)| name.clone()).collect();
        HeaderRules::new(set, remove).map_err(|error| self.fault(&[Step::Key(key)], &error))
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
        RouteLine {
            hosts: if self.host.is_empty() {
                "any".to_owned()
            } else {
                list(&self.host)
            },
            path: self.path.clone().unwrap_or_else(|| "everything".to_owned()),
            price,
            resource: match (&self.upstream, &self.folder) {
                (Some(url), _) => url.to_string(),
                (None, Some(folder)) => folder.display().to_string(),
                (None, None) => String::new(),
            },
            more: self.more(),
        }
    }

    /// What else is set, in words; of headers only the names.
    fn more(&self) -> Vec<String> {
        let mut more = Vec::new();
        if let Some(Span(time)) = self.timeout {
            more.push(format!("timeout {}", humantime::format_duration(time)));
        }
        if let Some(metering) = &self.metering {
            for unit in &metering.units {
                let Money(price) = &unit.price;
                let source = match (&unit.body, &unit.header) {
                    (Some(Text(pointer)), _) => format!("{} of the body", pointer.as_str()),
                    (None, Some(Text(name))) => format!("the header {name}"),
                    (None, None) => String::new(),
                };
                let per = unit.per.map(|per| format!(" per {per}")).unwrap_or_default();
                more.push(format!("costs {price}{per} of {source}, the price is the most"));
            }
            if let Some(Money(unknown)) = &metering.unknown {
                more.push(format!("unknown usage: {unknown}"));
            }
        }
        if !self.free_status.is_empty() {
            let list: Vec<_> = self
                .free_status
                .iter()
                .map(|Text(status)| status.to_string())
                .collect();
            more.push(format!("free when it answers {}", list.join(", ")));
        }
        for (what, entry) in [
            ("request", &self.request_headers),
            ("response", &self.response_headers),
        ] {
            let set: Vec<_> = entry.set.keys().map(String::as_str).collect();
            let removed: Vec<_> = entry.remove.iter().map(|Text(name)| name.as_str()).collect();
            for (done, names) in [("sets", set), ("removes", removed)] {
                if !names.is_empty() {
                    more.push(format!("{done} {what} headers {}", names.join(", ")));
                }
            }
        }
        more
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
