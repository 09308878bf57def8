//! Paying an honest receiver, whatever gets lost on the way.

use crate::receiver::{Fault, Receiver};
use crate::stage::{PRICE, Stage, config};
use http::StatusCode;
use microraiden_protocol::ledger::Payment;
use microraiden_protocol::{Amount, Balance};
use microraiden_sender::{Action, Closing, Funding, Quote, Session, SessionConfig, SessionError};
use std::sync::Arc;
use std::time::Duration;

fn balances(receiver: &Receiver) -> Vec<Balance> {
    let payments = receiver.server.payments();
    payments.iter().map(|payment| payment.balance).collect()
}

fn units(numbers: &[u64]) -> Vec<Balance> {
    numbers.iter().map(|number| Balance::from(*number)).collect()
}

#[tokio::test]
async fn five_requests_on_one_channel_and_a_close() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |_| Fault::None).await;
    let session = stage.session();
    for _ in 0..5 {
        let paid = session.get(receiver.url()).await.unwrap();
        assert_eq!(paid.response.status(), StatusCode::OK);
        assert_eq!((paid.cost, paid.lost), (PRICE.into(), Amount::ZERO));
    }
    // One round trip to learn the price, then one for each request.
    assert_eq!(receiver.server.seen().len(), 6);
    assert_eq!(balances(&receiver), units(&[5, 10, 15, 20, 25]));
    let closed = session.close().await.unwrap();
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0].closing, Closing::Cooperative);
    assert_eq!(stage.receiver_tokens().await, Amount::from(25));
    assert_eq!(stage.open_channels().await, 0);
}

#[tokio::test]
async fn a_lost_answer_is_paid_for_and_told() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |number| match number {
        1 => Fault::LostAnswer,
        _ => Fault::None,
    })
    .await;
    let session = stage.session();
    let paid = session.get(receiver.url()).await.unwrap();
    assert_eq!((paid.cost, paid.lost), (PRICE.into(), PRICE.into()));
    assert_eq!(balances(&receiver), units(&[5, 5, 10]));
    assert_eq!(session.spent(), Amount::from(10));
    assert_eq!(receiver.sold(), [Amount::from(10)]);
    assert_eq!(session.close().await.unwrap()[0].balance, 10.into());
}

#[tokio::test]
async fn a_released_payment_buys_again_with_the_same_proof() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |number| match number {
        1..=3 => Fault::Released,
        _ => Fault::None,
    })
    .await;
    let session = stage.session();
    let paid = session.get(receiver.url()).await.unwrap();
    assert_eq!((paid.cost, paid.lost), (PRICE.into(), Amount::ZERO));
    assert_eq!(balances(&receiver), units(&[5, 5, 5, 5]));
    assert_eq!(session.spent(), Amount::from(PRICE));
}

#[tokio::test]
async fn what_a_failing_server_released_is_used_up() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |number| match number {
        1..=5 => Fault::Released,
        _ => Fault::None,
    })
    .await;
    let session = stage.session();
    let failed = session.get(receiver.url()).await.unwrap();
    assert_eq!(failed.response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(failed.cost, Amount::ZERO);
    for _ in 0..2 {
        let paid = session.get(receiver.url()).await.unwrap();
        assert_eq!(paid.cost, PRICE.into());
    }
    // Five units of credit: four are used by the first, the last by the second.
    assert_eq!(balances(&receiver), units(&[5, 5, 5, 5, 5, 6, 10]));
    assert_eq!(receiver.sold(), [Amount::from(10)]);
    assert_eq!(session.spent(), Amount::from(10));
}

#[tokio::test]
async fn credit_that_is_left_is_not_paid_at_the_close() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |number| match number {
        2..=6 => Fault::Released,
        _ => Fault::None,
    })
    .await;
    let session = stage.session();
    session.get(receiver.url()).await.unwrap();
    let failed = session.get(receiver.url()).await.unwrap();
    assert_eq!(failed.response.status(), StatusCode::BAD_GATEWAY);
    let closed = session.close().await.unwrap();
    assert_eq!(closed[0].closing, Closing::Cooperative);
    assert_eq!(closed[0].balance, PRICE.into());
    assert_eq!(stage.receiver_tokens().await, Amount::from(PRICE));
}

#[tokio::test]
async fn an_unanswered_payment_is_settled_by_asking_at_the_close() {
    let stage = Stage::new().await;
    // The first payment arrives and is sold, but no answer ever comes back.
    let receiver = Receiver::start(&stage, |number| match number {
        2 => Fault::LostAnswer,
        _ => Fault::None,
    })
    .await;
    let session = stage.session_with(SessionConfig {
        max_retries: 0,
        ..config()
    });
    session.get(receiver.url()).await.unwrap();
    let error = session.get(receiver.url()).await.unwrap_err();
    assert!(matches!(error, SessionError::Unanswered { .. }), "{error}");
    let record = session.channels()[0].record();
    assert_eq!((record.served, record.owed()), (5.into(), 10.into()));
    let closed = session.close().await.unwrap();
    assert_eq!(closed[0].closing, Closing::Cooperative);
    assert_eq!(closed[0].balance, 10.into());
}

#[tokio::test]
async fn the_next_request_shows_an_unanswered_proof_again() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |number| match number {
        2 => Fault::LostAnswer,
        _ => Fault::None,
    })
    .await;
    let session = stage.session_with(SessionConfig {
        max_retries: 0,
        ..config()
    });
    session.get(receiver.url()).await.unwrap();
    session.get(receiver.url()).await.unwrap_err();
    // One refusal is to be corrected now.
    let session_error = session.get(receiver.url()).await.unwrap_err();
    assert!(
        matches!(session_error, SessionError::Refusals { .. }),
        "{session_error}"
    );
    let paid = session.get(receiver.url()).await.unwrap();
    assert_eq!(paid.cost, PRICE.into());
    assert_eq!(balances(&receiver), units(&[5, 10, 10, 15]));
    assert_eq!(session.spent(), Amount::from(15));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_in_flight_in_any_order_on_one_channel() {
    let stage = Stage::new().await;
    // The later ones of each dozen overtake the earlier ones.
    let receiver = Receiver::start(&stage, |number| {
        let pause = 12 - u64::try_from(number % 12).unwrap();
        Fault::Late(Duration::from_millis(pause))
    })
    .await;
    let session = Arc::new(stage.session_with(SessionConfig {
        answer_timeout: Duration::from_secs(10),
        deposits: microraiden_sender::DepositPolicy {
            initial_factor: 1000,
            ..Default::default()
        },
        ..config()
    }));
    let requests: Vec<_> = (0..300)
        .map(|_| {
            let (session, url) = (session.clone(), receiver.url());
            tokio::spawn(async move { session.get(url).await })
        })
        .collect();
    for request in requests {
        let paid = request.await.unwrap().unwrap();
        assert_eq!((paid.cost, paid.lost), (PRICE.into(), Amount::ZERO));
    }
    let total = Amount::from(300 * PRICE);
    assert_eq!(session.spent(), total);
    assert_eq!(receiver.sold(), [total]);
    assert_eq!(session.channels()[0].record().served, Balance::from(300 * PRICE));
    assert_eq!(session.close().await.unwrap()[0].closing, Closing::Cooperative);
    assert_eq!(stage.receiver_tokens().await, total);
}

#[tokio::test]
async fn a_channel_is_topped_up_when_its_deposit_is_used_up() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |_| Fault::None).await;
    let session = stage.session();
    for _ in 0..12 {
        session.get(receiver.url()).await.unwrap();
    }
    let channel = &session.channels()[0];
    assert_eq!(channel.deposit(), (10 * PRICE + 5 * PRICE).into());
    let actions: Vec<_> = channel.transactions().iter().map(|(action, _)| *action).collect();
    assert_eq!(actions, [Action::Open, Action::TopUp]);
}

#[tokio::test]
async fn a_sender_that_forgot_everything_asks_and_goes_on() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |_| Fault::None).await;
    let before = stage.session();
    before.get(receiver.url()).await.unwrap();
    before.get(receiver.url()).await.unwrap();
    let after = Session::new(stage.restarted_client(), config()).unwrap();
    let paid = after.get(receiver.url()).await.unwrap();
    assert_eq!(paid.balance, Some(15.into()));
    assert_eq!(balances(&receiver), units(&[5, 10, 0, 15]));
    let query = &receiver.server.payments()[2];
    assert_eq!(query.payment, Payment::Stated(Amount::ZERO));
    assert_eq!(stage.open_channels().await, 1);
    assert_eq!(after.spent(), Amount::from(PRICE));
}

#[tokio::test]
async fn an_unconfirmed_channel_is_waited_for_with_the_same_proof() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |number| match number {
        1..=2 => Fault::Unconfirmed,
        _ => Fault::None,
    })
    .await;
    let session = stage.session();
    session.get(receiver.url()).await.unwrap();
    assert_eq!(balances(&receiver), units(&[5, 5, 5]));
    assert_eq!(stage.open_channels().await, 1);
}

#[tokio::test]
async fn the_budget_is_the_end() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |_| Fault::None).await;
    let session = stage.session_with(SessionConfig {
        budget: 12.into(),
        ..config()
    });
    session.get(receiver.url()).await.unwrap();
    session.get(receiver.url()).await.unwrap();
    let error = session.get(receiver.url()).await.unwrap_err();
    assert!(matches!(error, SessionError::Budget { .. }), "{error}");
    assert_eq!(balances(&receiver), units(&[5, 10]));
}

#[tokio::test]
async fn a_channel_that_may_not_hold_more_is_followed_by_another() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |_| Fault::None).await;
    let mut deposits = config().deposits;
    deposits.max_deposit = 12.into();
    let session = stage.session_with(SessionConfig { deposits, ..config() });
    for _ in 0..5 {
        session.get(receiver.url()).await.unwrap();
    }
    // Two payments each, and two tokens that are too few for a third.
    assert_eq!(stage.open_channels().await, 3);
    assert_eq!(session.spent(), Amount::from(5 * PRICE));
    let closed = session.close().await.unwrap();
    let balances: Vec<_> = closed.iter().map(|closed| closed.balance).collect();
    assert_eq!(balances, units(&[10, 10, 5]));
    assert_eq!(stage.receiver_tokens().await, Amount::from(5 * PRICE));
}

#[tokio::test]
async fn a_quote_says_what_would_pay_and_signs_nothing() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(&stage, |_| Fault::None).await;
    let session = stage.session();
    let quote = async || match session.get(receiver.url()).quote().await.unwrap() {
        Quote::Price { challenge, funding } => {
            assert_eq!(challenge.price, PRICE.into());
            funding
        }
        Quote::Free(answer) => panic!("{answer:?}"),
    };
    let funding = quote().await;
    assert!(
        matches!(funding, Funding::Open(deposit) if deposit == (10 * PRICE).into()),
        "{funding:?}"
    );
    assert_eq!((stage.open_channels().await, receiver.sold()), (0, vec![]));
    session.get(receiver.url()).await.unwrap();
    let funding = quote().await;
    assert!(matches!(funding, Funding::Channel(_)), "{funding:?}");
    assert_eq!(receiver.sold(), [Amount::from(PRICE)]);
}
