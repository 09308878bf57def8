//! What is written is read back, and reading is total.

use http::{HeaderMap, HeaderName, HeaderValue};
use microraiden_http::headers::{self, ALL};
use microraiden_http::{
    Challenge, Defect, Form, PaymentHeaders, Receipt, Seller, payment_headers, standing_headers,
};
use microraiden_protocol::ledger::{Payment, Standing};
use microraiden_protocol::{
    Address, Amount, Balance, BalanceProof, ChannelId, Price, ProofScheme, SecretKey, SignatureError,
};
use proptest::prelude::*;

fn key() -> SecretKey {
    SecretKey::from_bytes(&[0xa0; 32]).expect("a key")
}

fn proof(receiver: [u8; 20], open_block: u32, balance: [u8; 24]) -> BalanceProof {
    let channel = ChannelId {
        sender: key().address(),
        receiver: receiver.into(),
        open_block,
    };
    let contract = Address::repeat_byte(0xcc);
    ProofScheme::DraftTypedData { contract }.sign_balance_proof(
        &key(),
        channel,
        Balance::from_be_bytes(balance),
    )
}

fn paid() -> HeaderMap {
    let proof = proof(
        [0xbb; 20],
        7,
        *b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x09",
    );
    payment_headers(Address::repeat_byte(0xcc), &proof, None)
}

fn defect(headers: &HeaderMap) -> (HeaderName, Defect) {
    let error = PaymentHeaders::read(headers).expect_err("malformed");
    (error.header, error.defect)
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_bytes(text.as_bytes()).expect("a header value")
}

#[test]
fn without_a_signature_a_request_is_unpaid() {
    assert_eq!(PaymentHeaders::read(&HeaderMap::new()), Ok(None));
    let mut headers = paid();
    headers.insert(headers::BALANCE_SIGNATURE, value(""));
    assert_eq!(PaymentHeaders::read(&headers), Ok(None));
    headers.insert(headers::PAYMENT, value("five"));
    assert_eq!(defect(&headers).0, headers::PAYMENT);
}

#[test]
fn a_missing_header_is_named() {
    for name in [headers::SENDER_ADDRESS, headers::OPEN_BLOCK] {
        let mut headers = paid();
        headers.remove(&name);
        assert_eq!(defect(&headers), (name, Defect::Missing));
    }
    let mut headers = paid();
    headers.remove(headers::BALANCE);
    assert!(PaymentHeaders::read(&headers).unwrap().is_some());
    headers.remove(headers::SENDER_BALANCE);
    assert_eq!(defect(&headers), (headers::SENDER_BALANCE, Defect::Missing));
}

#[test]
fn the_two_names_of_the_balance_must_agree() {
    let mut headers = paid();
    headers.insert(headers::BALANCE, value("09"));
    assert!(PaymentHeaders::read(&headers).is_ok());
    headers.insert(headers::BALANCE, value("10"));
    assert_eq!(defect(&headers), (headers::SENDER_BALANCE, Defect::Contradiction));
}

#[test]
fn the_form_is_that_of_2018_only_without_both_headers() {
    let mut headers = paid();
    headers.remove(headers::SENDER_BALANCE);
    let read = |headers: &HeaderMap| PaymentHeaders::read(headers).unwrap().unwrap();
    assert_eq!(read(&headers).form, Form::Legacy);
    assert_eq!(read(&headers).payment, Payment::Increment);
    headers.insert(headers::PAYMENT, value("0"));
    assert_eq!(read(&headers).form, Form::Documented);
    assert_eq!(read(&headers).payment, Payment::Stated(Amount::ZERO));
    assert_eq!(read(&paid()).form, Form::Documented);
}

#[test]
fn a_signature_of_another_shape_is_not_malformed() {
    let mut headers = paid();
    for (text, error) in [
        ("0x12", SignatureError::Length(1)),
        ("signature", SignatureError::NotHex),
        ("é", SignatureError::NotHex),
    ] {
        headers.insert(headers::BALANCE_SIGNATURE, value(text));
        let read = PaymentHeaders::read(&headers).unwrap().unwrap();
        assert_eq!(read.signature, Err(error), "{text}");
    }
    headers.append(headers::BALANCE_SIGNATURE, value("other"));
    assert_eq!(defect(&headers), (headers::BALANCE_SIGNATURE, Defect::Repeated));
}

#[test]
fn headers_of_no_use_are_checked_too() {
    for name in [
        headers::CONTRACT_ADDRESS,
        headers::RECEIVER_ADDRESS,
        headers::PRICE,
    ] {
        let mut headers = paid();
        headers.insert(&name, value("-1"));
        assert_eq!(defect(&headers).0, name);
    }
}

fn amount() -> impl Strategy<Value = [u8; 24]> {
    // Small and large ones alike.
    (any::<[u8; 24]>(), 0..=24usize).prop_map(|(mut bytes, zeros)| {
        bytes[..zeros].fill(0);
        bytes
    })
}

proptest! {
    #[test]
    fn reading_never_panics(
        fields in prop::collection::vec((0..ALL.len(), prop::collection::vec(any::<u8>(), 0..150)), 0..24)
    ) {
        let mut headers = paid();
        for (name, bytes) in &fields {
            if let Ok(value) = HeaderValue::from_bytes(bytes) {
                headers.append(&ALL[*name], value);
            }
        }
        let _ = PaymentHeaders::read(&headers);
        let _ = Challenge::read(&headers);
        let _ = Receipt::read(&headers);
        // And with each as the only one, so that earlier errors do not hide later fields.
        for (name, bytes) in &fields {
            if let Ok(value) = HeaderValue::from_bytes(bytes) {
                let mut headers = paid();
                headers.insert(&ALL[*name], value);
                let _ = PaymentHeaders::read(&headers);
                let _ = Challenge::read(&headers);
                let _ = Receipt::read(&headers);
            }
        }
    }

    #[test]
    fn a_payment_is_read_as_written(
        receiver: [u8; 20], open_block: u32, balance in amount(), payment in prop::option::of(amount())
    ) {
        let proof = proof(receiver, open_block, balance);
        let payment = payment.map(Amount::from_be_bytes);
        let headers = payment_headers(Address::repeat_byte(0xcc), &proof, payment);
        let read = PaymentHeaders::read(&headers).unwrap().unwrap();
        prop_assert_eq!(read, PaymentHeaders {
            sender: key().address(),
            open_block,
            balance: proof.balance,
            signature: Ok(proof.signature),
            payment: payment.map_or(Payment::Increment, Payment::Stated),
            form: Form::Documented,
        });
    }

    #[test]
    fn a_challenge_is_read_as_written(
        addresses: [[u8; 20]; 3], price in amount(), balance in amount(), credit in amount(), refund in amount(),
        signed: bool,
    ) {
        let [receiver, contract, token] = addresses.map(Address::from);
        let gateway_path = HeaderValue::from_static("/api/1");
        let seller = Seller::new(gateway_path, receiver, contract, token);
        let price = Price::from_be_bytes(price);
        let mut headers = seller.challenge(price);
        let plain = Challenge::read(&headers).unwrap();
        let expected = Challenge {
            price,
            contract,
            receiver,
            token: Some(token),
            gateway_path: Some("/api/1".to_owned()),
            sender_balance: None,
            balance_signature: None,
            credit: Some(Amount::ZERO),
            refund: Amount::ZERO,
            flag: None,
            error: None,
        };
        prop_assert_eq!(&plain, &expected);

        let standing = Standing {
            balance: Balance::from_be_bytes(balance),
            signature: signed.then(|| proof(receiver.into(), 1, balance).signature),
            credit: Amount::from_be_bytes(credit),
            refund: Amount::from_be_bytes(refund),
        };
        headers.extend(standing_headers(key().address(), &standing));
        prop_assert_eq!(Challenge::read(&headers).unwrap(), Challenge {
            sender_balance: Some(standing.balance),
            balance_signature: standing.signature,
            credit: Some(standing.credit),
            refund: standing.refund,
            ..expected
        });
    }

    #[test]
    fn a_receipt_is_read_as_written(
        balance in amount(), cost in amount(), credit in amount(), refund in amount()
    ) {
        let receipt = Receipt {
            sender: key().address(),
            balance: Balance::from_be_bytes(balance),
            cost: Amount::from_be_bytes(cost),
            credit: Amount::from_be_bytes(credit),
            refund: Amount::from_be_bytes(refund),
        };
        prop_assert_eq!(Receipt::read(&receipt.headers()), Ok(Some(receipt)));
        prop_assert_eq!(Receipt::read(&HeaderMap::new()), Ok(None));
    }
}

/// A browser's request: the payment in cookies.
fn cookies(payment: &HeaderMap) -> HeaderMap {
    let pairs: Vec<String> = payment
        .iter()
        .map(|(name, value)| format!("{}={}", headers::documented(name), value.to_str().expect("ASCII")))
        .collect();
    HeaderMap::from_iter([(http::header::COOKIE, value(&pairs.join("; ")))])
}

#[test]
fn a_payment_comes_whole_from_headers_or_whole_from_cookies() {
    let by_headers = PaymentHeaders::read(&paid()).expect("well formed").expect("paid");
    let by_cookies = PaymentHeaders::read(&cookies(&paid()))
        .expect("well formed")
        .expect("paid");
    // A page of 2018 states no payment: what it is told is told as to a client of 2018.
    let legacy = PaymentHeaders {
        form: Form::Legacy,
        ..by_headers.clone()
    };
    assert_eq!(by_cookies, legacy);

    // Whole headers win over cookies, whatever those say.
    let mut both = paid();
    both.insert(
        http::header::COOKIE,
        value("RDN-Balance-Signature=x; RDN-Sender-Address=y; RDN-Open-Block=z; RDN-Sender-Balance=-1"),
    );
    assert_eq!(PaymentHeaders::read(&both), Ok(Some(by_headers)));

    // What is stated counts only with the proof beside it.
    let mut stated = cookies(&paid());
    stated.insert(headers::PAYMENT, value("9"));
    assert_eq!(PaymentHeaders::read(&stated), Ok(Some(by_cookies)));
    let mut whole = paid();
    whole.insert(headers::PAYMENT, value("9"));
    let stated = PaymentHeaders::read(&cookies(&whole))
        .expect("well formed")
        .expect("paid");
    assert_eq!(
        (stated.payment, stated.form),
        (Payment::Stated(Amount::from(9)), Form::Documented)
    );

    // Our own 402 sets some of these cookies; they alone pay nothing.
    let mut partial = paid();
    partial.remove(headers::OPEN_BLOCK);
    assert_eq!(PaymentHeaders::read(&cookies(&partial)), Ok(None));
    assert_eq!(defect(&partial), (headers::OPEN_BLOCK, Defect::Missing));
}

#[test]
fn parts_in_headers_and_cookies_must_not_contradict() {
    let mut mixed = cookies(&paid());
    mixed.insert(headers::SENDER_BALANCE, value("9"));
    mixed.insert(headers::SENDER_ADDRESS, paid()[headers::SENDER_ADDRESS].clone());
    assert!(matches!(PaymentHeaders::read(&mixed), Ok(Some(_))));
    for name in [headers::SENDER_BALANCE, headers::BALANCE, headers::OPEN_BLOCK] {
        let mut mixed = cookies(&paid());
        mixed.insert(&name, value("8"));
        assert_eq!(defect(&mixed), (name, Defect::CookieContradiction));
    }
    let mut malformed = paid();
    malformed.insert(headers::OPEN_BLOCK, value("seven"));
    let (name, _) = defect(&cookies(&malformed));
    assert_eq!(name, headers::OPEN_BLOCK);
}
