//! Paying: many requests, changed prices, restarts on both sides, and what goes wrong on the way.

use crate::{PRICE, Scene};
use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use microraiden_protocol::{Amount, Balance};
use microraiden_sender::{Action, Session, SessionConfig, SessionError};
use microraiden_tests::emulated_2018::{Book, Mishap};
use std::sync::Arc;

fn signed(session: &Session) -> Balance {
    session.channels()[0].balance()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_one_after_another_with_top_ups_on_the_way() {
    let scene = Scene::new().await;
    let session = scene.session();
    // Ten fit the first deposit, five each top-up.
    scene.pay(&session, 22).await;
    assert_eq!(session.spent(), Amount::from(22 * PRICE));
    assert_eq!(scene.server.owed().await, session.spent());
    let transactions = session.channels()[0].transactions();
    let actions: Vec<_> = transactions.iter().map(|(action, _)| *action).collect();
    assert_eq!(
        actions,
        [Action::Open, Action::TopUp, Action::TopUp, Action::TopUp]
    );
    // The channel and each top-up were paid with before they were confirmed.
    assert!(scene.server.refused() >= 4, "{}", scene.server.refused());
    assert_eq!(scene.server.pages(), 0);
    scene.settle(&session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_the_same_time_take_turns() {
    let scene = Scene::new().await;
    let session = Arc::new(scene.session());
    let requests: Vec<_> = (0..40)
        .map(|number| {
            let (session, url) = (session.clone(), scene.server.url(&format!("/response/{number}")));
            tokio::spawn(async move { session.get(url).await })
        })
        .collect();
    for request in requests {
        let paid = request.await.unwrap().unwrap();
        assert_eq!((paid.cost, paid.lost), (PRICE.into(), Amount::ZERO));
    }
    assert_eq!(session.spent(), Amount::from(40 * PRICE));
    assert_eq!(scene.server.owed().await, session.spent());
    scene.settle(&session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_price_is_paid_within_the_limit() {
    let scene = Scene::new().await;
    let session = scene.session();
    scene.pay(&session, 2).await;
    for price in [7, 3, 10] {
        scene.server.set_price(price);
        let paid = session.get(scene.server.url("/plain/0")).await.unwrap();
        assert_eq!(paid.cost, price.into());
    }
    assert_eq!(scene.server.owed().await, Amount::from(30));
    scene.server.set_price(11);
    let error = session.get(scene.server.url("/plain/0")).await.unwrap_err();
    assert!(matches!(error, SessionError::PriceTooHigh { .. }), "{error}");
    assert_eq!(scene.server.owed().await, Amount::from(30));
    scene.settle(&session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_forgot_everything_asks_for_its_balance() {
    let scene = Scene::new().await;
    scene.pay(&scene.session(), 3).await;
    let session = scene.session();
    scene.pay(&session, 3).await;
    assert_eq!(session.spent(), Amount::from(3 * PRICE));
    assert_eq!(signed(&session), (6 * PRICE).into());
    assert_eq!(scene.server.owed().await, Amount::from(6 * PRICE));
    scene.settle(&session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_lost_the_last_payment_is_paid_on_from_what_it_has() {
    let scene = Scene::new().await;
    let session = scene.session();
    scene.pay(&session, 2).await;
    let state = scene.server.state().await;
    scene.pay(&session, 1).await;
    scene.server.restart_from(state).await;
    scene.pay(&session, 2).await;
    // One of five is lost to the receiver; the sender has signed one balance in vain.
    assert_eq!(scene.server.owed().await, Amount::from(4 * PRICE));
    assert_eq!(session.spent(), Amount::from(4 * PRICE));
    scene.settle(&session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_lost_its_state_file_is_paid_from_the_start() {
    let scene = Scene::new().await;
    let session = scene.session();
    scene.pay(&session, 3).await;
    scene.server.restart_from(Book::default()).await;
    scene.pay(&session, 2).await;
    assert_eq!(scene.server.owed().await, Amount::from(2 * PRICE));
    // A payment of four was signed and refused; nobody can claim more than that.
    assert!(session.spent() <= Amount::from(4 * PRICE), "{}", session.spent());
    scene.settle(&session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_found_out_by_the_same_proof() {
    let scene = Scene::new().await;
    let session = scene.session();
    scene.pay(&session, 1).await;
    for path in ["/plain/0", "/response/0"] {
        scene.server.schedule(&[Mishap::LostAnswer]);
        let paid = session.get(scene.server.url(path)).await.unwrap();
        assert_eq!((paid.cost, paid.lost), (PRICE.into(), PRICE.into()));
        assert_eq!(paid.response.text().await.unwrap(), path);
    }
    assert_eq!(session.spent(), Amount::from(5 * PRICE));
    assert_eq!(scene.server.owed().await, session.spent());
    scene.settle(&session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_for_a_resource_that_fails_is_kept_and_told() {
    let scene = Scene::new().await;
    let session = scene.session();
    scene.server.schedule(&[Mishap::HandlerError]);
    let paid = session.get(scene.server.url("/plain/0")).await.unwrap();
    assert_eq!(paid.response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(paid.cost, PRICE.into());
    scene.pay(&session, 2).await;
    assert_eq!(scene.server.owed().await, Amount::from(3 * PRICE));
    scene.settle(&session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_without_a_node_is_asked_again_with_the_same_proof() {
    let scene = Scene::new().await;
    let session = scene.session();
    scene.pay(&session, 1).await;
    scene
        .server
        .schedule(&[Mishap::NodeOffline, Mishap::NodeOffline, Mishap::NodeOffline]);
    scene.pay(&session, 1).await;
    assert_eq!(session.spent(), Amount::from(2 * PRICE));
    assert_eq!(scene.server.owed().await, session.spent());
    scene.settle(&session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_for_callers_who_ask_for_them_and_their_cookies_do_not_come_back() {
    let scene = Scene::new().await;
    let session = scene.session();
    scene.pay(&session, 2).await;
    assert_eq!(scene.server.pages(), 0);
    let html = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/html"))]);
    for number in 0..3 {
        let url = scene.server.url(&format!("/response/page{number}"));
        let paid = session.request(Method::GET, url, html.clone(), Bytes::new());
        assert_eq!(paid.await.unwrap().cost, PRICE.into());
    }
    assert_eq!(scene.server.pages(), 3);
    assert_eq!(scene.server.owed().await, Amount::from(5 * PRICE));
    scene.settle(&session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_free_is_not_paid_and_the_budget_is_the_end() {
    let mut scene = Scene::new().await;
    scene.config = SessionConfig {
        budget: 12.into(),
        ..scene.config
    };
    let session = scene.session();
    scene.pay(&session, 2).await;
    let free = session.get(scene.server.url("/free/0")).await.unwrap();
    assert_eq!((free.cost, free.balance), (Amount::ZERO, None));
    let error = session.get(scene.server.url("/plain/0")).await.unwrap_err();
    assert!(matches!(error, SessionError::Budget { .. }), "{error}");
    assert_eq!(scene.server.owed().await, Amount::from(2 * PRICE));
    scene.settle(&session).await;
}
