//! Amounts as people write them: `0.002 TKN`, or base units as a plain number.

use crate::amount::Amount;

/// Why a text is not an amount of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Neither of both forms.
    #[error("{0:?} is not an amount; write base units (2000) or an amount with the symbol (0.002 {1})")]
    Form(String, String),
    /// Another token's symbol.
    #[error("{0:?} is not in this token; its symbol is {1}")]
    Symbol(String, String),
    /// More decimals than the token has.
    #[error("{0:?} is finer than the token's {1} decimals")]
    TooFine(String, u8),
}

/// Reads an amount: digits alone are base units, a number with the symbol is in whole tokens.
///
/// # Errors
/// When it is neither, has another symbol, or cannot be expressed by the token's decimals.
pub fn parse(text: &str, symbol: &str, decimals: u8) -> Result<Amount, AmountError> {
    let form = || AmountError::Form(text.to_owned(), symbol.to_owned());
    let trimmed = text.trim();
    let Some(split) = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.') else {
        return trimmed.parse().map_err(|_| form());
    };
    let (number, unit) = (&trimmed[..split], trimmed[split..].trim());
    if unit != symbol {
        return Err(AmountError::Symbol(text.to_owned(), symbol.to_owned()));
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || whole.is_empty() {
        return Err(form());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > usize::from(decimals) {
        return Err(AmountError::TooFine(text.to_owned(), decimals));
    }
    let zeros = "0".repeat(usize::from(decimals) - fraction.len());
    format!("{whole}{fraction}{zeros}").parse().map_err(|_| form())
}

/// Writes an amount in whole tokens with the symbol, exactly.
pub fn format(amount: impl Into<Amount>, symbol: &str, decimals: u8) -> String {
    let digits = amount.into().to_string();
    let decimals = usize::from(decimals);
    let padded = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, fraction) = padded.split_at(padded.len() - decimals);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{whole}{point}{fraction} {symbol}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, base_units) in [
            ("0.002 TKN", 2_000),
            ("0.002TKN", 2_000),
            ("1.50 TKN", 1_500_000),
            ("7 TKN", 7_000_000),
            ("2000", 2_000),
            (" 0 ", 0),
        ] {
            assert_eq!(parse(text, "TKN", 6), Ok(base_units.into()), "{text}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_mean() {
        for text in ["", "TKN", "1.5", ".5 TKN", "1.2.3 TKN", "-1 TKN", "1e3"] {
            assert!(parse(text, "TKN", 6).is_err(), "{text}");
        }
        let form = AmountError::Form("1.2.3 TKN".into(), "TKN".into());
        assert_eq!(parse("1.2.3 TKN", "TKN", 1), Err(form));
        assert_eq!(
            parse("1 RDN", "TKN", 6),
            Err(AmountError::Symbol("1 RDN".into(), "TKN".into()))
        );
        assert_eq!(
            parse("0.0000001 TKN", "TKN", 6),
            Err(AmountError::TooFine("0.0000001 TKN".into(), 6))
        );
    }

    #[test]
    fn writes_every_unit() {
        for (base_units, text) in [
            (0, "0 TKN"),
            (1, "0.000001 TKN"),
            (1_500_000, "1.5 TKN"),
            (12_000_000, "12 TKN"),
        ] {
            assert_eq!(format(Amount::from(base_units), "TKN", 6), text);
        }
        assert_eq!(format(Amount::from(5), "TKN", 0), "5 TKN");
    }
}
