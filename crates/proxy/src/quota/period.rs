//! How many requests are free for each client, and in which time.

use crate::count_per::{self, NotACount};
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// How many requests are free for each client in a time: `10 per day`, `100 ever`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FreeQuota {
    /// How many.
    pub requests: NonZeroU32,
    /// In which time.
    pub per: Period,
}

/// The time after which a free quota begins anew; the same for all clients, by UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// A minute of the clock.
    Minute,
    /// An hour of the clock.
    Hour,
    /// A day, which begins at 00:00 UTC.
    Day,
    /// It never begins anew.
    Ever,
}

/// Why a text is no free quota.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAQuota {
    /// Not a count and a time.
    #[error("{0:?} is no free quota; write a number and a time, such as `10 per day` or `100 ever`")]
    Unreadable(String),
    /// Another time.
    #[error("a free quota is per minute, hour or day, or `ever`, not per {0:?}")]
    UnknownTime(String),
    /// None at all.
    #[error("a free quota of 0 is none; leave it out")]
    Zero,
    /// More than can be counted.
    #[error(
        "a free quota has at most {} requests; to give all for nothing, set the price 0",
        u32::MAX
    )]
    TooMany,
}

impl Period {
    /// Those that begin anew.
    const RECURRING: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];
    const ALL: [Self; 4] = [Self::Minute, Self::Hour, Self::Day, Self::Ever];

    /// The number of the period that a time is in, of those since 1970.
    pub(super) fn window(self, now: SystemTime) -> u64 {
        let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        match self {
            Self::Minute => seconds / 60,
            Self::Hour => seconds / (60 * 60),
            Self::Day => seconds / (24 * 60 * 60),
            Self::Ever => 0,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Ever => "ever",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.name() == name)
    }
}

impl FromStr for FreeQuota {
    type Err = NotAQuota;

    fn from_str(text: &str) -> Result<Self, NotAQuota> {
        let refused = |error| match error {
            NotACount::Unreadable => NotAQuota::Unreadable(text.to_owned()),
            NotACount::Zero => NotAQuota::Zero,
            NotACount::TooMany => NotAQuota::TooMany,
        };
        let once = text.trim().strip_suffix("ever");
        if let Some(count) = once.filter(|count| count.ends_with(char::is_whitespace)) {
            let count = count.trim_end();
            // Not `10 per ever`, nor `10 /ever`.
            let requests = count_per::number(count).map_err(refused)?;
            return Ok(Self {
                requests,
                per: Period::Ever,
            });
        }
        let (requests, time) = count_per::read(text).map_err(refused)?;
        let known = |period: &Period| period.name() == time || period.name().get(..1) == Some(time);
        let per = Period::RECURRING.into_iter().find(known);
        Ok(Self {
            requests,
            per: per.ok_or_else(|| NotAQuota::UnknownTime(time.to_owned()))?,
        })
    }
}

impl fmt::Display for FreeQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.per {
            Period::Ever => write!(f, "{} ever", self.requests),
            per => write!(f, "{} per {}", self.requests, per.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn a_quota_is_read_as_people_write_it() {
        for (text, printed) in [
            ("10 per day", "10 per day"),
            (" 3  per hour", "3 per hour"),
            ("5/minute", "5 per minute"),
            ("10/d", "10 per day"),
            ("100 ever", "100 ever"),
            ("4294967295  ever ", "4294967295 ever"),
        ] {
            let quota: FreeQuota = text.parse().unwrap();
            assert_eq!(quota.to_string(), printed, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_and_says_why() {
        for bad in [
            "",
            "10",
            "ever",
            " ever",
            "10ever",
            "per day",
            "10 day",
            "10 per",
            "10 for ever",
            "10 per ever and ever",
            "-1 ever",
            "1.5 per day",
            "ten per day",
            "10 per day ever",
            "1,000 ever",
            "٣ ever",
        ] {
            assert_eq!(
                bad.parse::<FreeQuota>(),
                Err(NotAQuota::Unreadable(bad.to_owned())),
                "{bad}"
            );
        }
        for (bad, time) in [
            ("10 per month", "month"),
            ("10/s", "s"),
            ("10/ever", "ever"),
            ("1 per Day", "Day"),
        ] {
            assert_eq!(
                bad.parse::<FreeQuota>(),
                Err(NotAQuota::UnknownTime(time.to_owned()))
            );
        }
        for zero in ["0 per day", "0 ever", "00/h"] {
            assert_eq!(zero.parse::<FreeQuota>(), Err(NotAQuota::Zero));
        }
        assert_eq!("4294967296 ever".parse::<FreeQuota>(), Err(NotAQuota::TooMany));
        let told = NotAQuota::TooMany.to_string();
        assert_eq!(
            told,
            "a free quota has at most 4294967295 requests; to give all for nothing, set the price 0"
        );
    }

    #[test]
    fn a_period_is_one_of_the_clock_in_utc() {
        // 2026-01-02 00:00 UTC.
        let midnight = UNIX_EPOCH + Duration::from_secs(1_767_312_000);
        let before = midnight - Duration::from_millis(1);
        for period in Period::RECURRING {
            assert_eq!(period.window(before) + 1, period.window(midnight), "{period:?}");
            assert_eq!(
                period.window(midnight),
                period.window(midnight + Duration::from_secs(59))
            );
        }
        let (noon, evening) = (
            midnight + Duration::from_secs(43_200),
            midnight + Duration::from_secs(86_399),
        );
        assert_eq!(Period::Day.window(midnight), Period::Day.window(evening));
        assert_ne!(Period::Hour.window(noon), Period::Hour.window(evening));
        assert_eq!(
            Period::Ever.window(midnight),
            Period::Ever.window(UNIX_EPOCH - Duration::from_secs(1))
        );
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(requests: NonZeroU32, period in 0..4usize) {
            let quota = FreeQuota { requests, per: Period::ALL[period] };
            prop_assert_eq!(quota.to_string().parse(), Ok(quota));
            prop_assert_eq!(Period::named(quota.per.name()), Some(quota.per));
        }

        #[test]
        fn no_text_is_more_than_refused(text in ".{0,30}( ever)?") {
            let _ = text.parse::<FreeQuota>();
        }
    }
}
