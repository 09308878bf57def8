//! How a refused payment is told: the one table from a refusal to its flag.

use crate::headers::{
    ERROR, INSUFFICIENT_CONFIRMATIONS, INVALID_AMOUNT, INVALID_BALANCE_PROOF, NONEXISTING_CHANNEL,
};
use crate::request::Form;
use crate::value::print;
use http::{HeaderMap, HeaderName, HeaderValue};
use microraiden_protocol::ledger::Refusal;

/// The error header of a 402. A 402 carries one at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flag {
    /// `RDN-Nonexisting-Channel`: open another channel, or wait until the opening is seen.
    NonexistingChannel,
    /// `RDN-Insufficient-Confirmations`: wait and repeat the same proof.
    InsufficientConfirmations,
    /// `RDN-Invalid-Balance-Proof`: this proof buys nothing here.
    InvalidBalanceProof,
    /// `RDN-Invalid-Amount`: what was paid is not the price.
    InvalidAmount,
}

impl Flag {
    /// Every flag, in the order in which the clients of 2018 look for them.
    pub const ALL: [Self; 4] = [
        Self::NonexistingChannel,
        Self::InsufficientConfirmations,
        Self::InvalidBalanceProof,
        Self::InvalidAmount,
    ];

    /// The header that is the flag; its value is the literal `1`.
    pub const fn header(self) -> HeaderName {
        match self {
            Self::NonexistingChannel => NONEXISTING_CHANNEL,
            Self::InsufficientConfirmations => INSUFFICIENT_CONFIRMATIONS,
            Self::InvalidBalanceProof => INVALID_BALANCE_PROOF,
            Self::InvalidAmount => INVALID_AMOUNT,
        }
    }
}

/// The flag that tells a refusal.
///
/// A decreasing balance is told to a client of 2018 as a wrong amount: it then adopts the balance
/// that we prove, while on a bad proof it would repeat the same one for ever.
pub const fn flag(refusal: Refusal, form: Form) -> Option<Flag> {
    match refusal {
        Refusal::UnknownChannel
        | Refusal::ClosingOnly
        | Refusal::ClosePromised
        | Refusal::Challenged
        | Refusal::Settled => Some(Flag::NonexistingChannel),
        Refusal::Unconfirmed | Refusal::TopUpUnconfirmed | Refusal::Impaired => {
            Some(Flag::InsufficientConfirmations)
        }
        Refusal::AboveDeposit | Refusal::InvalidSignature | Refusal::AlreadySpent => {
            Some(Flag::InvalidBalanceProof)
        }
        Refusal::BalanceQuery => None,
        Refusal::DecreasingBalance => match form {
            Form::Documented => Some(Flag::InvalidBalanceProof),
            Form::Legacy => Some(Flag::InvalidAmount),
        },
        Refusal::InvalidAmount | Refusal::NotCovered | Refusal::WindowExceeded => Some(Flag::InvalidAmount),
    }
}

/// The flag, if there is one, and `RDN-Error: code; sentence`.
pub fn refusal_headers(refusal: Refusal, form: Form) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([(ERROR, print(format_args!("{}; {refusal}", refusal.code())))]);
    if let Some(flag) = flag(refusal, form) {
        headers.insert(flag.header(), HeaderValue::from_static("1"));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_code_a_sentence_and_at_most_one_flag() {
        for refusal in Refusal::ALL {
            for form in [Form::Documented, Form::Legacy] {
                let headers = refusal_headers(refusal, form);
                let error = headers[ERROR].to_str().unwrap();
                assert_eq!(error, format!("{}; {refusal}", refusal.code()));
                let flags: Vec<_> = Flag::ALL
                    .into_iter()
                    .filter(|flag| headers.contains_key(flag.header()))
                    .collect();
                assert_eq!(flags, Vec::from_iter(flag(refusal, form)));
                assert!(flags.iter().all(|flag| headers[flag.header()] == "1"));
                assert_eq!(flags.is_empty(), refusal == Refusal::BalanceQuery);
            }
        }
    }

    #[test]
    fn only_a_decreasing_balance_is_told_by_form() {
        let differ = |refusal: &Refusal| flag(*refusal, Form::Documented) != flag(*refusal, Form::Legacy);
        let different: Vec<_> = Refusal::ALL.into_iter().filter(differ).collect();
        assert_eq!(different, [Refusal::DecreasingBalance]);
    }
}
