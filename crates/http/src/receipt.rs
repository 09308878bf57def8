//! The headers of an answer that was paid for.

use crate::checksum::print_address;
use crate::headers::{COST, CREDIT, REFUND, SENDER_ADDRESS, SENDER_BALANCE};
use crate::value::{MalformedHeader, address, amount, needed, print};
use http::HeaderMap;
use microraiden_protocol::{Address, Amount, Balance};

/// What an accepted payment came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Who paid.
    pub sender: Address,
    /// The balance after this payment.
    pub balance: Balance,
    /// What was really charged; nothing when the payment was released.
    pub cost: Amount,
    /// What the next payments can use up below the balance.
    pub credit: Amount,
    /// What counts at the close only.
    pub refund: Amount,
}

impl Receipt {
    /// The headers; those of the seller come beside.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([
            (SENDER_ADDRESS, print_address(self.sender)),
            (SENDER_BALANCE, print(self.balance)),
            (COST, print(self.cost)),
            (CREDIT, print(self.credit)),
        ]);
        if !self.refund.is_zero() {
            headers.insert(REFUND, print(self.refund));
        }
        headers
    }

    /// Reads an answer; `None` when it states no cost, as those of 2018 do not.
    ///
    /// # Errors
    /// When it states a cost, and another header of the receipt is missing or malformed.
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, MalformedHeader> {
        let Some(cost) = amount(headers, &COST)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            sender: needed(address(headers, &SENDER_ADDRESS)?, &SENDER_ADDRESS)?,
            balance: needed(amount(headers, &SENDER_BALANCE)?, &SENDER_BALANCE)?,
            cost,
            credit: needed(amount(headers, &CREDIT)?, &CREDIT)?,
            refund: amount(headers, &REFUND)?.unwrap_or_default(),
        }))
    }
}
