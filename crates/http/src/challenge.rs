//! The headers of a 402: what is asked for, by whom, and what the receiver knows of the sender.

use crate::checksum::print_address;
use crate::headers::{
    BALANCE_SIGNATURE, CONTRACT_ADDRESS, CREDIT, ERROR, GATEWAY_PATH, PRICE, RECEIVER_ADDRESS, REFUND,
    SENDER_ADDRESS, SENDER_BALANCE, TOKEN_ADDRESS,
};
use crate::refusal::Flag;
use crate::value::{MalformedHeader, address, amount, bytes, needed, print, text};
use http::{HeaderMap, HeaderValue};
use microraiden_protocol::ledger::Standing;
use microraiden_protocol::{Address, Amount, Balance, Price, Signature};

/// Who sells, and how it is paid: the same in every answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seller {
    /// Who is paid.
    pub receiver: Address,
    /// The channel contract.
    pub contract: Address,
    /// The token that is paid in.
    pub token: Address,
    /// All base headers but the price; checksums take time, so they are printed once.
    base: HeaderMap,
}

impl Seller {
    /// `gateway_path` is the path of the REST API on this host, such as `/api/1`.
    pub fn new(gateway_path: HeaderValue, receiver: Address, contract: Address, token: Address) -> Self {
        let base = HeaderMap::from_iter([
            (GATEWAY_PATH, gateway_path),
            (RECEIVER_ADDRESS, print_address(receiver)),
            (CONTRACT_ADDRESS, print_address(contract)),
            (TOKEN_ADDRESS, print_address(token)),
        ]);
        Self {
            receiver,
            contract,
            token,
            base,
        }
    }

    /// The five base headers of every 402 and of every paid answer.
    pub fn headers(&self, price: Price) -> HeaderMap {
        let mut headers = self.base.clone();
        headers.insert(PRICE, print(price));
        headers
    }

    /// The headers of a 402 that tells nothing of any account: the base and `RDN-Credit: 0`,
    /// which shows that `RDN-Payment` is understood here.
    pub fn challenge(&self, price: Price) -> HeaderMap {
        let mut headers = self.headers(price);
        headers.insert(CREDIT, print(Amount::ZERO));
        headers
    }
}

/// What a sender that proved itself is told of its account, beside the base headers.
pub fn standing_headers(sender: Address, standing: &Standing) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([
        (SENDER_ADDRESS, print_address(sender)),
        (SENDER_BALANCE, print(standing.balance)),
        (CREDIT, print(standing.credit)),
    ]);
    if let Some(signature) = standing.signature {
        headers.insert(BALANCE_SIGNATURE, print(signature));
    }
    if !standing.refund.is_zero() {
        headers.insert(REFUND, print(standing.refund));
    }
    headers
}

/// What a 402 says; nothing of it is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// What the resource costs.
    pub price: Price,
    /// The channel contract to pay through.
    pub contract: Address,
    /// Who is paid.
    pub receiver: Address,
    /// The token, if it is told.
    pub token: Option<Address>,
    /// Path of the REST API on this host, if it is told.
    pub gateway_path: Option<String>,
    /// The balance that the receiver says to have, if it is told.
    pub sender_balance: Option<Balance>,
    /// The sender's signature for that balance. One in a wrong shape proves nothing and is left out.
    pub balance_signature: Option<Signature>,
    /// What can be used up below the balance; `None` from a receiver of 2018, which refuses
    /// `RDN-Payment`.
    pub credit: Option<Amount>,
    /// What counts at the close only.
    pub refund: Amount,
    /// Why a payment was refused, for programs.
    pub flag: Option<Flag>,
    /// Why a payment was refused: `code; sentence`.
    pub error: Option<String>,
}

impl Challenge {
    /// Reads the headers of a 402.
    ///
    /// # Errors
    /// When price, contract or receiver is missing, or a header is malformed.
    pub fn read(headers: &HeaderMap) -> Result<Self, MalformedHeader> {
        let signature = bytes(headers, &BALANCE_SIGNATURE)?.and_then(|bytes| std::str::from_utf8(bytes).ok());
        Ok(Self {
            price: needed(amount(headers, &PRICE)?, &PRICE)?,
            contract: needed(address(headers, &CONTRACT_ADDRESS)?, &CONTRACT_ADDRESS)?,
            receiver: needed(address(headers, &RECEIVER_ADDRESS)?, &RECEIVER_ADDRESS)?,
            token: address(headers, &TOKEN_ADDRESS)?,
            gateway_path: text(headers, &GATEWAY_PATH)?.map(str::to_owned),
            sender_balance: amount(headers, &SENDER_BALANCE)?,
            balance_signature: signature.and_then(|text| text.parse().ok()),
            credit: amount(headers, &CREDIT)?,
            refund: amount(headers, &REFUND)?.unwrap_or_default(),
            flag: Flag::ALL
                .into_iter()
                .find(|flag| headers.contains_key(flag.header())),
            error: text(headers, &ERROR)?.map(str::to_owned),
        })
    }

    /// The code in `RDN-Error`, such as `already-spent`.
    pub fn error_code(&self) -> Option<&str> {
        self.error.as_deref()?.split(';').next().map(str::trim)
    }
}
