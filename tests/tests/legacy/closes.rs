//! Closing: by agreement, without, and what strangers can do there.

use crate::{PRICE, Scene};
use http::StatusCode;
use microraiden_protocol::{Amount, ChannelId};
use microraiden_sender::{Closing, Denial, Session, SessionConfig, SessionError};
use microraiden_tests::emulated_2018::Mishap;
use microraiden_tests::world::CHALLENGE_PERIOD;

/// Closes a channel that has paid three requests, which the receiver does not agree to.
async fn close_alone(scene: &Scene, session: &Session, expected: &Denial) {
    let owed = scene.server.owed().await;
    let channel = session.channels().remove(0);
    let closed = session.close().await.unwrap();
    assert_eq!(closed[0].balance, (3 * PRICE).into());
    let denial = expected.clone();
    assert_eq!(closed[0].closing, Closing::Uncooperative { denial });
    scene.world.node.mine(u64::from(CHALLENGE_PERIOD) + 1).await;
    channel.settle().await.unwrap();
    scene.check_settled(owed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agreed_close_pays_out_what_is_owed() {
    let scene = Scene::new().await;
    let session = scene.session();
    scene.pay(&session, 3).await;
    let channel = session.channels()[0].id();
    scene.settle(&session).await;
    assert_eq!(scene.received().await, Amount::from(3 * PRICE));
    let gone = scene.world.contract.channel_info(&channel).await.unwrap();
    assert!(gone.is_none());
    // The next request opens another channel.
    scene.pay(&session, 1).await;
    scene.settle(&session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_that_is_denied_is_made_at_the_same_balance() {
    let scene = Scene::new().await;
    let session = scene.session();
    scene.pay(&session, 3).await;
    scene.server.deny_closes();
    let denial = Denial::Refused {
        status: StatusCode::NOT_FOUND,
        message: "Not Found".to_owned(),
    };
    close_alone(&scene, &session, &denial).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_that_a_stranger_asked_for_first_costs_nothing_but_time() {
    let scene = Scene::new().await;
    let session = scene.session();
    scene.pay(&session, 3).await;
    // Nobody has to show who asks.
    let ChannelId {
        sender, open_block, ..
    } = session.channels()[0].id();
    let path = format!("/api/1/channels/{sender}/{open_block}?balance={}", 3 * PRICE);
    let request = reqwest::Client::new().delete(scene.server.url(&path));
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    let denial = Denial::Refused {
        status: StatusCode::BAD_REQUEST,
        message: "\"Channel closing has been requested already.\"\n".to_owned(),
    };
    close_alone(&scene, &session, &denial).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_without_an_answer_is_asked_for_before_the_close() {
    let mut scene = Scene::new().await;
    let session = scene.session();
    scene.pay(&session, 1).await;
    scene.config = SessionConfig {
        max_retries: 0,
        ..scene.config
    };
    let session = scene.session();
    scene.pay(&session, 1).await;
    scene.server.schedule(&[Mishap::LostAnswer]);
    let error = session.get(scene.server.url("/plain/0")).await.unwrap_err();
    assert!(matches!(error, SessionError::Unanswered { .. }), "{error}");
    assert_eq!(scene.server.owed().await, Amount::from(3 * PRICE));
    scene.settle(&session).await;
    assert_eq!(scene.received().await, Amount::from(3 * PRICE));
}
