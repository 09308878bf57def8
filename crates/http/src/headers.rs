//! The names of all RDN-* headers.

use http::HeaderName;

macro_rules! names {
    ($($(#[$doc:meta])* $constant:ident = $name:literal;)*) => {
        $($(#[$doc])* pub const $constant: HeaderName = HeaderName::from_static($name);)*

        /// Every name that this crate reads or writes.
        pub static ALL: [HeaderName; 19] = [$($constant),*];
    };
}

names! {
    /// Path of the REST API, such as `/api/1`.
    GATEWAY_PATH = "rdn-gateway-path";
    /// Who is paid.
    RECEIVER_ADDRESS = "rdn-receiver-address";
    /// The channel contract.
    CONTRACT_ADDRESS = "rdn-contract-address";
    /// The token that is paid in.
    TOKEN_ADDRESS = "rdn-token-address";
    /// What the resource costs.
    PRICE = "rdn-price";
    /// Who pays.
    SENDER_ADDRESS = "rdn-sender-address";
    /// In a request, the cumulative balance after this payment; in an answer, the balance stored.
    SENDER_BALANCE = "rdn-sender-balance";
    /// The 2018 clients' name for the balance in a request.
    BALANCE = "rdn-balance";
    /// The sender's signature for the balance.
    BALANCE_SIGNATURE = "rdn-balance-signature";
    /// The block that opened the channel.
    OPEN_BLOCK = "rdn-open-block";
    /// What this request pays.
    PAYMENT = "rdn-payment";
    /// What was really charged.
    COST = "rdn-cost";
    /// What the next payments can use up below the balance.
    CREDIT = "rdn-credit";
    /// What counts in favour of the sender at the close only.
    REFUND = "rdn-refund";
    /// Why a payment was refused: `code; sentence`.
    ERROR = "rdn-error";
    /// Flag: not enough confirmations yet.
    INSUFFICIENT_CONFIRMATIONS = "rdn-insufficient-confirmations";
    /// Flag: the channel does not exist or is closed.
    NONEXISTING_CHANNEL = "rdn-nonexisting-channel";
    /// Flag: the balance proof is not accepted.
    INVALID_BALANCE_PROOF = "rdn-invalid-balance-proof";
    /// Flag: what was paid is not the price.
    INVALID_AMOUNT = "rdn-invalid-amount";
}

/// Whether a header belongs to the payment protocol, known or not; such headers are neither
/// forwarded upstream nor taken from there.
///
/// So do names with another sign in the place of a hyphen, as in `RDN_Price`: servers that speak CGI or
/// WSGI with what they serve do not tell them from ours.
pub fn is_payment_header(name: &HeaderName) -> bool {
    is_payment_name(name.as_str().as_bytes())
}

/// As [`is_payment_header`], for any name, in any case.
pub(crate) fn is_payment_name(name: &[u8]) -> bool {
    name.split_at_checked(3).is_some_and(|(start, rest)| {
        let parted = rest.first().is_some_and(|sign| !sign.is_ascii_alphanumeric());
        start.eq_ignore_ascii_case(b"rdn") && parted
    })
}

/// The name as the documentation writes it: `RDN-Open-Block`.
pub fn documented(name: &HeaderName) -> String {
    let words = name
        .as_str()
        .split('-')
        .map(|word| match word.split_at_checked(1) {
            Some(_) if word == "rdn" => "RDN".to_owned(),
            Some((first, rest)) => first.to_ascii_uppercase() + rest,
            None => String::new(),
        });
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_distinct_and_of_the_protocol() {
        let distinct: HashSet<_> = ALL.iter().collect();
        assert_eq!(distinct.len(), ALL.len());
        assert!(ALL.iter().all(is_payment_header));
        for ours in ["rdn-anything", "rdn_price", "rdn.price", "rdn-", "rdn~x"] {
            assert!(is_payment_header(&HeaderName::from_static(ours)), "{ours}");
        }
        for other in [
            "content-type",
            "rdn",
            "rdnprice",
            "rdn2-price",
            "x-rdn-price",
            "rd-n",
        ] {
            assert!(!is_payment_header(&HeaderName::from_static(other)), "{other}");
        }
    }

    #[test]
    fn names_print_as_documented() {
        assert_eq!(documented(&OPEN_BLOCK), "RDN-Open-Block");
        assert_eq!(documented(&INVALID_BALANCE_PROOF), "RDN-Invalid-Balance-Proof");
    }
}
