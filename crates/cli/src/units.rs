//! Amounts of a token as they are shown and read.

use microraiden_chain::TokenInfo;
use microraiden_protocol::Amount;
use microraiden_protocol::denomination::{self, AmountError};
use serde_json::{Value, json};

/// How the amounts of a token are written: with its symbol, or in base units when asked for.
#[derive(Debug)]
pub(crate) struct Units {
    token: TokenInfo,
    base_units: bool,
}

impl Units {
    pub(crate) fn new(token: TokenInfo, base_units: bool) -> Self {
        Self { token, base_units }
    }

    /// Reads base units, or an amount with the token's symbol.
    ///
    /// # Errors
    /// When it is neither.
    pub(crate) fn read(&self, text: &str) -> Result<Amount, AmountError> {
        denomination::parse(text, &self.token.symbol, self.token.decimals)
    }

    /// The amount for a person.
    pub(crate) fn show(&self, amount: impl Into<Amount>) -> String {
        let amount = amount.into();
        match self.base_units {
            true => amount.to_string(),
            false => denomination::format(amount, &self.token.symbol, self.token.decimals),
        }
    }

    /// What a program must know to show amounts, which it gets in base units.
    pub(crate) fn json(&self) -> Value {
        let TokenInfo {
            address,
            symbol,
            decimals,
            ..
        } = &self.token;
        json!({ "address": address.to_string(), "symbol": symbol, "decimals": decimals })
    }
}
