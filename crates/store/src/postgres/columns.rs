//! How values of the protocol are written into a column, and read back.

use bytes::{BufMut, BytesMut};
use microraiden_protocol::{ChannelId, Signature};
use std::error::Error;
use std::fmt::{Debug, Display};
use std::str::{self, FromStr};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

type BoxError = Box<dyn Error + Send + Sync>;

/// What a column cannot hold. Nothing was sent then.
#[derive(Debug, thiserror::Error)]
#[error("a value is out of the range of its column")]
pub(super) struct OutOfRange;

/// What a column should not hold.
#[derive(Debug, thiserror::Error)]
#[error("a value is none of its kind")]
struct WrongValue;

/// How many decimal digits PostgreSQL keeps in one of its own.
const GROUP: usize = 4;

/// An amount as `numeric`, in PostgreSQL's binary form: how many digits to the base of 10,000, the exponent
/// of the first one, sign, scale, and the digits.
#[derive(Debug)]
pub(super) struct Digits<T>(pub(super) T);

impl<T: Display + Debug> ToSql for Digits<T> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        let decimal = self.0.to_string();
        let count = decimal.len().div_ceil(GROUP);
        let padded = format!("{decimal:0>width$}", width = count * GROUP);
        let groups = padded.as_bytes().chunks(GROUP);
        let mut digits = groups
            .map(|group| str::from_utf8(group)?.parse::<i16>().map_err(BoxError::from))
            .collect::<Result<Vec<_>, _>>()?;
        while digits.last() == Some(&0) {
            digits.pop();
        }
        out.put_i16(i16::try_from(digits.len())?);
        out.put_i16(i16::try_from(count - 1)?);
        out.put_i16(0);
        out.put_i16(0);
        digits.into_iter().for_each(|digit| out.put_i16(digit));
        Ok(IsNull::No)
    }

    accepts!(NUMERIC);
    to_sql_checked!();
}

impl<'a, T: FromStr<Err: Error + Send + Sync + 'static>> FromSql<'a> for Digits<T> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        let words = raw
            .chunks(2)
            .map(|word| <[u8; 2]>::try_from(word).map(i16::from_be_bytes));
        let words = words.collect::<Result<Vec<_>, _>>()?;
        let [count, exponent, sign, scale, digits @ ..] = words.as_slice() else {
            return Err(WrongValue.into());
        };
        // At most 60 decimal digits, and neither negative, NaN, infinite nor with a fraction.
        let is_whole = (*sign, *scale) == (0, 0)
            && usize::try_from(*count)? == digits.len()
            && digits.iter().all(|digit| (0..10_000).contains(digit))
            && (0..15).contains(exponent)
            && digits.len() <= usize::try_from(*exponent)? + 1;
        if !is_whole {
            return Err(WrongValue.into());
        }
        let mut decimal: String = digits.iter().map(|digit| format!("{digit:0>4}")).collect();
        decimal.push_str(&"0".repeat((usize::try_from(*exponent)? + 1 - digits.len()) * GROUP));
        Ok(Self(decimal.parse()?))
    }

    accepts!(NUMERIC);
}

/// A counter or a block number.
#[derive(Debug)]
pub(super) struct Counter(pub(super) u64);

impl ToSql for Counter {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        out.put_i64(i64::try_from(self.0).map_err(|_| OutOfRange)?);
        Ok(IsNull::No)
    }

    accepts!(INT8);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Counter {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(Self(i64::from_sql(kind, raw)?.try_into()?))
    }

    accepts!(INT8);
}

/// The number of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct TransactionId(u64);

impl ToSql for TransactionId {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        out.put_u64(self.0);
        Ok(IsNull::No)
    }

    accepts!(XID8);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for TransactionId {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(Self(u64::from_be_bytes(raw.try_into()?)))
    }

    accepts!(XID8);
}

/// An address or a hash.
#[derive(Debug)]
pub(super) struct Bytes<T>(pub(super) T);

impl<T: AsRef<[u8]> + Debug> ToSql for Bytes<T> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        out.put_slice(self.0.as_ref());
        Ok(IsNull::No)
    }

    accepts!(BYTEA);
    to_sql_checked!();
}

impl<'a, T: TryFrom<&'a [u8], Error: Error + Send + Sync + 'static>> FromSql<'a> for Bytes<T> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(Self(T::try_from(raw)?))
    }

    accepts!(BYTEA);
}

/// The 65 bytes of a signature.
pub(super) struct SignatureBytes(pub(super) Signature);

impl<'a> FromSql<'a> for SignatureBytes {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(Self(Signature::from_bytes(raw)?))
    }

    accepts!(BYTEA);
}

/// The block that a channel was opened in.
struct OpenBlock(u32);

impl<'a> FromSql<'a> for OpenBlock {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(Self(i64::from_sql(kind, raw)?.try_into()?))
    }

    accepts!(INT8);
}

/// Reads the columns that name a channel.
pub(super) fn read_channel(row: &Row) -> Result<ChannelId, tokio_postgres::Error> {
    Ok(ChannelId {
        sender: row.try_get::<_, Bytes<_>>("sender")?.0,
        receiver: row.try_get::<_, Bytes<_>>("receiver")?.0,
        open_block: row.try_get::<_, OpenBlock>("open_block")?.0,
    })
}

/// Reads what may be null.
pub(super) fn optional<'a, T, V>(
    row: &'a Row,
    column: &str,
    value: impl Fn(T) -> V,
) -> Result<Option<V>, tokio_postgres::Error>
where
    T: FromSql<'a>,
{
    Ok(row.try_get::<_, Option<T>>(column)?.map(value))
}

/// One column's values for a statement that is about many rows at once.
pub(super) struct Column {
    values: Box<dyn ToSql + Sync + Send>,
    kind: Type,
}

impl Column {
    /// Takes a value of each row.
    pub(super) fn of<R, V>(rows: &[R], kind: Type, value: impl Fn(&R) -> V) -> Self
    where
        V: ToSql + Sync + Send + 'static,
    {
        Self {
            values: Box::new(rows.iter().map(value).collect::<Vec<_>>()),
            kind,
        }
    }

    /// For a statement that was prepared.
    pub(super) fn values(columns: &[Self]) -> Vec<&(dyn ToSql + Sync)> {
        columns.iter().map(|column| &*column.values as _).collect()
    }

    /// For a statement that was not.
    pub(super) fn typed(columns: &[Self]) -> Vec<(&(dyn ToSql + Sync), Type)> {
        columns
            .iter()
            .map(|column| (&*column.values as _, column.kind.clone()))
            .collect()
    }

    /// Their types.
    pub(super) fn kinds(columns: &[Self]) -> Vec<Type> {
        columns.iter().map(|column| column.kind.clone()).collect()
    }
}

/// The columns that name a channel.
pub(super) fn channel_columns<R>(rows: &[R], channel: impl Fn(&R) -> &ChannelId) -> Vec<Column> {
    vec![
        Column::of(rows, Type::BYTEA_ARRAY, |row| Bytes(channel(row).sender)),
        Column::of(rows, Type::BYTEA_ARRAY, |row| Bytes(channel(row).receiver)),
        Column::of(rows, Type::INT8_ARRAY, |row| i64::from(channel(row).open_block)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use microraiden_protocol::Amount;
    use proptest::prelude::*;

    fn written(amount: Amount) -> BytesMut {
        let mut bytes = BytesMut::new();
        Digits(amount).to_sql(&Type::NUMERIC, &mut bytes).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn every_amount_is_read_as_it_was_written(bytes: [u8; 24], shift in 0..192_u32) {
            let amount = Amount::new(Amount::from_be_bytes(bytes).base_units() >> shift);
            let read = Digits::<Amount>::from_sql(&Type::NUMERIC, &written(amount)).unwrap();
            prop_assert_eq!(read.0, amount);
        }
    }

    #[test]
    fn round_amounts_are_read_as_they_were_written() {
        for decimal in [
            "0",
            "1",
            "9999",
            "10000",
            "20000000",
            "100000001",
            "1000000000000000000000000",
        ] {
            let amount: Amount = decimal.parse().unwrap();
            let read = Digits::<Amount>::from_sql(&Type::NUMERIC, &written(amount)).unwrap();
            assert_eq!(read.0, amount);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        // Negative, NaN, a fraction, more digits than amounts have, and digits that are missing.
        for words in [
            vec![1_u16, 0, 0x4000, 0, 5],
            vec![0, 0, 0xc000, 0],
            vec![1, 0xffff, 0, 4, 5],
            vec![1, 15, 0, 0, 5],
            vec![2, 1, 0, 0, 5],
            vec![1, 0],
        ] {
            let raw: Vec<u8> = words.into_iter().flat_map(u16::to_be_bytes).collect();
            assert!(
                Digits::<Amount>::from_sql(&Type::NUMERIC, &raw).is_err(),
                "{raw:?}"
            );
        }
    }
}
