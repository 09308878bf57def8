//! What must hold for any bytes that a stranger sends: reading them never panics, and what was read
//! is read again when it is written.
//!
//! The fuzz targets call these functions, and so does `crates/http/tests/total.rs`.

use http::{HeaderMap, HeaderName, HeaderValue};
use microraiden_http::{Challenge, PaymentHeaders, Receipt, Seller, payment_headers, rest, standing_headers};
use microraiden_protocol::ledger::{Payment, Standing};
use microraiden_protocol::{Address, BalanceProof, ChannelId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Reads lines of `name: value`; those that no server would let through are left out.
pub fn headers(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            // More than a map holds are left out as well.
            let _ = headers.try_append(name, value);
        }
    }
    headers
}

/// The headers of a request, as the receiver reads them.
pub fn request(bytes: &[u8]) {
    let Ok(Some(read)) = PaymentHeaders::read(&headers(bytes)) else {
        return;
    };
    let Ok(signature) = read.signature else { return };
    let proof = BalanceProof {
        channel: ChannelId {
            sender: read.sender,
            receiver: Address::ZERO,
            open_block: read.open_block,
        },
        balance: read.balance,
        signature,
    };
    let payment = match read.payment {
        Payment::Stated(amount) => Some(amount),
        Payment::Increment => None,
    };
    let written = payment_headers(Address::ZERO, &proof, payment);
    let again = PaymentHeaders::read(&written);
    let again = again
        .expect("what was written is well-formed")
        .expect("and a payment");
    assert_eq!(
        again,
        PaymentHeaders {
            form: again.form,
            ..read
        }
    );
}

/// The headers of an answer, as the sender reads them.
pub fn challenge(bytes: &[u8]) {
    let headers = headers(bytes);
    if let Ok(Some(receipt)) = Receipt::read(&headers) {
        assert_eq!(Receipt::read(&receipt.headers()), Ok(Some(receipt)));
    }
    let Ok(read) = Challenge::read(&headers) else {
        return;
    };
    // It may be anything, and is looked at by every client.
    let _ = read.error_code();
    let path = read.gateway_path.as_deref().map(HeaderValue::from_str);
    let (Some(Ok(gateway_path)), Some(token), Some(balance), Some(credit)) =
        (path, read.token, read.sender_balance, read.credit)
    else {
        return;
    };
    let seller = Seller::new(gateway_path, read.receiver, read.contract, token);
    let standing = Standing {
        balance,
        signature: read.balance_signature,
        credit,
        refund: read.refund,
    };
    let mut written = seller.challenge(read.price);
    written.extend(standing_headers(Address::ZERO, &standing));
    let again = Challenge::read(&written).expect("what was written is well-formed");
    let expected = Challenge {
        flag: None,
        error: None,
        ..read
    };
    assert_eq!(again, expected);
}

/// The bodies of the REST interface, in both directions.
pub fn close(bytes: &[u8]) {
    body::<rest::CloseRequest>(bytes);
    body::<rest::CloseResponse>(bytes);
    body::<rest::ChannelSummary>(bytes);
    body::<Vec<rest::ChannelSummary>>(bytes);
    body::<rest::Stats>(bytes);
}

fn body<T: Serialize + DeserializeOwned + Debug + PartialEq>(bytes: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<T>(bytes) {
        let written = serde_json::to_vec(&read).expect("what was read can be written");
        let again = serde_json::from_slice::<T>(&written).expect("and be read again");
        assert_eq!(again, read);
    }
}
