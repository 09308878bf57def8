//! Lies in the answer itself, and answers that never come.

use super::raw::{self, Raw};
use super::{asks, claim, fails, payment_required, receipt, served, signed, text};
use crate::server::{Answer, Server};
use crate::stage::{PRICE, Stage, config};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use microraiden_http::{Receipt, refusal_headers};
use microraiden_protocol::ledger::Refusal;
use microraiden_protocol::{Address, Amount};
use microraiden_sender::{SessionConfig, SessionError};
use std::time::{Duration, Instant};

#[tokio::test]
async fn endless_402s_are_left_after_one_payment() {
    let stage = Stage::new().await;
    for refusal in [None].into_iter().chain(Refusal::ALL.map(Some)) {
        let seller = stage.seller();
        let server = Server::start(move |_| {
            let mut headers = seller.challenge(PRICE.into());
            if let Some(refusal) = refusal {
                headers.extend(refusal_headers(refusal, microraiden_http::Form::Documented));
            }
            payment_required(headers)
        })
        .await;
        let session = stage.session_with(SessionConfig {
            confirmation_timeout: Duration::from_millis(150),
            ..config()
        });
        let error = fails(&session, &server).await;
        let expected = matches!(
            error,
            SessionError::Refused { .. } | SessionError::NotConfirmed { .. }
        );
        assert!(expected, "{refusal:?} {error}");
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
async fn a_receipt_changes_what_is_owed_downwards_only() {
    let stranger = Address::repeat_byte(9);
    for (cost, other, counts) in [
        (50, None, PRICE),
        (PRICE, None, PRICE),
        (2, None, 2),
        (0, None, 0),
        // Not our receipt: it does not say that ours was accepted.
        (PRICE, Some(stranger), 0),
    ] {
        let stage = Stage::new().await;
        let server = asks(stage.seller(), move |_, payment| {
            let receipt = Receipt {
                cost: cost.into(),
                sender: other.unwrap_or(payment.sender),
                ..receipt(payment)
            };
            Answer::Reply(StatusCode::OK, receipt.headers())
        })
        .await;
        let session = stage.session();
        let paid = session.get(&server.url).await.expect("an answer");
        assert_eq!(paid.cost, counts.into(), "{cost} {other:?}");
        let record = session.channels()[0].record();
        assert_eq!(record.served, counts.into(), "{cost} {other:?}");
        assert_eq!(session.spent(), Amount::from(PRICE));
    }
}

#[tokio::test]
async fn endless_failures_show_one_proof_a_few_times() {
    for (status, retry_after) in [
        (StatusCode::TOO_MANY_REQUESTS, Some("0")),
        (StatusCode::TOO_MANY_REQUESTS, Some("-1")),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            Some("Fri, 31 Dec 9999 23:59:59 GMT"),
        ),
        (StatusCode::SERVICE_UNAVAILABLE, Some("99999999999999999999999")),
        (StatusCode::BAD_GATEWAY, None),
        (StatusCode::INTERNAL_SERVER_ERROR, None),
    ] {
        let stage = Stage::new().await;
        let server = asks(stage.seller(), move |_, _| {
            let pause = retry_after.map(|seconds| (RETRY_AFTER, text(seconds)));
            Answer::Reply(status, pause.into_iter().collect())
        })
        .await;
        let session = stage.session();
        let begin = Instant::now();
        for _ in 0..2 {
            let answer = session.get(&server.url).await.expect("the answer as it is");
            assert_eq!((answer.response.status(), answer.cost), (status, Amount::ZERO));
        }
        assert!(begin.elapsed() < Duration::from_secs(5), "{retry_after:?}");
        let signed = signed(&server);
        assert!(signed.len() <= 10, "{status} {signed:?}");
        assert!(
            signed.iter().all(|balance| *balance == PRICE.into()),
            "{signed:?}"
        );
        assert_eq!(session.spent(), Amount::from(PRICE), "{status}");
    }
}

#[tokio::test]
#[ignore = "waits for 30 seconds"]
async fn a_pause_of_years_is_cut_short() {
    let stage = Stage::new().await;
    let server = asks(stage.seller(), |seen, payment| match seen.number {
        1 => {
            let years = [(RETRY_AFTER, text(u64::MAX))];
            Answer::Reply(StatusCode::TOO_MANY_REQUESTS, HeaderMap::from_iter(years))
        }
        _ => served(payment),
    })
    .await;
    let begin = Instant::now();
    stage.session().get(&server.url).await.expect("served at last");
    assert!(begin.elapsed() < Duration::from_secs(40));
}

fn impatient() -> SessionConfig {
    SessionConfig {
        answer_timeout: Duration::from_millis(300),
        max_retries: 1,
        ..config()
    }
}

#[tokio::test]
async fn heads_that_never_end_are_left() {
    for (begin, part) in [
        ("", "HTTP/1.1 100 Continue\r\n\r\n".to_owned()),
        ("", "HTTP/1.1 103 Early Hints\r\n\r\n".to_owned()),
        ("HTTP/1.1 200 OK\r\n", "x-slow: 1\r\n".to_owned()),
        ("HTTP/1.1 200 OK\r\nx-huge: ", "x".repeat(64 << 10)),
        ("HTTP/1.1 402 Payment Required\r\n", "x-many: 1\r\n".repeat(1000)),
    ] {
        let stage = Stage::new().await;
        let server = Raw::start(&stage, move |stream| raw::drip(stream, begin, part.clone())).await;
        check_unanswered(&stage, &server, begin).await;
    }
}

async fn check_unanswered(stage: &Stage, server: &Raw, what: &str) {
    let session = stage.session_with(impatient());
    let begin = Instant::now();
    let error = session.get(&server.url).await.expect_err("no answer");
    assert!(matches!(error, SessionError::Unanswered { .. }), "{what} {error}");
    assert!(begin.elapsed() < Duration::from_secs(3), "{what}");
    assert_eq!(session.spent(), Amount::from(PRICE), "{what}");
}

#[tokio::test]
async fn bodies_that_never_end_hold_up_nothing() {
    let stage = Stage::new().await;
    // A refusal is read by its head.
    let challenge = raw::head(
        StatusCode::PAYMENT_REQUIRED,
        &stage.seller().challenge(PRICE.into()),
    );
    let head = format!("{challenge}content-length: 1000000000000\r\n\r\n");
    let server = Raw::start(&stage, move |stream| raw::drip(stream, &head, "x".to_owned())).await;
    let session = stage.session_with(impatient());
    let begin = Instant::now();
    let error = session.get(&server.url).await.expect_err("a refusal");
    assert!(matches!(error, SessionError::Refused { .. }), "{error}");
    // Content is the caller's to read, as long as it comes.
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
    let server = Raw::start(&stage, move |stream| raw::drip(stream, head, String::new())).await;
    let session = stage.session_with(impatient());
    let paid = session.get(&server.url).await.expect("an answer");
    paid.response.bytes().await.expect_err("no end");
    assert!(begin.elapsed() < Duration::from_secs(3));
}
