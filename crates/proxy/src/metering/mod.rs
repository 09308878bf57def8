//! Metering by the answer: what a request has cost is read from what the upstream says.
//!
//! The price of a metered route is the most that a request may cost. The upstream's answer says what was
//! used, in a header or in its body, and the rest of the price becomes the sender's credit.
//!
//! In reading order: [`Metering`], what is counted and what it costs; `pointer`, where a count stands
//! in JSON; `search`, finding counts in one JSON text; `lines` and `reader`, finding the texts in a
//! body; `tap`, watching the body go by; [`MeteringLayer`], the whole.
//!
//! Invariants: a count is known only when it was read as a whole number from a whole answer, and
//! otherwise [`Unknown`] says what is charged, never the client; amounts are exact, and what is too
//! large to be one counts as the most; whatever is read, the body goes on unchanged.

mod layer;
mod lines;
mod pointer;
mod reader;
mod search;
mod tap;

pub use layer::{MeteringLayer, MeteringService};
pub use pointer::{JsonPointer, NotAPointer};

use http::HeaderName;
use microraiden_paywall::PaywallLayer;
use microraiden_protocol::Amount;
use std::fmt;
use std::num::NonZeroU64;

/// How many bytes a JSON answer, one event or one line may have, to be read.
pub const LONGEST_TEXT: usize = 4 << 20;

/// What a route counts in its answers, and what it charges when it cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metering {
    /// What is counted; a request costs the sum. Without any, the cost is never known.
    pub units: Vec<Unit>,
    /// What is charged when one of the counts is not known.
    pub unknown: Unknown,
}

/// One thing that is counted: `price` for each `per` of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Where the count stands.
    pub source: Source,
    /// What so many cost.
    pub price: Amount,
    /// How many the price is for.
    pub per: NonZeroU64,
}

/// Where a count stands in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In a header: digits and nothing else, once.
    Header(HeaderName),
    /// In a JSON body; in the last event of a stream that has it, or the last line of JSON lines.
    Body(JsonPointer),
}

/// What is charged when usage is missing, cannot be read, or the client leaves before it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unknown {
    /// The price of the route, which is the most.
    #[default]
    Maximum,
    /// Nothing. Who leaves before the end then pays nothing for what it has got.
    Free,
    /// So much, and no more than the price.
    Cost(Amount),
}

/// Why a count is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Unreadable {
    #[error("the answer does not say it")]
    Missing,
    #[error("it is not a whole number below 2^64, written in digits alone")]
    NotACount,
    #[error("the answer says it twice")]
    Twice,
    #[error("the answer is no valid JSON")]
    NotJson,
    #[error("the JSON that may say it is longer than {LONGEST_TEXT} bytes")]
    TooLong,
    #[error("the answer is encoded, though nobody asked for it; let the upstream send it plain")]
    Encoded,
    #[error("the answer is neither JSON, nor JSON lines, nor server-sent events")]
    OtherType,
}

/// A count, or why it is not known.
type Count = Result<u64, Unreadable>;

impl Metering {
    /// The layer's terms for what is metered so: its price is the most, and the rule for unknown usage.
    #[must_use]
    pub fn terms<P>(&self, layer: PaywallLayer<P>) -> PaywallLayer<P> {
        let metered = layer.metered();
        match self.unknown {
            Unknown::Maximum => metered,
            Unknown::Free => metered.unmetered_cost(Amount::ZERO),
            Unknown::Cost(cost) => metered.unmetered_cost(cost),
        }
    }

    /// What the counts cost, one for each unit; or the first that is not known.
    fn cost(&self, counts: &[Count]) -> Result<Amount, (&Source, Unreadable)> {
        let mut sum = Some(Amount::ZERO);
        for (unit, count) in self.units.iter().zip(counts) {
            let count = count.map_err(|reason| (&unit.source, reason))?;
            sum = sum.and_then(|sum| sum.checked_add(unit.cost(count)?));
        }
        // What is too large for an amount is more than any price.
        Ok(sum.unwrap_or(Amount::MAX))
    }

    /// What is sought in the body, with the places of their units.
    fn pointers(&self) -> impl Iterator<Item = (usize, &JsonPointer)> {
        let units = self.units.iter().enumerate();
        units.filter_map(|(place, unit)| match &unit.source {
            Source::Body(pointer) => Some((place, pointer)),
            Source::Header(_) => None,
        })
    }
}

impl Unit {
    /// `count × price / per`, rounded up; `None` above `2^192 - 1`.
    fn cost(&self, count: u64) -> Option<Amount> {
        let per = Amount::from(self.per.get()).base_units();
        let (whole, rest) = self.price.base_units().div_rem(per);
        let whole = whole.checked_mul(Amount::from(count).base_units())?;
        // The rest is below `per`, so this part is at most `count`.
        let rest = u128::from(u64::try_from(rest).ok()?);
        let part = (rest * u128::from(count)).div_ceil(u128::from(self.per.get()));
        Amount::new(whole).checked_add(Amount::from(u64::try_from(part).ok()?))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "the header {name}"),
            Self::Body(pointer) => write!(f, "{:?} in the body", pointer.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unit(price: Amount, per: u64) -> Unit {
        Unit {
            source: Source::Header(HeaderName::from_static("x-tokens")),
            price,
            per: NonZeroU64::new(per).unwrap(),
        }
    }

    #[test]
    fn each_unit_is_rounded_up_by_itself_and_nothing_wraps() {
        let max = Amount::MAX;
        for (price, per, count, cost) in [
            (7.into(), 1, 0, Some(0.into())),
            (7.into(), 1, 3, Some(21.into())),
            (1.into(), 1_000, 1, Some(1.into())),
            (1.into(), 1_000, 1_000, Some(1.into())),
            (1.into(), 1_000, 1_001, Some(2.into())),
            (3.into(), 2, 3, Some(5.into())),
            (0.into(), 1, u64::MAX, Some(0.into())),
            (max, u64::MAX, u64::MAX, Some(max)),
            (max, 1, 1, Some(max)),
            (max, 1, 2, None),
        ] {
            assert_eq!(unit(price, per).cost(count), cost, "{price} × {count} / {per}");
        }
        let metering = Metering {
            units: vec![unit(1.into(), 10), unit(1.into(), 10)],
            unknown: Unknown::Maximum,
        };
        assert_eq!(metering.cost(&[Ok(1), Ok(1)]), Ok(2.into()));
        let missing = metering.cost(&[Ok(1), Err(Unreadable::Missing)]);
        assert_eq!(missing, Err((&metering.units[1].source, Unreadable::Missing)));
        let dear = Metering {
            units: vec![unit(max, 1), unit(1.into(), 1)],
            unknown: Unknown::Free,
        };
        assert_eq!(dear.cost(&[Ok(1), Ok(1)]), Ok(max));
        assert_eq!(dear.cost(&[Ok(2), Ok(0)]), Ok(max));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_cost_is_the_smallest_that_covers_the_count(price: u64, per in 1u64.., count: u64) {
            let exact = u128::from(price) * u128::from(count);
            let cost: u128 = unit(price.into(), per).cost(count).unwrap().to_string().parse().unwrap();
            prop_assert_eq!(cost, exact.div_ceil(u128::from(per)));
        }
    }
}
