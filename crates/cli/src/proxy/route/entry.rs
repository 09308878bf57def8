//! A `[[route]]` of the file, and the route that the proxy makes of it.

use super::{Coin, Place};
use crate::Failure;
use crate::proxy::file::Step;
use crate::proxy::said;
use crate::proxy::settings::Loaded;
use crate::proxy::values::{Money, Span, Text, one_or_many, own};
use http::{HeaderName, Method};
use microraiden_protocol::{Amount, Price};
use microraiden_proxy::admission::{Admission, Rate, Rule};
use microraiden_proxy::folder::Folder;
use microraiden_proxy::metering::{JsonPointer, Metering, Source, Unit, Unknown};
use microraiden_proxy::quota::FreeQuota;
use microraiden_proxy::rewrite::{self, HeaderRules};
use microraiden_proxy::{Authorities, Host, HostHeader, Prices, Resource, Route, Statuses, UpstreamOptions};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::num::NonZeroU64;
use std::path::PathBuf;
use url::Url;

/// A `[[route]]` of the file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RouteEntry {
    #[serde(deserialize_with = "one_or_many")]
    pub(super) host: Vec<Text<Host>>,
    pub(super) path: Option<String>,
    pub(super) price: Option<Money>,
    pub(super) prices: Option<BTreeMap<String, Money>>,
    pub(super) upstream: Option<Url>,
    pub(super) timeout: Option<Span>,
    pub(super) connect_timeout: Option<Span>,
    pub(super) http2: bool,
    pub(super) ca: Option<PathBuf>,
    pub(super) host_header: Option<HostHeaderEntry>,
    pub(super) folder: Option<PathBuf>,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) free_status: Vec<Text<Statuses>>,
    pub(super) metering: Option<MeteringEntry>,
    pub(super) request_headers: HeadersEntry,
    pub(super) response_headers: HeadersEntry,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) allow: Vec<Text<Rule>>,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) deny: Vec<Text<Rule>>,
    pub(super) rate: Option<Text<Rate>>,
    pub(super) free: Option<Text<FreeQuota>>,
}

/// What an upstream reads in `Host`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HostHeaderEntry {
    Upstream,
    Client,
}

/// What is counted in a route's answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MeteringEntry {
    pub(super) units: Vec<UnitEntry>,
    pub(super) unknown: Option<Money>,
}

/// One thing that is counted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitEntry {
    pub(super) body: Option<Text<JsonPointer>>,
    pub(super) header: Option<Text<HeaderName>>,
    pub(super) price: Money,
    pub(super) per: Option<NonZeroU64>,
}

/// What is changed in headers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HeadersEntry {
    pub(super) set: BTreeMap<String, String>,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) remove: Vec<Text<HeaderName>>,
}

impl RouteEntry {
    /// All files and folders that are named.
    pub(in crate::proxy) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.folder.iter_mut().chain(&mut self.ca)
    }

    pub(super) fn read(self, reading: &Reading<'_>) -> Result<Vec<Route>, Failure> {
        let paths = match &self.path {
            Some(path) => vec![path.clone()],
            // The index is at `/`.
            None if reading.loaded.settings.index_file.is_some() => vec!["/{*rest}".to_owned()],
            None => vec!["/{*rest}".to_owned(), "/".to_owned()],
        };
        let route = Route {
            hosts: own(&self.host),
            path: String::new(),
            prices: self.prices(reading)?,
            resource: self.resource(reading, &paths[0])?,
            metering: self.metering(reading)?,
            free_statuses: own(&self.free_status),
            request_headers: reading.headers("request_headers", &self.request_headers)?,
            response_headers: reading.headers("response_headers", &self.response_headers)?,
            admission: Admission {
                allow: own(&self.allow),
                deny: own(&self.deny),
                rate: self.rate.map(|Text(rate)| rate),
            },
            free: self.free.map(|Text(free)| free),
            name: format!("{} {}", self.hosts(), self.path_or_everything()),
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
                options: self.options(reading)?,
            }),
            (None, Some(folder)) => {
                if let Some(key) = self.of_upstreams() {
                    return Err(reading.fault(&[Step::Key(key)], &"only a route with an upstream has this"));
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

    /// A setting that only an upstream has.
    fn of_upstreams(&self) -> Option<&'static str> {
        let given = [
            ("timeout", self.timeout.is_some()),
            ("connect_timeout", self.connect_timeout.is_some()),
            ("http2", self.http2),
            ("ca", self.ca.is_some()),
            ("host_header", self.host_header.is_some()),
        ];
        given
            .into_iter()
            .find_map(|(key, is_given)| is_given.then_some(key))
    }

    fn options(&self, reading: &Reading<'_>) -> Result<UpstreamOptions, Failure> {
        let usual = UpstreamOptions::default();
        let time = |span: Option<Span>, usual| span.map_or(usual, |Span(time)| time);
        let ca = self.ca.as_deref().map(Authorities::load).transpose();
        Ok(UpstreamOptions {
            timeout: time(self.timeout, usual.timeout),
            connect_timeout: time(self.connect_timeout, usual.connect_timeout),
            http2: self.http2,
            ca: ca.map_err(|error| reading.fault(&[Step::Key("ca")], &error))?,
            host: match self.host_header {
                None | Some(HostHeaderEntry::Upstream) => HostHeader::Upstream,
                Some(HostHeaderEntry::Client) => HostHeader::Client,
            },
        })
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
pub(super) struct Reading<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) place: Place,
    pub(super) coin: Coin<'a>,
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
        HeaderRules::new(set, own(&entry.remove)).map_err(|error| self.fault(&[Step::Key(key)], &error))
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
    fn methods_are_in_capitals() {
        assert_eq!(method("GET"), Ok(Method::GET));
        assert!(method("PURGE").is_ok());
        for bad in ["get", "", "G T"] {
            assert!(method(bad).is_err(), "{bad}");
        }
    }
}
