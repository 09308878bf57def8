//! A route in words.

use super::entry::HostHeaderEntry;
use super::{RouteEntry, simple};
use crate::proxy::settings::Loaded;
use crate::proxy::values::{Money, Span, Text};
use serde::Serialize;
use std::fmt::Display;

/// Several in words.
fn in_a_row<T: Display>(texts: &[Text<T>]) -> String {
    let words: Vec<_> = texts.iter().map(|Text(text)| text.to_string()).collect();
    words.join(", ")
}

/// A route in words, as it was written.
#[derive(Debug, Serialize)]
pub(in crate::proxy) struct RouteLine {
    pub(in crate::proxy) hosts: String,
    pub(in crate::proxy) path: String,
    pub(in crate::proxy) price: String,
    pub(in crate::proxy) resource: String,
    /// What else is set.
    pub(in crate::proxy) more: Vec<String>,
}

impl Loaded {
    /// All routes in words, of settings that were read without a fault.
    pub(in crate::proxy) fn route_lines(&self) -> Vec<RouteLine> {
        match self.settings.route.is_empty() {
            true => simple(self).iter().map(RouteEntry::line).collect(),
            false => self.settings.route.iter().map(RouteEntry::line).collect(),
        }
    }
}

impl RouteEntry {
    pub(super) fn hosts(&self) -> String {
        match self.host.is_empty() {
            true => "any".to_owned(),
            false => in_a_row(&self.host),
        }
    }

    pub(super) fn path_or_everything(&self) -> &str {
        self.path.as_deref().unwrap_or("everything")
    }

    fn line(&self) -> RouteLine {
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
            hosts: self.hosts(),
            path: self.path_or_everything().to_owned(),
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
        if self.http2 {
            more.push("HTTP/2 only".to_owned());
        }
        if let Some(ca) = &self.ca {
            more.push(format!("certificates of {}", ca.display()));
        }
        if self.host_header == Some(HostHeaderEntry::Client) {
            more.push("keeps the client's Host".to_owned());
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
            more.push(format!("free when it answers {}", in_a_row(&self.free_status)));
        }
        if let Some(Text(free)) = &self.free {
            more.push(format!("{free} free for each client"));
        }
        if let Some(Text(rate)) = &self.rate {
            more.push(format!("at most {rate} of each client"));
        }
        for (what, rules) in [("allows", &self.allow), ("denies", &self.deny)] {
            if !rules.is_empty() {
                more.push(format!("{what} {}", in_a_row(rules)));
            }
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
