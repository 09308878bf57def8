//! What a paying request carries.

use crate::checksum::print_address;
use crate::cookies;
use crate::headers::{
    BALANCE, BALANCE_SIGNATURE, CONTRACT_ADDRESS, OPEN_BLOCK, PAYMENT, PRICE, RECEIVER_ADDRESS,
    SENDER_ADDRESS, SENDER_BALANCE,
};
use crate::value::{Defect, MalformedHeader, address, amount, bytes, decimal, needed, print};
use http::header::COOKIE;
use http::{HeaderMap, HeaderName};
use microraiden_protocol::ledger::Payment;
use microraiden_protocol::{Address, Amount, Balance, BalanceProof, Price, Signature, SignatureError};

/// Which habits a request follows; some refusals are told differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As the documentation has it: `RDN-Payment` or `RDN-Sender-Balance` is there.
    Documented,
    /// As the clients of 2018 did it: neither of the two.
    Legacy,
}

/// The payment that a request presents; nothing of it is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentHeaders {
    /// Who says to pay.
    pub sender: Address,
    /// The block that opened the channel.
    pub open_block: u32,
    /// The cumulative balance after this payment.
    pub balance: Balance,
    /// The signature, or why it cannot be one: not malformed, but refused as not the sender's.
    pub signature: Result<Signature, SignatureError>,
    /// What the request says that it pays.
    pub payment: Payment,
    /// The request's habits.
    pub form: Form,
}

impl PaymentHeaders {
    /// Reads a request; `None` when it presents no payment, that is no or an empty signature.
    ///
    /// A payment comes whole from the headers, or else whole from the cookies.
    ///
    /// # Errors
    /// When a payment header is malformed, contradicts another, or is missing beside the
    /// signature. Those of an unpaid request are checked as well.
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, MalformedHeader> {
        // Of no further use, but a client that gets them wrong should hear of it.
        address(headers, &CONTRACT_ADDRESS)?;
        address(headers, &RECEIVER_ADDRESS)?;
        amount::<Price>(headers, &PRICE)?;
        if !is_complete(headers) && headers.contains_key(COOKIE) {
            let cookies = cookies::payment(headers);
            if is_complete(&cookies) {
                check_agreement(headers, &cookies)?;
                // Scripts of 2018 write the balance by this name, and expect what the headers' other
                // name stands for.
                return Ok(Self::parse(&cookies)?.map(|payment| Self {
                    form: match payment.payment {
                        Payment::Stated(_) => Form::Documented,
                        Payment::Increment => Form::Legacy,
                    },
                    ..payment
                }));
            }
        }
        Self::parse(headers)
    }

    fn parse(headers: &HeaderMap) -> Result<Option<Self>, MalformedHeader> {
        let sender = address(headers, &SENDER_ADDRESS)?;
        let open_block = decimal(headers, &OPEN_BLOCK, 32)?;
        let payment = amount(headers, &PAYMENT)?;
        let sender_balance = amount(headers, &SENDER_BALANCE)?;
        let balance = amount(headers, &BALANCE)?;
        if sender_balance.is_some() && balance.is_some() && sender_balance != balance {
            return Err(Defect::Contradiction.of(&SENDER_BALANCE));
        }
        let signature = match bytes(headers, &BALANCE_SIGNATURE)? {
            None | Some([]) => return Ok(None),
            Some(bytes) => std::str::from_utf8(bytes)
                .map_err(|_| SignatureError::NotHex)
                .and_then(str::parse),
        };
        Ok(Some(Self {
            sender: needed(sender, &SENDER_ADDRESS)?,
            open_block: needed(open_block, &OPEN_BLOCK)?,
            balance: needed(sender_balance.or(balance), &SENDER_BALANCE)?,
            signature,
            payment: payment.map_or(Payment::Increment, Payment::Stated),
            form: match (payment, sender_balance) {
                (None, None) => Form::Legacy,
                _ => Form::Documented,
            },
        }))
    }
}

/// Whether everything that a payment needs is there.
fn is_complete(headers: &HeaderMap) -> bool {
    let has = |name: &HeaderName| headers.get(name).is_some_and(|value| !value.is_empty());
    has(&BALANCE_SIGNATURE)
        && has(&SENDER_ADDRESS)
        && has(&OPEN_BLOCK)
        && (has(&SENDER_BALANCE) || has(&BALANCE))
}

/// Makes sure that a part of a payment in the headers is no other than the whole in the cookies.
fn check_agreement(headers: &HeaderMap, cookies: &HeaderMap) -> Result<(), MalformedHeader> {
    let same = |name: &HeaderName, cookie: &HeaderName| match (bytes(headers, name)?, bytes(cookies, cookie)?)
    {
        (Some(header), Some(cookie)) if !header.is_empty() && !header.eq_ignore_ascii_case(cookie) => {
            Err(Defect::CookieContradiction.of(name))
        }
        _ => Ok(()),
    };
    for name in [SENDER_ADDRESS, OPEN_BLOCK, SENDER_BALANCE, BALANCE_SIGNATURE] {
        same(&name, &name)?;
    }
    same(&BALANCE, &SENDER_BALANCE)
}

/// Writes a payment. The balance goes by both of its names, so that receivers of 2018 find it;
/// they refuse any `payment`, so state one only to a receiver that has shown to know it.
pub fn payment_headers(contract: Address, proof: &BalanceProof, payment: Option<Amount>) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([
        (CONTRACT_ADDRESS, print_address(contract)),
        (RECEIVER_ADDRESS, print_address(proof.channel.receiver)),
        (SENDER_ADDRESS, print_address(proof.channel.sender)),
        (OPEN_BLOCK, print(proof.channel.open_block)),
        (BALANCE, print(proof.balance)),
        (SENDER_BALANCE, print(proof.balance)),
        (BALANCE_SIGNATURE, print(proof.signature)),
    ]);
    if let Some(payment) = payment {
        headers.insert(PAYMENT, print(payment));
    }
    headers
}
