//! Lies about channels: that one is not there, and what it may be closed at.

use super::raw::{self, Raw};
use super::{asks, fails, payment_required, served, signed, text};
use crate::server::{Answer, Server};
use crate::stage::{PRICE, Stage, config};
use http::StatusCode;
use microraiden_http::Flag;
use microraiden_http::rest::CloseRequest;
use microraiden_protocol::{Amount, ChannelId};
use microraiden_sender::{Closing, Denial, SessionConfig, SessionError};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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

#[tokio::test]
async fn a_closing_signature_at_another_balance_is_not_used() {
    let stage = Stage::new().await;
    for (closing, denied) in [
        (PRICE - 1, true),
        (PRICE + 1, true),
        (2 * PRICE, true),
        (PRICE, false),
    ] {
        let (scheme, key) = (stage.contract.scheme(), stage.receiver.clone());
        let sender = stage.client.address();
        let seller = stage.seller();
        let server = Server::start(move |seen| match (&seen.payment, seen.method.as_str()) {
            (_, "DELETE") => {
                let request: CloseRequest = serde_json::from_slice(&seen.body).expect("a close");
                assert_eq!(request.balance, PRICE.into());
                let block = seen.path.rsplit('/').next().expect("a block");
                let channel = ChannelId {
                    sender,
                    receiver: key.address(),
                    open_block: block.parse().expect("a number"),
                };
                let signature = scheme.sign_closing(&key, &channel, closing.into());
                Answer::Say(StatusCode::OK, format!(r#"{{"close_signature": "{signature}"}}"#))
            }
            (None, _) => payment_required(seller.challenge(PRICE.into())),
            (Some(payment), _) => served(payment),
        })
        .await;
        let session = stage.session();
        session.get(&server.url).await.expect("paid");
        let closed = session.close().await.expect("closed");
        assert_eq!(closed[0].balance, PRICE.into());
        let denial = Denial::Signature;
        let expected = if denied {
            Closing::Uncooperative { denial }
        } else {
            Closing::Cooperative
        };
        assert_eq!(closed[0].closing, expected, "{closing}");
    }
}

/// Each channel costs gas, and locks its deposit until a close.
#[tokio::test]
async fn a_server_that_forgets_channels_gets_few() {
    let stage = Stage::new().await;
    let (seller, last) = (stage.seller(), AtomicU64::new(0));
    // Serves once on each channel, and does not know it the next time.
    let server = asks(stage.seller(), move |_, payment| {
        let block = u64::from(payment.open_block);
        if last.swap(block, Ordering::SeqCst) == block {
            let mut headers = seller.challenge(PRICE.into());
            headers.insert(Flag::NonexistingChannel.header(), text(1));
            payment_required(headers)
        } else {
            served(payment)
        }
    })
    .await;
    let session = stage.session_with(SessionConfig {
        confirmation_timeout: Duration::ZERO,
        ..config()
    });
    for _ in 0..20 {
        // Some fail, once it is enough.
        let _ = session.get(&server.url).await;
    }
    assert!(
        stage.open_channels().await <= 3,
        "{}",
        stage.open_channels().await
    );
    session.close().await.expect("closed");
    assert_eq!(
        stage.open_channels().await,
        0,
        "those that were left are closed as well"
    );
}

#[tokio::test]
async fn an_answer_to_a_close_that_drips_is_left() {
    let stage = Stage::new().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n";
    let server = Raw::closing(&stage, move |stream| raw::drip(stream, head, " ".to_owned())).await;
    let session = stage.session_with(SessionConfig {
        max_retries: 0,
        ..config()
    });
    session.get(&server.url).await.expect("paid");
    let closing = tokio::time::timeout(Duration::from_secs(10), session.close()).await;
    let closed = closing.expect("in time").expect("closed");
    assert!(matches!(closed[0].closing, Closing::Uncooperative { .. }));
    assert_eq!(session.spent(), Amount::from(PRICE));
}
