//! Servers that lie: no lie costs more than the limits.

use crate::server::{Answer, Seen, Server};
use crate::stage::{PRICE, Stage, config};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use microraiden_http::{Flag, Seller, headers, refusal_headers};
use microraiden_protocol::ledger::Refusal;
use microraiden_protocol::{Address, Amount, Balance, SecretKey};
use microraiden_sender::{Closing, Denial, Session, SessionConfig, SessionError};

fn text(value: impl ToString) -> HeaderValue {
    value.to_string().parse().expect("a header value")
}

fn payment_required(headers: HeaderMap) -> Answer {
    Answer::Reply(StatusCode::PAYMENT_REQUIRED, headers)
}

/// A refusal that claims to have this balance with this signature.
fn claim(seller: &Seller, refusal: Refusal, balance: Balance, signature: impl ToString) -> Answer {
    let mut headers = seller.challenge(PRICE.into());
    headers.extend(refusal_headers(refusal, microraiden_http::Form::Documented));
    headers.insert(headers::SENDER_BALANCE, text(balance));
    headers.insert(headers::BALANCE_SIGNATURE, text(signature));
    payment_required(headers)
}

fn signed(server: &Server) -> Vec<Balance> {
    let payments = server.payments();
    payments.iter().map(|payment| payment.balance).collect()
}

async fn fails(session: &Session, server: &Server) -> SessionError {
    session.get(&server.url).await.expect_err("a lie")
}

#[tokio::test]
async fn a_price_above_the_limit_is_not_signed() {
    let stage = Stage::new().await;
    let seller = stage.seller();
    let server = Server::start(move |_| payment_required(seller.challenge(11.into()))).await;
    let session = stage.session();
    let error = fails(&session, &server).await;
    assert!(matches!(error, SessionError::PriceTooHigh { .. }), "{error}");
    assert_eq!(signed(&server), []);
    assert_eq!(stage.open_channels().await, 0);
}

#[tokio::test]
async fn a_creeping_price_ends_at_the_limit() {
    let stage = Stage::new().await;
    let seller = stage.seller();
    let server = Server::start(move |seen| {
        let price = PRICE + u64::try_from(seen.number).expect("a small number");
        let mut headers = seller.challenge(price.into());
        headers.insert(Flag::InvalidAmount.header(), text(1));
        payment_required(headers)
    })
    .await;
    let session = stage.session_with(SessionConfig {
        max_retries: 50,
        ..config()
    });
    let error = fails(&session, &server).await;
    assert!(matches!(error, SessionError::PriceTooHigh { .. }), "{error}");
    assert!(session.spent() <= Amount::from(10), "{}", session.spent());
}

#[tokio::test]
async fn endless_402s_are_left_after_one_payment() {
    let stage = Stage::new().await;
    for refusal in [
        None,
        Some(Refusal::AlreadySpent),
        Some(Refusal::InvalidAmount),
        Some(Refusal::NotCovered),
        Some(Refusal::InvalidSignature),
        Some(Refusal::DecreasingBalance),
    ] {
        let seller = stage.seller();
        let server = Server::start(move |_| {
            let mut headers = seller.challenge(PRICE.into());
            if let Some(refusal) = refusal {
                headers.extend(refusal_headers(refusal, microraiden_http::Form::Documented));
            }
            payment_required(headers)
        })
        .await;
        let session = stage.session();
        let error = fails(&session, &server).await;
        assert!(
            matches!(error, SessionError::Refused { .. }),
            "{refusal:?} {error}"
        );
        assert!(session.spent() <= Amount::from(PRICE), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_server_that_always_loses_the_answer_costs_twice_the_limit_at_most() {
    let stage = Stage::new().await;
    let seller = stage.seller();
    // Every proof is met first with silence, then with "used before".
    let server = Server::start(move |seen| match (&seen.payment, seen.number % 2) {
        (None, _) => payment_required(seller.challenge(PRICE.into())),
        (Some(_), 1) => Answer::Reply(StatusCode::SERVICE_UNAVAILABLE, HeaderMap::new()),
        (Some(payment), _) => {
            let signature = payment.signature.expect("a signature");
            claim(&seller, Refusal::AlreadySpent, payment.balance, signature)
        }
    })
    .await;
    let session = stage.session_with(SessionConfig {
        max_retries: 100,
        ..config()
    });
    let error = fails(&session, &server).await;
    assert!(matches!(error, SessionError::Refusals { .. }), "{error}");
    assert!(session.spent() <= Amount::from(20), "{}", session.spent());
}

#[tokio::test]
async fn another_contract_or_receiver_is_not_paid() {
    let stage = Stage::new().await;
    let seller = stage.seller_with(stage.receiver.address(), Address::repeat_byte(1));
    let server = Server::start(move |_| payment_required(seller.challenge(PRICE.into()))).await;
    let error = fails(&stage.session(), &server).await;
    assert!(matches!(error, SessionError::ForeignContract { .. }), "{error}");

    let seller = stage.seller();
    let server = Server::start(move |_| payment_required(seller.challenge(PRICE.into()))).await;
    let session = stage.session_with(SessionConfig {
        receiver: Some(Address::repeat_byte(2)),
        ..config()
    });
    let error = fails(&session, &server).await;
    assert!(matches!(error, SessionError::ForeignReceiver { .. }), "{error}");
    assert_eq!(stage.open_channels().await, 0);
}

#[tokio::test]
async fn the_receiver_cannot_be_changed_later() {
    let stage = Stage::new().await;
    let (first, second) = (
        stage.seller(),
        stage.seller_with(Address::repeat_byte(2), stage.contract.address()),
    );
    let server = Server::start(move |seen| {
        let seller = if seen.number == 0 { &first } else { &second };
        payment_required(seller.challenge(PRICE.into()))
    })
    .await;
    let session = stage.session();
    let error = fails(&session, &server).await;
    assert!(matches!(error, SessionError::ForeignReceiver { .. }), "{error}");
    assert_eq!(signed(&server), [Balance::from(PRICE)]);
    let error = fails(&session, &server).await;
    assert!(matches!(error, SessionError::ForeignReceiver { .. }), "{error}");
    assert_eq!(stage.open_channels().await, 1);
}

#[tokio::test]
async fn a_forged_balance_is_not_adopted() {
    let stage = Stage::new().await;
    let seller = stage.seller();
    let server = Server::start(move |seen| match &seen.payment {
        None => payment_required(seller.challenge(PRICE.into())),
        Some(_) => {
            let forged = SecretKey::from_bytes(&[7; 32])
                .expect("a key")
                .sign(Default::default());
            claim(&seller, Refusal::InvalidAmount, 40.into(), forged)
        }
    })
    .await;
    let session = stage.session();
    let error = fails(&session, &server).await;
    assert!(matches!(error, SessionError::Refused { .. }), "{error}");
    assert_eq!(signed(&server), [Balance::from(PRICE)]);

    // A sender that does not know its balance signs nothing on such a claim.
    let session = Session::new(stage.restarted_client(), config()).expect("a session");
    let error = fails(&session, &server).await;
    assert!(matches!(error, SessionError::Unproven { .. }), "{error}");
    assert_eq!(signed(&server), [Balance::from(PRICE), Balance::ZERO]);
}

#[tokio::test]
async fn a_payment_that_is_kept_and_refused_is_not_made_twice() {
    let stage = Stage::new().await;
    let seller = stage.seller();
    let server = Server::start(move |seen| match &seen.payment {
        None => payment_required(seller.challenge(PRICE.into())),
        Some(payment) => {
            let signature = payment.signature.expect("a signature");
            claim(&seller, Refusal::InvalidAmount, payment.balance, signature)
        }
    })
    .await;
    let session = stage.session();
    let error = fails(&session, &server).await;
    assert!(matches!(error, SessionError::Kept(_)), "{error}");
    assert_eq!(session.spent(), Amount::from(PRICE));
}

#[tokio::test]
async fn a_channel_that_is_never_accepted_is_waited_for_once() {
    let stage = Stage::new().await;
    let check = async |flag: Flag| {
        let seller = stage.seller();
        let server = Server::start(move |_| {
            let mut headers = seller.challenge(PRICE.into());
            headers.insert(flag.header(), text(1));
            payment_required(headers)
        })
        .await;
        let session = stage.session();
        let error = fails(&session, &server).await;
        assert!(session.spent() <= Amount::from(PRICE), "{flag:?}");
        let first = signed(&server)[0];
        assert!(
            signed(&server).iter().all(|balance| *balance == first),
            "{flag:?}"
        );
        error
    };
    let error = check(Flag::InsufficientConfirmations).await;
    assert!(matches!(error, SessionError::NotConfirmed { .. }), "{error}");
    assert_eq!(stage.open_channels().await, 1);
    // The same client meets the channel again: still no other is opened.
    let error = check(Flag::NonexistingChannel).await;
    assert!(matches!(error, SessionError::Refused { .. }), "{error}");
    assert_eq!(stage.open_channels().await, 1);
}

#[tokio::test]
async fn a_proof_does_not_follow_a_redirect() {
    let stage = Stage::new().await;
    let seller = stage.seller();
    let thief = Server::start(move |_| payment_required(seller.challenge(PRICE.into()))).await;
    let (seller, target) = (stage.seller(), text(&thief.url));
    let server = Server::start(move |seen: &Seen| match &seen.payment {
        None => payment_required(seller.challenge(PRICE.into())),
        Some(_) => {
            let location = HeaderMap::from_iter([(header::LOCATION, target.clone())]);
            Answer::Reply(StatusCode::TEMPORARY_REDIRECT, location)
        }
    })
    .await;
    let paid = stage.session().get(&server.url).await.expect("a redirect");
    assert_eq!(paid.response.status(), StatusCode::TEMPORARY_REDIRECT);
    assert!(thief.seen().is_empty());
}

#[tokio::test]
async fn two_hosts_with_one_receiver_get_channels_of_their_own() {
    let stage = Stage::new().await;
    let session = stage.session();
    for _ in 0..2 {
        let seller = stage.seller();
        let server = Server::start(move |_| payment_required(seller.challenge(PRICE.into()))).await;
        fails(&session, &server).await;
        assert_eq!(signed(&server), [Balance::from(PRICE)]);
    }
    assert_eq!(stage.open_channels().await, 2);
}

#[tokio::test]
async fn a_close_without_a_right_signature_goes_to_the_contract() {
    let stage = Stage::new().await;
    for answer in ["{}", "no", r#"{"close_signature": "0x00"}"#] {
        let seller = stage.seller();
        let server = Server::start(move |seen| match (&seen.payment, seen.method.as_str()) {
            (_, "DELETE") => Answer::Say(StatusCode::OK, answer.to_owned()),
            (None, _) => payment_required(seller.challenge(PRICE.into())),
            (Some(payment), _) => {
                let receipt = microraiden_http::Receipt {
                    sender: payment.sender,
                    balance: payment.balance,
                    cost: PRICE.into(),
                    credit: Amount::ZERO,
                    refund: Amount::ZERO,
                };
                Answer::Reply(StatusCode::OK, receipt.headers())
            }
        })
        .await;
        let session = stage.session();
        session.get(&server.url).await.expect("paid");
        let closed = session.close().await.expect("closed");
        let denial = Denial::Signature;
        assert_eq!(closed[0].closing, Closing::Uncooperative { denial }, "{answer}");
        assert_eq!(closed[0].balance, PRICE.into());
        let on_chain = stage
            .contract
            .channel_info(&closed[0].channel)
            .await
            .expect("the node");
        assert_eq!(on_chain.expect("not settled").closing_balance, PRICE.into());
    }
}
