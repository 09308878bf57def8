//! Token amounts in base units (`uint192`, as in the contract) and block numbers.
//!
//! Every kind of amount is a type of its own, so that a price cannot be passed for a balance.
//! Arithmetic is checked: an operation that would leave `0 ..= 2^192 - 1` gives `None`.

use alloy_primitives::aliases::U192;
use std::fmt;
use std::str::FromStr;

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseAmountError {
    /// Not one or more ASCII digits and nothing else.
    #[error("an amount is written in decimal digits only")]
    NotDecimal,
    /// Does not fit into 192 bits.
    #[error("an amount is at most 2^192 - 1")]
    TooLarge,
}

fn parse(text: &str) -> Result<U192, ParseAmountError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseAmountError::NotDecimal);
    }
    // 2^192 has 58 digits; zeros in front do not count.
    let digits = text.trim_start_matches('0');
    if digits.len() > 58 {
        return Err(ParseAmountError::TooLarge);
    }
    U192::from_str_radix(if digits.is_empty() { "0" } else { digits }, 10)
        .map_err(|_| ParseAmountError::TooLarge)
}

macro_rules! amount {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(U192);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(U192::ZERO);
            /// The largest, `2^192 - 1`.
            pub const MAX: Self = Self(U192::MAX);

            /// Takes base units.
            pub const fn new(base_units: U192) -> Self {
                Self(base_units)
            }

            /// The base units.
            pub const fn base_units(self) -> U192 {
                self.0
            }

            /// Whether it is nothing.
            pub fn is_zero(self) -> bool {
                self.0.is_zero()
            }

            /// Reads 24 big-endian bytes.
            pub fn from_be_bytes(bytes: [u8; 24]) -> Self {
                Self(U192::from_be_bytes(bytes))
            }

            /// Writes 24 big-endian bytes, the contract's packed `uint192`.
            pub fn to_be_bytes(self) -> [u8; 24] {
                self.0.to_be_bytes()
            }

            /// Adds an amount; `None` above `2^192 - 1`.
            pub fn checked_add(self, amount: impl Into<Amount>) -> Option<Self> {
                self.0.checked_add(amount.into().0).map(Self)
            }

            /// Takes an amount away; `None` below nothing.
            pub fn checked_sub(self, amount: impl Into<Amount>) -> Option<Self> {
                self.0.checked_sub(amount.into().0).map(Self)
            }

            /// What lies between `earlier` and this; `None` when `earlier` is larger.
            pub fn checked_since(self, earlier: Self) -> Option<Amount> {
                self.0.checked_sub(earlier.0).map(Amount)
            }
        }

        impl From<u64> for $name {
            fn from(base_units: u64) -> Self {
                Self(U192::from(base_units))
            }
        }

        impl FromStr for $name {
            type Err = ParseAmountError;
            fn from_str(text: &str) -> Result<Self, ParseAmountError> {
                parse(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

amount!(
    /// A quantity of tokens: what a request pays, costs or leaves as credit.
    Amount
);
amount!(
    /// A point on a channel's line: everything paid on it so far, as a balance proof states it.
    Balance
);
amount!(
    /// What the contract holds for a channel, the upper end of its line.
    Deposit
);
amount!(
    /// What a request costs.
    Price
);

impl From<Price> for Amount {
    fn from(price: Price) -> Self {
        Self(price.0)
    }
}

impl From<Balance> for Amount {
    fn from(balance: Balance) -> Self {
        Self(balance.0)
    }
}

impl From<Deposit> for Amount {
    fn from(deposit: Deposit) -> Self {
        Self(deposit.0)
    }
}

impl Deposit {
    /// The highest balance that this deposit covers.
    pub const fn limit(self) -> Balance {
        Balance(self.0)
    }
}

/// The number of a block of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BlockNumber(pub u64);

impl BlockNumber {
    /// This many blocks before; block 0 at the earliest.
    #[must_use]
    pub const fn saturating_sub(self, blocks: u64) -> Self {
        Self(self.0.saturating_sub(blocks))
    }

    /// This many blocks after; the last representable one at the latest.
    #[must_use]
    pub const fn saturating_add(self, blocks: u64) -> Self {
        Self(self.0.saturating_add(blocks))
    }
}

impl fmt::Display for BlockNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_decimal_digits_that_fit() {
        let max = "6277101735386680763835789423207666416102355444464034512895";
        for (text, expected) in [
            ("0", Ok(Amount::ZERO)),
            (
                "000000000000000000000000000000000000000000000000000000000000000000007",
                Ok(7.into()),
            ),
            (max, Ok(Amount::MAX)),
            (
                "6277101735386680763835789423207666416102355444464034512896",
                Err(ParseAmountError::TooLarge),
            ),
            ("", Err(ParseAmountError::NotDecimal)),
            (" 1", Err(ParseAmountError::NotDecimal)),
            ("+1", Err(ParseAmountError::NotDecimal)),
            ("1_0", Err(ParseAmountError::NotDecimal)),
            ("0x1", Err(ParseAmountError::NotDecimal)),
            ("١", Err(ParseAmountError::NotDecimal)),
        ] {
            assert_eq!(text.parse::<Amount>(), expected, "{text:?}");
        }
        assert_eq!(Amount::MAX.to_string(), max);
    }

    #[test]
    fn arithmetic_never_wraps() {
        assert_eq!(Balance::MAX.checked_add(Amount::from(1)), None);
        assert_eq!(Balance::from(1).checked_sub(Amount::from(2)), None);
        assert_eq!(
            Balance::from(7).checked_since(Balance::from(3)),
            Some(Amount::from(4))
        );
        assert_eq!(Balance::from(3).checked_since(Balance::from(7)), None);
    }
}
