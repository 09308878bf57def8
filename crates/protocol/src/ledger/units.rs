//! Sets of units of a channel's line, as few sorted intervals.

use crate::amount::{Amount, Balance};
use alloy_primitives::aliases::U192;
use std::fmt;
use std::str::FromStr;

/// An interval of units, both ends included; unit 1 is the first of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Units {
    /// The lowest, at least 1.
    pub first: Balance,
    /// The highest, not below `first`.
    pub last: Balance,
}

impl Units {
    /// How many there are.
    pub fn count(&self) -> Amount {
        let steps = self
            .last
            .checked_since(self.first)
            .expect("last is not below first");
        // At most 2^192 - 1, since first is at least 1.
        steps.checked_add(Amount::from(1)).expect("units start at 1")
    }
}

fn next(unit: Balance) -> Option<Balance> {
    unit.checked_add(Amount::from(1))
}

fn before(unit: Balance) -> Option<Balance> {
    unit.checked_sub(Amount::from(1))
}

/// A set of units: disjoint, sorted, non-adjacent intervals.
///
/// As text: `3-7,9-9`; the empty set is the empty text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitSet(Vec<Units>);

impl UnitSet {
    /// The set of one interval; empty when `last` is below `first`.
    pub fn interval(first: Balance, last: Balance) -> Self {
        if first.is_zero() || last < first {
            Self::default()
        } else {
            Self(vec![Units { first, last }])
        }
    }

    /// The intervals in increasing order.
    pub fn intervals(&self) -> &[Units] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many units there are.
    pub fn total(&self) -> Amount {
        let sum = self
            .0
            .iter()
            .map(|units| units.count().base_units())
            .sum::<U192>();
        // Disjoint parts of 1 ..= 2^192 - 1: the sum is at most the last unit.
        debug_assert!(self.0.last().is_none_or(|units| sum <= units.last.base_units()));
        Amount::new(sum)
    }

    /// The highest unit.
    pub fn highest(&self) -> Option<Balance> {
        self.0.last().map(|units| units.last)
    }

    /// Whether the unit is in the set.
    pub fn contains(&self, unit: Balance) -> bool {
        self.position_of(unit).is_some()
    }

    /// Whether every unit from `first` to `last` is in the set.
    pub fn contains_all(&self, first: Balance, last: Balance) -> bool {
        self.position_of(first).is_some_and(|at| last <= self.0[at].last)
    }

    /// Whether no unit of an interval is in the set.
    pub(crate) fn has_none_of(&self, units: Units) -> bool {
        let at = self.0.partition_point(|other| other.last < units.first);
        self.0.get(at).is_none_or(|other| units.last < other.first)
    }

    fn position_of(&self, unit: Balance) -> Option<usize> {
        let at = self.0.partition_point(|units| units.last < unit);
        self.0.get(at).filter(|units| units.first <= unit).map(|_| at)
    }

    /// Adds an interval, merging it with its neighbours.
    ///
    /// # Panics
    /// When one of its units is in the set already: a unit would be counted twice.
    pub fn insert(&mut self, units: Units) {
        assert!(
            !units.first.is_zero() && units.first <= units.last,
            "{units:?} is no interval"
        );
        assert!(self.has_none_of(units), "{units:?} overlaps {self}");
        let at = self.0.partition_point(|other| other.last < units.first);
        let mut merged = units;
        let mut replaced = at..at;
        if at > 0 && next(self.0[at - 1].last) == Some(units.first) {
            merged.first = self.0[at - 1].first;
            replaced.start -= 1;
        }
        if self
            .0
            .get(at)
            .is_some_and(|other| next(units.last) == Some(other.first))
        {
            merged.last = self.0[at].last;
            replaced.end += 1;
        }
        self.0.splice(replaced, [merged]);
    }

    /// Adds every unit of another set.
    ///
    /// # Panics
    /// When they share a unit.
    pub fn insert_all(&mut self, other: &Self) {
        other.0.iter().for_each(|units| self.insert(*units));
    }

    /// Takes unit `top` and the `count − 1` highest units below it out of the set.
    ///
    /// `None`, and the set is as it was, when `top` is not in it or fewer are below. `count` is at
    /// least 1.
    pub fn take(&mut self, top: Balance, count: Amount) -> Option<Self> {
        let at = self.position_of(top)?;
        let mut rest = self.0.clone();
        let above = next(top)
            .filter(|first| *first <= rest[at].last)
            .map(|first| Units {
                first,
                last: rest[at].last,
            });
        rest[at].last = top;
        let higher = rest.split_off(at + 1);
        let mut taken = Vec::new();
        let mut missing = count;
        while !missing.is_zero() {
            let units = rest.pop()?;
            let found = units.count();
            if found <= missing {
                missing = missing.checked_sub(found)?;
                taken.push(units);
            } else {
                // The highest `missing` of these: last − missing + 1 ..= last.
                let below = units.last.checked_sub(missing)?;
                rest.push(Units {
                    first: units.first,
                    last: below,
                });
                taken.push(Units {
                    first: next(below)?,
                    last: units.last,
                });
                missing = Amount::ZERO;
            }
        }
        rest.extend(above);
        rest.extend(higher);
        self.0 = rest;
        taken.reverse();
        Some(Self(taken))
    }

    /// Takes the `count` lowest units out of the set, or all when there are fewer.
    pub fn take_lowest(&mut self, count: Amount) -> Self {
        let mut taken = Vec::new();
        let mut missing = count;
        while let Some(units) = self.0.first().copied().filter(|_| !missing.is_zero()) {
            let found = units.count();
            if found <= missing {
                missing = missing.checked_sub(found).expect("found is not above missing");
                taken.push(self.0.remove(0));
            } else {
                let end = before(units.first)
                    .and_then(|unit| unit.checked_add(missing))
                    .expect("below last");
                taken.push(Units {
                    first: units.first,
                    last: end,
                });
                self.0[0].first = next(end).expect("below last");
                missing = Amount::ZERO;
            }
        }
        Self(taken)
    }

    /// Takes the lowest intervals out until at most `most` are left; says how many units they had.
    pub(crate) fn fold_lowest(&mut self, most: usize) -> Amount {
        let excess = self.0.len().saturating_sub(most);
        Self(self.0.drain(..excess).collect()).total()
    }
}

impl fmt::Display for UnitSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, units) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}-{}", units.first, units.last)?;
        }
        Ok(())
    }
}

/// Why a text is not a set of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a sorted list of disjoint intervals of units")]
pub struct ParseUnitsError;

impl FromStr for UnitSet {
    type Err = ParseUnitsError;
    fn from_str(text: &str) -> Result<Self, ParseUnitsError> {
        let mut set = Vec::<Units>::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = part.split_once('-').ok_or(ParseUnitsError)?;
            let first: Balance = first.parse().map_err(|_| ParseUnitsError)?;
            let last = last.parse().map_err(|_| ParseUnitsError)?;
            let apart = set
                .last()
                .is_none_or(|lower| next(lower.last).is_some_and(|unit| unit < first));
            if first.is_zero() || last < first || !apart {
                return Err(ParseUnitsError);
            }
            set.push(Units { first, last });
        }
        Ok(Self(set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> UnitSet {
        text.parse().unwrap()
    }

    #[test]
    fn takes_the_highest_at_and_below_a_unit() {
        for (from, top, count, taken, rest) in [
            ("1-10", 10, 3, "8-10", "1-7"),
            ("1-10", 5, 3, "3-5", "1-2,6-10"),
            ("1-10", 5, 5, "1-5", "6-10"),
            ("1-3,5-5,8-9", 8, 4, "2-3,5-5,8-8", "1-1,9-9"),
            ("1-3,5-5,8-9", 9, 6, "1-3,5-5,8-9", ""),
            ("1-3,5-5", 5, 1, "5-5", "1-3"),
        ] {
            let mut units = set(from);
            assert_eq!(
                units.take(top.into(), count.into()),
                Some(set(taken)),
                "{from} {top} {count}"
            );
            assert_eq!(units, set(rest));
        }
        for (from, top, count) in [("1-10", 11, 1), ("1-10", 3, 4), ("", 1, 1), ("2-3", 1, 1)] {
            let mut units = set(from);
            assert_eq!(units.take(top.into(), count.into()), None);
            assert_eq!(units, set(from));
        }
    }

    #[test]
    fn inserting_merges_neighbours() {
        for (from, first, last, to) in [
            ("", 1, 2, "1-2"),
            ("1-2", 3, 4, "1-4"),
            ("5-6", 3, 4, "3-6"),
            ("1-2,5-6", 3, 4, "1-6"),
            ("1-1,6-6", 3, 4, "1-1,3-4,6-6"),
        ] {
            let mut units = set(from);
            units.insert(Units {
                first: Balance::from(first),
                last: Balance::from(last),
            });
            assert_eq!(units, set(to));
        }
    }

    #[test]
    #[should_panic(expected = "overlaps")]
    fn a_unit_is_never_counted_twice() {
        set("1-5").insert(Units {
            first: 5.into(),
            last: 6.into(),
        });
    }

    #[test]
    fn takes_the_lowest() {
        let mut units = set("1-3,5-5,8-9");
        assert_eq!(units.take_lowest(5.into()), set("1-3,5-5,8-8"));
        assert_eq!(units, set("9-9"));
        assert_eq!(units.take_lowest(5.into()), set("9-9"));
        assert!(units.is_empty());
    }

    #[test]
    fn ends_of_the_line_do_not_wrap() {
        let mut units = UnitSet::interval(1.into(), Balance::MAX);
        assert_eq!(units.total(), Amount::MAX);
        let taken = units.take(Balance::MAX, Amount::MAX).unwrap();
        assert_eq!(taken, UnitSet::interval(1.into(), Balance::MAX));
        assert!(units.is_empty());
        units.insert_all(&taken);
        assert_eq!(units.take_lowest(Amount::MAX), taken);
    }

    #[test]
    fn text_reads_back_and_nothing_else_reads() {
        for text in ["", "1-1", "1-3,5-5,8-9"] {
            assert_eq!(set(text).to_string(), text);
        }
        for text in ["1", "0-1", "2-1", "1-2,3-4", "3-4,1-1", "1-2,", "a-b", "1--2"] {
            assert!(text.parse::<UnitSet>().is_err(), "{text}");
        }
    }
}
