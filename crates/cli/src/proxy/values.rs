//! Values of settings as people write them.

use clap::builder::{TypedValueParser, ValueParserFactory};
use clap::error::ErrorKind;
use clap::{Arg, Command};
use microraiden_store::{DatabaseUrl, DatabaseUrlError};
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, SeqAccess, Visitor};
use std::ffi::OsStr;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

/// An amount of a token that is not known yet: `0.002 TKN`, or base units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Money(pub(crate) String);

/// A time: `30s`, `500ms`, `5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// An amount of ether: wei, or `30 gwei`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wei(pub(crate) u128);

/// A database, without a password: that stands where others cannot read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Database(pub(crate) DatabaseUrl);

/// Anything that is read from a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Text<T>(pub(crate) T);

/// What was read.
pub(crate) fn own<T: Clone>(texts: &[Text<T>]) -> Vec<T> {
    texts.iter().map(|Text(read)| read.clone()).collect()
}

impl FromStr for Money {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" => Err(
                "an amount is missing: write '0.002 TKN', with the token's symbol, or base units".to_owned(),
            ),
            text => Ok(Self(text.to_owned())),
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match humantime::parse_duration(text) {
            Ok(time) if !time.is_zero() => Ok(Self(time)),
            _ => Err(format!("{text:?} is not a time: write 30s, 500ms or 5m")),
        }
    }
}

impl FromStr for Database {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url: DatabaseUrl = text
            .parse()
            .map_err(|error: DatabaseUrlError| error.to_string())?;
        if url.has_password() {
            return Err(
                "leave the password out, others can read it here: give it by PGPASSWORD, or write it into the file \
                 ~/.pgpass, or another that PGPASSFILE names"
                    .to_owned(),
            );
        }
        Ok(Self(url))
    }
}

impl ValueParserFactory for Database {
    type Parser = Discreet<Self>;

    fn value_parser() -> Self::Parser {
        Discreet::default()
    }
}

/// Reads an option that may have a password in it, and does not repeat it when it is refused.
#[derive(Debug)]
pub(crate) struct Discreet<T>(PhantomData<fn() -> T>);

impl<T> Default for Discreet<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> Clone for Discreet<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T: FromStr<Err: fmt::Display> + Clone + Send + Sync + 'static> TypedValueParser for Discreet<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        let refused = |reason: &dyn fmt::Display| {
            let option = arg.map_or_else(String::new, |arg| format!(" for '{arg}'"));
            clap::Error::raw(
                ErrorKind::ValueValidation,
                format!("invalid value{option}: {reason}\n"),
            )
            .with_cmd(command)
        };
        let text = value.to_str().ok_or_else(|| refused(&"it is not UTF-8"))?;
        text.parse().map_err(|error| refused(&error))
    }
}

impl FromStr for Wei {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not an amount of ether: write wei, or 30 gwei");
        let text = text.trim();
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let factor = match unit.trim() {
            "" | "wei" => 1,
            "gwei" => 1_000_000_000,
            _ => return Err(wrong()),
        };
        let number: u128 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

impl<T: FromStr<Err: fmt::Display>> FromStr for Text<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        text.parse().map(Self)
    }
}

/// Reads a text, or a whole number as its digits, by `FromStr`.
struct Parsed<T> {
    takes_numbers: bool,
    expected: &'static str,
    parsed: PhantomData<T>,
}

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        if !self.takes_numbers || number < 0 {
            return Err(E::invalid_type(de::Unexpected::Signed(number), &self));
        }
        self.visit_str(&number.to_string())
    }
}

macro_rules! read_by_from_str {
    ($type:ty, $takes_numbers:literal, $expected:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Parsed {
                    takes_numbers: $takes_numbers,
                    expected: $expected,
                    parsed: PhantomData,
                })
            }
        }
    };
}

read_by_from_str!(Money, true, "an amount: \"0.002 TKN\", or base units");
read_by_from_str!(Span, false, "a time: \"30s\", \"500ms\" or \"5m\"");
read_by_from_str!(Database, false, "postgres://user@host/name");
read_by_from_str!(Wei, true, "wei, or \"30 gwei\"");

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parsed = deserializer.deserialize_any(Parsed {
            takes_numbers: true,
            expected: "a text",
            parsed: PhantomData,
        });
        parsed.map(Self)
    }
}

/// Reads a list, or a single value as a list of one.
///
/// # Errors
/// When a value is none of the list's.
pub(crate) fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    struct Values<T>(PhantomData<T>);

    impl<'de, T: DeserializeOwned> Visitor<'de> for Values<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text, or a list of texts")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            Ok(vec![T::deserialize(StrDeserializer::new(text))?])
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Vec<T>, E> {
            Ok(vec![T::deserialize(number.into_deserializer())?])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut values = Vec::new();
            while let Some(value) = list.next_element()? {
                values.push(value);
            }
            Ok(values)
        }
    }

    deserializer.deserialize_any(Values(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ether_and_times_are_read_as_people_write_them() {
        for (text, wei) in [
            ("7", 7),
            ("7 wei", 7),
            ("30gwei", 30_000_000_000),
            (" 2 gwei ", 2_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Wei(wei)), "{text}");
        }
        for bad in [
            "",
            "gwei",
            "-1",
            "1.5 gwei",
            "1 ether",
            "340282366920938463463374607431768211455 gwei",
        ] {
            assert!(bad.parse::<Wei>().is_err(), "{bad}");
        }
        assert_eq!("90s".parse(), Ok(Span(Duration::from_secs(90))));
        assert_eq!("1m 30s".parse(), Ok(Span(Duration::from_secs(90))));
        for bad in ["", "90", "0s", "-1s", "soon"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}
