//! A count and a time, as people write them: `10 per day`, `10/s`.

use std::num::NonZeroU32;

/// What is wrong with a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotACount {
    /// Not digits, the word `per` or a stroke, and a word.
    Unreadable,
    /// It is 0.
    Zero,
    /// It is beyond 32 bits.
    TooMany,
}

/// Reads the count, and the word for the time.
pub(crate) fn read(text: &str) -> Result<(NonZeroU32, &str), NotACount> {
    let parts = text
        .split_once('/')
        .map(|(count, time)| (count.trim(), time.trim()))
        .or_else(|| in_words(text));
    let (count, time) = parts.ok_or(NotACount::Unreadable)?;
    if time.is_empty() || !time.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(NotACount::Unreadable);
    }
    Ok((number(count)?, time))
}

/// Reads a count alone.
pub(crate) fn number(text: &str) -> Result<NonZeroU32, NotACount> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotACount::Unreadable);
    }
    let number: u32 = text.parse().map_err(|_| NotACount::TooMany)?;
    NonZeroU32::new(number).ok_or(NotACount::Zero)
}

fn in_words(text: &str) -> Option<(&str, &str)> {
    let mut words = text.split_whitespace();
    let (count, per, time) = (words.next()?, words.next()?, words.next()?);
    (per == "per" && words.next().is_none()).then_some((count, time))
}
