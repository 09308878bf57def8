//! Lies about what a request costs.

use super::{asks, fails, payment_required, served, signed, text};
use crate::server::{Answer, Server};
use crate::stage::{PRICE, Stage, config};
use http::{HeaderMap, StatusCode};
use microraiden_http::{Flag, headers, refusal_headers};
use microraiden_protocol::ledger::Refusal;
use microraiden_protocol::{Amount, Balance};
use microraiden_sender::{SessionConfig, SessionError};

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
async fn a_price_that_is_raised_later_is_met_by_the_limit() {
    let stage = Stage::new().await;
    for (later, costs) in [(10, Some(10)), (11, None)] {
        let seller = stage.seller();
        let server = asks(stage.seller(), move |seen, payment| {
            if seen.number == 1 || (seen.number == 3 && later == 10) {
                return served(payment);
            }
            let mut headers = seller.challenge(later.into());
            headers.extend(refusal_headers(
                Refusal::InvalidAmount,
                microraiden_http::Form::Documented,
            ));
            payment_required(headers)
        })
        .await;
        let session = stage.session();
        session.get(&server.url).await.expect("paid at first");
        match costs {
            // The receipt charges the old price, which is the receiver's own affair.
            Some(most) => {
                let paid = session.get(&server.url).await.expect("within the limit");
                assert!(paid.cost <= Amount::from(most));
                assert_eq!(session.spent(), Amount::from(PRICE + most));
            }
            None => {
                let error = fails(&session, &server).await;
                assert!(matches!(error, SessionError::PriceTooHigh { .. }), "{error}");
                assert_eq!(session.spent(), Amount::from(2 * PRICE));
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_price_is_not_paid() {
    let stage = Stage::new().await;
    let huge = "9".repeat(100);
    let most = "6277101735386680763835789423207666416102355444464034512895";
    for price in ["0", "-5", "", "5.0", "0x5", "five", " ", "5,5", most, &huge] {
        let (seller, price) = (stage.seller(), text(price));
        let server = Server::start(move |_| {
            let mut headers = seller.challenge(PRICE.into());
            headers.insert(headers::PRICE, price.clone());
            payment_required(headers)
        })
        .await;
        fails(&stage.session(), &server).await;
        assert_eq!(signed(&server), []);
    }
    let seller = stage.seller();
    let server = Server::start(move |_| {
        let mut headers = seller.challenge(PRICE.into());
        headers.remove(headers::PRICE);
        payment_required(headers)
    })
    .await;
    let error = fails(&stage.session(), &server).await;
    assert!(matches!(error, SessionError::Challenge(_)), "{error}");
    assert_eq!(stage.open_channels().await, 0);
}

/// Each round signs a high balance, goes back to a low price for which the answer is lost, and then
/// shows the high balance as if it had been reached.
#[tokio::test]
async fn a_swinging_price_and_lost_answers_cost_twice_the_limit_at_most() {
    let stage = Stage::new().await;
    let seller = stage.seller();
    let scheme = stage.contract.scheme();
    let key = stage.sender_key();
    let receiver = stage.receiver.address();
    let server = Server::start(move |seen| {
        let Some(payment) = &seen.payment else {
            return payment_required(seller.challenge(10.into()));
        };
        let channel = microraiden_protocol::ChannelId {
            sender: payment.sender,
            receiver,
            open_block: payment.open_block,
        };
        // It has been sent the proof that it shows: the key only saves keeping it.
        let show = |balance: Balance, price: u64, refusal| {
            let proof = scheme.sign_balance_proof(&key, channel, balance);
            let mut headers = seller.challenge(price.into());
            headers.extend(refusal_headers(refusal, microraiden_http::Form::Documented));
            headers.insert(headers::SENDER_BALANCE, text(balance));
            if !balance.is_zero() {
                headers.insert(headers::BALANCE_SIGNATURE, text(proof.signature));
            }
            payment_required(headers)
        };
        let ten = Amount::from(10);
        match (seen.number - 1) % 3 {
            0 => {
                let base = payment.balance.checked_sub(ten).unwrap_or_default();
                show(base, 1, Refusal::InvalidAmount)
            }
            1 => Answer::Reply(StatusCode::SERVICE_UNAVAILABLE, HeaderMap::new()),
            _ => {
                let one = Amount::from(1);
                let base = payment.balance.checked_sub(one).unwrap_or_default();
                show(base.checked_add(ten).expect("small"), 10, Refusal::AlreadySpent)
            }
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
