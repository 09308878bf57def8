//! Routes as the file has them, and what the proxy makes of them.
//!
//! In reading order: [`Coin`], how amounts are read; `entry`, a `[[route]]` of the file and the proxy's
//! route; `line`, the same in words; [`Routes`], all of them.

mod entry;
mod line;

pub(super) use entry::RouteEntry;
pub(super) use line::RouteLine;

use super::file::Step;
use super::settings::Loaded;
use super::values::Money;
use crate::exit::Misuse;
use crate::{Failure, amounts};
use entry::Reading;
use microraiden_chain::TokenInfo;
use microraiden_protocol::Amount;
use microraiden_proxy::{Route, RouteFault, SiteError};
use std::fmt::Display;

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
            RouteFault::Upstream(_) => "upstream",
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
        free: settings.free,
        ..RouteEntry::default()
    })
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
}
