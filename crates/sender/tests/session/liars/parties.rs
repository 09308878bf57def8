//! Lies about who is paid, where, and through which contract.

use super::{asks, balances, fails, payment_required, served, signed, text};
use crate::server::{Answer, Seen, Server};
use crate::stage::{PRICE, Stage, config};
use http::{HeaderMap, StatusCode, header};
use microraiden_http::headers;
use microraiden_protocol::{Address, Balance};
use microraiden_sender::{SessionConfig, SessionError};

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
async fn the_contract_cannot_be_changed_later() {
    let stage = Stage::new().await;
    let elsewhere = stage.seller_with(stage.receiver.address(), Address::repeat_byte(3));
    let server = asks(stage.seller(), move |_, _| {
        payment_required(elsewhere.challenge(PRICE.into()))
    })
    .await;
    let session = stage.session();
    let error = fails(&session, &server).await;
    assert!(matches!(error, SessionError::ForeignContract { .. }), "{error}");
    assert_eq!(signed(&server), balances(&[PRICE]));
}

#[tokio::test]
async fn the_token_is_that_of_the_contract() {
    let stage = Stage::new().await;
    let seller = stage.seller();
    let server = Server::start(move |seen| match &seen.payment {
        None => {
            let mut headers = seller.challenge(PRICE.into());
            headers.insert(headers::TOKEN_ADDRESS, text(Address::repeat_byte(4)));
            payment_required(headers)
        }
        Some(payment) => served(payment),
    })
    .await;
    let session = stage.session();
    session.get(&server.url).await.expect("paid as ever");
    let held = stage.contract.token_balance(stage.contract.address()).await;
    assert_eq!(held.expect("the node"), (10 * PRICE).into());
}

#[tokio::test]
async fn a_close_is_asked_for_where_it_was_paid() {
    let stage = Stage::new().await;
    let thief = Server::start(|_| Answer::Silence).await;
    let host = thief.url.strip_prefix("http://").expect("a URL").to_owned();
    for gateway in [
        thief.url.clone(),
        format!("//{host}/"),
        format!("@{host}"),
        format!("/../..//{host}/"),
    ] {
        let (seller, gateway) = (stage.seller(), text(gateway));
        let server = Server::start(move |seen| match (&seen.payment, seen.method.as_str()) {
            (_, "DELETE") => Answer::Say(StatusCode::BAD_REQUEST, String::new()),
            (None, _) => {
                let mut headers = seller.challenge(PRICE.into());
                headers.insert(headers::GATEWAY_PATH, gateway.clone());
                payment_required(headers)
            }
            (Some(payment), _) => served(payment),
        })
        .await;
        let session = stage.session();
        session.get(&server.url).await.expect("paid");
        session.close().await.expect("closed");
        assert_eq!(server.seen().last().expect("seen").method, "DELETE");
    }
    assert!(thief.seen().is_empty());
}
