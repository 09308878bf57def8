//! How many requests a client may make in a time.

use crate::count_per::{self, NotACount};
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// The largest count: a request each microsecond is no limit any more.
const MOST: u32 = 1_000_000;

/// How many requests a client may make in a time: `10 per second`, `600 per minute`.
///
/// So many may come at once; after that each comes back in its share of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    requests: NonZeroU32,
    per: Unit,
}

/// A time by which requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// A second.
    Second,
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
}

/// Why a text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotARate {
    /// Not a count and a time.
    #[error("{0:?} is no rate; write a number and a time, such as `10 per second` or `600 per minute`")]
    Unreadable(String),
    /// Another time.
    #[error("a rate is per second, minute, hour or day, not per {0:?}")]
    UnknownTime(String),
    /// None at all.
    #[error("a rate of 0 would stop everybody; to refuse all requests, deny 0.0.0.0/0 and ::/0")]
    Zero,
    /// More than can be counted.
    #[error("a rate has at most {MOST} requests; leave it out where there is no limit")]
    TooMany,
}

impl Rate {
    /// At most a million requests in the time.
    ///
    /// # Errors
    /// When there are more.
    pub const fn new(requests: NonZeroU32, per: Unit) -> Result<Self, NotARate> {
        if requests.get() > MOST {
            return Err(NotARate::TooMany);
        }
        Ok(Self { requests, per })
    }

    /// How many requests, which may come at once.
    pub const fn requests(self) -> NonZeroU32 {
        self.requests
    }

    /// After how long one more may come.
    pub(super) fn interval(self) -> Duration {
        self.per.duration() / self.requests.get()
    }
}

impl Unit {
    const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    const fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 60 * 60,
            Self::Day => 24 * 60 * 60,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

impl FromStr for Rate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Self, NotARate> {
        let (requests, time) = count_per::read(text).map_err(|error| match error {
            NotACount::Unreadable => NotARate::Unreadable(text.to_owned()),
            NotACount::Zero => NotARate::Zero,
            NotACount::TooMany => NotARate::TooMany,
        })?;
        let known = |unit: &Unit| unit.name() == time || unit.name().get(..1) == Some(time);
        let per = Unit::ALL.into_iter().find(known);
        Self::new(
            requests,
            per.ok_or_else(|| NotARate::UnknownTime(time.to_owned()))?,
        )
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.requests, self.per.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rate_is_read_as_people_write_it() {
        for (text, printed, interval) in [
            ("10 per second", "10 per second", Duration::from_millis(100)),
            ("10/s", "10 per second", Duration::from_millis(100)),
            (" 600  per\tminute ", "600 per minute", Duration::from_millis(100)),
            ("1 / minute", "1 per minute", Duration::from_secs(60)),
            ("100 per hour", "100 per hour", Duration::from_secs(36)),
            ("007/h", "7 per hour", Duration::from_nanos(514_285_714_285)),
            ("1000 per day", "1000 per day", Duration::from_millis(86_400)),
            ("1000000/d", "1000000 per day", Duration::from_micros(86_400)),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(
                (rate.to_string().as_str(), rate.interval()),
                (printed, interval),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused_and_says_why() {
        for bad in [
            "",
            "10",
            "per second",
            "/s",
            "10 second",
            "10 per",
            "10/",
            "10 per per second",
            "10//s",
            "-1/s",
            "+1/s",
            "1.5/s",
            "1_000/s",
            "1e3/s",
            "ten per second",
            "10persecond",
            "10 per second per day",
            "٣/s",
        ] {
            assert_eq!(
                bad.parse::<Rate>(),
                Err(NotARate::Unreadable(bad.to_owned())),
                "{bad}"
            );
        }
        for (bad, time) in [
            ("10 per week", "week"),
            ("10/sec", "sec"),
            ("10 per Second", "Second"),
            ("1/S", "S"),
        ] {
            assert_eq!(bad.parse::<Rate>(), Err(NotARate::UnknownTime(time.to_owned())));
        }
        assert_eq!("0 per second".parse::<Rate>(), Err(NotARate::Zero));
        for many in ["1000001/s", "4294967296/d", "99999999999999999999999999/d"] {
            assert_eq!(many.parse::<Rate>(), Err(NotARate::TooMany), "{many}");
        }
        let told = "10 per week".parse::<Rate>().unwrap_err().to_string();
        assert_eq!(
            told,
            "a rate is per second, minute, hour or day, not per \"week\""
        );
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(requests in 1..=MOST, unit in 0..4usize) {
            let rate = Rate::new(NonZeroU32::new(requests).unwrap(), Unit::ALL[unit]).unwrap();
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
            prop_assert!(rate.interval() >= Duration::from_micros(1));
        }

        #[test]
        fn no_text_is_more_than_refused(text in ".{0,40}") {
            let _ = text.parse::<Rate>();
        }
    }
}
